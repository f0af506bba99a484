//! Equations of folds and of additions into tensors.

use super::{Rule, Site, when};
use nnc_ir::ops::{Broadcast, Fold, Op, Reduce, Scatter, ScatterKind};
use nnc_ir::{Dim, Value};

pub(super) const RULES: &[Rule] = &[
    Rule { name: "fold-nothing", about: "a fold over no axes", apply: fold_nothing },
    Rule { name: "fold-one", about: "a fold over axes of one", apply: fold_one },
    Rule { name: "fold-twice", about: "two folds are one; regroups", apply: fold_twice },
    Rule {
        name: "sum-broadcast",
        about: "a sum of n equal terms is a product with n; regroups",
        apply: sum_broadcast,
    },
    Rule {
        name: "extreme-broadcast",
        about: "the extreme of equal elements is one of them",
        apply: extreme_broadcast,
    },
    Rule {
        name: "scatter-onto",
        about: "x + scatter(0, ..) = scatter(x, ..); regroups",
        apply: scatter_onto,
    },
];

fn fold_nothing(site: &mut Site) -> Option<Value> {
    let op = when!(site, Reduce);
    op.axes.is_empty().then(|| site.operand(0))
}

fn fold_one(site: &mut Site) -> Option<Value> {
    let op = when!(site, Reduce);
    let shape = &site.b.ty(site.operand(0)).shape;
    if !op.axes.iter().all(|axis| shape[*axis].is_one()) {
        return None;
    }
    let shape = site.ty().shape.clone();
    Some(site.b.reshape(site.operand(0), shape))
}

fn fold_twice(site: &mut Site) -> Option<Value> {
    let outer = when!(site, Reduce);
    let maker = site.maker(site.operand(0)).filter(|_| site.single(site.operand(0)))?;
    let Op::Reduce(inner) = &maker.op else { return None };
    let rank = site.b.ty(maker.operands[0]).rank();
    let kept: Vec<usize> = (0..rank).filter(|axis| !inner.axes.contains(axis)).collect();
    let mut axes: Vec<usize> = outer.axes.iter().map(|axis| kept[*axis]).collect();
    axes.extend(&inner.axes);
    axes.sort();
    let op = Reduce { fold: outer.fold, axes };
    (inner.fold == outer.fold).then(|| site.b.apply(op, &[maker.operands[0]]))
}

/// A fold of a broadcast: the fold of what was repeated, where its axes go, and the sizes along which it was repeated.
fn of_broadcast(site: &mut Site) -> Option<(Reduce, Value, Vec<usize>, Vec<Dim>)> {
    let op = when!(site, Reduce);
    let maker = site.maker(site.operand(0))?;
    let Op::Broadcast(inner) = &maker.op else { return None };
    let folded = |axis: &usize| op.axes.contains(axis);
    let repeated: Vec<usize> = op.axes.iter().copied().filter(|axis| !inner.axes.contains(axis)).collect();
    if repeated.is_empty() {
        return None;
    }
    let axes = (0..inner.axes.len()).filter(|place| folded(&inner.axes[*place])).collect();
    let rank_before = |axis: usize| (0..axis).filter(|axis| !folded(axis)).count();
    let kept = inner.axes.iter().filter(|axis| !folded(axis)).map(|axis| rank_before(*axis)).collect();
    let sizes = repeated.into_iter().map(|axis| inner.shape[axis].clone()).collect();
    Some((Reduce { fold: op.fold, axes }, maker.operands[0], kept, sizes))
}

/// The fold of `x`, spread over what the node gives.
fn spread(site: &mut Site, op: Reduce, x: Value, kept: Vec<usize>) -> Value {
    let x = if op.axes.is_empty() { x } else { site.b.apply(op, &[x]) };
    let shape = site.ty().shape.clone();
    if site.b.ty(x).shape == shape {
        return x;
    }
    site.b.apply(Broadcast { shape, axes: kept }, &[x])
}

fn sum_broadcast(site: &mut Site) -> Option<Value> {
    let (op, x, kept, sizes) = of_broadcast(site)?;
    // Half floats do not have every count.
    if op.fold != Fold::Add || site.dtype().is_half() {
        return None;
    }
    let count = sizes.iter().fold(Dim::one(), |product, size| &product * size);
    let dtype = site.dtype();
    let shape = site.ty().shape.clone();
    let sum = spread(site, op, x, kept);
    let count = site.b.dim(count, dtype);
    let count = site.b.broadcast(count, shape, Vec::new());
    Some(site.b.mul(sum, count))
}

fn extreme_broadcast(site: &mut Site) -> Option<Value> {
    let (op, x, kept, sizes) = of_broadcast(site)?;
    let idempotent = matches!(op.fold, Fold::Max | Fold::Min | Fold::Or | Fold::And);
    let filled = sizes.iter().all(|size| size.is_at_least(1, site.ranges));
    (idempotent && filled).then(|| spread(site, op, x, kept))
}

fn scatter_onto(site: &mut Site) -> Option<Value> {
    when!(site, Add);
    let pairs = [(site.operand(0), site.operand(1)), (site.operand(1), site.operand(0))];
    for (x, scattered) in pairs {
        let Some(maker) = site.maker(scattered) else { continue };
        let Op::Scatter(Scatter { kind: ScatterKind::Add, .. }) = &maker.op else { continue };
        if x != scattered && site.single(scattered) && site.is(maker.operands[0], 0.0) {
            let operands = [x, maker.operands[1], maker.operands[2]];
            return Some(site.b.apply(maker.op.clone(), &operands));
        }
    }
    None
}
