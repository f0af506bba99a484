//! The table of scalar functions: instructions for one scalar or four, by operand type.
//!
//! bf16 and f16 are computed in f32 and rounded by casts and stores only. U8 is kept in 0..256 after each operation.

use crate::emitter::{Emitter, LANES, Lanes, Number};
use crate::error::Emit;
use crate::host::host_function;
use crate::math::SIN_LIMIT;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use nnc_ir::DType;
use nnc_ir::kernel::{Compare, Expr, Scalar};
use nnc_kernels::host::HostFn;

impl Emitter<'_, '_> {
    /// `function` of numbers: once if all are uniform, else for each register, or lane by lane where no vector
    /// instructions exist.
    pub fn apply(&mut self, function: Scalar, operands: &[Expr]) -> Emit<Number> {
        let numbers = operands.iter().map(|operand| self.expr(operand)).collect::<Emit<Vec<Number>>>()?;
        let dtype = self.check(function, &numbers)?;
        let result = function.result(dtype);
        let known = matches!(operands.first(), Some(Expr::Constant(value, _)) if !value.is_nan());
        let swapped = matches!(operands.get(1), Some(Expr::Constant(value, _)) if !value.is_nan());
        let mut call = Call { function, dtype, first_is_number: known };
        let mut numbers = numbers;
        if matches!(function, Scalar::Min | Scalar::Max) && swapped && !known {
            numbers.swap(0, 1);
            call.first_is_number = true;
        }
        if numbers.iter().all(Number::is_one) {
            let values: Vec<Value> = numbers.iter().map(|number| number.values()[0]).collect();
            return Ok(Number::one(result, self.instruction(call, &values)?));
        }
        self.apply_many(call, &numbers, result)
    }

    fn apply_many(&mut self, call: Call, numbers: &[Number], result: DType) -> Emit<Number> {
        let width = self.group.as_ref().map_or(1, |group| group.width);
        match self.uniform_shift(call.function, numbers)? {
            Some(count) => {
                let values = self.widen(&numbers[0], width);
                let shifted = values.into_iter().map(|value| self.shift(call, value, count)).collect();
                return Ok(Number::many(result, shifted));
            }
            None if needs_lanes(call) => {
                return self.by_lane(numbers, &[], |e, numbers| {
                    let values: Vec<Value> = numbers.iter().map(|number| number.values()[0]).collect();
                    e.instruction(call, &values).map(|value| Number::one(result, value))
                });
            }
            None => {}
        }
        let registers: Vec<Vec<Value>> = numbers.iter().map(|number| self.widen(number, width)).collect();
        let values = (0..width).map(|place| {
            let operands: Vec<Value> = registers.iter().map(|register| register[place]).collect();
            self.instruction(call, &operands)
        });
        Ok(Number::many(result, values.collect::<Emit<Vec<Value>>>()?))
    }

    /// The count of a shift by the same number of bits in all lanes.
    fn uniform_shift(&self, function: Scalar, numbers: &[Number]) -> Emit<Option<Value>> {
        Ok(match (function, numbers) {
            (Scalar::Shl | Scalar::Shr, [_, Number { lanes: Lanes::One(count), .. }]) => Some(*count),
            _ => None,
        })
    }

    /// The operands' type; an error if number or types of the operands do not fit the function.
    fn check(&self, function: Scalar, numbers: &[Number]) -> Emit<DType> {
        let wanted = function.arity();
        if numbers.len() != wanted {
            return Err(format!("{function:?} takes {wanted} operands, receives {}", numbers.len()));
        }
        let same = if function == Scalar::Select { &numbers[1..] } else { numbers };
        let dtype = same[0].dtype;
        if let Some(other) = same.iter().find(|number| number.dtype != dtype) {
            return Err(format!("{function:?} receives {dtype} and {}", other.dtype));
        }
        if function == Scalar::Select && numbers[0].dtype != DType::Bool {
            return Err(format!("select takes a bool first, receives {}", numbers[0].dtype));
        }
        Ok(dtype)
    }

