//! Small systems of equations and factors: one matrix per instance, in its place.

use super::{apply, compare, counters, element, home, int};
use crate::schedule::block::Scheduler;
use crate::schedule::finish::Spread;
use crate::schedule::home::Home;
use crate::schedule::writer::Writer;
use nnc_base::Diagnostic;
use nnc_ir::graph::Node;
use nnc_ir::kernel::{Compare, Expr, Scalar, Statement};
use nnc_ir::ops::Fold;
use nnc_ir::plan::Step;
use nnc_ir::{DType, Dim, Symbol, Value};

/// One matrix of a stack in memory.
struct Stack<'h> {
    home: &'h Home,
    before: &'h [Dim],
}

impl Stack<'_> {
    fn at(&self, row: &Dim, column: &Dim) -> Vec<Dim> {
        [self.before, &[row.clone(), column.clone()]].concat()
    }

    fn get(&self, writer: &mut Writer, row: &Dim, column: &Dim) -> Expr {
        element(writer, self.home, &self.at(row, column))
    }

    fn set(&self, writer: &mut Writer, row: &Dim, column: &Dim, value: Expr) {
        writer.store_at(self.home, &self.at(row, column), value);
    }
}

/// Runs `body` for a counter below `extent`.
fn each(
    writer: &mut Writer,
    name: &str,
    extent: &Dim,
    body: &mut dyn FnMut(&mut Writer, &Dim) -> Result<(), Diagnostic>,
) -> Result<(), Diagnostic> {
    let counter = Symbol::new(name);
    writer.open(&counter, extent, false);
    body(writer, &Dim::from(&counter))?;
    writer.close();
    Ok(())
}

/// The lower factor of each matrix.
pub(super) fn cholesky<'s>(scheduler: &mut Scheduler<'s>, node: &'s Node) -> Result<Vec<Step>, Diagnostic> {
    let (value, a) = (node.results[0], node.operands[0]);
    let result = home(scheduler, value)?;
    let shape = scheduler.graph.shape(value).to_vec();
    let name = scheduler.graph.name(value);
    let dtype = scheduler.graph.ty(value).dtype;
    let step = scheduler.launch(&name, &|writer| {
        let (grid, before) = counters("b", &shape[..shape.len() - 2]);
        let n = &shape[shape.len() - 1];
        grid.iter().for_each(|(counter, extent)| writer.open(counter, extent, false));
        let l = Stack { home: &result, before: &before };
        each(writer, "row", n, &mut |writer, row| {
            each(writer, "column", n, &mut |writer, column| {
                l.set(writer, row, column, Expr::Constant(0.0, dtype));
                Ok(())
            })
        })?;
        each(writer, "factor row", n, &mut |writer, row| {
            each(writer, "factor column", &(row + &Dim::one()), &mut |writer, column| {
                factor(writer, &l, a, &before, row, column, dtype)
            })
        })?;
        grid.iter().for_each(|_| writer.close());
        Ok(Spread::Fixed(grid.len()))
    })?;
    Ok(vec![step])
}

fn factor(
    writer: &mut Writer,
    l: &Stack,
    a: Value,
    before: &[Dim],
    row: &Dim,
    column: &Dim,
    dtype: DType,
) -> Result<(), Diagnostic> {
    let known = writer.running(dtype, Fold::Add);
    each(writer, "known", column, &mut |writer, k| {
        let (x, y) = (l.get(writer, row, k), l.get(writer, column, k));
        let value = apply(Scalar::Mul, [x, y]);
        writer.push(Statement::Accumulate { var: known, value });
        Ok(())
    })?;
    let lower = writer.emit(a, &[before, &[row.clone(), column.clone()]].concat())?;
    let upper = writer.emit(a, &[before, &[column.clone(), row.clone()]].concat())?;
    let half = Expr::Constant(0.5, dtype);
    let mean = apply(Scalar::Mul, [apply(Scalar::Add, [lower, upper]), half]);
    let rest = writer.bind(apply(Scalar::Sub, [mean, Expr::Var(known)]));
    let diagonal = l.get(writer, column, column);
    let below = apply(Scalar::Div, [rest.clone(), diagonal]);
    let is_diagonal = compare(Compare::Equal, &int(row), &int(column));
    let value = apply(Scalar::Select, [is_diagonal, apply(Scalar::Sqrt, [rest]), below]);
    l.set(writer, row, column, value);
    Ok(())
}

