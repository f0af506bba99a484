//! 16-bit floats in integer registers: the low half of each I32 lane holds one.
//!
//! Both conversions to 16 bits round to nearest, ties to even, and keep NaN a NaN.

use crate::emitter::Emitter;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Type, Value};

/// Exponent bits of an infinite f32.
const INFINITY: i32 = 0x7f80_0000;

impl Emitter<'_, '_> {
    /// bf16 is the upper half of an f32.
    pub fn bf16_to_f32(&mut self, half: Value) -> Value {
        let ty = Self::float_like(self.type_of(half));
        let bits = self.shift_left(half, 16);
        self.bits(ty, bits)
    }

    /// Adds just under half of the last kept place, and the last kept bit: ties go to even. Overflow carries into the
    /// exponent and gives infinity, as it should. NaN skips the addition and has its quiet bit set.
    pub fn f32_to_bf16(&mut self, value: Value) -> Value {
        let ty = Self::int_like(self.type_of(value));
        let bits = self.bits(ty, value);
        let upper = self.shift_right(bits, 16);
        let odd = self.keep(upper, 1);
        let half = self.int(ty, 0x7fff);
        let sum = self.b.ins().iadd(bits, half);
        let sum = self.b.ins().iadd(sum, odd);
        let rounded = self.shift_right(sum, 16);
        let quiet = self.int(ty, 0x40);
        let nan = self.b.ins().bor(upper, quiet);
        let is_nan = self.compare_floats(FloatCC::Unordered, value, value);
        self.choose(is_nan, nan, rounded)
    }

    /// Moves exponent and mantissa into place and corrects the bias by a multiplication, which also normalises
    /// subnormal numbers. Infinity and NaN get the largest exponent.
    pub fn f16_to_f32(&mut self, half: Value) -> Value {
        let int = self.type_of(half);
        let ty = Self::float_like(int);
        let magnitude = self.keep(half, 0x7fff);
        let moved = self.shift_left(magnitude, 13);
        let moved_float = self.bits(ty, moved);
        // 2^112: the difference of the biases, 127 - 15.
        let scale = self.float(ty, f32::from_bits((127 + 112) << 23));
        let scaled = self.b.ins().fmul(moved_float, scale);
        let scaled = self.bits(int, scaled);
        let exponent = self.int(int, INFINITY);
        let special = self.b.ins().bor(moved, exponent);
        let limit = self.int(int, 0x7bff);
        let is_special = self.compare_ints(IntCC::SignedGreaterThan, magnitude, limit);
        let bits = self.choose(is_special, special, scaled);
        let sign = self.keep(half, 0x8000);
        let sign = self.shift_left(sign, 16);
        let bits = self.b.ins().bor(bits, sign);
        self.bits(ty, bits)
    }

    /// Three ranges: subnormal results are rounded by adding a power of two whose last place is theirs, normal ones as
    /// in bf16, and from 65520 on the result is infinite.
    pub fn f32_to_f16(&mut self, value: Value) -> Value {
        let ty = Self::int_like(self.type_of(value));
        let all = self.bits(ty, value);
        let bits = self.keep(all, 0x7fff_ffff);
        let small = self.f16_subnormal(ty, bits);
        let normal = self.f16_normal(ty, bits);
        let smallest = self.int(ty, (127 - 14) << 23);
        let is_small = self.compare_ints(IntCC::SignedLessThan, bits, smallest);
        let finite = self.choose(is_small, small, normal);
        let (infinite, nan) = (self.int(ty, 0x7c00), self.int(ty, 0x7e00));
        let limit = self.int(ty, (127 + 16) << 23);
        let is_large = self.compare_ints(IntCC::SignedGreaterThanOrEqual, bits, limit);
        let magnitude = self.choose(is_large, infinite, finite);
        let is_nan = self.compare_floats(FloatCC::Unordered, value, value);
        let magnitude = self.choose(is_nan, nan, magnitude);
        let sign = self.shift_right(all, 16);
        let sign = self.keep(sign, 0x8000);
        self.b.ins().bor(magnitude, sign)
    }

    fn f16_subnormal(&mut self, ty: Type, bits: Value) -> Value {
        // 0.5 as f32 has last place 2^-24, the smallest f16.
        let float = Self::float_like(ty);
        let magnitude = self.bits(float, bits);
        let half = self.float(float, 0.5);
        let sum = self.b.ins().fadd(magnitude, half);
        let sum = self.bits(ty, sum);
        let half = self.int(ty, 0.5f32.to_bits() as i32);
        self.b.ins().isub(sum, half)
    }

    fn f16_normal(&mut self, ty: Type, bits: Value) -> Value {
        let odd = self.shift_right(bits, 13);
        let odd = self.keep(odd, 1);
        let shift = self.int(ty, 0xfff - (112 << 23));
        let sum = self.b.ins().iadd(bits, shift);
        let sum = self.b.ins().iadd(sum, odd);
        self.shift_right(sum, 13)
    }
}
