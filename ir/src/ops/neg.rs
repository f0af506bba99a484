//! Negation.

use super::*;

/// `-x`, elementwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Neg;

impl Operation for Neg {
    const NAME: &'static str = "neg";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::unary(operands, shape::Takes::Signed)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Neg, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let (_, _, dy, b) = node.unary();
        Gradient::from([b.neg(dy)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Neg)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Neg, &[(&[2], &[1.5, -2.0])], &[&[-1.5, 2.0]])]
    }
}
