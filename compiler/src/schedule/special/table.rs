//! Numbers written out: a kernel that stores them.

use super::home;
use crate::schedule::block::Scheduler;
use crate::schedule::expand::unsupported;
use crate::schedule::finish::Spread;
use nnc_base::Diagnostic;
use nnc_ir::Dim;
use nnc_ir::graph::Node;
use nnc_ir::kernel::Expr;
use nnc_ir::ops::Table;
use nnc_ir::plan::Step;

/// The most elements that are written out as code.
const LONGEST: usize = 4096;

/// Stores the elements of a table.
pub(super) fn table<'s>(
    scheduler: &mut Scheduler<'s>,
    op: &Table,
    node: &'s Node,
) -> Result<Vec<Step>, Diagnostic> {
    let result = home(scheduler, node.results[0])?;
    if op.values.len() > LONGEST {
        let message = format!("a table of {} numbers is too long; {LONGEST} are possible", op.values.len());
        return Err(unsupported(node.span, message).help("read it from a file as a weight"));
    }
    let shape: Vec<i64> = op.ty.shape.iter().map(|size| size.as_constant().unwrap_or(1)).collect();
    let step = scheduler.launch("table", &|writer| {
        for (number, value) in op.values.iter().enumerate() {
            let mut rest = number as i64;
            let mut at: Vec<Dim> = Vec::new();
            for size in shape.iter().rev() {
                at.push(Dim::constant(rest % size));
                rest /= size;
            }
            at.reverse();
            writer.store_at(&result, &at, Expr::Constant(*value, op.ty.dtype));
        }
        Ok(Spread::Fixed(0))
    })?;
    Ok(vec![step])
}
