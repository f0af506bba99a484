//! Exponential minus one.

use super::*;

/// `e^x - 1`, elementwise, exact near 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expm1;

impl Operation for Expm1 {
    const NAME: &'static str = "expm1";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::unary(operands, shape::Takes::Float)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Expm1, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let (_, y, dy, b) = node.unary();
        let scaled = b.mul(dy, y);
        Gradient::from([b.add(dy, scaled)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Expm1)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Expm1, &[(&[2], &[0.0, 1.0])], &[&[0.0, std::f64::consts::E - 1.0]])]
    }
}
