//! Power.

use super::*;

/// `a ^ b`, elementwise. Where `a` is not positive, the exponent's gradient is taken to be 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pow;

impl Operation for Pow {
    const NAME: &'static str = "pow";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        shape::binary(operands, shape::Takes::Float)
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Pow, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let ([x, n], y, dy, b) = node.binary();
        let one = b.fill_like(1.0, x);
        let zero = b.fill_like(0.0, x);
        let lower = b.sub(n, one);
        let power = b.apply(Pow, &[x, lower]);
        let slope = b.mul(n, power);
        let flat = elementwise::mask(b, crate::kernel::Compare::Equal, n, zero);
        let slope = elementwise::drop(b, flat, slope);
        let positive = elementwise::mask(b, crate::kernel::Compare::Greater, x, zero);
        let base = b.apply(Select, &[positive, x, one]);
        let log = b.apply(Log, &[base]);
        let growth = b.mul(y, log);
        Gradient::from([b.mul(dy, slope), b.mul(dy, growth)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Pow)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(
            Pow,
            &[(&[3], &[2.0, 9.0, 1.5]), (&[3], &[3.0, 0.5, -1.0])],
            &[&[8.0, 3.0, 2.0 / 3.0]],
        )]
    }
}
