//! One number everywhere.

use super::*;

/// A tensor of type `ty` with `value` in every place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constant {
    /// The number.
    pub value: f64,
    /// The type of the result.
    pub ty: Type,
}

/// Refuses numbers that the element type does not have.
pub(super) fn representable(value: f64, dtype: DType) -> Result<(), TypeError> {
    if dtype.holds(value) { Ok(()) } else { Err(TypeError::new(format!("{value} is no {dtype}"))) }
}

impl Operation for Constant {
    const NAME: &'static str = "constant";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [] = operands.exactly()?;
        representable(self.value, self.ty.dtype)?;
        Ok(vec![self.ty.clone()])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        Ok(vec![Array::filled(e.shape(0)?, self.value)])
    }

    fn gradient(&self, _: &mut Applied) -> Gradient {
        Gradient::none(0)
    }

    fn lower(&self, wanted: &Wanted) -> Lowered {
        Lowered::Source(Expr::Constant(self.value, wanted.results[0].dtype))
    }

    fn examples() -> Vec<Example> {
        let ty = Type::new(DType::F32, vec![Dim::from(2usize)]);
        vec![Example::new(Constant { value: 0.5, ty }, &[], &[&[0.5, 0.5]])]
    }
}
