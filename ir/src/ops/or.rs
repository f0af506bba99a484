//! Disjunction.

use super::*;

/// Bitwise or, elementwise; logical for booleans.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Or;

impl Operation for Or {
    const NAME: &'static str = "or";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::binary(operands, shape::Takes::Bits)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Or, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        Gradient::none(node.operands.len())
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Or)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new(Or, &[(&[2], &[6.0, 1.0]), (&[2], &[3.0, 4.0])], &[&[7.0, 5.0]])
                .with(0, DType::U8)
                .with(1, DType::U8),
            Example::new(Or, &[(&[2], &[1.0, 0.0]), (&[2], &[0.0, 0.0])], &[&[1.0, 0.0]])
                .with(0, DType::Bool)
                .with(1, DType::Bool),
        ]
    }
}
