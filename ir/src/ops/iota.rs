//! Counting.

use super::*;

/// A tensor of type `ty` whose elements are their own index along `axis`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Iota {
    /// The type of the result.
    pub ty: Type,
    /// The axis counted along.
    pub axis: usize,
}

impl Operation for Iota {
    const NAME: &'static str = "iota";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [] = operands.exactly()?;
        shape::axis(self.axis, self.ty.rank())?;
        shape::Takes::Number.check(self.ty.dtype)?;
        Ok(vec![self.ty.clone()])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        let dtype = self.ty.dtype;
        let count = |index: &[usize]| crate::kernel::scalar::wrap(index[self.axis] as i64, dtype);
        Ok(vec![Array::from_index(e.shape(0)?, count)])
    }

    fn gradient(&self, _: &mut Applied) -> Gradient {
        Gradient::none(0)
    }

    fn lower(&self, wanted: &Wanted) -> Lowered {
        Lowered::Source(Expr::Dim(wanted.at[self.axis].clone(), wanted.results[0].dtype))
    }

    fn examples() -> Vec<Example> {
        let ty = Type::new(DType::I32, vec![Dim::from(2usize), Dim::from(3usize)]);
        vec![Example::new(Iota { ty, axis: 1 }, &[], &[&[0.0, 1.0, 2.0, 0.0, 1.0, 2.0]])]
    }
}
