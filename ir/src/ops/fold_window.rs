//! Overlap-add, the adjoint of sliding windows.

use super::*;

/// Axes `axis` and `axis + 1`, `[count, size]`, become one of `length`: element `[i, a]` is added at place
/// `stride * i + dilation * a`. The adjoint of `window`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoldWindow {
    /// The first of the two axes.
    pub axis: usize,
    /// Length of the axis that results.
    pub length: Dim,
    /// Distance of windows; positive.
    pub stride: i64,
    /// Distance of elements in a window; positive.
    pub dilation: i64,
}

impl Operation for FoldWindow {
    const NAME: &'static str = "fold_window";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [x] = operands.exactly()?;
        shape::Takes::Number.check(x.dtype)?;
        shape::axis(self.axis.saturating_add(1), x.rank())?;
        let [found, size] = [&x.shape[self.axis], &x.shape[self.axis + 1]];
        let count = super::window::count(&self.length, size, self.stride, self.dilation)?;
        if *found != count {
            return Err(TypeError::new(format!(
                "needs {count} windows for length {}, not {found}",
                self.length
            )));
        }
        let (before, after) = (&x.shape[..self.axis], &x.shape[self.axis + 2..]);
        Ok(vec![x.with_shape([before, std::slice::from_ref(&self.length), after].concat())])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        let (stride, dilation, axis) = (self.stride as usize, self.dilation as usize, self.axis);
        let x = &e.operands[0];
        let mut result = Array::filled(e.shape(0)?, 0.0);
        let mut index = vec![0; x.shape.len()];
        for value in &x.data {
            let place = stride * index[axis] + dilation * index[axis + 1];
            let offset = result.offset(&[&index[..axis], &[place], &index[axis + 2..]].concat());
            result.data[offset] = Scalar::Add.evaluate(&[result.data[offset], *value], e.results[0].dtype);
            crate::array::advance(&mut index, &x.shape);
        }
        Ok(vec![result])
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let size = node.b.ty(node.operands[0]).shape[self.axis + 1].clone();
        let op = Window { axis: self.axis, size, stride: self.stride, dilation: self.dilation };
        Gradient::from([node.b.apply(op, &[node.cotangents[0]])])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Kernel
    }

    fn examples() -> Vec<Example> {
        let op = FoldWindow { axis: 0, length: Dim::constant(4), stride: 1, dilation: 2 };
        vec![Example::new(op, &[(&[2, 2], &[1.0, 2.0, 3.0, 4.0])], &[&[1.0, 3.0, 2.0, 4.0]])]
    }
}
