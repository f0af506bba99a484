//! Count of bits.

use super::*;

/// The number of one bits, elementwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Popcount;

impl Operation for Popcount {
    const NAME: &'static str = "popcount";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::unary(operands, shape::Takes::Word)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Popcount, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        Gradient::none(node.operands.len())
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Popcount)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Popcount, &[(&[3], &[0.0, 7.0, -1.0])], &[&[0.0, 3.0, 32.0]]).with(0, DType::I32)]
    }
}
