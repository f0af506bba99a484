//! Guards. In a vector loop a guard that is linear in the counter is decided for all lanes of a group at once, from its
//! first and last lane; only a group that crosses a bound runs lane by lane.

use crate::emitter::{Emitter, LANES, Number};
use crate::error::Emit;
use crate::expressions::Pattern;
use crate::visit;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use nnc_ir::kernel::{Expr, Statement};
use nnc_ir::{Dim, Ranges};
use std::cell::Cell;

/// What is known of `0 <= dim < bound` over the lanes.
enum Condition {
    /// The same in all lanes.
    Uniform(Value),
    /// Whether it holds in all lanes, and whether it holds in none.
    Linear { all: Value, none: Value },
    /// Only lane by lane.
    ByLane,
}

impl Emitter<'_, '_> {
    /// `value` where all guards hold, else `otherwise`.
    pub fn guarded(&mut self, guards: &[(Dim, Dim)], value: &Expr, otherwise: f64) -> Emit<Number> {
        let dtype = self.expr_type(value)?;
        match self.condition(guards)? {
            Condition::Uniform(holds) => {
                // How many registers the value has is known once it is printed.
                let registers = Cell::new(None);
                let values = self.branch(
                    holds,
                    |e| {
                        let number = e.expr(value)?;
                        registers.set((!number.is_one()).then(|| number.values().len()));
                        Ok(number.values().to_vec())
                    },
                    |e| Ok(e.repeated(otherwise, dtype, registers.get())),
                )?;
                Ok(match registers.get() {
                    None => Number::one(dtype, values[0]),
                    Some(_) => Number::many(dtype, values),
                })
            }
            Condition::Linear { all, none } => {
                let width = self.width();
                let values = self.branch(
                    all,
                    |e| e.expr(value).map(|number| e.widen(&number, width)),
                    |e| {
                        e.branch(
                            none,
                            |e| Ok(e.repeated(otherwise, dtype, Some(width))),
                            |e| Ok(e.guarded_by_lane(guards, value, otherwise)?.values().to_vec()),
                        )
                    },
                )?;
                Ok(Number::many(dtype, values))
            }
            Condition::ByLane => self.guarded_by_lane(guards, value, otherwise),
        }
    }

    fn guarded_by_lane(&mut self, guards: &[(Dim, Dim)], value: &Expr, otherwise: f64) -> Emit<Number> {
        self.by_lane(&[], &visit::reads_of(value), |e, _| e.guarded(guards, value, otherwise))
    }

    /// A constant in as many registers as asked for, or as one scalar.
    fn repeated(&mut self, value: f64, dtype: nnc_ir::DType, registers: Option<usize>) -> Vec<Value> {
        let number = self.constant(value, dtype);
        match registers {
            None => number.values().to_vec(),
            Some(width) => self.widen(&number, width),
        }
    }

    /// A guarded block.
    pub fn guard(&mut self, dim: &Dim, bound: &Dim, body: &[Statement]) -> Emit<()> {
        let guards = [(dim.clone(), bound.clone())];
        match self.condition(&guards)? {
            Condition::Uniform(holds) => self.when(holds, |e| e.statements(body)),
            Condition::Linear { all, none } => {
                let some = self.b.ins().bxor_imm_u(none, 1);
                self.when(some, |e| {
                    e.branch(
                        all,
                        |e| e.statements(body).map(|()| vec![]),
                        |e| e.guard_by_lane(dim, bound, body).map(|()| vec![]),
                    )
                    .map(|_| ())
                })
            }
            Condition::ByLane => self.guard_by_lane(dim, bound, body),
        }
    }

    fn guard_by_lane(&mut self, dim: &Dim, bound: &Dim, body: &[Statement]) -> Emit<()> {
        let (reads, folds) = (visit::reads(body), visit::accumulated(body));
        self.lane_loop(&reads, &folds, |e, _| e.guard(dim, bound, body))
    }

