//! Comparison.

use super::*;

/// `a <kind> b`, elementwise, of two tensors of one type; a boolean tensor. Comparisons with NaN are false, but for
/// `!=`. No gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compare {
    /// Which comparison.
    pub kind: crate::kernel::Compare,
}

impl Operation for Compare {
    const NAME: &'static str = "compare";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let result = shape::binary(operands, shape::Takes::Any)?;
        Ok(vec![result[0].with_dtype(DType::Bool)])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Compare(self.kind), e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        Gradient::none(node.operands.len())
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Compare(self.kind))
    }

    fn examples() -> Vec<Example> {
        let operands: [(&[usize], &[f64]); 2] = [(&[3], &[1.0, 2.0, 3.0]), (&[3], &[2.0, 2.0, 2.0])];
        let expected = |kind: crate::kernel::Compare| [1.0, 2.0, 3.0].map(|x| f64::from(kind.apply(x, 2.0)));
        let all = crate::kernel::Compare::ALL.into_iter();
        all.map(|kind| Example::new(Compare { kind }, &operands, &[&expected(kind)])).collect()
    }
}