    /// One function, for the lanes that the operands' registers have.
    fn instruction(&mut self, call: Call, v: &[Value]) -> Emit<Value> {
        match call.function {
            Scalar::Select => Ok(self.choose(v[0], v[1], v[2])),
            Scalar::Compare(compare) => Ok(self.compare(compare, call.dtype, v[0], v[1])),
            Scalar::Cast(to) => Ok(self.cast(call.dtype, to, v[0])),
            Scalar::Bitcast(to) => self.bitcast_number(call.dtype, to, v[0]),
            _ if call.dtype.is_float() => self.float_instruction(call, v),
            _ if call.dtype == DType::Bool => self.bool_instruction(call, v),
            _ => self.int_instruction(call, v),
        }
    }

    fn float_instruction(&mut self, call: Call, v: &[Value]) -> Emit<Value> {
        let a = v[0];
        Ok(match call.function {
            Scalar::Add => self.b.ins().fadd(a, v[1]),
            Scalar::Sub => self.b.ins().fsub(a, v[1]),
            Scalar::Mul => self.b.ins().fmul(a, v[1]),
            Scalar::Div => self.b.ins().fdiv(a, v[1]),
            Scalar::Rem => self.float_remainder(call.dtype, a, v[1])?,
            Scalar::Min => self.float_min(a, v[1], call.first_is_number),
            Scalar::Max => self.float_max(a, v[1], call.first_is_number),
            Scalar::Neg => self.b.ins().fneg(a),
            Scalar::Abs => self.b.ins().fabs(a),
            Scalar::Sign => self.float_sign(call.dtype, a),
            Scalar::Sqrt => self.b.ins().sqrt(a),
            Scalar::Floor => self.b.ins().floor(a),
            Scalar::Round => self.b.ins().nearest(a),
            _ => return self.elementary(call, v),
        })
    }

    fn elementary(&mut self, call: Call, v: &[Value]) -> Emit<Value> {
        if let Some(function) = host_function(call.function, call.dtype) {
            return self.call_for_number(function, v);
        }
        match call.function {
            Scalar::Exp => Ok(self.exp_f32(v[0])),
            Scalar::Log => Ok(self.log_f32(v[0])),
            Scalar::Tanh => Ok(self.tanh_f32(v[0])),
            Scalar::Erf => Ok(self.erf_f32(v[0])),
            Scalar::Sin => self.sin_or_host(v[0], 0, HostFn::SinF32),
            Scalar::Cos => self.sin_or_host(v[0], 1, HostFn::CosF32),
            other => Err(format!("{other:?} is not defined for {}", call.dtype)),
        }
    }

    /// The inline sine unless a lane is too large for its reduction; then the host's, lane by lane.
    fn sin_or_host(&mut self, x: Value, shift: i32, host: HostFn) -> Emit<Value> {
        let ty = self.type_of(x);
        let magnitude = self.b.ins().fabs(x);
        let limit = self.float(ty, SIN_LIMIT);
        let is_large = self.compare_floats(FloatCC::GreaterThan, magnitude, limit);
        let any = self.any(is_large);
        let values = self.branch(
            any,
            |e| {
                (0..if ty.is_vector() { LANES } else { 1 })
                    .try_fold(x, |all, lane| e.host_lane(host, all, lane))
                    .map(|v| vec![v])
            },
            |e| Ok(vec![e.sin_f32(x, shift)]),
        )?;
        Ok(values[0])
    }

    /// Replaces one lane of `all` by its host function.
    fn host_lane(&mut self, host: HostFn, all: Value, lane: usize) -> Emit<Value> {
        if !self.type_of(all).is_vector() {
            return self.call_for_number(host, &[all]);
        }
        let one = self.b.ins().extractlane(all, lane as u8);
        let result = self.call_for_number(host, &[one])?;
        Ok(self.b.ins().insertlane(all, result, lane as u8))
    }

    /// The larger; NaN if either is. The instruction gives `b` if either is, which is enough when `a` never is.
    pub fn float_max(&mut self, a: Value, b: Value, a_is_number: bool) -> Value {
        if !cfg!(target_arch = "x86_64") {
            return self.b.ins().fmax(a, b);
        }
        let larger = self.max_or_second(a, b);
        if a_is_number { larger } else { self.keep_nan(a, larger) }
    }

    /// The smaller; NaN if either is.
    pub fn float_min(&mut self, a: Value, b: Value, a_is_number: bool) -> Value {
        if !cfg!(target_arch = "x86_64") {
            return self.b.ins().fmin(a, b);
        }
        let smaller = self.min_or_second(a, b);
        if a_is_number { smaller } else { self.keep_nan(a, smaller) }
    }