/// The solutions of stacks of linear systems: elimination with row pivots.
pub(super) fn solve<'s>(scheduler: &mut Scheduler<'s>, node: &'s Node) -> Result<Vec<Step>, Diagnostic> {
    let (value, a, b) = (node.results[0], node.operands[0], node.operands[1]);
    let result = home(scheduler, value)?;
    let (square, shape) = (scheduler.graph.shape(a).to_vec(), scheduler.graph.shape(b).to_vec());
    let ty = scheduler.graph.ty(a).clone();
    let work = scheduler.place("elimination", ty.dtype, ty.shape);
    let name = scheduler.graph.name(value);
    let step = scheduler.launch(&name, &|writer| {
        let rank = shape.len();
        let (grid, before) = counters("b", &shape[..rank - 2]);
        let (n, width) = (&square[rank - 1], &shape[rank - 1]);
        grid.iter().for_each(|(counter, extent)| writer.open(counter, extent, false));
        let system = System {
            w: Stack { home: &work, before: &before },
            x: Stack { home: &result, before: &before },
            n,
            width,
        };
        system.copy(writer, a, b, &before)?;
        each(writer, "pivot column", n, &mut |writer, column| system.eliminate(writer, column, ty.dtype))?;
        each(writer, "solved row", n, &mut |writer, row| {
            let pivot = system.w.get(writer, row, row);
            let pivot = writer.bind(pivot);
            each(writer, "solved column", width, &mut |writer, j| {
                let value = apply(Scalar::Div, [system.x.get(writer, row, j), pivot.clone()]);
                system.x.set(writer, row, j, value);
                Ok(())
            })
        })?;
        grid.iter().for_each(|_| writer.close());
        Ok(Spread::Fixed(grid.len()))
    })?;
    Ok(vec![step])
}

/// Matrix and right sides of one system, changed in place.
struct System<'h> {
    w: Stack<'h>,
    x: Stack<'h>,
    n: &'h Dim,
    width: &'h Dim,
}

impl System<'_> {
    fn copy(&self, writer: &mut Writer, a: Value, b: Value, before: &[Dim]) -> Result<(), Diagnostic> {
        for (stack, value, width) in [(&self.w, a, self.n), (&self.x, b, self.width)] {
            each(writer, "copied row", self.n, &mut |writer, row| {
                each(writer, "copied column", width, &mut |writer, column| {
                    let value = writer.emit(value, &[before, &[row.clone(), column.clone()]].concat())?;
                    stack.set(writer, row, column, value);
                    Ok(())
                })
            })?;
        }
        Ok(())
    }

    /// Clears a column in all rows but its pivot's.
    fn eliminate(&self, writer: &mut Writer, column: &Dim, dtype: DType) -> Result<(), Diagnostic> {
        let left = self.n - column;
        let largest = writer.running(dtype, Fold::Max);
        each(writer, "searched", &left, &mut |writer, p| {
            let value = apply(Scalar::Abs, [self.w.get(writer, &(column + p), column)]);
            writer.push(Statement::Accumulate { var: largest, value });
            Ok(())
        })?;
        let place = writer.running(DType::I32, Fold::Min);
        each(writer, "found", &left, &mut |writer, p| {
            let size = apply(Scalar::Abs, [self.w.get(writer, &(column + p), column)]);
            let is_largest = compare(Compare::Equal, &size, &Expr::Var(largest));
            let never = Expr::Constant(f64::from(i32::MAX), DType::I32);
            let value = apply(Scalar::Select, [is_largest, int(p), never]);
            writer.push(Statement::Accumulate { var: place, value });
            Ok(())
        })?;
        let pivot = Symbol::new("pivot");
        writer.position(&pivot, Expr::Var(place), &left);
        let pivot = column + &Dim::from(&pivot);
        for (stack, width) in [(&self.w, self.n), (&self.x, self.width)] {
            each(writer, "swapped", width, &mut |writer, j| {
                let (upper, lower) = (stack.get(writer, column, j), stack.get(writer, &pivot, j));
                let (upper, lower) = (writer.bind(upper), writer.bind(lower));
                stack.set(writer, column, j, lower);
                stack.set(writer, &pivot, j, upper);
                Ok(())
            })?;
        }
        each(writer, "upper", column, &mut |writer, row| self.subtract(writer, row, column))?;
        let rest = &left - &Dim::one();
        each(writer, "lower", &rest, &mut |writer, p| {
            self.subtract(writer, &(&(column + p) + &Dim::one()), column)
        })
    }

    /// Subtracts the pivot's row from another one.
    fn subtract(&self, writer: &mut Writer, row: &Dim, column: &Dim) -> Result<(), Diagnostic> {
        let (own, pivot) = (self.w.get(writer, row, column), self.w.get(writer, column, column));
        let factor = writer.bind(apply(Scalar::Div, [own, pivot]));
        for (stack, width) in [(&self.w, self.n), (&self.x, self.width)] {
            each(writer, "subtracted", width, &mut |writer, j| {
                let part = apply(Scalar::Mul, [factor.clone(), stack.get(writer, column, j)]);
                let value = apply(Scalar::Sub, [stack.get(writer, row, j), part]);
                stack.set(writer, row, j, value);
                Ok(())
            })?;
        }
        Ok(())
    }
}
