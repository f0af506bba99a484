//! Shift right.

use super::*;

/// `a` shifted right by `b` bits, elementwise: with sign for i32, without for u32. The count is taken modulo
/// 32.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shr;

impl Operation for Shr {
    const NAME: &'static str = "shr";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::binary(operands, shape::Takes::Word)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Shr, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        Gradient::none(node.operands.len())
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Shr)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new(Shr, &[(&[2], &[-8.0, 9.0]), (&[2], &[1.0, 2.0])], &[&[-4.0, 2.0]])
                .with(0, DType::I32)
                .with(1, DType::I32),
        ]
    }
}
