//! Exponential.

use super::*;

/// `e^x`, elementwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exp;

impl Operation for Exp {
    const NAME: &'static str = "exp";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::unary(operands, shape::Takes::Float)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Exp, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let (_, y, dy, b) = node.unary();
        Gradient::from([b.mul(dy, y)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Exp)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Exp, &[(&[2], &[0.0, 1.0])], &[&[1.0, std::f64::consts::E]])]
    }
}
