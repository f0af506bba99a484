//! Complement.

use super::*;

/// Every bit turned, elementwise; negation for booleans.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Not;

impl Operation for Not {
    const NAME: &'static str = "not";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::unary(operands, shape::Takes::Bits)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Not, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        Gradient::none(node.operands.len())
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Not)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new(Not, &[(&[2], &[0.0, 5.0])], &[&[4294967295.0, 4294967290.0]]).with(0, DType::U32),
            Example::new(Not, &[(&[2], &[0.0, 1.0])], &[&[1.0, 0.0]]).with(0, DType::Bool),
        ]
    }
}
