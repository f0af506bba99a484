//! Running folds. The order of a vector loop is fixed by its length alone: sixteen running values side by side, then the
//! four registers in pairs, then single registers of four, then the lanes in pairs, then the declared value, then the
//! rest one by one.

use crate::emitter::{Emitter, FoldState, LANES, Number, Running};
use crate::error::Emit;
use crate::memory::plain;
use cranelift_codegen::ir::{InstBuilder, Value};
use nnc_ir::DType;
use nnc_ir::kernel::{Expr, Var};
use nnc_ir::ops::Fold;

impl Emitter<'_, '_> {
    /// Declares a fold with its identity.
    pub fn declare_fold(&mut self, var: Var, fold: Fold) -> Emit<()> {
        let dtype = self.dtype_of(var)?;
        if matches!(fold, Fold::Or | Fold::And) != (dtype == DType::Bool) {
            return Err(format!("the fold `{}` is not defined for {dtype}", fold.name()));
        }
        let variable = self.b.declare_var(Self::scalar_type(dtype));
        let identity = self.identity(fold, dtype);
        self.b.def_var(variable, identity);
        let running = Running::One(variable);
        self.scope.folds.insert(var, FoldState { fold, dtype, running });
        Ok(())
    }

    /// The declared element type of a scalar.
    pub fn dtype_of(&self, var: Var) -> Emit<DType> {
        self.kernel
            .scalars
            .get(var.0 as usize)
            .copied()
            .ok_or_else(|| format!("the scalar {} has no declared type", var.0))
    }

    /// The fold of nothing, as one scalar. Integers have their own smallest and largest.
    fn identity(&mut self, fold: Fold, dtype: DType) -> Value {
        let value = match (fold, dtype) {
            (Fold::Max, DType::I32) => f64::from(i32::MIN),
            (Fold::Max, DType::U32 | DType::U8) => 0.0,
            (Fold::Min, DType::I32) => f64::from(i32::MAX),
            (Fold::Min, DType::U32) => f64::from(u32::MAX),
            (Fold::Min, DType::U8) => f64::from(u8::MAX),
            _ => fold.identity(),
        };
        self.constant(value, dtype).values()[0]
    }

    /// One step, for the lanes that the registers have.
    fn fold_step(&mut self, fold: Fold, dtype: DType, running: Value, value: Value) -> Value {
        let signed = dtype == DType::I32;
        let (a, b) = (running, value);
        match fold {
            Fold::Or => self.b.ins().bor(a, b),
            Fold::And => self.b.ins().band(a, b),
            Fold::Max if dtype.is_float() => self.float_max(a, b, false),
            Fold::Min if dtype.is_float() => self.float_min(a, b, false),
            Fold::Add if dtype.is_float() => self.b.ins().fadd(a, b),
            Fold::Mul if dtype.is_float() => self.b.ins().fmul(a, b),
            Fold::Max if signed => self.b.ins().smax(a, b),
            Fold::Max => self.b.ins().umax(a, b),
            Fold::Min if signed => self.b.ins().smin(a, b),
            Fold::Min => self.b.ins().umin(a, b),
            Fold::Add => self.b.ins().iadd(a, b),
            Fold::Mul => self.b.ins().imul(a, b),
        }
    }

    /// Adds an expression to a fold.
    pub fn accumulate(&mut self, var: Var, value: &Expr) -> Emit<()> {
        let number = self.expr(value)?;
        let FoldState { fold, dtype, running } = self.fold_state(var)?;
        if Self::scalar_type(number.dtype) != Self::scalar_type(dtype) {
            return Err(format!("the fold {} holds {dtype}, not {}", var.0, number.dtype));
        }
        match running {
            Running::Many(variables) => {
                let values = self.widen(&number, variables.len());
                for (variable, value) in variables.into_iter().zip(values) {
                    self.step_variable(fold, dtype, variable, value);
                }
            }
            Running::One(variable) => {
                let value = one(&number)?;
                self.step_variable(fold, dtype, variable, value);
            }
            Running::Lane(slot, lane) => {
                let value = one(&number)?;
                let running = self.load_lane(dtype, slot, lane);
                let next = self.fold_step(fold, dtype, running, value);
                self.store_lane(dtype, slot, lane, next);
            }
        }
        Ok(())
    }

    fn step_variable(
        &mut self,
        fold: Fold,
        dtype: DType,
        variable: cranelift_frontend::Variable,
        value: Value,
    ) {
        let running = self.b.use_var(variable);
        let next = self.fold_step(fold, dtype, running, value);
        let next = if dtype == DType::U8 { self.keep(next, 0xff) } else { next };
        self.b.def_var(variable, next);
    }

