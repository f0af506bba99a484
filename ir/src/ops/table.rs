//! Numbers written out.

use super::*;

/// A tensor of type `ty`, whose shape is constant, with the given elements in row-major order. Lowered to a stored
/// buffer, not to code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Elements, in row-major order.
    pub values: Vec<f64>,
    /// The type of the result.
    pub ty: Type,
}

impl Operation for Table {
    const NAME: &'static str = "table";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [] = operands.exactly()?;
        match self.ty.size().as_constant() {
            Some(size) if usize::try_from(size).is_ok_and(|size| size == self.values.len()) => {}
            Some(size) => {
                return Err(TypeError::new(format!("needs {size} elements, not {}", self.values.len())));
            }
            None => return Err(TypeError::new(format!("needs a constant shape, not {}", self.ty))),
        }
        for value in &self.values {
            super::constant::representable(*value, self.ty.dtype)?;
        }
        Ok(vec![self.ty.clone()])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        Ok(vec![Array { shape: e.shape(0)?, data: self.values.clone() }])
    }

    fn gradient(&self, _: &mut Applied) -> Gradient {
        Gradient::none(0)
    }

    /// The scheduler keeps the elements as a constant buffer.
    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Kernel
    }

    fn examples() -> Vec<Example> {
        let ty = Type::new(DType::F32, vec![Dim::from(2usize), Dim::from(2usize)]);
        let values = vec![1.0, -2.0, 0.5, 4.0];
        vec![Example::new(Table { values, ty }, &[], &[&[1.0, -2.0, 0.5, 4.0]])]
    }
}
