//! Derivative of `lgamma`.

use super::*;

/// The derivative of `lgamma`, elementwise. No gradient of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Digamma;

impl Operation for Digamma {
    const NAME: &'static str = "digamma";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::unary(operands, shape::Takes::Float)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Digamma, e)
    }

    fn gradient(&self, _: &mut Applied) -> Gradient {
        Gradient::Blocked("the derivative of digamma is not provided")
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Digamma)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(
            Digamma,
            &[(&[3], &[1.0, 0.5, -0.5])],
            &[&[-0.5772156649015329, -1.9635100260214235, 0.03648997397857652]],
        )]
    }
}
