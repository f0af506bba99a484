//! Running folds: an instance walks one line.

use super::{counters, home};
use crate::schedule::block::Scheduler;
use crate::schedule::finish::Spread;
use nnc_base::Diagnostic;
use nnc_ir::graph::Node;
use nnc_ir::kernel::{Expr, Statement};
use nnc_ir::ops::Scan;
use nnc_ir::plan::Step;
use nnc_ir::{Dim, Symbol};

/// The running fold along an axis.
pub(super) fn scan<'s>(
    scheduler: &mut Scheduler<'s>,
    op: &Scan,
    node: &'s Node,
) -> Result<Vec<Step>, Diagnostic> {
    let (value, operand) = (node.results[0], node.operands[0]);
    let result = home(scheduler, value)?;
    let shape = scheduler.graph.shape(value).to_vec();
    let name = scheduler.graph.name(value);
    let step = scheduler.launch(&name, &|writer| {
        let length = shape[op.axis].clone();
        let mut lines = shape.clone();
        lines[op.axis] = Dim::one();
        let (grid, mut at) = counters("c", &lines);
        grid.iter().for_each(|(counter, extent)| writer.open(counter, extent, false));
        let running = writer.declare(value, op.fold);
        let turn = Symbol::new("turn");
        writer.open(&turn, &length, false);
        let place = Dim::from(&turn);
        at[op.axis] = if op.reverse { &(&length - &Dim::one()) - &place } else { place };
        let element = writer.emit(operand, &at)?;
        let element = writer.cast(element, writer.scalars[running.0 as usize]);
        writer.push(Statement::Accumulate { var: running, value: element });
        let folded = writer.cast(Expr::Var(running), writer.expander.graph.ty(value).dtype);
        writer.store_at(&result, &at, folded);
        writer.close();
        grid.iter().for_each(|_| writer.close());
        Ok(Spread::Fixed(grid.len()))
    })?;
    Ok(vec![step])
}
