//! Rounding down.

use super::*;

/// The largest whole number that is not above `x`, elementwise. No gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Floor;

impl Operation for Floor {
    const NAME: &'static str = "floor";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::unary(operands, shape::Takes::Float)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Floor, e)
    }

    fn gradient(&self, _: &mut Applied) -> Gradient {
        Gradient::Blocked("a rounded number is flat")
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Floor)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Floor, &[(&[2], &[1.7, -0.5])], &[&[1.0, -1.0]])]
    }
}
