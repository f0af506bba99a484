//! Difference.

use super::*;

/// `a - b`, elementwise, of two tensors of one type. Integers wrap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sub;

impl Operation for Sub {
    const NAME: &'static str = "sub";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::binary(operands, shape::Takes::Number)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Sub, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let (_, _, dy, b) = node.binary();
        Gradient::from([dy, b.neg(dy)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Sub)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new(Sub, &[(&[2], &[1.0, 2.5]), (&[2], &[0.5, -1.0])], &[&[0.5, 3.5]]),
            Example::new(Sub, &[(&[1], &[1.0]), (&[1], &[2.0])], &[&[4294967295.0]])
                .with(0, DType::U32)
                .with(1, DType::U32),
        ]
    }
}
