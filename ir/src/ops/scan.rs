//! Running folds.

use super::*;
use crate::kernel::Compare as Relation;

/// Along `axis`, the fold of all elements up to and including each one; from the end if `reverse`. `max` and `min`
/// give their gradient to the first extreme element; a running product has none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scan {
    /// How elements are folded.
    pub fold: Fold,
    /// The axis that is walked.
    pub axis: usize,
    /// From the last element to the first.
    pub reverse: bool,
}

impl Scan {
    /// The running result one element earlier; the fold of nothing at the start.
    fn earlier(&self, b: &mut Builder, y: Value) -> Value {
        let shape = b.ty(y).shape.clone();
        let rank = shape.len();
        let mut sizes = shape.clone();
        sizes[self.axis] = &sizes[self.axis] - &Dim::one();
        let mut starts = vec![Dim::zero(); rank];
        let (mut low, mut high) = (starts.clone(), starts.clone());
        let border = if self.reverse { &mut high } else { &mut low };
        border[self.axis] = Dim::one();
        if self.reverse {
            starts[self.axis] = Dim::one();
        }
        let most = b.apply(Slice { starts, sizes, steps: vec![1; rank] }, &[y]);
        b.apply(Pad { low, high, value: self.fold.identity() }, &[most])
    }

    /// Adds each cotangent to the element that was the extreme one there.
    fn extreme(&self, node: &mut Applied) -> Value {
        let (y, dy, b) = (node.results[0], node.cotangents[0], &mut *node.b);
        let ty = shape::dense(&b.ty(y).with_dtype(DType::I32));
        let before = self.earlier(b, y);
        let grows = elementwise::mask(b, Relation::NotEqual, before, y);
        let place = b.apply(Iota { ty: ty.clone(), axis: self.axis }, &[]);
        let start = if self.reverse { f64::from(i32::MAX) } else { 0.0 };
        let start = b.fill(start, ty);
        let place = b.apply(Select, &[grows, place, start]);
        let fold = if self.reverse { Fold::Min } else { Fold::Max };
        let holder = b.apply(Scan { fold, ..self.clone() }, &[place]);
        let base = b.fill_like(0.0, dy);
        sort::add_along(b, base, holder, dy, self.axis)
    }
}

impl Operation for Scan {
    const NAME: &'static str = "scan";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [x] = operands.exactly()?;
        shape::axis(self.axis, x.rank())?;
        reduce::check_fold(self.fold, x.dtype)?;
        Ok(vec![shape::dense(x)])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        let dtype = e.results[0].dtype;
        let mut result = e.operands[0].clone();
        sort::each_line(&e.operands[0], self.axis, |offsets| {
            let mut running = self.fold.identity_of(dtype);
            for place in 0..offsets.len() {
                let place = if self.reverse { offsets.len() - 1 - place } else { place };
                running = self.fold.step(running, result.data[offsets[place]], dtype);
                result.data[offsets[place]] = running;
            }
        });
        Ok(vec![result])
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        match self.fold {
            Fold::Add => {
                let op = Scan { reverse: !self.reverse, ..self.clone() };
                Gradient::from([node.b.apply(op, &[node.cotangents[0]])])
            }
            Fold::Max | Fold::Min => Gradient::from([self.extreme(node)]),
            Fold::Mul => Gradient::Blocked("the gradient of a running product is not provided"),
            Fold::Or | Fold::And => Gradient::none(1),
        }
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Kernel
    }

    fn examples() -> Vec<Example> {
        let op = |fold, axis, reverse| Scan { fold, axis, reverse };
        let rows: [(&[usize], &[f64]); 1] = [(&[2, 3], &[1.0, 3.0, 2.0, 4.0, 2.5, 6.0])];
        vec![
            Example::new(op(Fold::Add, 1, false), &rows, &[&[1.0, 4.0, 6.0, 4.0, 6.5, 12.5]]),
            Example::new(op(Fold::Add, 0, true), &rows, &[&[5.0, 5.5, 8.0, 4.0, 2.5, 6.0]]),
            Example::new(op(Fold::Max, 1, false), &rows, &[&[1.0, 3.0, 3.0, 4.0, 4.0, 6.0]]),
            Example::new(op(Fold::Min, 1, true), &rows, &[&[1.0, 2.0, 2.0, 2.5, 2.5, 6.0]]),
            Example::new(op(Fold::Mul, 1, false), &rows, &[&[1.0, 3.0, 6.0, 4.0, 10.0, 60.0]]),
        ]
    }
}
