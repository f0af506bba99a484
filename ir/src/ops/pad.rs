//! A border around a tensor.

use super::*;

/// The operand with `low[i]` elements before and `high[i]` after it along each axis, all of them `value`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pad {
    /// How many elements come before, per axis; not negative.
    pub low: Vec<Dim>,
    /// How many come after, per axis; not negative.
    pub high: Vec<Dim>,
    /// The new elements.
    pub value: f64,
}

impl Operation for Pad {
    const NAME: &'static str = "pad";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [x] = operands.exactly()?;
        shape::per_axis("low", self.low.len(), x.rank())?;
        shape::per_axis("high", self.high.len(), x.rank())?;
        super::constant::representable(self.value, x.dtype)?;
        if self.low.iter().chain(&self.high).any(|size| size.as_constant().is_some_and(|size| size < 0)) {
            return Err(TypeError::new("only adds elements: its sizes cannot be negative"));
        }
        let borders = self.low.iter().zip(&self.high);
        Ok(vec![
            x.with_shape(x.shape.iter().zip(borders).map(|(n, (low, high))| &(n + low) + high).collect()),
        ])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        let low: Vec<usize> = self.low.iter().map(|size| e.dim(size)).collect::<Result<_, _>>()?;
        self.high.iter().try_for_each(|size| e.dim(size).map(drop))?;
        let mut result = Array::filled(e.shape(0)?, self.value);
        let x = &e.operands[0];
        let mut index = vec![0; low.len()];
        for value in &x.data {
            let place: Vec<usize> = index.iter().zip(&low).map(|(i, low)| i + low).collect();
            let offset = result.offset(&place);
            result.data[offset] = *value;
            crate::array::advance(&mut index, &x.shape);
        }
        Ok(vec![result])
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let sizes = node.b.ty(node.operands[0]).shape.clone();
        let steps = vec![1; sizes.len()];
        Gradient::from([node
            .b
            .apply(Slice { starts: self.low.clone(), sizes, steps }, &[node.cotangents[0]])])
    }

    fn lower(&self, wanted: &Wanted) -> Lowered {
        let index: Vec<Dim> = wanted.at.iter().zip(&self.low).map(|(at, low)| at - low).collect();
        let padded = |axis: &usize| !self.low[*axis].is_zero() || !self.high[*axis].is_zero();
        let guard = |axis: usize| (index[axis].clone(), wanted.operands[0].shape[axis].clone());
        let guards = (0..index.len()).filter(padded).map(guard).collect();
        Lowered::View { index, guards, otherwise: self.value }
    }

    fn examples() -> Vec<Example> {
        let dims = |values: &[i64]| values.iter().map(|value| Dim::constant(*value)).collect::<Vec<_>>();
        let op = Pad { low: dims(&[0, 1]), high: dims(&[1, 0]), value: 9.0 };
        vec![Example::new(op, &[(&[1, 2], &[1.0, 2.0])], &[&[9.0, 1.0, 2.0, 9.0, 9.0, 9.0]])]
    }
}
