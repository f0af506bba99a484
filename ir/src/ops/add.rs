//! Sum.

use super::*;

/// `a + b`, elementwise, of two tensors of one type. Integers wrap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Add;

impl Operation for Add {
    const NAME: &'static str = "add";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::binary(operands, shape::Takes::Number)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Add, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let dy = node.cotangents[0];
        Gradient::from([dy, dy])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Add)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new(Add, &[(&[3], &[1.0, 2.5, -3.0]), (&[3], &[0.5, -1.0, 3.0])], &[&[1.5, 1.5, 0.0]]),
            Example::new(Add, &[(&[2], &[2147483647.0, 1.0]), (&[2], &[1.0, 2.0])], &[&[-2147483648.0, 3.0]])
                .with(0, DType::I32)
                .with(1, DType::I32),
        ]
    }
}
