//! Absolute value.

use super::*;

/// `|x|`, elementwise. The gradient at 0 is 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Abs;

impl Operation for Abs {
    const NAME: &'static str = "abs";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::unary(operands, shape::Takes::Signed)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Abs, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let (x, _, dy, b) = node.unary();
        let sign = b.apply(Sign, &[x]);
        Gradient::from([b.mul(dy, sign)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Abs)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Abs, &[(&[2], &[1.5, -2.0])], &[&[1.5, 2.0]])]
    }
}
