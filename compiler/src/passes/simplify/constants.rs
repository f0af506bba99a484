//! Equations of numbers that are known.

use super::{Rule, Site, when};
use crate::passes::cost::lowered;
use nnc_ir::ops::{Fold, Lowered};
use nnc_ir::{DType, Value};

pub(super) const RULES: &[Rule] = &[
    Rule { name: "fold-scalars", about: "a scalar function of constants is a constant", apply: fold_scalars },
    Rule { name: "fold-size", about: "a size that is a number is a constant", apply: fold_size },
    Rule { name: "fold-view", about: "a view of a constant is a constant", apply: fold_view },
    Rule { name: "fold-count", about: "counting along an axis of one is 0", apply: fold_count },
    Rule { name: "fold-fold", about: "a fold of a constant is a constant", apply: fold_fold },
];

fn constant(site: &mut Site, value: f64) -> Option<Value> {
    let representable = !value.is_nan() && (value.is_finite() || site.dtype().is_float());
    representable.then(|| site.b.fill_like(value, site.node.result()))
}

fn fold_scalars(site: &mut Site) -> Option<Value> {
    let operands = site.node.operands.iter().map(|value| site.constant(*value));
    let operands: Vec<f64> = operands.collect::<Option<_>>()?;
    let dtype = site.b.ty(*site.node.operands.last()?).dtype;
    let Lowered::Map(scalar) = lowered(&site.b.function, site.node) else { return None };
    constant(site, scalar.evaluate(&operands, dtype))
}

fn fold_size(site: &mut Site) -> Option<Value> {
    let op = when!(site, DimValue);
    let value = op.dim.as_constant()? as f64;
    if in_range(value, site.dtype()) { constant(site, value) } else { None }
}

fn in_range(value: f64, dtype: DType) -> bool {
    match dtype {
        DType::I32 => (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&value),
        DType::U32 => (0.0..=f64::from(u32::MAX)).contains(&value),
        DType::U8 | DType::Bool => (0.0..=1.0).contains(&value),
        _ => true,
    }
}

fn fold_view(site: &mut Site) -> Option<Value> {
    let value = site.constant(*site.node.operands.first()?)?;
    let Lowered::View { guards, otherwise, .. } = lowered(&site.b.function, site.node) else { return None };
    if guards.is_empty() || otherwise == value { constant(site, value) } else { None }
}

fn fold_count(site: &mut Site) -> Option<Value> {
    let op = when!(site, Iota);
    if op.ty.shape[op.axis].is_one() { constant(site, 0.0) } else { None }
}

fn fold_fold(site: &mut Site) -> Option<Value> {
    let op = when!(site, Reduce);
    let value = site.constant(site.operand(0))?;
    let shape = site.b.ty(site.operand(0)).shape.clone();
    let sizes: Vec<_> = op.axes.iter().map(|axis| shape[*axis].clone()).collect();
    if op.fold == Fold::Add {
        let count: i64 = sizes.iter().map(|size| size.as_constant()).product::<Option<i64>>()?;
        let small = site.dtype().is_float() && count < 1 << 11;
        return if small { constant(site, value * count as f64) } else { None };
    }
    let idempotent = matches!(op.fold, Fold::Max | Fold::Min | Fold::Or | Fold::And);
    let filled = sizes.iter().all(|size| size.is_at_least(1, site.ranges));
    if idempotent && filled { constant(site, value) } else { None }
}
