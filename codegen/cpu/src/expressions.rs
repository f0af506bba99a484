//! Expressions: leaves, loads, positions. In a vector loop an expression that does not change with the counter is computed
//! once, as a scalar.

use crate::emitter::{Emitter, Group, Index, LANES, Number};
use crate::error::Emit;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use nnc_ir::kernel::{BufferId, Expr};
use nnc_ir::{DType, Dim};

/// How a dim changes from lane to lane.
pub(crate) enum Pattern {
    /// Not at all.
    Uniform,
    /// By this much.
    Linear(Dim),
    /// In some other way.
    Other,
}

impl Emitter<'_, '_> {
    /// The value of `expr`.
    pub fn expr(&mut self, expr: &Expr) -> Emit<Number> {
        match expr {
            Expr::Constant(value, dtype) => Ok(self.constant(*value, *dtype)),
            Expr::Var(var) => match self.scope.numbers.get(var) {
                Some(number) => Ok(number.clone()),
                None if self.scope.folds.contains_key(var) => self.read_fold(*var),
                None => Err(format!("the scalar {} is not bound here", var.0)),
            },
            Expr::Operand(place, _) => Err(format!("operand {place} was not replaced during lowering")),
            Expr::Load(buffer, offset) => self.load(*buffer, offset),
            Expr::Dim(dim, dtype) => self.dim_number(dim, *dtype),
            Expr::Apply(function, operands) => self.apply(*function, operands),
            Expr::Guarded { guards, value, otherwise } => self.guarded(guards, value, *otherwise),
            Expr::Random { seed, step, index, salt } => self.random(seed, step, index, salt),
        }
    }

    /// How `dim` changes over the lanes of the current vector loop.
    pub fn pattern(&self, dim: &Dim) -> Pattern {
        let Some(group) = &self.group else { return Pattern::Uniform };
        let varies = |symbol| matches!(self.scope.symbols.get(symbol), Some(Index::Slot(_)));
        if dim.symbols().iter().any(varies) {
            return Pattern::Other;
        }
        match dim.linear_in(&group.counter) {
            Some((slope, _)) if slope.is_zero() => Pattern::Uniform,
            Some((slope, _)) => Pattern::Linear(slope),
            None => Pattern::Other,
        }
    }

    pub fn width(&self) -> usize {
        self.group.as_ref().map_or(1, |group| group.width)
    }

    fn load(&mut self, buffer: BufferId, offset: &Dim) -> Emit<Number> {
        if let Some(known) = self.scope.loads.get(&(buffer, offset.clone())) {
            return Ok(known.clone());
        }
        let (dtype, _) = self.buffer(buffer)?;
        match self.pattern(offset) {
            Pattern::Uniform => {
                let at = self.address(buffer, offset)?;
                Ok(Number::one(dtype, self.load_one(at)))
            }
            Pattern::Linear(slope) if slope.is_one() => {
                let (at, width) = (self.address(buffer, offset)?, self.width());
                Ok(Number::many(dtype, self.load_many(at, width)))
            }
            Pattern::Linear(slope) => {
                let (at, width) = (self.address(buffer, offset)?, self.width());
                let stride = self.dim(&slope)?;
                let stride = self.scaled(stride, dtype.size() as i64);
                Ok(Number::many(dtype, self.load_strided(at, stride, width)))
            }
            Pattern::Other => self.by_lane(&[], &[], |e, _| e.load(buffer, offset)),
        }
    }

    /// A dim as a number.
    fn dim_number(&mut self, dim: &Dim, dtype: DType) -> Emit<Number> {
        match (self.pattern(dim), self.group.clone()) {
            (Pattern::Uniform, _) => {
                let value = self.dim(dim)?;
                Ok(Number::one(dtype, self.index_number(value, dtype)))
            }
            (Pattern::Linear(slope), Some(group)) if matches!(dtype, DType::I32 | DType::U32) => {
                Ok(Number::many(dtype, self.counting(dim, &slope, &group)?))
            }
            (Pattern::Linear(slope), Some(group)) if dtype == DType::F32 => {
                self.counting_floats(dim, &slope, &group)
            }
            _ => self.by_lane(&[], &[], |e, _| e.dim_number(dim, dtype)),
        }
    }

