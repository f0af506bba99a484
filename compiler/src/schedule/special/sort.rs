//! Sorting by counting: the place of an element is how many come before it. The largest few are found one by one.

use super::{and, apply, compare, counters, element, home, int, or};
use crate::schedule::block::Scheduler;
use crate::schedule::expand::At;
use crate::schedule::finish::Spread;
use crate::schedule::writer::Writer;
use nnc_base::Diagnostic;
use nnc_ir::graph::Node;
use nnc_ir::kernel::{Compare, Expr, Scalar, Statement};
use nnc_ir::ops::{Fold, Sort, TopK};
use nnc_ir::plan::Step;
use nnc_ir::{DType, Dim, Symbol};

/// Whether `x` is NaN; `None` for element types that have none.
fn is_nan(writer: &Writer, x: &Expr) -> Option<Expr> {
    writer.dtype(x).is_float().then(|| compare(Compare::NotEqual, x, x))
}

/// `a < b`, with NaN above everything.
fn below(writer: &Writer, a: &Expr, b: &Expr) -> Expr {
    let less = compare(Compare::Less, a, b);
    match (is_nan(writer, a), is_nan(writer, b)) {
        (Some(a), Some(b)) => or(less, and(b, apply(Scalar::Not, [a]))),
        _ => less,
    }
}

/// `a == b`, with NaN equal to itself.
fn alike(writer: &Writer, a: &Expr, b: &Expr) -> Expr {
    let equal = compare(Compare::Equal, a, b);
    match (is_nan(writer, a), is_nan(writer, b)) {
        (Some(a), Some(b)) => or(equal, and(a, b)),
        _ => equal,
    }
}

fn along(at: &At, axis: usize, place: &Dim) -> At {
    let mut at = at.clone();
    at[axis] = place.clone();
    at
}

/// Sorted values and where they come from.
pub(super) fn sort<'s>(
    scheduler: &mut Scheduler<'s>,
    op: &Sort,
    node: &'s Node,
) -> Result<Vec<Step>, Diagnostic> {
    let (values, places) = (home(scheduler, node.results[0])?, home(scheduler, node.results[1])?);
    let shape = scheduler.graph.shape(node.operands[0]).to_vec();
    let name = scheduler.graph.name(node.results[0]);
    let step = scheduler.launch(&name, &|writer| {
        let (grid, at) = counters("c", &shape);
        grid.iter().for_each(|(counter, extent)| writer.open(counter, extent, false));
        let own = writer.emit(node.operands[0], &at)?;
        let rank = writer.running(DType::I32, Fold::Add);
        let other = Symbol::new("other");
        writer.open(&other, &shape[op.axis], true);
        let their = writer.emit(node.operands[0], &along(&at, op.axis, &Dim::from(&other)))?;
        let (first, second) = if op.descending { (&own, &their) } else { (&their, &own) };
        let earlier = compare(Compare::Less, &int(&Dim::from(&other)), &int(&at[op.axis]));
        let before = or(below(writer, first, second), and(alike(writer, &their, &own), earlier));
        let value = apply(Scalar::Cast(DType::I32), [before]);
        writer.push(Statement::Accumulate { var: rank, value });
        writer.close();
        let place = Symbol::new("place");
        writer.position(&place, Expr::Var(rank), &shape[op.axis]);
        let target = along(&at, op.axis, &Dim::from(&place));
        writer.store_at(&values, &target, own);
        writer.store_at(&places, &target, int(&at[op.axis]));
        grid.iter().for_each(|_| writer.close());
        Ok(Spread::Fixed(grid.len()))
    })?;
    Ok(vec![step])
}

/// The largest values and where they come from: each is the largest of those after the one before.
pub(super) fn top_k<'s>(
    scheduler: &mut Scheduler<'s>,
    op: &TopK,
    node: &'s Node,
) -> Result<Vec<Step>, Diagnostic> {
    let (values, places) = (home(scheduler, node.results[0])?, home(scheduler, node.results[1])?);
    let shape = scheduler.graph.shape(node.operands[0]).to_vec();
    let dtype = scheduler.graph.ty(node.operands[0]).dtype;
    let name = scheduler.graph.name(node.results[0]);
    let step = scheduler.launch(&name, &|writer| {
        let mut lines = shape.clone();
        lines[op.axis] = Dim::one();
        let (grid, at) = counters("c", &lines);
        grid.iter().for_each(|(counter, extent)| writer.open(counter, extent, false));
        let round = Symbol::new("round");
        writer.open(&round, &op.k, false);
        let round = Dim::from(&round);
        let last = &round - &Dim::one();
        let start = if dtype.is_float() { f64::NAN } else { Fold::Min.identity_of(dtype) };
        let mut previous = |home, otherwise| {
            let value = Box::new(element(writer, home, &along(&at, op.axis, &last)));
            writer.bind(Expr::Guarded { guards: vec![(last.clone(), op.k.clone())], value, otherwise })
        };
        let (value, place) = (previous(&values, start), previous(&places, -1.0));
        let largest = writer.running(dtype, Fold::Max);
        let (first, second) = (Symbol::new("first"), Symbol::new("second"));
        writer.open(&first, &shape[op.axis], true);
        let x = writer.emit(node.operands[0], &along(&at, op.axis, &Dim::from(&first)))?;
        let is_left = after(writer, &x, &Dim::from(&first), &value, &place);
        let none = Expr::Constant(Fold::Max.identity_of(dtype), dtype);
        let candidate = apply(Scalar::Select, [is_left, x, none]);
        writer.push(Statement::Accumulate { var: largest, value: candidate });
        writer.close();
        let found = writer.running(DType::I32, Fold::Min);
        writer.open(&second, &shape[op.axis], true);
        let number = Dim::from(&second);
        let x = writer.emit(node.operands[0], &along(&at, op.axis, &number))?;
        let is_left = after(writer, &x, &number, &value, &place);
        let largest = Expr::Var(largest);
        let chosen = and(is_left, alike(writer, &x, &largest));
        let never = Expr::Constant(f64::from(i32::MAX), DType::I32);
        let candidate = apply(Scalar::Select, [chosen, int(&number), never]);
        writer.push(Statement::Accumulate { var: found, value: candidate });
        writer.close();
        writer.store_at(&values, &along(&at, op.axis, &round), largest);
        writer.store_at(&places, &along(&at, op.axis, &round), Expr::Var(found));
        writer.close();
        grid.iter().for_each(|_| writer.close());
        Ok(Spread::Fixed(grid.len()))
    })?;
    Ok(vec![step])
}

/// Whether `x` at `number` comes after a value at a place, largest first.
fn after(writer: &Writer, x: &Expr, number: &Dim, value: &Expr, place: &Expr) -> Expr {
    let later = compare(Compare::Greater, &int(number), place);
    or(below(writer, x, value), and(alike(writer, x, value), later))
}
