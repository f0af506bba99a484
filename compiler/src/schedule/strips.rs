//! Vector loops with costly functions become several loops, one after the other, over short strips: what such a function
//! is applied to goes to a tile, a routine for whole strips (wider than the vectors of printed code) computes it there,
//! and the next loop reads it.

use super::facts::weight;
use super::sizes::Guess;
use super::visit::{self, Dims, Rename};
use super::writer::Writer;
use nnc_ir::kernel::{BufferId, Expr, LoopKind, Scalar, Statement, Var};
use nnc_ir::{DType, Dim, Symbol};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Elements of a strip: with the tiles of a few values it stays in the first-level cache.
const STRIP: i64 = 512;
/// Instructions saved from which on a call pays.
const PAYS: f64 = 600.0;
/// Additions up to which a value is computed again in a later loop rather than kept.
const CHEAP: f64 = 4.0;

/// `body` with its loops cut into strips where that pays.
pub(super) fn cut(body: Vec<Statement>, writer: &mut Writer, guess: &Guess) -> Vec<Statement> {
    let one = |statement| match statement {
        Statement::For { counter, extent, kind: LoopKind::Vector, body } => {
            match Strips::new(&body, &extent, writer, guess) {
                Some(strips) => strips.write(writer, &counter, &extent, &body),
                None => Statement::For { counter, extent, kind: LoopKind::Vector, body },
            }
        }
        Statement::For { counter, extent, kind, body } => {
            let mut guess = guess.clone();
            guess.counter(&counter, &extent);
            Statement::For { counter, extent, kind, body: cut(body, writer, &guess) }
        }
        Statement::Guard { dim, bound, body } => {
            Statement::Guard { dim, bound, body: cut(body, writer, guess) }
        }
        other => other,
    };
    body.into_iter().map(one).collect()
}

