//! The largest elements.

use super::*;

/// The `k` largest elements along `axis`, largest first, and their i32 positions. Of equal elements the earlier comes
/// first; NaN counts as the largest. The gradient goes back to the positions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopK {
    /// The axis that is searched.
    pub axis: usize,
    /// How many are kept.
    pub k: Dim,
}

impl Operation for TopK {
    const NAME: &'static str = "top_k";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [x] = operands.exactly()?;
        shape::axis(self.axis, x.rank())?;
        shape::Takes::Number.check(x.dtype)?;
        if (&x.shape[self.axis] - &self.k).as_constant().is_some_and(|left| left < 0) {
            return Err(TypeError::new(format!("cannot keep {} of {} elements", self.k, x.shape[self.axis])));
        }
        let mut shape = x.shape.clone();
        shape[self.axis] = self.k.clone();
        let values = x.with_shape(shape);
        Ok(vec![values.clone(), values.with_dtype(DType::I32)])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        sort::sorted(&e.operands[0], self.axis, true, e.dim(&self.k)?)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        sort::unsort(node, self.axis)
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Kernel
    }

    fn examples() -> Vec<Example> {
        let op = |axis, k| TopK { axis, k: Dim::constant(k) };
        let rows: [(&[usize], &[f64]); 1] = [(&[2, 3], &[2.0, 3.0, 1.0, 5.0, 4.0, 6.0])];
        vec![
            Example::new(op(1, 2), &rows, &[&[3.0, 2.0, 6.0, 5.0], &[1.0, 0.0, 2.0, 0.0]]),
            Example::new(op(0, 1), &rows, &[&[5.0, 4.0, 6.0], &[1.0, 1.0, 1.0]]),
        ]
    }
}
