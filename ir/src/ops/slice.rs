//! A regular part of a tensor.

use super::*;

/// `sizes[i]` elements along each axis, from `starts[i]` in steps of `steps[i]`, which may be negative. Starts may
/// mention loop counters. The part must lie inside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// First index along each axis.
    pub starts: Vec<Dim>,
    /// Number of elements along each axis.
    pub sizes: Vec<Dim>,
    /// Distance of elements along each axis; not 0.
    pub steps: Vec<i64>,
}

impl Slice {
    /// The operand's index of element `at` of the result.
    fn index(&self, axis: usize, at: &Dim) -> Dim {
        &self.starts[axis] + &(&Dim::constant(self.steps[axis]) * at)
    }

    /// First and last index along `axis`.
    fn ends(&self, axis: usize) -> [Dim; 2] {
        let last = &self.sizes[axis] - &Dim::one();
        [self.starts[axis].clone(), self.index(axis, &last)]
    }

    fn check(&self, axis: usize, size: &Dim) -> Result<(), TypeError> {
        if !(1..=shape::LONGEST).contains(&self.steps[axis].saturating_abs()) {
            return Err(TypeError::new("needs steps other than 0"));
        }
        let constants = self.ends(axis).map(|end| end.as_constant());
        let ([Some(first), Some(last)], Some(size)) = (constants, size.as_constant()) else { return Ok(()) };
        let empty = self.sizes[axis].is_zero();
        if empty || ((0..size).contains(&first) && (0..size).contains(&last)) {
            return Ok(());
        }
        Err(TypeError::new(format!("takes {first} to {last} of axis {axis}, which has {size} elements")))
    }

    fn bounds(&self, e: &Evaluation, axis: usize) -> Result<i64, String> {
        let size = e.operands[0].shape[axis];
        let places = self.ends(axis).map(|end| end.evaluate(e.symbols));
        let [Some(first), Some(last)] = places else {
            return Err(format!("`{}` has no value here", self.starts[axis]));
        };
        let inside = |place: i64| place >= 0 && (place as usize) < size;
        if e.dim(&self.sizes[axis])? == 0 || (inside(first) && inside(last)) {
            return Ok(first);
        }
        Err(format!("slice from {first} to {last} leaves axis {axis} of {size} elements"))
    }
}

impl Operation for Slice {
    const NAME: &'static str = "slice";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [x] = operands.exactly()?;
        shape::per_axis("starts", self.starts.len(), x.rank())?;
        shape::per_axis("sizes", self.sizes.len(), x.rank())?;
        shape::per_axis("steps", self.steps.len(), x.rank())?;
        for (axis, size) in x.shape.iter().enumerate() {
            self.check(axis, size)?;
        }
        Ok(vec![x.with_shape(self.sizes.clone())])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        let starts: Vec<i64> =
            (0..self.starts.len()).map(|axis| self.bounds(e, axis)).collect::<Result<_, _>>()?;
        let mut source = vec![0; starts.len()];
        let element = |index: &[usize]| {
            for axis in 0..index.len() {
                source[axis] = (starts[axis] + self.steps[axis] * index[axis] as i64) as usize;
            }
            e.operands[0].at(&source)
        };
        Ok(vec![Array::from_index(e.shape(0)?, element)])
    }

    /// Backwards steps are turned, gaps are filled with zeros, and the rest is padded.
    fn gradient(&self, node: &mut Applied) -> Gradient {
        let shape = node.b.ty(node.operands[0]).shape.clone();
        let mut dx = self.turn(node.b, node.cotangents[0]);
        for axis in 0..self.steps.len() {
            dx = spread(node.b, dx, axis, self.steps[axis].abs());
        }
        let low: Vec<Dim> =
            (0..shape.len()).map(|axis| self.ends(axis)[usize::from(self.steps[axis] < 0)].clone()).collect();
        let sizes = node.b.ty(dx).shape.clone();
        let high = (0..shape.len()).map(|axis| &(&shape[axis] - &low[axis]) - &sizes[axis]).collect();
        Gradient::from([node.b.apply(Pad { low, high, value: 0.0 }, &[dx])])
    }

    fn lower(&self, wanted: &Wanted) -> Lowered {
        let index = wanted.at.iter().enumerate().map(|(axis, at)| self.index(axis, at)).collect();
        Lowered::View { index, guards: Vec::new(), otherwise: 0.0 }
    }

    fn examples() -> Vec<Example> {
        let dims = |values: &[i64]| values.iter().map(|value| Dim::constant(*value)).collect::<Vec<_>>();
        let part = Slice { starts: dims(&[1, 0]), sizes: dims(&[1, 2]), steps: vec![1, 2] };
        let turned = Slice { starts: dims(&[4]), sizes: dims(&[2]), steps: vec![-3] };
        let x: [(&[usize], &[f64]); 1] = [(&[2, 4], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])];
        vec![
            Example::new(part, &x, &[&[4.0, 6.0]]),
            Example::new(turned, &[(&[6], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])], &[&[4.0, 1.0]]),
        ]
    }
}

impl Slice {
    /// Reverses the axes that were taken backwards.
    fn turn(&self, b: &mut Builder, x: Value) -> Value {
        if self.steps.iter().all(|step| *step > 0) {
            return x;
        }
        let back = |axis: usize| self.steps[axis] < 0;
        let axes = 0..self.steps.len();
        let last = |axis: usize| &self.sizes[axis] - &Dim::one();
        let starts = axes.clone().map(|axis| if back(axis) { last(axis) } else { Dim::zero() }).collect();
        let steps = axes.map(|axis| if back(axis) { -1 } else { 1 }).collect();
        b.apply(Slice { starts, sizes: self.sizes.clone(), steps }, &[x])
    }
}

/// Puts `step - 1` zeros between the elements along `axis`.
fn spread(b: &mut Builder, x: Value, axis: usize, step: i64) -> Value {
    if step == 1 {
        return x;
    }
    let shape = b.ty(x).shape.clone();
    let mut split = shape.clone();
    split.insert(axis + 1, Dim::one());
    let mut high = vec![Dim::zero(); split.len()];
    high[axis + 1] = Dim::constant(step - 1);
    let apart = b.reshape(x, split);
    let wide = b.apply(Pad { low: vec![Dim::zero(); high.len()], high, value: 0.0 }, &[apart]);
    let mut merged = shape.clone();
    merged[axis] = &shape[axis] * &Dim::constant(step);
    let flat = b.reshape(wide, merged.clone());
    merged[axis] = &merged[axis] - &Dim::constant(step - 1);
    let rank = shape.len();
    b.apply(Slice { starts: vec![Dim::zero(); rank], sizes: merged, steps: vec![1; rank] }, &[flat])
}
