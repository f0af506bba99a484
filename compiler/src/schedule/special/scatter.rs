//! Writing parts of a tensor. Updates to one place are folded in order: an instance owns whole columns of the result.

use super::{apply, counters, element, home};
use crate::schedule::block::Scheduler;
use crate::schedule::finish::Spread;
use crate::schedule::home::Home;
use nnc_base::Diagnostic;
use nnc_ir::graph::Node;
use nnc_ir::kernel::{Expr, Scalar};
use nnc_ir::ops::{Insert, Scatter, ScatterKind};
use nnc_ir::plan::Step;
use nnc_ir::{DType, Dim, Symbol, Value};

/// Columns that one instance owns.
const COLUMNS: i64 = 64;

/// Copies the base, unless the result lies where it lies.
fn base(scheduler: &mut Scheduler, value: Value, result: &Home) -> Result<Option<Step>, Diagnostic> {
    if scheduler.homes.get(&value) == Some(result) {
        return Ok(None);
    }
    let shape = scheduler.graph.shape(value).to_vec();
    let step = scheduler.launch("base", &|writer| {
        let (loops, at) = counters("c", &shape);
        writer.open_all(&loops);
        let element = writer.emit(value, &at)?;
        writer.store_at(result, &at, element);
        writer.close_all(&loops);
        Ok(Spread::Pointwise)
    });
    step.map(Some)
}

/// A base with one part overwritten.
pub(super) fn insert<'s>(
    scheduler: &mut Scheduler<'s>,
    op: &Insert,
    node: &'s Node,
) -> Result<Vec<Step>, Diagnostic> {
    let result = home(scheduler, node.results[0])?;
    let graph = scheduler.graph;
    let (whole, part) = (graph.shape(node.operands[0]).to_vec(), graph.shape(node.operands[1]).to_vec());
    let first = base(scheduler, node.operands[0], &result)?;
    let name = graph.name(node.results[0]);
    let second = scheduler.launch(&name, &|writer| {
        let mut starts = op.starts.clone();
        if let Some(axis) = op.axis {
            let data = writer.emit(node.operands[2], &[])?;
            let stated = Expr::Dim(starts[axis].clone(), DType::I32);
            let start = Symbol::new("start");
            let bound = &(&whole[axis] - &part[axis]) + &Dim::one();
            writer.position(&start, apply(Scalar::Add, [stated, data]), &bound);
            starts[axis] = Dim::from(&start);
        }
        let (loops, at) = counters("c", &part);
        writer.open_all(&loops);
        let update = writer.emit(node.operands[1], &at)?;
        let at: Vec<Dim> = starts.iter().zip(&at).map(|(start, i)| start + i).collect();
        writer.store_at(&result, &at, update);
        writer.close_all(&loops);
        Ok(Spread::Pointwise)
    })?;
    Ok(first.into_iter().chain([second]).collect())
}

/// A base with slices added or set at positions.
pub(super) fn scatter<'s>(
    scheduler: &mut Scheduler<'s>,
    op: &Scatter,
    node: &'s Node,
) -> Result<Vec<Step>, Diagnostic> {
    let result = home(scheduler, node.results[0])?;
    let [table, positions, updates] = [node.operands[0], node.operands[1], node.operands[2]];
    let in_place = scheduler.homes.get(&table) == Some(&result);
    let shape = scheduler.graph.shape(table).to_vec();
    let wide = scheduler.graph.shape(positions)[op.batch..].to_vec();
    let vector = scheduler.expander.target.vector;
    let dtype = scheduler.graph.ty(table).dtype;
    let name = scheduler.graph.name(node.results[0]);
    let step = scheduler.launch(&name, &|writer| {
        let (mut grid, before) = counters("b", &shape[..op.axis]);
        let (mut after, mut behind) = counters("a", &shape[op.axis + 1..]);
        let mut inner = Vec::new();
        if let Some((counter, extent)) = after.pop() {
            let (piece, column) = (Symbol::new("piece"), Symbol::new("column"));
            let width = Dim::constant(if vector { COLUMNS } else { 1 });
            let start = &width * &Dim::from(&piece);
            let even = extent
                .as_constant()
                .is_some_and(|extent| width.as_constant().is_some_and(|w| extent % w == 0));
            let size = if even || !vector { width.clone() } else { width.minimum(&(&extent - &start)) };
            let put = |symbol: &Symbol| (*symbol == counter).then(|| &start + &Dim::from(&column));
            behind.iter_mut().for_each(|dim| *dim = dim.substitute(&put));
            grid.extend(after);
            grid.push((piece, extent.ceil_div(&width)));
            inner.push((column, size));
        }
        writer.open_all(&grid);
        if !in_place {
            let (rows, row) = counters("r", &shape[op.axis..=op.axis]);
            let loops = [rows, inner.clone()].concat();
            writer.open_all(&loops);
            let at = [&before[..], &row, &behind].concat();
            let value = writer.emit(table, &at)?;
            writer.store_at(&result, &at, value);
            writer.close_all(&loops);
        }
        let (places, place) = counters("w", &wide);
        places.iter().for_each(|(counter, extent)| writer.open(counter, extent, false));
        let position = writer.emit(positions, &[&before[..op.batch], &place].concat())?;
        let symbol = Symbol::new("position");
        writer.position(&symbol, position, &shape[op.axis]);
        writer.open_all(&inner);
        let update = writer.emit(updates, &[&before[..], &place, &behind].concat())?;
        let at = [&before[..], &[Dim::from(&symbol)], &behind].concat();
        let value = match op.kind {
            ScatterKind::Set => update,
            ScatterKind::Add => {
                let running = element(writer, &result, &at);
                debug_assert_eq!(writer.dtype(&running), dtype);
                apply(Scalar::Add, [running, update])
            }
        };
        writer.store_at(&result, &at, value);
        writer.close_all(&inner);
        places.iter().for_each(|_| writer.close());
        writer.close_all(&grid);
        Ok(Spread::Fixed(grid.len()))
    })?;
    Ok(vec![step])
}
