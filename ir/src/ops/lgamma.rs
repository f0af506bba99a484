//! Logarithm of the gamma function.

use super::*;

/// `log |gamma(x)|`, elementwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lgamma;

impl Operation for Lgamma {
    const NAME: &'static str = "lgamma";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::unary(operands, shape::Takes::Float)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Lgamma, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let (x, _, dy, b) = node.unary();
        let slope = b.apply(Digamma, &[x]);
        Gradient::from([b.mul(dy, slope)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Lgamma)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(
            Lgamma,
            &[(&[4], &[1.0, 5.0, 0.5, -0.5])],
            &[&[0.0, 3.1780538303479458, 0.5723649429247001, 1.2655121234846454]],
        )]
    }
}
