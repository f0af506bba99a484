//! Exclusive disjunction.

use super::*;

/// Bitwise exclusive or, elementwise; `!=` for booleans.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Xor;

impl Operation for Xor {
    const NAME: &'static str = "xor";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::binary(operands, shape::Takes::Bits)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Xor, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        Gradient::none(node.operands.len())
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Xor)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new(Xor, &[(&[2], &[6.0, -1.0]), (&[2], &[3.0, 5.0])], &[&[5.0, -6.0]])
                .with(0, DType::I32)
                .with(1, DType::I32),
        ]
    }
}
