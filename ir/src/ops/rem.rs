//! Remainder.

use super::*;

/// `a - b * floor(a / b)`, elementwise: the remainder has the sign of `b`. A zero integer divisor gives 0. No
/// gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rem;

impl Operation for Rem {
    const NAME: &'static str = "rem";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::binary(operands, shape::Takes::Number)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Rem, e)
    }

    fn gradient(&self, _: &mut Applied) -> Gradient {
        Gradient::Blocked("a remainder jumps")
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Rem)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new(Rem, &[(&[2], &[5.5, -1.0]), (&[2], &[2.0, 3.0])], &[&[1.5, 2.0]]),
            Example::new(Rem, &[(&[3], &[7.0, -7.0, 7.0]), (&[3], &[3.0, 3.0, 0.0])], &[&[1.0, 2.0, 0.0]])
                .with(0, DType::I32)
                .with(1, DType::I32),
        ]
    }
}
