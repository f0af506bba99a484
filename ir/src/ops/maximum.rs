//! The larger of two.

use super::*;

/// The larger, elementwise; NaN if either is. Of equal ones, the first has the gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Maximum;

impl Operation for Maximum {
    const NAME: &'static str = "maximum";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::binary(operands, shape::Takes::Number)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Max, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let ([x, y], _, dy, b) = node.binary();
        let first = elementwise::mask(b, crate::kernel::Compare::GreaterEqual, x, y);
        Gradient::from([elementwise::keep(b, first, dy), elementwise::drop(b, first, dy)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Max)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Maximum, &[(&[2], &[1.0, 2.0]), (&[2], &[0.5, 3.0])], &[&[1.0, 3.0]])]
    }
}
