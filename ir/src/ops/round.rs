//! Rounding.

use super::*;

/// The nearest whole number, elementwise; ties go to the even one. No gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round;

impl Operation for Round {
    const NAME: &'static str = "round";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::unary(operands, shape::Takes::Float)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Round, e)
    }

    fn gradient(&self, _: &mut Applied) -> Gradient {
        Gradient::Blocked("a rounded number is flat")
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Round)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Round, &[(&[4], &[1.7, 0.5, 1.5, -2.5])], &[&[2.0, 0.0, 2.0, -2.0]])]
    }
}
