//! Random numbers as a pure function.

use super::*;

/// Uniform numbers in [0, 1), from the operands `seed: u32[]` and `step: u32[]`: Threefry-2x32-20 (Salmon et al.,
/// "Parallel random numbers: as easy as 1, 2, 3", 2011) of key (seed, step) and counter (row-major index, salt); the
/// upper 24 bits of the first word. Equal operands and salts give equal numbers on every target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Random {
    /// The shape of the result.
    pub shape: Vec<Dim>,
    /// Distinguishes the places of a program that draw, and the turns of a loop.
    pub salt: Dim,
}

impl Operation for Random {
    const NAME: &'static str = "random";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [seed, step] = operands.exactly()?;
        shape::same(seed, &Type::scalar(DType::U32))?;
        shape::same(step, &Type::scalar(DType::U32))?;
        Ok(vec![Type::new(DType::F32, self.shape.clone())])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        let salt =
            self.salt.evaluate(e.symbols).ok_or_else(|| format!("`{}` has no value here", self.salt))?;
        let key = [e.operands[0].data[0] as u32, e.operands[1].data[0] as u32];
        let shape = e.shape(0)?;
        let size: usize = shape.iter().product();
        let data = (0..size).map(|index| crate::random::uniform(key, [index as u32, salt as u32])).collect();
        Ok(vec![Array { shape, data }])
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        Gradient::none(node.operands.len())
    }

    fn lower(&self, wanted: &Wanted) -> Lowered {
        let scalar = |place| Box::new(Expr::Operand(place, DType::U32));
        let index = shape::linear(wanted.at, &self.shape);
        Lowered::Source(Expr::Random { seed: scalar(0), step: scalar(1), index, salt: self.salt.clone() })
    }

    fn examples() -> Vec<Example> {
        let op = Random { shape: vec![Dim::from(2usize)], salt: Dim::zero() };
        let words = [0x6b20_0159u32, 0].map(|word| f64::from(word >> 8) / f64::from(1 << 24));
        let second = crate::random::uniform([0, 0], [1, 0]);
        let zero: (&[usize], &[f64]) = (&[], &[0.0]);
        vec![Example::new(op, &[zero, zero], &[&[words[0], second]]).with(0, DType::U32).with(1, DType::U32)]
    }
}
