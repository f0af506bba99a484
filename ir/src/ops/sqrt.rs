//! Square root.

use super::*;

/// The square root, elementwise; NaN below 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sqrt;

impl Operation for Sqrt {
    const NAME: &'static str = "sqrt";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::unary(operands, shape::Takes::Float)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Sqrt, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let (_, y, dy, b) = node.unary();
        let twice = b.add(y, y);
        Gradient::from([b.div(dy, twice)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Sqrt)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Sqrt, &[(&[2], &[4.0, 0.25])], &[&[2.0, 0.5]])]
    }
}
