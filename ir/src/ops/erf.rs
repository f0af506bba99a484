//! Error function.

use super::*;

/// `2 / sqrt(pi)` times the integral of `e^(-t^2)` from 0 to `x`, elementwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Erf;

impl Operation for Erf {
    const NAME: &'static str = "erf";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::unary(operands, shape::Takes::Float)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Erf, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let (x, _, dy, b) = node.unary();
        let square = b.mul(x, x);
        let falling = b.neg(square);
        let bell = b.apply(Exp, &[falling]);
        let slope = b.scale(bell, std::f64::consts::FRAC_2_SQRT_PI);
        Gradient::from([b.mul(dy, slope)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Erf)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(
            Erf,
            &[(&[4], &[0.0, 0.5, -1.0, 4.0])],
            &[&[0.0, 0.5204998778130465, -0.8427007929497149, 0.9999999845827421]],
        )]
    }
}
