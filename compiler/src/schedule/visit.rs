//! Walks over kernel statements: every dim, and everything that names something.

use nnc_ir::kernel::{BufferId, Expr, Gemm, Matrix, Statement, Var};
use nnc_ir::{Dim, Symbol};

/// Changes what statements name. Every method does nothing unless it is overridden.
pub(super) trait Rename {
    /// A dim that is evaluated.
    fn dim(&mut self, _: &mut Dim) {}
    /// A symbol that is bound here; called before the dims that may mention it.
    fn bind(&mut self, _: &mut Symbol) {}
    /// A buffer or tile.
    fn buffer(&mut self, _: &mut BufferId) {}
    /// A scalar.
    fn var(&mut self, _: &mut Var) {}
}

/// Applies `rename` to all statements, in order.
pub(super) fn rename(body: &mut [Statement], with: &mut dyn Rename) {
    for statement in body {
        match statement {
            Statement::For { counter, extent, body, .. } => {
                with.dim(extent);
                with.bind(counter);
                rename(body, with);
            }
            Statement::Let(var, value) | Statement::Accumulate { var, value } => {
                rename_expr(value, with);
                with.var(var);
            }
            Statement::Fold { var, .. } => with.var(var),
            Statement::Index { symbol, value, bound } => {
                rename_expr(value, with);
                with.dim(bound);
                with.bind(symbol);
            }
            Statement::Store { buffer, offset, value } => {
                rename_expr(value, with);
                with.buffer(buffer);
                with.dim(offset);
            }
            Statement::Guard { dim, bound, body } => {
                with.dim(dim);
                with.dim(bound);
                rename(body, with);
            }
            Statement::Map { buffer, offset, len, .. } => {
                with.buffer(buffer);
                with.dim(offset);
                with.dim(len);
            }
            Statement::Gemm(gemm) => rename_gemm(gemm, with),
        }
    }
}

fn rename_gemm(gemm: &mut Gemm, with: &mut dyn Rename) {
    let Gemm { m, n, k, c, a, b, .. } = gemm;
    [m, n, k].into_iter().for_each(|dim| with.dim(dim));
    for Matrix { buffer, offset, row, column } in [a, b, c] {
        with.buffer(buffer);
        [offset, row, column].into_iter().for_each(|dim| with.dim(dim));
    }
}

pub(super) fn rename_expr(expr: &mut Expr, with: &mut dyn Rename) {
    match expr {
        Expr::Constant(..) | Expr::Operand(..) => {}
        Expr::Var(var) => with.var(var),
        Expr::Load(buffer, offset) => {
            with.buffer(buffer);
            with.dim(offset);
        }
        Expr::Dim(dim, _) => with.dim(dim),
        Expr::Apply(_, operands) => operands.iter_mut().for_each(|operand| rename_expr(operand, with)),
        Expr::Guarded { guards, value, .. } => {
            for (dim, bound) in guards {
                with.dim(dim);
                with.dim(bound);
            }
            rename_expr(value, with);
        }
        Expr::Random { seed, step, index, salt } => {
            rename_expr(seed, with);
            rename_expr(step, with);
            with.dim(index);
            with.dim(salt);
        }
    }
}

/// Replaces every dim.
pub(super) struct Dims<'f>(pub &'f dyn Fn(&Dim) -> Dim);

impl Rename for Dims<'_> {
    fn dim(&mut self, dim: &mut Dim) {
        *dim = (self.0)(dim);
    }
}

/// Calls `visit` on every dim.
pub(super) fn dims<'s>(body: &'s [Statement], visit: &mut dyn FnMut(&'s Dim)) {
    for statement in body {
        match statement {
            Statement::For { extent, body, .. } => {
                visit(extent);
                dims(body, visit);
            }
            Statement::Let(_, value) | Statement::Accumulate { value, .. } => expr_dims(value, visit),
            Statement::Fold { .. } => {}
            Statement::Index { value, bound, .. } => {
                expr_dims(value, visit);
                visit(bound);
            }
            Statement::Store { offset, value, .. } => {
                expr_dims(value, visit);
                visit(offset);
            }
            Statement::Guard { dim, bound, body } => {
                visit(dim);
                visit(bound);
                dims(body, visit);
            }
            Statement::Map { offset, len, .. } => {
                visit(offset);
                visit(len);
            }
            Statement::Gemm(gemm) => {
                [&gemm.m, &gemm.n, &gemm.k].into_iter().for_each(&mut *visit);
                for matrix in [&gemm.a, &gemm.b, &gemm.c] {
                    [&matrix.offset, &matrix.row, &matrix.column].into_iter().for_each(&mut *visit);
                }
            }
        }
    }
}

