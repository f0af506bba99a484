//! Quotient.

use super::*;

/// `a / b`, elementwise, of two tensors of one type. Integer quotients round down; a zero integer divisor gives
/// 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Div;

impl Operation for Div {
    const NAME: &'static str = "div";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::binary(operands, shape::Takes::Number)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Div, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let ([_, y], quotient, dy, b) = node.binary();
        let dx = b.div(dy, y);
        let slope = b.mul(dx, quotient);
        Gradient::from([dx, b.neg(slope)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Div)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new(Div, &[(&[2], &[3.0, -1.0]), (&[2], &[2.0, 4.0])], &[&[1.5, -0.25]]),
            Example::new(Div, &[(&[3], &[7.0, -7.0, 7.0]), (&[3], &[2.0, 2.0, 0.0])], &[&[3.0, -4.0, 0.0]])
                .with(0, DType::I32)
                .with(1, DType::I32),
        ]
    }
}