    fn keep_nan(&mut self, a: Value, otherwise: Value) -> Value {
        let is_nan = self.compare_floats(FloatCC::Unordered, a, a);
        self.choose(is_nan, a, otherwise)
    }

    fn float_sign(&mut self, dtype: DType, a: Value) -> Value {
        let ty = self.type_of(a);
        let constant = |e: &mut Self, value: f64| match dtype {
            DType::F64 => e.b.ins().f64const(value),
            _ => e.float(ty, value as f32),
        };
        let (zero, one, minus) = (constant(self, 0.0), constant(self, 1.0), constant(self, -1.0));
        let above = self.compare_floats(FloatCC::GreaterThan, a, zero);
        let below = self.compare_floats(FloatCC::LessThan, a, zero);
        let result = self.choose(below, minus, a);
        self.choose(above, one, result)
    }

    fn bool_instruction(&mut self, call: Call, v: &[Value]) -> Emit<Value> {
        let vector = self.type_of(v[0]).is_vector();
        Ok(match call.function {
            Scalar::And | Scalar::Min | Scalar::Mul => self.b.ins().band(v[0], v[1]),
            Scalar::Or | Scalar::Max | Scalar::Add => self.b.ins().bor(v[0], v[1]),
            Scalar::Xor | Scalar::Sub => self.b.ins().bxor(v[0], v[1]),
            Scalar::Neg | Scalar::Abs | Scalar::Sign => v[0],
            Scalar::Not if vector => self.b.ins().bnot(v[0]),
            Scalar::Not => self.b.ins().bxor_imm_u(v[0], 1),
            other => return Err(format!("{other:?} is not defined for bool")),
        })
    }

    /// `a ? b` as a truth value.
    fn compare(&mut self, compare: Compare, dtype: DType, a: Value, b: Value) -> Value {
        if dtype.is_float() {
            return self.compare_floats(float_order(compare), a, b);
        }
        if dtype == DType::Bool {
            let (a, b) = (self.cast(dtype, DType::U32, a), self.cast(dtype, DType::U32, b));
            return self.compare_ints(int_order(compare, false), a, b);
        }
        self.compare_ints(int_order(compare, dtype == DType::I32), a, b)
    }

    /// A shift by a uniform count.
    fn shift(&mut self, call: Call, value: Value, count: Value) -> Value {
        let count = self.keep(count, 31);
        match call.function {
            Scalar::Shl => {
                let shifted = self.b.ins().ishl(value, count);
                self.wrap(call.dtype, shifted)
            }
            _ if call.dtype == DType::I32 => self.b.ins().sshr(value, count),
            _ => self.b.ins().ushr(value, count),
        }
    }

    /// Keeps a U8 in 0..256.
    fn wrap(&mut self, dtype: DType, value: Value) -> Value {
        if dtype == DType::U8 { self.keep(value, 0xff) } else { value }
    }

    fn int_instruction(&mut self, call: Call, v: &[Value]) -> Emit<Value> {
        let (a, signed) = (v[0], call.dtype == DType::I32);
        let value = match call.function {
            Scalar::Add => self.b.ins().iadd(a, v[1]),
            Scalar::Sub => self.b.ins().isub(a, v[1]),
            Scalar::Mul => self.b.ins().imul(a, v[1]),
            Scalar::Div => self.int_divide(signed, a, v[1]).0,
            Scalar::Rem => self.int_divide(signed, a, v[1]).1,
            Scalar::Min if signed => self.b.ins().smin(a, v[1]),
            Scalar::Min => self.b.ins().umin(a, v[1]),
            Scalar::Max if signed => self.b.ins().smax(a, v[1]),
            Scalar::Max => self.b.ins().umax(a, v[1]),
            Scalar::Neg => self.b.ins().ineg(a),
            Scalar::Abs if signed => self.b.ins().iabs(a),
            Scalar::Abs => a,
            Scalar::Sign => self.int_sign(signed, a),
            Scalar::And => self.b.ins().band(a, v[1]),
            Scalar::Or => self.b.ins().bor(a, v[1]),
            Scalar::Xor => self.b.ins().bxor(a, v[1]),
            Scalar::Not => self.b.ins().bnot(a),
            Scalar::Shl | Scalar::Shr => self.shift(call, a, v[1]),
            Scalar::Popcount => self.popcount(a),
            Scalar::Floor | Scalar::Round => a,
            other => return Err(format!("{other:?} is not defined for {}", call.dtype)),
        };
        Ok(self.wrap(call.dtype, value))
    }