/// Calls `visit` on every dim of an expression.
pub(super) fn expr_dims<'s>(expr: &'s Expr, visit: &mut dyn FnMut(&'s Dim)) {
    match expr {
        Expr::Constant(..) | Expr::Operand(..) | Expr::Var(_) => {}
        Expr::Load(_, dim) | Expr::Dim(dim, _) => visit(dim),
        Expr::Apply(_, operands) => operands.iter().for_each(|operand| expr_dims(operand, visit)),
        Expr::Guarded { guards, value, .. } => {
            guards.iter().for_each(|(dim, bound)| {
                visit(dim);
                visit(bound);
            });
            expr_dims(value, visit);
        }
        Expr::Random { seed, step, index, salt } => {
            expr_dims(seed, visit);
            expr_dims(step, visit);
            visit(index);
            visit(salt);
        }
    }
}

/// The scalars an expression reads.
pub(super) fn vars(expr: &Expr, visit: &mut dyn FnMut(Var)) {
    match expr {
        Expr::Var(var) => visit(*var),
        Expr::Apply(_, operands) => operands.iter().for_each(|operand| vars(operand, visit)),
        Expr::Guarded { value, .. } => vars(value, visit),
        Expr::Random { seed, step, .. } => {
            vars(seed, visit);
            vars(step, visit);
        }
        Expr::Constant(..) | Expr::Operand(..) | Expr::Load(..) | Expr::Dim(..) => {}
    }
}

/// What a statement without a body computes.
fn value_of(statement: &Statement) -> Option<&Expr> {
    match statement {
        Statement::Let(_, value)
        | Statement::Accumulate { value, .. }
        | Statement::Index { value, .. }
        | Statement::Store { value, .. } => Some(value),
        _ => None,
    }
}

/// The scalars that a statement without a body reads.
pub(super) fn reads_of(statement: &Statement, visit: &mut dyn FnMut(Var)) {
    if let Some(value) = value_of(statement) {
        vars(value, visit);
    }
}

/// The buffers that a statement without a body loads from.
pub(super) fn loads(statement: &Statement, visit: &mut dyn FnMut(BufferId)) {
    if let Some(value) = value_of(statement) {
        expr_loads(value, visit);
    }
}

fn expr_loads(expr: &Expr, visit: &mut dyn FnMut(BufferId)) {
    match expr {
        Expr::Load(buffer, _) => visit(*buffer),
        Expr::Apply(_, operands) => operands.iter().for_each(|operand| expr_loads(operand, visit)),
        Expr::Guarded { value, .. } => expr_loads(value, visit),
        Expr::Random { seed, step, .. } => {
            expr_loads(seed, visit);
            expr_loads(step, visit);
        }
        Expr::Constant(..) | Expr::Operand(..) | Expr::Var(_) | Expr::Dim(..) => {}
    }
}

/// Calls `visit` on the guards of all expressions.
pub(super) fn guards(body: &[Statement], visit: &mut dyn FnMut(&Dim, &Dim)) {
    for statement in body {
        match statement {
            Statement::For { body, .. } | Statement::Guard { body, .. } => guards(body, visit),
            other => value_of(other).into_iter().for_each(|value| expr_guards(value, visit)),
        }
    }
}

fn expr_guards(expr: &Expr, visit: &mut dyn FnMut(&Dim, &Dim)) {
    match expr {
        Expr::Apply(_, operands) => operands.iter().for_each(|operand| expr_guards(operand, visit)),
        Expr::Guarded { guards, value, .. } => {
            guards.iter().for_each(|(dim, bound)| visit(dim, bound));
            expr_guards(value, visit);
        }
        Expr::Random { seed, step, .. } => {
            expr_guards(seed, visit);
            expr_guards(step, visit);
        }
        Expr::Constant(..) | Expr::Operand(..) | Expr::Var(_) | Expr::Load(..) | Expr::Dim(..) => {}
    }
}
