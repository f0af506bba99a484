//! Logarithm of one more.

use super::*;

/// `log(1 + x)`, elementwise, exact near 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Log1p;

impl Operation for Log1p {
    const NAME: &'static str = "log1p";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::unary(operands, shape::Takes::Float)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Log1p, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let (x, _, dy, b) = node.unary();
        let one = b.fill_like(1.0, x);
        let above = b.add(x, one);
        Gradient::from([b.div(dy, above)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Log1p)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Log1p, &[(&[2], &[0.0, 1.0])], &[&[0.0, std::f64::consts::LN_2]])]
    }
}
