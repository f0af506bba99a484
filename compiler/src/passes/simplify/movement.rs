//! Equations of index maps.

use super::{Rule, Site, when};
use nnc_ir::ops::{Broadcast, Contract, Op, Permute, Slice};
use nnc_ir::{Dim, Value};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "move-nothing",
        about: "a permute, reshape, broadcast, slice or pad that changes nothing",
        apply: move_nothing,
    },
    Rule { name: "permute-permute", about: "two permutes are one", apply: permute_permute },
    Rule { name: "reshape-reshape", about: "two reshapes are one", apply: reshape_reshape },
    Rule { name: "broadcast-broadcast", about: "two broadcasts are one", apply: broadcast_broadcast },
    Rule { name: "slice-slice", about: "two slices are one", apply: slice_slice },
    Rule {
        name: "reshape-scalar",
        about: "a reshape of a repeated scalar repeats the scalar",
        apply: reshape_scalar,
    },
    Rule { name: "permute-broadcast", about: "permute before axes are added", apply: permute_broadcast },
    Rule {
        name: "contract-permute",
        about: "a product names the axes of what was permuted",
        apply: contract_permute,
    },
    Rule {
        name: "permute-contract",
        about: "a product gives its axes in the order that is wanted",
        apply: permute_contract,
    },
    Rule { name: "slice-pad", about: "the inside of a border", apply: slice_pad },
];

fn move_nothing(site: &mut Site) -> Option<Value> {
    let x = *site.node.operands.first()?;
    let still = match &site.node.op {
        Op::Permute(op) => op.axes.is_sorted(),
        Op::Reshape(_) | Op::Broadcast(_) => true,
        Op::Slice(op) => op.starts.iter().all(Dim::is_zero) && op.steps.iter().all(|step| *step == 1),
        Op::Pad(op) => op.low.iter().all(Dim::is_zero),
        _ => false,
    };
    (still && site.b.ty(x).shape == site.ty().shape).then_some(x)
}

fn permute_permute(site: &mut Site) -> Option<Value> {
    let outer = when!(site, Permute);
    let maker = site.maker(site.operand(0))?;
    let Op::Permute(inner) = &maker.op else { return None };
    let axes = outer.axes.iter().map(|axis| inner.axes[*axis]).collect();
    Some(site.b.apply(Permute { axes }, &[maker.operands[0]]))
}

fn reshape_reshape(site: &mut Site) -> Option<Value> {
    let outer = when!(site, Reshape);
    let maker = site.maker(site.operand(0)).filter(|maker| matches!(maker.op, Op::Reshape(_)))?;
    Some(site.b.reshape(maker.operands[0], outer.shape))
}

fn broadcast_broadcast(site: &mut Site) -> Option<Value> {
    let outer = when!(site, Broadcast);
    let maker = site.maker(site.operand(0))?;
    let Op::Broadcast(inner) = &maker.op else { return None };
    let axes = inner.axes.iter().map(|axis| outer.axes[*axis]).collect();
    Some(site.b.apply(Broadcast { shape: outer.shape, axes }, &[maker.operands[0]]))
}

fn slice_slice(site: &mut Site) -> Option<Value> {
    let outer = when!(site, Slice);
    let maker = site.maker(site.operand(0))?;
    let Op::Slice(inner) = &maker.op else { return None };
    let axes = 0..outer.starts.len();
    let start =
        |axis: usize| &inner.starts[axis] + &(&Dim::constant(inner.steps[axis]) * &outer.starts[axis]);
    let starts = axes.clone().map(start).collect();
    let steps = axes.map(|axis| inner.steps[axis].checked_mul(outer.steps[axis])).collect::<Option<_>>()?;
    let op = Slice { starts, sizes: outer.sizes, steps };
    site.b.try_apply(op, &[maker.operands[0]]).ok()
}

fn reshape_scalar(site: &mut Site) -> Option<Value> {
    let op = when!(site, Reshape);
    let maker = site.maker(site.operand(0))?;
    let Op::Broadcast(inner) = &maker.op else { return None };
    inner.axes.is_empty().then(|| site.b.broadcast(maker.operands[0], op.shape, Vec::new()))
}

fn permute_broadcast(site: &mut Site) -> Option<Value> {
    let op = when!(site, Permute);
    let maker = site.maker(site.operand(0))?;
    let Op::Broadcast(inner) = &maker.op else { return None };
    let place = |axis: &usize| op.axes.iter().position(|from| from == axis);
    let places: Vec<usize> = inner.axes.iter().map(place).collect::<Option<_>>()?;
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|axis| places[*axis]);
    let axes = order.iter().map(|axis| places[*axis]).collect();
    let x = site.b.permute(maker.operands[0], order);
    let shape = site.ty().shape.clone();
    Some(site.b.apply(Broadcast { shape, axes }, &[x]))
}

fn slice_pad(site: &mut Site) -> Option<Value> {
    let op = when!(site, Slice);
    let maker = site.maker(site.operand(0))?;
    let Op::Pad(inner) = &maker.op else { return None };
    let x = maker.operands[0];
    let inside = op.starts == inner.low && op.sizes == site.b.ty(x).shape;
    (inside && op.steps.iter().all(|step| *step == 1)).then_some(x)
}

fn contract_permute(site: &mut Site) -> Option<Value> {
    let mut op = when!(site, Contract);
    let mut operands = site.node.operands.clone();
    let mut turned = false;
    for (letters, operand) in [&mut op.lhs, &mut op.rhs].into_iter().zip(&mut operands) {
        let Some(maker) = site.maker(*operand) else { continue };
        let Op::Permute(inner) = &maker.op else { continue };
        let mut names = letters.clone();
        letters.iter().zip(&inner.axes).for_each(|(letter, axis)| names[*axis] = *letter);
        (*letters, *operand, turned) = (names, maker.operands[0], true);
    }
    turned.then(|| site.b.apply(op, &operands))
}

fn permute_contract(site: &mut Site) -> Option<Value> {
    let outer = when!(site, Permute);
    let maker = site.maker(site.operand(0)).filter(|_| site.single(site.operand(0)))?;
    let Op::Contract(inner) = &maker.op else { return None };
    let out = outer.axes.iter().map(|axis| inner.out[*axis]).collect();
    Some(site.b.apply(Contract { out, ..inner.clone() }, &maker.operands))
}
