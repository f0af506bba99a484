//! Walks over statements and expressions: what is read, written, loaded and indexed.

use nnc_ir::kernel::{BufferId, Expr, Gemm, Statement, Var};
use nnc_ir::{Atom, DType, Dim, Symbol};

/// Calls `visit` for every expression in `body`, outermost first.
pub(crate) fn expressions<'s>(body: &'s [Statement], visit: &mut dyn FnMut(&'s Expr)) {
    for statement in body {
        match statement {
            Statement::For { body, .. } | Statement::Guard { body, .. } => expressions(body, visit),
            Statement::Let(_, value)
            | Statement::Accumulate { value, .. }
            | Statement::Index { value, .. }
            | Statement::Store { value, .. } => within(value, visit),
            Statement::Fold { .. } | Statement::Map { .. } | Statement::Gemm(_) => {}
        }
    }
}

/// Calls `visit` for `expr` and every expression in it.
pub(crate) fn within<'s>(expr: &'s Expr, visit: &mut dyn FnMut(&'s Expr)) {
    visit(expr);
    match expr {
        Expr::Apply(_, operands) => operands.iter().for_each(|operand| within(operand, visit)),
        Expr::Guarded { value, .. } => within(value, visit),
        Expr::Random { seed, step, .. } => {
            within(seed, visit);
            within(step, visit);
        }
        Expr::Constant(..) | Expr::Var(_) | Expr::Operand(..) | Expr::Load(..) | Expr::Dim(..) => {}
    }
}

/// Calls `visit` for every statement, nested ones included.
pub(crate) fn statements<'s>(body: &'s [Statement], visit: &mut dyn FnMut(&'s Statement)) {
    for statement in body {
        visit(statement);
        if let Statement::For { body, .. } | Statement::Guard { body, .. } = statement {
            statements(body, visit);
        }
    }
}

/// Every dim that the statements evaluate.
pub(crate) fn dims(body: &[Statement]) -> Vec<&Dim> {
    let mut found = Vec::new();
    statements(body, &mut |statement| match statement {
        Statement::For { extent, .. } => found.push(extent),
        Statement::Index { bound, .. } => found.push(bound),
        Statement::Store { offset, .. } => found.push(offset),
        Statement::Guard { dim, bound, .. } => found.extend([dim, bound]),
        Statement::Map { offset, len, .. } => found.extend([offset, len]),
        Statement::Gemm(gemm) => found.extend(gemm_dims(gemm)),
        Statement::Let(..) | Statement::Fold { .. } | Statement::Accumulate { .. } => {}
    });
    expressions(body, &mut |expr| match expr {
        Expr::Load(_, offset) => found.push(offset),
        Expr::Dim(dim, _) => found.push(dim),
        Expr::Guarded { guards, .. } => found.extend(guards.iter().flat_map(|(dim, bound)| [dim, bound])),
        Expr::Random { index, salt, .. } => found.extend([index, salt]),
        Expr::Constant(..) | Expr::Var(_) | Expr::Operand(..) | Expr::Apply(..) => {}
    });
    found
}

fn gemm_dims(gemm: &Gemm) -> Vec<&Dim> {
    let matrices = [&gemm.a, &gemm.b, &gemm.c];
    let strides = matrices.into_iter().flat_map(|matrix| [&matrix.offset, &matrix.row, &matrix.column]);
    [&gemm.m, &gemm.n, &gemm.k].into_iter().chain(strides).collect()
}

/// The scalars that `body` reads.
pub(crate) fn reads(body: &[Statement]) -> Vec<Var> {
    let mut found = Vec::new();
    expressions(body, &mut |expr| found.extend(read(expr)));
    unique(found)
}

/// The scalars that `expr` reads.
pub(crate) fn reads_of(expr: &Expr) -> Vec<Var> {
    let mut found = Vec::new();
    within(expr, &mut |expr| found.extend(read(expr)));
    unique(found)
}

fn read(expr: &Expr) -> Option<Var> {
    if let Expr::Var(var) = expr { Some(*var) } else { None }
}

/// The folds that `body` adds to.
pub(crate) fn accumulated(body: &[Statement]) -> Vec<Var> {
    let mut found = Vec::new();
    statements(body, &mut |statement| {
        if let Statement::Accumulate { var, .. } = statement {
            found.push(*var);
        }
    });
    unique(found)
}

fn unique(mut vars: Vec<Var>) -> Vec<Var> {
    vars.sort();
    vars.dedup();
    vars
}

/// Loads that every iteration makes: those under no guard.
pub(crate) fn certain_loads(body: &[Statement]) -> Vec<(BufferId, &Dim)> {
    let mut found = Vec::new();
    for statement in body {
        if let Statement::Let(_, value)
        | Statement::Accumulate { value, .. }
        | Statement::Index { value, .. }
        | Statement::Store { value, .. } = statement
        {
            unguarded(value, &mut found);
        }
    }
    found
}

fn unguarded<'s>(expr: &'s Expr, found: &mut Vec<(BufferId, &'s Dim)>) {
    match expr {
        Expr::Load(buffer, offset) => found.push((*buffer, offset)),
        Expr::Apply(_, operands) => operands.iter().for_each(|operand| unguarded(operand, found)),
        Expr::Random { seed, step, .. } => {
            unguarded(seed, found);
            unguarded(step, found);
        }
        Expr::Constant(..) | Expr::Var(_) | Expr::Operand(..) | Expr::Dim(..) | Expr::Guarded { .. } => {}
    }
}

/// The symbols that `body` binds to data.
pub(crate) fn indexed(body: &[Statement]) -> Vec<&Symbol> {
    let mut found = Vec::new();
    statements(body, &mut |statement| {
        if let Statement::Index { symbol, .. } = statement {
            found.push(symbol);
        }
    });
    found
}

/// Whether a loop over `body` can run four iterations per register: no loops or products or folds of an iteration's own,
/// nothing in f64, and no fold that is read where it is computed.
pub(crate) fn is_vectorizable(body: &[Statement], scalars: &[DType], buffers: &[DType]) -> bool {
    let sums = accumulated(body);
    let wide = |var: &Var| scalars.get(var.0 as usize) == Some(&DType::F64);
    let mut fits = !sums.iter().any(wide);
    statements(body, &mut |statement| {
        fits &= match statement {
            Statement::For { .. } | Statement::Map { .. } | Statement::Gemm(_) | Statement::Fold { .. } => {
                false
            }
            Statement::Let(var, _) => !wide(var),
            Statement::Store { buffer, .. } => buffers.get(buffer.0 as usize) != Some(&DType::F64),
            _ => true,
        }
    });
    expressions(body, &mut |expr| {
        fits &= match expr {
            Expr::Constant(_, dtype) | Expr::Dim(_, dtype) => *dtype != DType::F64,
            Expr::Var(var) => !wide(var) && !sums.contains(var),
            Expr::Load(buffer, _) => buffers.get(buffer.0 as usize) != Some(&DType::F64),
            Expr::Apply(nnc_ir::kernel::Scalar::Cast(to), _) => *to != DType::F64,
            _ => true,
        }
    });
    fits
}

/// Whether `symbol` occurs in `atom`.
pub(crate) fn atom_mentions(atom: &Atom, symbol: &Symbol) -> bool {
    match atom {
        Atom::Symbol(other) => other == symbol,
        Atom::Floor(p, q) | Atom::Mod(p, q) | Atom::Max(p, q) | Atom::Min(p, q) => {
            p.mentions(symbol) || q.mentions(symbol)
        }
    }
}
