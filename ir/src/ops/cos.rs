//! Cosine.

use super::*;

/// `cos(x)`, elementwise, in radians.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cos;

impl Operation for Cos {
    const NAME: &'static str = "cos";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::unary(operands, shape::Takes::Float)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Cos, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let (x, _, dy, b) = node.unary();
        let sine = b.apply(Sin, &[x]);
        let slope = b.neg(sine);
        Gradient::from([b.mul(dy, slope)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Cos)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Cos, &[(&[2], &[0.0, std::f64::consts::FRAC_PI_3])], &[&[1.0, 0.5]])]
    }
}
