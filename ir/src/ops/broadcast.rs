//! Repetition along new axes.

use super::*;

/// Axis `i` of the operand becomes axis `axes[i]` of the result, in the same order and of the same size; along all
/// other axes the elements repeat. An axis of size 1 is not stretched: reshape it away first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Broadcast {
    /// The shape of the result.
    pub shape: Vec<Dim>,
    /// Where each axis of the operand goes, strictly increasing.
    pub axes: Vec<usize>,
}

impl Operation for Broadcast {
    const NAME: &'static str = "broadcast";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [x] = operands.exactly()?;
        shape::per_axis("axes", self.axes.len(), x.rank())?;
        shape::distinct(&self.axes, self.shape.len())?;
        if !self.axes.is_sorted() {
            return Err(TypeError::new("keeps the order of axes: `axes` must increase"));
        }
        for (size, axis) in x.shape.iter().zip(&self.axes) {
            if *size != self.shape[*axis] {
                let wanted = &self.shape[*axis];
                return Err(TypeError::new(format!("axis {axis} is {wanted}, the operand's is {size}")));
            }
        }
        Ok(vec![x.with_shape(self.shape.clone())])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        let mut source = vec![0; self.axes.len()];
        let element = |index: &[usize]| {
            source.iter_mut().zip(&self.axes).for_each(|(place, axis)| *place = index[*axis]);
            e.operands[0].at(&source)
        };
        Ok(vec![Array::from_index(e.shape(0)?, element)])
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        Gradient::from([node.b.sum(node.cotangents[0], shape::others(&self.axes, self.shape.len()))])
    }

    fn lower(&self, wanted: &Wanted) -> Lowered {
        let index = self.axes.iter().map(|axis| wanted.at[*axis].clone()).collect();
        Lowered::View { index, guards: Vec::new(), otherwise: 0.0 }
    }

    fn examples() -> Vec<Example> {
        let shape = || vec![Dim::from(2usize), Dim::from(3usize)];
        let rows = Broadcast { shape: shape(), axes: vec![0] };
        let columns = Broadcast { shape: shape(), axes: vec![1] };
        vec![
            Example::new(rows, &[(&[2], &[1.0, 2.0])], &[&[1.0, 1.0, 1.0, 2.0, 2.0, 2.0]]),
            Example::new(columns, &[(&[3], &[1.0, 2.0, 3.0])], &[&[1.0, 2.0, 3.0, 1.0, 2.0, 3.0]]),
        ]
    }
}
