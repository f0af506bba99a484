//! Sliding windows.

use super::*;

/// An axis of length `n` becomes two, `[count, size]`: element `[i, a]` is `x[stride * i + dilation * a]`, and `count`
/// is `floor((n - dilation * (size - 1) - 1) / stride) + 1`. Convolution is `window` and `contract`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// The axis that is cut.
    pub axis: usize,
    /// Elements of one window.
    pub size: Dim,
    /// Distance of windows; positive.
    pub stride: i64,
    /// Distance of elements in a window; positive.
    pub dilation: i64,
}

/// How many windows fit.
pub(super) fn count(length: &Dim, size: &Dim, stride: i64, dilation: i64) -> Result<Dim, TypeError> {
    if ![stride, dilation].iter().all(|step| (1..=shape::LONGEST).contains(step)) {
        return Err(TypeError::new("needs a positive stride and dilation"));
    }
    let reach = &Dim::constant(dilation) * &(size - &Dim::one());
    let left = &(length - &reach) - &Dim::one();
    if left.as_constant().is_some_and(|left| left < 0) {
        return Err(TypeError::new(format!(
            "a window of reach {} does not fit {length}",
            reach + Dim::one()
        )));
    }
    Ok(&left.floor_div(&Dim::constant(stride)) + &Dim::one())
}

impl Operation for Window {
    const NAME: &'static str = "window";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [x] = operands.exactly()?;
        shape::axis(self.axis, x.rank())?;
        let count = count(&x.shape[self.axis], &self.size, self.stride, self.dilation)?;
        let (before, after) = (&x.shape[..self.axis], &x.shape[self.axis + 1..]);
        Ok(vec![x.with_shape([before, &[count, self.size.clone()], after].concat())])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        let (stride, dilation, axis) = (self.stride as usize, self.dilation as usize, self.axis);
        let element = |index: &[usize]| {
            let place = stride * index[axis] + dilation * index[axis + 1];
            e.operands[0].at(&[&index[..axis], &[place], &index[axis + 2..]].concat())
        };
        Ok(vec![Array::from_index(e.shape(0)?, element)])
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let length = node.b.ty(node.operands[0]).shape[self.axis].clone();
        let op = FoldWindow { axis: self.axis, length, stride: self.stride, dilation: self.dilation };
        Gradient::from([node.b.apply(op, &[node.cotangents[0]])])
    }

    fn lower(&self, wanted: &Wanted) -> Lowered {
        let (at, axis) = (wanted.at, self.axis);
        let step = |distance, index: &Dim| &Dim::constant(distance) * index;
        let place = step(self.stride, &at[axis]) + step(self.dilation, &at[axis + 1]);
        let index = [&at[..axis], &[place], &at[axis + 2..]].concat();
        Lowered::View { index, guards: Vec::new(), otherwise: 0.0 }
    }

    fn examples() -> Vec<Example> {
        let size = Dim::constant(2);
        let plain = Window { axis: 0, size: size.clone(), stride: 1, dilation: 1 };
        let wide = Window { axis: 1, size, stride: 2, dilation: 3 };
        let six: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        vec![
            Example::new(plain, &[(&[3], &six[..3])], &[&[1.0, 2.0, 2.0, 3.0]]),
            Example::new(wide, &[(&[1, 6], &six)], &[&[1.0, 4.0, 3.0, 6.0]]),
        ]
    }
}
