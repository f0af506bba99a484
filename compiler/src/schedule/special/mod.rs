//! Operations with kernels of their own. Each file writes the kernels of one family.

mod linear;
mod scan;
mod scatter;
mod sort;
mod table;

use super::block::Scheduler;
use super::expand::{At, internal};
use super::home::Home;
use super::writer::Writer;
use nnc_base::Diagnostic;
use nnc_ir::graph::Node;
use nnc_ir::kernel::{Compare, Expr, Scalar};
use nnc_ir::ops::Op;
use nnc_ir::plan::Step;
use nnc_ir::{DType, Dim, Symbol, Value};

/// The steps of a node that is no group, loop or branch.
pub(super) fn steps<'s>(scheduler: &mut Scheduler<'s>, node: &'s Node) -> Result<Vec<Step>, Diagnostic> {
    match &node.op {
        Op::Scatter(op) => scatter::scatter(scheduler, op, node),
        Op::Insert(op) => scatter::insert(scheduler, op, node),
        Op::Scan(op) => scan::scan(scheduler, op, node),
        Op::Sort(op) => sort::sort(scheduler, op, node),
        Op::TopK(op) => sort::top_k(scheduler, op, node),
        Op::Solve(_) => linear::solve(scheduler, node),
        Op::Cholesky(_) => linear::cholesky(scheduler, node),
        Op::Table(op) => table::table(scheduler, op, node),
        op => Err(internal(format!("`{}` has no kernel", op.name()))),
    }
}

/// Counters over a shape, and the index they name. Axes of size 1 need none.
pub(super) fn counters(name: &str, shape: &[Dim]) -> (Vec<(Symbol, Dim)>, At) {
    let (mut counters, mut at) = (Vec::new(), Vec::new());
    for (axis, size) in shape.iter().enumerate() {
        if size.is_one() {
            at.push(Dim::zero());
            continue;
        }
        let counter = Symbol::new(&format!("{name}{axis}"));
        at.push(Dim::from(&counter));
        counters.push((counter, size.clone()));
    }
    (counters, at)
}

fn home(scheduler: &Scheduler, value: Value) -> Result<Home, Diagnostic> {
    scheduler.homes.get(&value).cloned().ok_or_else(|| internal(format!("%{} has no home", value.0)))
}

/// An element of memory at `home`, never bound: it may have been written by this kernel.
fn element(writer: &mut Writer, home: &Home, at: &[Dim]) -> Expr {
    let offset = writer.offset(home, at);
    let buffer = writer.buffer(home.place, nnc_ir::kernel::Access::Read);
    writer.element(buffer, offset)
}

fn apply<const N: usize>(scalar: Scalar, operands: [Expr; N]) -> Expr {
    Expr::Apply(scalar, operands.to_vec())
}

fn compare(kind: Compare, a: &Expr, b: &Expr) -> Expr {
    apply(Scalar::Compare(kind), [a.clone(), b.clone()])
}

fn or(a: Expr, b: Expr) -> Expr {
    apply(Scalar::Or, [a, b])
}

fn and(a: Expr, b: Expr) -> Expr {
    apply(Scalar::And, [a, b])
}

fn int(dim: &Dim) -> Expr {
    Expr::Dim(dim.clone(), DType::I32)
}
