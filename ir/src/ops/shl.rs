//! Shift left.

use super::*;

/// `a` shifted left by `b` bits, elementwise. The count is taken modulo 32.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shl;

impl Operation for Shl {
    const NAME: &'static str = "shl";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::binary(operands, shape::Takes::Word)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Shl, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        Gradient::none(node.operands.len())
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Shl)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                Shl,
                &[(&[3], &[1.0, 3.0, 1.0]), (&[3], &[4.0, 31.0, 33.0])],
                &[&[16.0, 2147483648.0, 2.0]],
            )
            .with(0, DType::U32)
            .with(1, DType::U32),
        ]
    }
}
