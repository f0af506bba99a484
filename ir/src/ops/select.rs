//! Choice by a mask.

use super::*;

/// `if mask then a else b`, elementwise; the mask is boolean and all three have one shape. The gradient goes to the
/// chosen one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Select;

impl Operation for Select {
    const NAME: &'static str = "select";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [mask, a, b] = operands.exactly()?;
        shape::expect("the mask", mask, DType::Bool)?;
        shape::same(a, b)?;
        shape::same(mask, &a.with_dtype(DType::Bool))?;
        Ok(vec![shape::dense(a)])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Select, e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let (mask, dy) = (node.operands[0], node.cotangents[0]);
        let taken = elementwise::keep(node.b, mask, dy);
        let left = elementwise::drop(node.b, mask, dy);
        Gradient::Of(vec![None, Some(taken), Some(left)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Select)
    }

    fn examples() -> Vec<Example> {
        let operands: [(&[usize], &[f64]); 3] =
            [(&[2], &[1.0, 0.0]), (&[2], &[1.0, 2.0]), (&[2], &[3.0, 4.0])];
        vec![Example::new(Select, &operands, &[&[1.0, 4.0]]).with(0, DType::Bool)]
    }
}