    fn when(&mut self, condition: Value, body: impl FnOnce(&mut Self) -> Emit<()>) -> Emit<()> {
        self.branch(condition, |e| body(e).map(|()| vec![]), |_| Ok(vec![])).map(|_| ())
    }

    fn condition(&mut self, guards: &[(Dim, Dim)]) -> Emit<Condition> {
        let mut uniform = self.b.ins().iconst(types::I8, 1);
        let (mut all, mut none) = (None, self.b.ins().iconst(types::I8, 0));
        for (dim, bound) in guards {
            match (self.pattern(dim), self.pattern(bound)) {
                (Pattern::Uniform, Pattern::Uniform) => {
                    let holds = self.holds(dim, bound)?;
                    uniform = self.b.ins().band(uniform, holds);
                }
                (Pattern::Other, _) | (_, Pattern::Other) => return Ok(Condition::ByLane),
                (dim_pattern, bound_pattern) => {
                    let (inside, outside) = self.ends(dim, dim_pattern, bound, bound_pattern)?;
                    all = Some(all.map_or(inside, |all| self.b.ins().band(all, inside)));
                    none = self.b.ins().bor(none, outside);
                }
            }
        }
        let Some(all) = all else { return Ok(Condition::Uniform(uniform)) };
        let fails = self.b.ins().bxor_imm_u(uniform, 1);
        let (all, none) = (self.b.ins().band(all, uniform), self.b.ins().bor(none, fails));
        Ok(Condition::Linear { all, none })
    }

    /// `0 <= dim < bound`, as one unsigned comparison where the bound is known not to be negative.
    fn holds(&mut self, dim: &Dim, bound: &Dim) -> Emit<Value> {
        let (value, limit) = (self.dim(dim)?, self.dim(bound)?);
        if bound.is_at_least(0, &Ranges::new()) {
            return Ok(self.b.ins().icmp(IntCC::UnsignedLessThan, value, limit));
        }
        let natural = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, value, 0);
        let below = self.b.ins().icmp(IntCC::SignedLessThan, value, limit);
        Ok(self.b.ins().band(natural, below))
    }

    /// Whether a linear guard holds at both ends of the group (then it does between them), and whether both ends fail on
    /// the same side (then all fail).
    fn ends(
        &mut self,
        dim: &Dim,
        dim_pattern: Pattern,
        bound: &Dim,
        bound_pattern: Pattern,
    ) -> Emit<(Value, Value)> {
        let (first, limit) = (self.dim(dim)?, self.dim(bound)?);
        let (last, last_limit) = (self.last(first, dim_pattern)?, self.last(limit, bound_pattern)?);
        let room = |e: &mut Self, value: Value, limit: Value| {
            let rest = e.b.ins().isub(limit, value);
            e.b.ins().iadd_imm_s(rest, -1)
        };
        let rooms = [room(self, first, limit), room(self, last, last_limit)];
        // The sign bits say what is negative: any of the four for inside, both of a pair for outside.
        let low_any = self.b.ins().bor(first, last);
        let high_any = self.b.ins().bor(rooms[0], rooms[1]);
        let any = self.b.ins().bor(low_any, high_any);
        let low_both = self.b.ins().band(first, last);
        let high_both = self.b.ins().band(rooms[0], rooms[1]);
        let both = self.b.ins().bor(low_both, high_both);
        let inside = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, any, 0);
        let outside = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, both, 0);
        Ok((inside, outside))
    }

    /// The value in the last lane of a dim that is `first` in the first one.
    fn last(&mut self, first: Value, pattern: Pattern) -> Emit<Value> {
        let Pattern::Linear(slope) = pattern else { return Ok(first) };
        let lanes = (self.width() * LANES) as i64 - 1;
        let distance = self.dim(&(&slope * &Dim::constant(lanes)))?;
        Ok(self.b.ins().iadd(first, distance))
    }
}
