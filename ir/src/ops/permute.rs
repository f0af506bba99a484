//! Axes in another order.

use super::*;

/// Axis `i` of the result is axis `axes[i]` of the operand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Permute {
    /// Where each axis of the result comes from.
    pub axes: Vec<usize>,
}

impl Operation for Permute {
    const NAME: &'static str = "permute";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [x] = operands.exactly()?;
        shape::per_axis("axes", self.axes.len(), x.rank())?;
        shape::distinct(&self.axes, x.rank())?;
        Ok(vec![x.with_shape(self.axes.iter().map(|axis| x.shape[*axis].clone()).collect())])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        let mut source = vec![0; self.axes.len()];
        let element = |index: &[usize]| {
            self.axes.iter().zip(index).for_each(|(axis, place)| source[*axis] = *place);
            e.operands[0].at(&source)
        };
        Ok(vec![Array::from_index(e.shape(0)?, element)])
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        Gradient::from([node.b.permute(node.cotangents[0], shape::inverse(&self.axes))])
    }

    fn lower(&self, wanted: &Wanted) -> Lowered {
        let index = shape::inverse(&self.axes).into_iter().map(|axis| wanted.at[axis].clone()).collect();
        Lowered::View { index, guards: Vec::new(), otherwise: 0.0 }
    }

    fn examples() -> Vec<Example> {
        let rows: [(&[usize], &[f64]); 1] = [(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])];
        let deep: [(&[usize], &[f64]); 1] = [(&[1, 2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])];
        vec![
            Example::new(Permute { axes: vec![1, 0] }, &rows, &[&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]]),
            Example::new(Permute { axes: vec![2, 0, 1] }, &deep, &[&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]]),
        ]
    }
}