    /// Quotient rounded down and rest with the sign of the divisor; both 0 for a zero divisor. Done in 64 bits, where
    /// nothing overflows.
    fn int_divide(&mut self, signed: bool, a: Value, b: Value) -> (Value, Value) {
        let extend = |e: &mut Self, value: Value| match signed {
            true => e.b.ins().sextend(types::I64, value),
            false => e.b.ins().uextend(types::I64, value),
        };
        let (a, b) = (extend(self, a), extend(self, b));
        let is_zero = self.b.ins().icmp_imm_s(IntCC::Equal, b, 0);
        let one = self.b.ins().iconst(types::I64, 1);
        let divisor = self.b.ins().select(is_zero, one, b);
        let quotient = self.b.ins().sdiv(a, divisor);
        let whole = self.b.ins().imul(quotient, divisor);
        let rest = self.b.ins().isub(a, whole);
        // A rest of the other sign: one step down.
        let signs = self.b.ins().bxor(rest, divisor);
        let differs = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, signs, 0);
        let left = self.b.ins().icmp_imm_s(IntCC::NotEqual, rest, 0);
        let step = self.b.ins().band(differs, left);
        let lower = self.b.ins().iadd_imm_s(quotient, -1);
        let moved = self.b.ins().iadd(rest, divisor);
        let zero = self.b.ins().iconst(types::I64, 0);
        let [quotient, rest] = [(lower, quotient), (moved, rest)].map(|(stepped, plain)| {
            let value = self.b.ins().select(step, stepped, plain);
            let value = self.b.ins().select(is_zero, zero, value);
            self.b.ins().ireduce(types::I32, value)
        });
        (quotient, rest)
    }

    fn int_sign(&mut self, signed: bool, a: Value) -> Value {
        let ty = self.type_of(a);
        let (zero, one, minus) = (self.int(ty, 0), self.int(ty, 1), self.int(ty, -1));
        let some = self.compare_ints(IntCC::NotEqual, a, zero);
        let result = self.choose(some, one, zero);
        if !signed {
            return result;
        }
        let below = self.compare_ints(IntCC::SignedLessThan, a, zero);
        self.choose(below, minus, result)
    }

    /// Sums bits in pairs, nibbles and bytes, then adds the bytes by a multiplication.
    fn popcount(&mut self, a: Value) -> Value {
        let ty = self.type_of(a);
        let half = self.shift_right(a, 1);
        let half = self.keep(half, 0x5555_5555);
        let pairs = self.b.ins().isub(a, half);
        let upper = self.shift_right(pairs, 2);
        let (upper, lower) = (self.keep(upper, 0x3333_3333), self.keep(pairs, 0x3333_3333));
        let nibbles = self.b.ins().iadd(upper, lower);
        let upper = self.shift_right(nibbles, 4);
        let bytes = self.b.ins().iadd(nibbles, upper);
        let bytes = self.keep(bytes, 0x0f0f_0f0f);
        let ones = self.int(ty, 0x0101_0101);
        let sum = self.b.ins().imul(bytes, ones);
        self.shift_right(sum, 24)
    }

    /// Conversion between element types.
    pub fn cast(&mut self, from: DType, to: DType, value: Value) -> Value {
        match (from, to) {
            _ if from == to => value,
            (_, DType::Bool) => self.is_nonzero(from, value),
            (DType::Bool, _) => {
                let bits = self.mask_bits(value);
                let bit = self.keep(bits, 1);
                self.cast(DType::U8, to, bit)
            }
            _ if from.is_float() && to.is_float() => self.cast_float(from, to, value),
            _ if from.is_float() => self.float_to_int(to, value),
            _ if to.is_float() => self.int_to_float(from, to, value),
            _ => self.wrap(to, value),
        }
    }

    fn is_nonzero(&mut self, from: DType, value: Value) -> Value {
        if !from.is_float() {
            return self.truth(value);
        }
        let zero = match from {
            DType::F64 => self.b.ins().f64const(0.0),
            _ => {
                let ty = self.type_of(value);
                self.float(ty, 0.0)
            }
        };
        self.compare_floats(FloatCC::NotEqual, value, zero)
    }

    fn cast_float(&mut self, from: DType, to: DType, value: Value) -> Value {
        let value = match (from, to) {
            (DType::F64, _) => self.b.ins().fdemote(types::F32, value),
            (_, DType::F64) => return self.b.ins().fpromote(types::F64, value),
            _ => value,
        };
        let raw = self.encode(to, value);
        self.decode(to, raw)
    }

    fn float_to_int(&mut self, to: DType, value: Value) -> Value {
        let ty = Self::int_like(self.type_of(value));
        match to {
            DType::I32 => self.b.ins().fcvt_to_sint_sat(ty, value),
            DType::U32 => self.b.ins().fcvt_to_uint_sat(ty, value),
            _ => {
                let whole = self.b.ins().fcvt_to_sint_sat(ty, value);
                let (low, high) = (self.int(ty, 0), self.int(ty, 255));
                let whole = self.b.ins().smax(whole, low);
                self.b.ins().smin(whole, high)
            }
        }
    }

    fn int_to_float(&mut self, from: DType, to: DType, value: Value) -> Value {
        let ty: Type = match to {
            DType::F64 => types::F64,
            _ => Self::float_like(self.type_of(value)),
        };
        let float = match from {
            DType::U32 => self.b.ins().fcvt_from_uint(ty, value),
            _ => self.b.ins().fcvt_from_sint(ty, value),
        };
        let raw = self.encode(to, float);
        self.decode(to, raw)
    }

    fn bitcast_number(&mut self, from: DType, to: DType, value: Value) -> Emit<Value> {
        if from.size() != to.size() {
            return Err(format!("a bitcast of {from} to {to} changes the size"));
        }
        let raw = self.encode(from, value);
        let ty = if to == DType::F32 { Self::float_like(self.type_of(raw)) } else { self.type_of(raw) };
        let ty = if from == DType::F32 && to != DType::F32 { Self::int_like(ty) } else { ty };
        let raw = self.bits(ty, raw);
        let raw = if to == DType::Bool { self.keep(raw, 1) } else { raw };
        Ok(self.decode(to, raw))
    }
}

