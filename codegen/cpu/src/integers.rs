//! Integer functions. Registers hold 32 bits; a U8 is kept in 0..256.

use crate::emitter::Emitter;
use crate::error::Emit;
use crate::scalars::Call;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use nnc_ir::DType;
use nnc_ir::kernel::Scalar;

impl Emitter<'_, '_> {
    /// A shift by a uniform count.
    pub fn shift(&mut self, call: Call, value: Value, count: Value) -> Value {
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
    pub fn wrap(&mut self, dtype: DType, value: Value) -> Value {
        if dtype == DType::U8 { self.keep(value, 0xff) } else { value }
    }

    pub fn int_instruction(&mut self, call: Call, v: &[Value]) -> Emit<Value> {
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
}
