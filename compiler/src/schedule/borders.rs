//! Loops over a border and what it surrounds: where guards ask whether the counter of a loop lies in a part of the loop,
//! the loop is cut at the ends of that part, and in no piece is anything asked. A loop without guards runs on vectors.

use super::visit::{self, Dims, Rename};
use super::writer::Writer;
use nnc_ir::kernel::{Expr, Statement, Var};
use nnc_ir::{Dim, Symbol};
use std::collections::{BTreeMap, BTreeSet};

/// Statements of all pieces together, at most.
const STATEMENTS: usize = 96;
/// Pieces of a loop, at most: a border on both sides, and what it surrounds.
const PIECES: usize = 3;

/// `body` with its loops cut at their borders.
pub(super) fn cut(body: Vec<Statement>, writer: &mut Writer) -> Vec<Statement> {
    let mut all = Vec::new();
    for statement in body {
        match statement {
            Statement::For { counter, extent, kind, body } => {
                let body = cut(body, writer);
                let length = extent.as_constant().unwrap_or(0);
                let ends = ends(&body, &counter, length);
                let pieces = ends.len().saturating_sub(1);
                if !(2..=PIECES).contains(&pieces) || pieces * count(&body) > STATEMENTS {
                    all.push(Statement::For { counter, extent, kind, body });
                    continue;
                }
                for pair in ends.windows(2) {
                    let body = piece(&body, writer, &counter, pair[0], pair[1] - pair[0]);
                    let extent = Dim::constant(pair[1] - pair[0]);
                    all.push(Statement::For { counter: counter.clone(), extent, kind, body });
                }
            }
            Statement::Guard { dim, bound, body } => {
                all.push(Statement::Guard { dim, bound, body: cut(body, writer) });
            }
            other => all.push(other),
        }
    }
    all
}

fn count(body: &[Statement]) -> usize {
    let inner = |statement: &Statement| match statement {
        Statement::For { body, .. } | Statement::Guard { body, .. } => count(body),
        _ => 0,
    };
    body.iter().map(|statement| 1 + inner(statement)).sum()
}

/// Where `0 <= dim < bound` holds, if that is a part of a loop over `counter`.
fn part(dim: &Dim, bound: &Dim, counter: &Symbol) -> Option<(i64, i64)> {
    let (slope, rest) = dim.linear_in(counter)?;
    let (rest, bound) = (rest.as_constant()?, bound.as_constant()?);
    slope.is_one().then_some((-rest, bound - rest))
}

/// The ends of the pieces of a loop, from 0 to its length.
fn ends(body: &[Statement], counter: &Symbol, length: i64) -> Vec<i64> {
    let mut found = BTreeSet::from([0, length]);
    visit::guards(body, &mut |dim, bound| {
        let ends = part(dim, bound, counter).map_or([0, 0], |(first, last)| [first, last]);
        found.extend(ends.into_iter().filter(|end| (0..length).contains(end)));
    });
    found.into_iter().collect()
}

/// The body for `length` turns from `start` on.
fn piece(
    body: &[Statement],
    writer: &mut Writer,
    counter: &Symbol,
    start: i64,
    length: i64,
) -> Vec<Statement> {
    let mut body = body.to_vec();
    let place = &Dim::constant(start) + &Dim::from(counter);
    let put = |symbol: &Symbol| (symbol == counter).then(|| place.clone());
    visit::rename(&mut body, &mut Dims(&|dim| dim.substitute(&put)));
    let known = |dim: &Dim, bound: &Dim| {
        let (first, last) = part(dim, bound, counter)?;
        match (first <= 0 && length <= last, last <= 0 || length <= first) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    };
    let mut decide = Decide { writer, known: &known, names: BTreeMap::new() };
    decide.statements(&mut body);
    body
}

/// Drops guards that are known, and gives scalars that are bound here names of their own.
struct Decide<'d, 'w> {
    writer: &'d mut Writer<'w>,
    known: &'d dyn Fn(&Dim, &Dim) -> Option<bool>,
    names: BTreeMap<Var, Var>,
}

impl Decide<'_, '_> {
    fn statements(&mut self, body: &mut [Statement]) {
        for statement in body {
            match statement {
                Statement::For { body, .. } | Statement::Guard { body, .. } => self.statements(body),
                Statement::Let(var, value) => {
                    self.expr(value);
                    *var = self.fresh(*var);
                }
                Statement::Fold { var, .. } => *var = self.fresh(*var),
                Statement::Accumulate { var, value } => {
                    self.expr(value);
                    *var = self.names.get(var).copied().unwrap_or(*var);
                }
                Statement::Store { value, .. } | Statement::Index { value, .. } => self.expr(value),
                Statement::Map { .. } | Statement::Gemm(_) => {}
            }
        }
    }

    fn fresh(&mut self, var: Var) -> Var {
        let fresh = Var(self.writer.scalars.len() as u32);
        self.writer.scalars.push(self.writer.scalars[var.0 as usize]);
        self.names.insert(var, fresh);
        fresh
    }

    fn expr(&mut self, value: &mut Expr) {
        visit::rename_expr(value, &mut Named(&self.names));
        self.decide(value);
    }

    fn decide(&self, value: &mut Expr) {
        match value {
            Expr::Apply(_, operands) => operands.iter_mut().for_each(|operand| self.decide(operand)),
            Expr::Random { seed, step, .. } => {
                self.decide(seed);
                self.decide(step);
            }
            Expr::Guarded { guards, value: inner, otherwise } => {
                self.decide(inner);
                let answers: Vec<Option<bool>> =
                    guards.iter().map(|(dim, bound)| (self.known)(dim, bound)).collect();
                if answers.contains(&Some(false)) {
                    *value = Expr::Constant(*otherwise, self.writer.dtype(inner));
                    return;
                }
                let mut left = answers.iter();
                guards.retain(|_| left.next() == Some(&None));
                if guards.is_empty() {
                    *value = (**inner).clone();
                }
            }
            Expr::Constant(..) | Expr::Var(_) | Expr::Operand(..) | Expr::Load(..) | Expr::Dim(..) => {}
        }
    }
}

struct Named<'n>(&'n BTreeMap<Var, Var>);

impl Rename for Named<'_> {
    fn var(&mut self, var: &mut Var) {
        if let Some(name) = self.0.get(var) {
            *var = *name;
        }
    }
}