    /// An i64 as a scalar of `dtype`: floats are rounded, integers wrap.
    fn index_number(&mut self, value: Value, dtype: DType) -> Value {
        match dtype {
            DType::F64 => self.b.ins().fcvt_from_sint(types::F64, value),
            DType::F32 => self.b.ins().fcvt_from_sint(types::F32, value),
            DType::Bf16 | DType::F16 => {
                let float = self.b.ins().fcvt_from_sint(types::F32, value);
                self.cast(DType::F32, dtype, float)
            }
            DType::I32 | DType::U32 => self.b.ins().ireduce(types::I32, value),
            DType::U8 => {
                let low = self.b.ins().ireduce(types::I32, value);
                self.keep(low, 0xff)
            }
            DType::Bool => self.b.ins().icmp_imm_s(IntCC::NotEqual, value, 0),
        }
    }

    /// The low 32 bits of a linear dim in all lanes.
    pub fn counting(&mut self, dim: &Dim, slope: &Dim, group: &Group) -> Emit<Vec<Value>> {
        let (first, step) = (self.dim(dim)?, self.dim(slope)?);
        let (first, step) = (self.b.ins().ireduce(types::I32, first), self.b.ins().ireduce(types::I32, step));
        let (first, step) = (self.b.ins().splat(types::I32X4, first), self.b.ins().splat(types::I32X4, step));
        let numbers = self.lane_numbers();
        let offsets = self.b.ins().imul(numbers, step);
        let mut register = self.b.ins().iadd(first, offsets);
        let stride = self.shift_left(step, 2);
        Ok((0..group.width)
            .map(|place| {
                if place > 0 {
                    register = self.b.ins().iadd(register, stride);
                }
                register
            })
            .collect())
    }

    /// A linear dim as f32 in all lanes; each lane is converted from i64, so that large positions round as they should.
    fn counting_floats(&mut self, dim: &Dim, slope: &Dim, group: &Group) -> Emit<Number> {
        let (mut value, step) = (self.dim(dim)?, self.dim(slope)?);
        let mut registers = Vec::new();
        for _ in 0..group.width {
            let mut register = None;
            for lane in 0..LANES {
                let float = self.b.ins().fcvt_from_sint(types::F32, value);
                register = Some(match register {
                    None => self.b.ins().splat(types::F32X4, float),
                    Some(register) => self.b.ins().insertlane(register, float, lane as u8),
                });
                value = self.b.ins().iadd(value, step);
            }
            registers.extend(register);
        }
        Ok(Number::many(DType::F32, registers))
    }

    /// The element type of `expr`, without printing it.
    pub fn expr_type(&self, expr: &Expr) -> Emit<DType> {
        match expr {
            Expr::Constant(_, dtype) | Expr::Operand(_, dtype) | Expr::Dim(_, dtype) => Ok(*dtype),
            Expr::Var(var) => match (self.scope.numbers.get(var), self.scope.folds.get(var)) {
                (Some(number), _) => Ok(number.dtype),
                (None, Some(fold)) => Ok(fold.dtype),
                (None, None) => self.dtype_of(*var),
            },
            Expr::Load(buffer, _) => self.buffer(*buffer).map(|(dtype, _)| dtype),
            Expr::Apply(function, operands) => {
                let last = operands.last().ok_or_else(|| format!("{function:?} has no operands"))?;
                Ok(function.result(self.expr_type(last)?))
            }
            Expr::Guarded { value, .. } => self.expr_type(value),
            Expr::Random { .. } => Ok(DType::F32),
        }
    }
}
