//! Reinterpretation of bits.

use super::*;

/// The same bits as another element type of the same size. No gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bitcast {
    /// The new element type.
    pub dtype: DType,
}

impl Operation for Bitcast {
    const NAME: &'static str = "bitcast";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [x] = operands.exactly()?;
        if x.dtype.size() != self.dtype.size() || x.dtype == DType::Bool || self.dtype == DType::Bool {
            return Err(TypeError::new(format!("cannot read the bits of {} as {}", x.dtype, self.dtype)));
        }
        Ok(vec![shape::dense(x).with_dtype(self.dtype)])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Bitcast(self.dtype), e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        Gradient::none(node.operands.len())
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Bitcast(self.dtype))
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                Bitcast { dtype: DType::U32 },
                &[(&[2], &[1.0, -2.0])],
                &[&[1065353216.0, 3221225472.0]],
            ),
            Example::new(Bitcast { dtype: DType::F32 }, &[(&[1], &[1065353216.0])], &[&[1.0]])
                .with(0, DType::U32),
        ]
    }
}
