//! Hyperbolic tangent.

use super::*;

/// `tanh(x)`, elementwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tanh;

impl Operation for Tanh {
    const NAME: &'static str = "tanh";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::unary(operands, shape::Takes::Float)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Tanh, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let (_, y, dy, b) = node.unary();
        let square = b.mul(y, y);
        let one = b.fill_like(1.0, y);
        let slope = b.sub(one, square);
        Gradient::from([b.mul(dy, slope)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Tanh)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Tanh, &[(&[2], &[0.0, 0.5])], &[&[0.0, 0.46211715726000975]])]
    }
}
