//! Sorting.

use super::*;
use std::cmp::Ordering;

/// Elements along `axis` in ascending or descending order, and the i32 positions they had. Equal elements keep their
/// order; NaN counts as the largest. The gradient goes back to the positions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sort {
    /// The axis that is sorted.
    pub axis: usize,
    /// Largest first.
    pub descending: bool,
}

/// Calls `visit` with the data offsets of each line along `axis`.
pub(super) fn each_line(x: &Array, axis: usize, mut visit: impl FnMut(&[usize])) {
    let length = x.shape[axis];
    let stride: usize = x.shape[axis + 1..].iter().product();
    let outer: usize = x.shape[..axis].iter().product();
    for first in (0..outer).flat_map(|o| (0..stride).map(move |s| o * length * stride + s)) {
        let offsets: Vec<usize> = (0..length).map(|place| first + place * stride).collect();
        visit(&offsets);
    }
}

/// `base` with `updates` added along `axis`, each at its own of `positions`.
pub(super) fn add_along(
    b: &mut Builder,
    base: Value,
    positions: Value,
    updates: Value,
    axis: usize,
) -> Value {
    let rank = b.ty(base).rank();
    let (there, back) = shape::to_last(axis, rank);
    let [base, positions, updates] = [base, positions, updates].map(|x| b.permute(x, there.clone()));
    let op = Scatter { axis: rank - 1, batch: rank - 1, kind: ScatterKind::Add };
    let sum = b.apply(op, &[base, positions, updates]);
    b.permute(sum, back)
}

/// Places of one line in sorted order. NaN is the largest; ties keep their order.
pub(super) fn order(values: &[f64], descending: bool) -> Vec<usize> {
    let compare = |a: &usize, b: &usize| {
        let (a, b) = (values[*a], values[*b]);
        a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
    };
    let mut places: Vec<usize> = (0..values.len()).collect();
    places.sort_by(|a, b| if descending { compare(b, a) } else { compare(a, b) } as Ordering);
    places
}

/// The first `keep` of each sorted line, and their positions.
pub(super) fn sorted(x: &Array, axis: usize, descending: bool, keep: usize) -> Result<Vec<Array>, String> {
    if keep > x.shape[axis] {
        return Err(format!("axis {axis} has {} elements, fewer than {keep}", x.shape[axis]));
    }
    let mut shape = x.shape.clone();
    shape[axis] = keep;
    let mut values = Array::filled(shape, 0.0);
    let mut positions = values.clone();
    let mut lines = Vec::new();
    each_line(&values, axis, |offsets| lines.push(offsets.to_vec()));
    let mut lines = lines.into_iter();
    each_line(x, axis, |offsets| {
        let line: Vec<f64> = offsets.iter().map(|offset| x.data[*offset]).collect();
        for (target, place) in lines.next().unwrap_or_default().into_iter().zip(order(&line, descending)) {
            values.data[target] = line[place];
            positions.data[target] = place as f64;
        }
    });
    Ok(vec![values, positions])
}

/// The gradient of values that were moved along `axis` by result 1.
pub(super) fn unsort(node: &mut Applied, axis: usize) -> Gradient {
    let base = node.b.fill_like(0.0, node.operands[0]);
    Gradient::from([add_along(node.b, base, node.results[1], node.cotangents[0], axis)])
}

impl Operation for Sort {
    const NAME: &'static str = "sort";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [x] = operands.exactly()?;
        shape::axis(self.axis, x.rank())?;
        shape::Takes::Number.check(x.dtype)?;
        Ok(vec![shape::dense(x), shape::dense(x).with_dtype(DType::I32)])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        sorted(&e.operands[0], self.axis, self.descending, e.operands[0].shape[self.axis])
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        unsort(node, self.axis)
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Kernel
    }

    fn examples() -> Vec<Example> {
        let rows: [(&[usize], &[f64]); 1] = [(&[2, 3], &[2.0, 3.0, 1.0, 5.0, 4.0, 6.0])];
        vec![
            Example::new(
                Sort { axis: 1, descending: false },
                &rows,
                &[&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2.0, 0.0, 1.0, 1.0, 0.0, 2.0]],
            ),
            Example::new(
                Sort { axis: 0, descending: true },
                &rows,
                &[&[5.0, 4.0, 6.0, 2.0, 3.0, 1.0], &[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]],
            ),
        ]
    }
}
