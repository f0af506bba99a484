//! Sign.

use super::*;

/// -1, 0 or 1, elementwise. No gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sign;

impl Operation for Sign {
    const NAME: &'static str = "sign";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::unary(operands, shape::Takes::Signed)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Sign, e)
    }

    fn gradient(&self, _: &mut Applied) -> Gradient {
        Gradient::Blocked("a sign is flat")
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Sign)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Sign, &[(&[3], &[1.5, -2.0, 0.0])], &[&[1.0, -1.0, 0.0]])]
    }
}
