//! Product.

use super::*;

/// `a * b`, elementwise, of two tensors of one type. Integers wrap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mul;

impl Operation for Mul {
    const NAME: &'static str = "mul";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::binary(operands, shape::Takes::Number)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Mul, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let ([x, y], _, dy, b) = node.binary();
        Gradient::from([b.mul(dy, y), b.mul(dy, x)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Mul)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new(Mul, &[(&[2], &[1.5, 0.0]), (&[2], &[2.0, -1.0])], &[&[3.0, 0.0]]),
            Example::new(Mul, &[(&[2], &[65536.0, 7.0]), (&[2], &[65537.0, 6.0])], &[&[65536.0, 42.0]])
                .with(0, DType::I32)
                .with(1, DType::I32),
        ]
    }
}