    pub fn fold_state(&self, var: Var) -> Emit<FoldState> {
        self.scope.folds.get(&var).cloned().ok_or_else(|| format!("the fold {} is not declared here", var.0))
    }

    /// The value of a fold so far.
    pub fn read_fold(&mut self, var: Var) -> Emit<Number> {
        let FoldState { dtype, running, .. } = self.fold_state(var)?;
        match running {
            Running::One(variable) => Ok(Number::one(dtype, self.b.use_var(variable))),
            _ => Err(format!("the fold {} is read inside the vector loop that computes it", var.0)),
        }
    }

    /// Gives the folds `vars` registers of their own for a vector loop; returns what they were.
    pub fn widen_folds(&mut self, vars: &[Var], width: usize) -> Emit<Vec<FoldState>> {
        let mut outer = Vec::new();
        for var in vars {
            let state = self.fold_state(*var)?;
            let identity = self.identity(state.fold, state.dtype);
            let identity = self.splat(state.dtype, identity);
            let variables: Vec<_> = (0..width)
                .map(|_| {
                    let variable = self.b.declare_var(Self::vector_type(state.dtype));
                    self.b.def_var(variable, identity);
                    variable
                })
                .collect();
            let running = Running::Many(variables);
            self.scope.folds.insert(*var, FoldState { running, ..state.clone() });
            outer.push(state);
        }
        Ok(outer)
    }

    /// Folds the registers of each running value in pairs into the first, which alone goes on.
    pub fn narrow_folds(&mut self, vars: &[Var]) -> Emit<()> {
        for var in vars {
            let state = self.fold_state(*var)?;
            let Running::Many(variables) = &state.running else { continue };
            let mut values: Vec<Value> = variables.iter().map(|variable| self.b.use_var(*variable)).collect();
            while values.len() > 1 {
                values = values
                    .chunks(2)
                    .map(|pair| match pair {
                        [a, b] => self.fold_step(state.fold, state.dtype, *a, *b),
                        rest => rest[0],
                    })
                    .collect();
            }
            let first = variables[0];
            self.b.def_var(first, values[0]);
            self.scope.folds.insert(*var, FoldState { running: Running::Many(vec![first]), ..state });
        }
        Ok(())
    }

    /// Ends a vector loop: folds the lanes into the values of `outer`.
    pub fn close_folds(&mut self, vars: &[Var], outer: Vec<FoldState>) -> Emit<()> {
        for (var, state) in vars.iter().zip(outer) {
            let Running::Many(variables) = self.fold_state(*var)?.running else { continue };
            let register = self.b.use_var(variables[0]);
            let lanes: Vec<Value> = (0..LANES).map(|lane| self.lane(state.dtype, register, lane)).collect();
            let (fold, dtype) = (state.fold, state.dtype);
            let low = self.fold_step(fold, dtype, lanes[0], lanes[1]);
            let high = self.fold_step(fold, dtype, lanes[2], lanes[3]);
            let all = self.fold_step(fold, dtype, low, high);
            let Running::One(variable) = state.running else {
                return Err(format!("the fold {} belongs to an enclosing vector loop", var.0));
            };
            self.step_variable(fold, dtype, variable, all);
            self.scope.folds.insert(*var, state);
        }
        Ok(())
    }

    /// Puts the registers of a running value into memory, for lane-by-lane code.
    pub fn spill_fold(&mut self, var: Var, lane: Value) -> Emit<()> {
        let state = self.fold_state(var)?;
        let Running::Many(variables) = &state.running else { return Ok(()) };
        let slot = self.slot(variables.len() * 16);
        let values: Vec<Value> = variables.iter().map(|variable| self.b.use_var(*variable)).collect();
        self.store_slot(slot, &values);
        self.scope.folds.insert(var, FoldState { running: Running::Lane(slot, lane), ..state });
        Ok(())
    }

    /// The inverse of [`Emitter::spill_fold`].
    pub fn reload_fold(&mut self, state: &FoldState, spilled: &FoldState) {
        let (Running::Many(variables), Running::Lane(slot, _)) = (&state.running, &spilled.running) else {
            return;
        };
        let base = self.b.ins().stack_addr(cranelift_codegen::ir::types::I64, *slot, 0);
        for (place, variable) in variables.iter().enumerate() {
            let ty = Self::vector_type(state.dtype);
            let value = self.b.ins().load(ty, plain(), base, 16 * place as i32);
            self.b.def_var(*variable, value);
        }
    }
}

fn one(number: &Number) -> Emit<Value> {
    match number.values() {
        [value] if number.is_one() => Ok(*value),
        _ => Err("a value that differs between lanes reaches a uniform fold".to_owned()),
    }
}
