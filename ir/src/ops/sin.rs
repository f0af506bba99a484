//! Sine.

use super::*;

/// `sin(x)`, elementwise, in radians.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sin;

impl Operation for Sin {
    const NAME: &'static str = "sin";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::unary(operands, shape::Takes::Float)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Sin, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let (x, _, dy, b) = node.unary();
        let slope = b.apply(Cos, &[x]);
        Gradient::from([b.mul(dy, slope)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Sin)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Sin, &[(&[2], &[0.0, std::f64::consts::FRAC_PI_6])], &[&[0.0, 0.5]])]
    }
}