/// What a routine for strips, which are of f32, can compute of a loop: function and argument.
fn costly<'s>(statement: &'s Statement, scalars: &[DType]) -> Option<(Var, Scalar, &'s Expr)> {
    match statement {
        Statement::Let(var, Expr::Apply(scalar, operands)) => match operands.as_slice() {
            [argument] if saved(*scalar).is_some() && scalars[var.0 as usize] == DType::F32 => {
                Some((*var, *scalar, argument))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Instructions per element that a routine for strips saves.
fn saved(scalar: Scalar) -> Option<f64> {
    match scalar {
        Scalar::Exp | Scalar::Log => Some(10.0),
        Scalar::Tanh | Scalar::Sin | Scalar::Cos => Some(20.0),
        Scalar::Erf => Some(30.0),
        _ => None,
    }
}

/// A loop that is cut: in which of the new loops each statement runs.
struct Strips {
    stages: Vec<usize>,
    /// Statements by the scalars they bind.
    makers: BTreeMap<Var, usize>,
    /// Scalars that routines compute.
    costly: BTreeMap<Var, Scalar>,
    /// Scalars that tiles carry from one loop to the next.
    kept: BTreeMap<Var, BufferId>,
}

impl Strips {
    /// How to cut a loop over `body`; `None` if that does not pay or is not possible.
    fn new(body: &[Statement], extent: &Dim, writer: &mut Writer, guess: &Guess) -> Option<Strips> {
        let costs = body.iter().filter_map(|statement| costly(statement, &writer.scalars));
        let costly: BTreeMap<Var, Scalar> = costs.map(|(var, scalar, _)| (var, scalar)).collect();
        let work: f64 = costly.values().filter_map(|scalar| saved(*scalar)).sum();
        if work * guess.of(extent) < PAYS || !is_simple(body) {
            return None;
        }
        let (stages, makers, kept) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let mut strips = Strips { stages, makers, costly, kept };
        for (number, statement) in body.iter().enumerate() {
            let mut stage = 0;
            visit::reads_of(statement, &mut |var| stage = stage.max(strips.known(var)));
            strips.stages.push(stage);
            if let Statement::Let(var, _) = statement {
                strips.makers.insert(*var, number);
            }
        }
        let kept = strips.crossing(body);
        if kept.iter().any(|var| writer.scalars[var.0 as usize] == DType::Bool) {
            return None;
        }
        let size = if is_short(extent) { extent.clone() } else { Dim::constant(STRIP) };
        for var in kept {
            let dtype = writer.scalars[var.0 as usize];
            strips.kept.insert(var, writer.tile("strip", dtype, size.clone()));
        }
        Some(strips)
    }

    /// The first loop that can read a scalar.
    fn known(&self, var: Var) -> usize {
        let Some(maker) = self.makers.get(&var) else { return 0 };
        self.stages[*maker] + usize::from(self.costly.contains_key(&var))
    }

    /// Scalars that tiles must carry.
    fn crossing(&self, body: &[Statement]) -> BTreeSet<Var> {
        let mut kept = BTreeSet::new();
        let mut open: Vec<(Var, usize)> = Vec::new();
        for (statement, stage) in body.iter().zip(&self.stages) {
            visit::reads_of(statement, &mut |var| open.push((var, *stage)));
        }
        while let Some((var, stage)) = open.pop() {
            let Some(maker) = self.makers.get(&var).copied() else { continue };
            if self.costly.contains_key(&var) {
                kept.insert(var);
            } else if self.stages[maker] < stage {
                match self.is_cheap(var, body) {
                    true => visit::reads_of(&body[maker], &mut |var| open.push((var, stage))),
                    false => {
                        kept.insert(var);
                    }
                }
            }
        }
        kept
    }

    /// Whether a scalar is better computed again than carried.
    fn is_cheap(&self, var: Var, body: &[Statement]) -> bool {
        let Some(Statement::Let(_, value)) = self.makers.get(&var).map(|maker| &body[*maker]) else {
            return true;
        };
        let written: HashSet<BufferId> = body.iter().filter_map(stored).collect();
        let mut cost = 0.0;
        self.expense(value, body, &written, &mut cost);
        cost <= CHEAP
    }

    fn expense(&self, value: &Expr, body: &[Statement], written: &HashSet<BufferId>, cost: &mut f64) {
        match value {
            Expr::Constant(..) | Expr::Dim(..) | Expr::Operand(..) => {}
            Expr::Load(buffer, _) => *cost += if written.contains(buffer) { f64::INFINITY } else { 1.0 },
            Expr::Random { .. } => *cost = f64::INFINITY,
            Expr::Guarded { value, .. } => {
                *cost += 1.0;
                self.expense(value, body, written, cost);
            }
            Expr::Apply(scalar, operands) => {
                *cost += weight(*scalar);
                operands.iter().for_each(|operand| self.expense(operand, body, written, cost));
            }
            Expr::Var(var) => match self.makers.get(var).map(|maker| &body[*maker]) {
                Some(_) if self.costly.contains_key(var) => *cost += 1.0,
                Some(Statement::Let(_, value)) if *cost <= CHEAP => self.expense(value, body, written, cost),
                _ => {}
            },
        }
    }

    fn write(self, writer: &mut Writer, counter: &Symbol, extent: &Dim, body: &[Statement]) -> Statement {
        let strip = Symbol::new(&format!("{counter}/strip"));
        let (start, len) = match is_short(extent) {
            true => (Dim::zero(), extent.clone()),
            false => {
                let start = &Dim::constant(STRIP) * &Dim::from(&strip);
                let len = Dim::constant(STRIP).minimum(&(extent - &start));
                (start, len)
            }
        };
        let last = self.stages.iter().copied().max().unwrap_or(0);
        let mut all = Vec::new();
        for stage in 0..=last {
            let column = Symbol::new(&format!("{counter}/{stage}"));
            let place = &start + &Dim::from(&column);
            let mut pass = Pass {
                strips: &self,
                body,
                stage,
                column: Dim::from(&column),
                known: BTreeMap::new(),
                done: Vec::new(),
            };
            for number in (0..body.len()).filter(|number| self.stages[*number] == stage) {
                pass.statement(writer, number);
            }
            let mut done = pass.done;
            let put = |symbol: &Symbol| (symbol == counter).then(|| place.clone());
            visit::rename(&mut done, &mut Dims(&|dim| dim.substitute(&put)));
            all.push(Statement::For {
                counter: column,
                extent: len.clone(),
                kind: LoopKind::Vector,
                body: done,
            });
            for (statement, _) in body.iter().zip(&self.stages).filter(|(_, own)| **own == stage) {
                if let Some((var, scalar, _)) = costly(statement, &writer.scalars) {
                    let (buffer, len) = (self.kept[&var], len.clone());
                    all.push(Statement::Map { scalar, buffer, offset: Dim::zero(), len });
                }
            }
        }
        let count = if is_short(extent) { Dim::one() } else { extent.ceil_div(&Dim::constant(STRIP)) };
        Statement::For { counter: strip, extent: count, kind: LoopKind::Sequential, body: all }
    }
}

/// Whether a loop is one strip.
fn is_short(extent: &Dim) -> bool {
    extent.as_constant().is_some_and(|extent| extent <= STRIP)
}

/// Whether all is arithmetic, loads and stores, and nothing is read after it was written.
fn is_simple(body: &[Statement]) -> bool {
    let mut written = HashSet::new();
    body.iter().all(|statement| {
        let mut fits =
            matches!(statement, Statement::Let(..) | Statement::Accumulate { .. } | Statement::Store { .. });
        visit::loads(statement, &mut |buffer| fits &= !written.contains(&buffer));
        written.extend(stored(statement));
        fits
    })
}

fn stored(statement: &Statement) -> Option<BufferId> {
    match statement {
        Statement::Store { buffer, .. } => Some(*buffer),
        _ => None,
    }
}

/// One of the new loops.
struct Pass<'p> {
    strips: &'p Strips,
    body: &'p [Statement],
    stage: usize,
    /// Place in the strip.
    column: Dim,
    /// What scalars of earlier loops are called here.
    known: BTreeMap<Var, Var>,
    done: Vec<Statement>,
}

impl Pass<'_> {
    fn statement(&mut self, writer: &mut Writer, number: usize) {
        let mut reads = Vec::new();
        visit::reads_of(&self.body[number], &mut |var| reads.push(var));
        reads.into_iter().for_each(|var| self.bring(writer, var));
        let statement = &self.body[number];
        if let Some((var, _, argument)) = costly(statement, &writer.scalars) {
            let value = self.renamed(argument);
            return self.keep(var, value);
        }
        let mut own = [statement.clone()];
        visit::rename(&mut own, &mut Known(&self.known));
        self.done.extend(own);
        if let Statement::Let(var, _) = statement
            && self.strips.kept.contains_key(var)
        {
            self.keep(*var, Expr::Var(*var));
        }
    }

    fn keep(&mut self, var: Var, value: Expr) {
        let (buffer, offset) = (self.strips.kept[&var], self.column.clone());
        self.done.push(Statement::Store { buffer, offset, value });
    }

    /// Makes a scalar of an earlier loop known in this one.
    fn bring(&mut self, writer: &mut Writer, var: Var) {
        let Some(maker) = self.strips.makers.get(&var).copied() else { return };
        let is_here = self.strips.stages[maker] == self.stage && !self.strips.costly.contains_key(&var);
        if is_here || self.known.contains_key(&var) {
            return;
        }
        let value = match (self.strips.kept.get(&var), &self.body[maker]) {
            (Some(tile), _) => Expr::Load(*tile, self.column.clone()),
            (None, Statement::Let(_, value)) => {
                let mut below = Vec::new();
                visit::vars(value, &mut |var| below.push(var));
                below.into_iter().for_each(|var| self.bring(writer, var));
                self.renamed(value)
            }
            _ => return,
        };
        let fresh = Var(writer.scalars.len() as u32);
        writer.scalars.push(writer.scalars[var.0 as usize]);
        self.done.push(Statement::Let(fresh, value));
        self.known.insert(var, fresh);
    }

    fn renamed(&self, value: &Expr) -> Expr {
        let mut value = value.clone();
        visit::rename_expr(&mut value, &mut Known(&self.known));
        value
    }
}

struct Known<'k>(&'k BTreeMap<Var, Var>);

impl Rename for Known<'_> {
    fn var(&mut self, var: &mut Var) {
        if let Some(name) = self.0.get(var) {
            *var = *name;
        }
    }
}
