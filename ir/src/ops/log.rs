//! Natural logarithm.

use super::*;

/// `log(x)`, elementwise; NaN below 0, -inf at 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Log;

impl Operation for Log {
    const NAME: &'static str = "log";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::unary(operands, shape::Takes::Float)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Log, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let (x, _, dy, b) = node.unary();
        Gradient::from([b.div(dy, x)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Log)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Log, &[(&[2], &[1.0, 2.0])], &[&[0.0, std::f64::consts::LN_2]])]
    }
}