/// A function at an operand type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub function: Scalar,
    pub dtype: DType,
    /// The first operand is a constant other than NaN.
    pub first_is_number: bool,
}

/// Functions without vector instructions.
fn needs_lanes(call: Call) -> bool {
    let float = call.dtype.is_float();
    match call.function {
        Scalar::Div => !float,
        Scalar::Rem | Scalar::Shl | Scalar::Shr => true,
        function => float && host_function(function, call.dtype).is_some(),
    }
}

fn float_order(compare: Compare) -> FloatCC {
    match compare {
        Compare::Equal => FloatCC::Equal,
        Compare::NotEqual => FloatCC::NotEqual,
        Compare::Less => FloatCC::LessThan,
        Compare::LessEqual => FloatCC::LessThanOrEqual,
        Compare::Greater => FloatCC::GreaterThan,
        Compare::GreaterEqual => FloatCC::GreaterThanOrEqual,
    }
}

fn int_order(compare: Compare, signed: bool) -> IntCC {
    match (compare, signed) {
        (Compare::Equal, _) => IntCC::Equal,
        (Compare::NotEqual, _) => IntCC::NotEqual,
        (Compare::Less, true) => IntCC::SignedLessThan,
        (Compare::Less, false) => IntCC::UnsignedLessThan,
        (Compare::LessEqual, true) => IntCC::SignedLessThanOrEqual,
        (Compare::LessEqual, false) => IntCC::UnsignedLessThanOrEqual,
        (Compare::Greater, true) => IntCC::SignedGreaterThan,
        (Compare::Greater, false) => IntCC::UnsignedGreaterThan,
        (Compare::GreaterEqual, true) => IntCC::SignedGreaterThanOrEqual,
        (Compare::GreaterEqual, false) => IntCC::UnsignedGreaterThanOrEqual,
    }
}
