//! A size as a number.

use super::*;

/// The value of a size expression, as a scalar. Loop counters in scope count as sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DimValue {
    /// The expression.
    pub dim: Dim,
    /// The element type of the result.
    pub dtype: DType,
}

impl Operation for DimValue {
    const NAME: &'static str = "dim";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [] = operands.exactly()?;
        shape::Takes::Number.check(self.dtype)?;
        Ok(vec![Type::scalar(self.dtype)])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        let value =
            self.dim.evaluate(e.symbols).ok_or_else(|| format!("`{}` has no value here", self.dim))?;
        Ok(vec![Array::scalar(crate::kernel::scalar::wrap(value, self.dtype))])
    }

    fn gradient(&self, _: &mut Applied) -> Gradient {
        Gradient::none(0)
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Source(Expr::Dim(self.dim.clone(), self.dtype))
    }

    fn examples() -> Vec<Example> {
        let dim = Dim::constant(7);
        vec![Example::new(DimValue { dim, dtype: DType::F32 }, &[], &[&[7.0]])]
    }
}
