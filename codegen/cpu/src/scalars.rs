//! The table of scalar functions: instructions for one scalar or four, by operand type.
//!
//! bf16 and f16 are computed in f32 and rounded by casts and stores only. U8 is kept in 0..256 after each operation.

use crate::emitter::{Emitter, LANES, Lanes, Number};
use crate::error::Emit;
use crate::host::host_function;
use crate::math::SIN_LIMIT;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value};
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
