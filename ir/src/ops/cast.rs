//! Conversion.

use super::*;

/// The same numbers as another element type. Floats become integers by truncation toward zero and saturation, NaN
/// becomes 0; integers wrap; booleans are `!= 0`. Between floats the gradient passes, otherwise there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cast {
    /// The new element type.
    pub dtype: DType,
}

impl Operation for Cast {
    const NAME: &'static str = "cast";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [x] = operands.exactly()?;
        Ok(vec![shape::dense(x).with_dtype(self.dtype)])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        elementwise::map(Scalar::Cast(self.dtype), e)
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let from = node.b.ty(node.operands[0]).dtype;
        if !self.dtype.is_float() || !from.is_float() {
            return Gradient::none(1);
        }
        Gradient::from([node.b.cast(node.cotangents[0], from)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Map(Scalar::Cast(self.dtype))
    }

    fn examples() -> Vec<Example> {
        let numbers: [(&[usize], &[f64]); 1] = [(&[4], &[1.7, -1.7, 3e9, 0.0])];
        vec![
            Example::new(Cast { dtype: DType::I32 }, &numbers, &[&[1.0, -1.0, 2147483647.0, 0.0]]),
            Example::new(Cast { dtype: DType::Bool }, &numbers, &[&[1.0, 1.0, 1.0, 0.0]]),
            Example::new(Cast { dtype: DType::F64 }, &[(&[2], &[1.5, -2.0])], &[&[1.5, -2.0]]),
            Example::new(Cast { dtype: DType::U8 }, &[(&[2], &[257.0, -1.0])], &[&[1.0, 255.0]])
                .with(0, DType::I32),
        ]
    }
}
