//! Conjunction.

use super::*;

/// Bitwise and, elementwise; logical for booleans.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct And;

impl Operation for And {
    const NAME: &'static str = "and";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::binary(operands, shape::Takes::Bits)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::And, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        Gradient::none(node.operands.len())
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::And)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new(And, &[(&[2], &[6.0, -1.0]), (&[2], &[3.0, 5.0])], &[&[2.0, 5.0]])
                .with(0, DType::I32)
                .with(1, DType::I32),
            Example::new(And, &[(&[2], &[1.0, 1.0]), (&[2], &[0.0, 1.0])], &[&[0.0, 1.0]])
                .with(0, DType::Bool)
                .with(1, DType::Bool),
        ]
    }
}
