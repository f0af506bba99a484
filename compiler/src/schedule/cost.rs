//! Rough costs of kernels, for cutting work into pieces.

use super::facts::weight;
use super::sizes::Guess;
use nnc_ir::kernel::{Expr, Gemm, Kernel, LoopKind, Statement};

/// Nanoseconds of one vector addition per element, load included.
const ADDITION: f64 = 0.1;
/// The same without vectors.
const SCALAR: f64 = 0.6;
/// Nanoseconds per element of a strip and weight of the function.
const MAP: f64 = 0.03;
/// Nanoseconds of one multiplication of a matrix product.
const MULTIPLICATION: f64 = 0.02;

/// Nanoseconds of one instance.
pub(super) fn instance(kernel: &Kernel, guess: &Guess, vector: bool) -> f64 {
    let mut guess = guess.clone();
    kernel.grid.iter().for_each(|(counter, extent)| guess.counter(counter, extent));
    5.0 + statements(&kernel.body, &mut guess, if vector { SCALAR } else { ADDITION })
}

/// Additions of statements, loops counted.
pub(super) fn additions(body: &[Statement], guess: &Guess) -> f64 {
    statements(body, &mut guess.clone(), ADDITION) / ADDITION
}

fn statements(body: &[Statement], guess: &mut Guess, unit: f64) -> f64 {
    body.iter().map(|statement| one(statement, guess, unit)).sum()
}

fn one(statement: &Statement, guess: &mut Guess, unit: f64) -> f64 {
    match statement {
        Statement::For { counter, extent, kind, body } => {
            guess.counter(counter, extent);
            let unit = if *kind == LoopKind::Vector { ADDITION } else { unit };
            guess.of(extent) * statements(body, guess, unit)
        }
        Statement::Guard { body, .. } => unit + statements(body, guess, unit),
        Statement::Let(_, value) => unit * expr(value),
        Statement::Accumulate { value, .. }
        | Statement::Store { value, .. }
        | Statement::Index { value, .. } => unit * (1.0 + expr(value)),
        Statement::Fold { .. } => unit,
        Statement::Map { scalar, len, .. } => MAP * weight(*scalar) * guess.of(len),
        Statement::Gemm(gemm) => product(gemm, guess),
    }
}

fn product(gemm: &Gemm, guess: &Guess) -> f64 {
    60.0 + MULTIPLICATION * guess.product([&gemm.m, &gemm.n, &gemm.k])
}

fn expr(value: &Expr) -> f64 {
    match value {
        Expr::Constant(..) | Expr::Var(_) | Expr::Operand(..) => 0.0,
        Expr::Dim(..) | Expr::Load(..) => 1.0,
        Expr::Apply(scalar, operands) => weight(*scalar) + operands.iter().map(expr).sum::<f64>(),
        Expr::Guarded { guards, value, .. } => guards.len() as f64 + expr(value),
        Expr::Random { seed, step, .. } => 30.0 + expr(seed) + expr(step),
    }
}
