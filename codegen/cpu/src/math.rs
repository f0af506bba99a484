//! Elementary functions of f32 as inline code, for one scalar or four.
//!
//! Coefficients are minimax fits of this project in the stated interval, rounded to f32 from the lowest order up. The
//! error bounds that the tests hold, in units in the last place, with and without fused multiply-add: exp 1, log 1,
//! tanh 1.5, erf 1.5, sin and cos 1.6 up to 20 and 2.5 up to [`SIN_LIMIT`].

use crate::emitter::Emitter;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use std::f32::consts::LOG2_E;

/// (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2.
const EXP: [f32; 5] = [0.499_999_94, 0.166_665_21, 0.041_668_255, 0.008_368_663, 0.001_382_146_8];
/// (log(1 + f) - f + f^2 / 2) / f^3 for sqrt(1/2) <= 1 + f <= sqrt(2).
const LOG: [f32; 9] = [
    0.333_333_13,
    -0.250_000_1,
    0.200_020_72,
    -0.166_679_89,
    0.142_203_58,
    -0.124_062_34,
    0.118_835_49,
    -0.116_700_985,
    0.067_492_69,
];
/// (tanh(x) / x - 1) / x^2 in x^2, for |x| <= 0.55.
const TANH: [f32; 5] = [-0.333_333_16, 0.133_325_44, -0.053_847_548, 0.021_050_714, -0.006_242_849_4];
/// erf(x) / x - 1 in x^2, for |x| <= 1.
const ERF_SMALL: [f32; 7] = [
    0.128_379_17,
    -0.376_126_26,
    0.112_835_79,
    -0.026_853_347,
    0.005_187_162,
    -0.000_799_785_3,
    0.000_078_069_03,
];
/// -log(1 - erf(x)) for 1 <= x <= 4.
const ERF_LARGE: [f32; 7] = [
    0.000_341_523_03,
    1.127_089_1,
    0.638_144_97,
    0.103_106_61,
    -0.021_838,
    0.002_947_649_2,
    -0.000_186_379_74,
];
/// (sin(r) / r - 1) / r^2 in r^2, for |r| <= pi / 4.
const SIN: [f32; 4] = [-0.166_666_67, 0.008_333_379, -0.000_198_530_66, 2.832_548_3e-6];
/// (cos(r) - 1 + r^2 / 2) / r^4 in r^2, for |r| <= pi / 4.
const COS: [f32; 4] = [0.041_666_668, -0.001_388_898, 0.000_024_822_015, -2.887_985e-7];

/// ln 2 as a number of 9 bits, whose products with exponents are exact, and the rest.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -0.000_212_194_44;

/// pi / 2 in parts of 11 bits, the last one of 24: products of the first three with a number of 13 bits are exact.
const HALF_PI: [f32; 4] = [1.570_312_5, 0.000_483_751_3, 7.549_533_6e-8, 2.563_344e-12];

/// 1.5 * 2^23: its last place is 1, and an integer added to it stays in the low 22 bits.
const ROUNDER: f32 = 12_582_912.0;

/// Up to here the reduction by multiples of pi / 2 is accurate; larger arguments go to the host.
pub(crate) const SIN_LIMIT: f32 = 8192.0;

impl Emitter<'_, '_> {
    /// `c[0] + c[1] x + ...`.
    fn polynomial(&mut self, coefficients: &[f32], x: Value) -> Value {
        let ty = self.type_of(x);
        let (last, rest) = coefficients.split_last().expect("a polynomial has coefficients");
        let mut sum = self.float(ty, *last);
        for coefficient in rest.iter().rev() {
            let coefficient = self.float(ty, *coefficient);
            sum = self.multiply_add(sum, x, coefficient);
        }
        sum
    }

    /// The larger; `b` if either is NaN. One instruction on x86-64.
    pub fn max_or_second(&mut self, a: Value, b: Value) -> Value {
        let less = self.b.ins().fcmp(FloatCC::LessThan, b, a);
        self.pick(less, a, b)
    }

    /// The smaller; `b` if either is NaN. One instruction on x86-64.
    pub fn min_or_second(&mut self, a: Value, b: Value) -> Value {
        let less = self.b.ins().fcmp(FloatCC::LessThan, a, b);
        self.pick(less, a, b)
    }

    /// A selection in the form that Cranelift recognises as a minimum or maximum.
    fn pick(&mut self, mask: Value, a: Value, b: Value) -> Value {
        let ty = self.type_of(a);
        if !ty.is_vector() {
            return self.b.ins().select(mask, a, b);
        }
        let mask = self.bits(ty, mask);
        self.b.ins().bitselect(mask, a, b)
    }

    /// `low <= x <= high`; NaN stays.
    fn clamp(&mut self, x: Value, low: f32, high: f32) -> Value {
        let ty = self.type_of(x);
        let (low, high) = (self.float(ty, low), self.float(ty, high));
        let x = self.max_or_second(low, x);
        self.min_or_second(high, x)
    }

    /// The nearest integer to `x * scale`, as a float, and as an integer plus the bits of [`ROUNDER`]: adding a number
    /// with a last place of 1 rounds, and leaves the integer in the low bits.
    fn round_product(&mut self, x: Value, scale: f32) -> (Value, Value) {
        let ty = self.type_of(x);
        let (scale, rounder) = (self.float(ty, scale), self.float(ty, ROUNDER));
        let sum = self.multiply_add(x, scale, rounder);
        let n = self.b.ins().fsub(sum, rounder);
        (n, self.bits(Self::int_like(ty), sum))
    }

    /// e^x. The power of two is applied in two halves, so that subnormal and infinite results come out of a
    /// multiplication.
    pub fn exp_f32(&mut self, x: Value) -> Value {
        let x = self.clamp(x, -104.0, 89.0);
        let (e, bits) = self.reduced_exp(x);
        let half = self.shift_right(bits, 1);
        let rest = self.b.ins().isub(bits, half);
        let e = self.times_power(e, half);
        let int = self.type_of(rest);
        let bias = self.int(int, 127);
        let rest = self.b.ins().iadd(rest, bias);
        let rest = self.shift_left(rest, 23);
        let rest = self.bits(Self::float_like(int), rest);
        self.b.ins().fmul(e, rest)
    }

    /// e^x for |x| <= 80, where nothing overflows.
    fn exp_near(&mut self, x: Value) -> Value {
        let (e, bits) = self.reduced_exp(x);
        self.times_power(e, bits)
    }

    /// e^r and n, where x = n ln 2 + r and n is as in [`Emitter::round_product`].
    fn reduced_exp(&mut self, x: Value) -> (Value, Value) {
        let ty = self.type_of(x);
        let (n, bits) = self.round_product(x, LOG2_E);
        let (high, low) = (self.float(ty, LN2_HIGH), self.float(ty, LN2_LOW));
        let r = self.negated_multiply_add(n, high, x);
        let r = self.negated_multiply_add(n, low, r);
        let tail = self.polynomial(&EXP, r);
        let square = self.b.ins().fmul(r, r);
        let sum = self.multiply_add(tail, square, r);
        let one = self.float(ty, 1.0);
        (self.b.ins().fadd(sum, one), bits)
    }

    /// `x` times 2^n, by its exponent; the bits of the rounder in `n` shift out.
    fn times_power(&mut self, x: Value, n: Value) -> Value {
        let (ty, int) = (self.type_of(x), self.type_of(n));
        let exponent = self.shift_left(n, 23);
        let bits = self.bits(int, x);
        let bits = self.b.ins().iadd(bits, exponent);
        self.bits(ty, bits)
    }

    /// log(x) = n ln 2 + log(m), sqrt(1/2) <= m < sqrt(2). Subnormal numbers are scaled first.
    pub fn log_f32(&mut self, x: Value) -> Value {
        let ty = self.type_of(x);
        let (m, n) = self.mantissa_and_exponent(x);
        let one = self.float(ty, 1.0);
        let f = self.b.ins().fsub(m, one);
        let square = self.b.ins().fmul(f, f);
        let cube = self.b.ins().fmul(square, f);
        let tail = self.polynomial(&LOG, f);
        let (high, low) = (self.float(ty, LN2_HIGH), self.float(ty, LN2_LOW));
        let low = self.b.ins().fmul(n, low);
        let small = self.multiply_add(tail, cube, low);
        let half = self.float(ty, 0.5);
        let small = self.negated_multiply_add(half, square, small);
        let sum = self.b.ins().fadd(f, small);
        let sum = self.multiply_add(n, high, sum);
        self.log_special(x, sum)
    }

    fn mantissa_and_exponent(&mut self, x: Value) -> (Value, Value) {
        let ty = self.type_of(x);
        let int = Self::int_like(ty);
        let smallest = self.float(ty, f32::MIN_POSITIVE);
        let is_small = self.compare_floats(FloatCC::LessThan, x, smallest);
        let up = self.float(ty, 8_388_608.0);
        let scaled = self.b.ins().fmul(x, up);
        let x = self.choose(is_small, scaled, x);
        let bits = self.bits(int, x);
        // Counted from sqrt(1/2), the mantissa of which starts the interval.
        let origin = self.int(int, std::f32::consts::FRAC_1_SQRT_2.to_bits() as i32);
        let offset = self.b.ins().isub(bits, origin);
        let n = self.shift_signed(offset, 23);
        let exponent = self.shift_left(n, 23);
        let m = self.b.ins().isub(bits, exponent);
        let n = self.b.ins().fcvt_from_sint(ty, n);
        let (scale, zero) = (self.float(ty, -23.0), self.float(ty, 0.0));
        let correction = self.choose(is_small, scale, zero);
        (self.bits(ty, m), self.b.ins().fadd(n, correction))
    }

    /// log(0) = -inf, log(inf) = inf, NaN below zero.
    fn log_special(&mut self, x: Value, result: Value) -> Value {
        let ty = self.type_of(x);
        let (zero, infinity) = (self.float(ty, 0.0), self.float(ty, f32::INFINITY));
        let is_infinite = self.compare_floats(FloatCC::Equal, x, infinity);
        let result = self.choose(is_infinite, infinity, result);
        let is_zero = self.compare_floats(FloatCC::Equal, x, zero);
        let lowest = self.float(ty, f32::NEG_INFINITY);
        let result = self.choose(is_zero, lowest, result);
        let is_outside = self.compare_floats(FloatCC::UnorderedOrLessThan, x, zero);
        let nan = self.float(ty, f32::NAN);
        self.choose(is_outside, nan, result)
    }

    /// Near zero an odd polynomial; elsewhere 1 - 2 / (e^(2|x|) + 1), with the sign of x.
    pub fn tanh_f32(&mut self, x: Value) -> Value {
        let ty = self.type_of(x);
        let square = self.b.ins().fmul(x, x);
        let tail = self.polynomial(&TANH, square);
        let cube = self.b.ins().fmul(square, x);
        let small = self.multiply_add(tail, cube, x);
        let magnitude = self.b.ins().fabs(x);
        let double = self.b.ins().fadd(magnitude, magnitude);
        // tanh(20) is 1 in f32.
        let far = self.float(ty, 40.0);
        let double = self.min_or_second(far, double);
        let e = self.exp_near(double);
        let (one, two) = (self.float(ty, 1.0), self.float(ty, 2.0));
        let sum = self.b.ins().fadd(e, one);
        let quotient = self.b.ins().fdiv(two, sum);
        let large = self.b.ins().fsub(one, quotient);
        let large = self.with_sign(large, x);
        let limit = self.float(ty, 0.55);
        let is_small = self.compare_floats(FloatCC::LessThan, magnitude, limit);
        self.choose(is_small, small, large)
    }

    /// Up to 1 an odd polynomial; beyond it 1 - e^(-p(|x|)), with the sign of x.
    pub fn erf_f32(&mut self, x: Value) -> Value {
        let ty = self.type_of(x);
        let square = self.b.ins().fmul(x, x);
        let tail = self.polynomial(&ERF_SMALL, square);
        let small = self.multiply_add(tail, x, x);
        let magnitude = self.b.ins().fabs(x);
        let four = self.float(ty, 4.0);
        let bounded = self.min_or_second(four, magnitude);
        let power = self.polynomial(&ERF_LARGE, bounded);
        let power = self.b.ins().fneg(power);
        let e = self.exp_near(power);
        let one = self.float(ty, 1.0);
        let large = self.b.ins().fsub(one, e);
        let large = self.with_sign(large, x);
        let is_small = self.compare_floats(FloatCC::LessThan, magnitude, one);
        self.choose(is_small, small, large)
    }

    /// `magnitude`, which is not negative, with the sign of `x`.
    fn with_sign(&mut self, magnitude: Value, x: Value) -> Value {
        let ty = self.type_of(x);
        let int = Self::int_like(ty);
        let bits = self.bits(int, x);
        let sign = self.keep(bits, 0x8000_0000);
        let magnitude = self.bits(int, magnitude);
        let signed = self.b.ins().bor(magnitude, sign);
        self.bits(ty, signed)
    }

    /// sin(x), or cos(x) with `shift` 1, for |x| <= [`SIN_LIMIT`]: x = n pi/2 + r, and the quadrant n + shift decides
    /// which polynomial is taken and with which sign.
    pub fn sin_f32(&mut self, x: Value, shift: i32) -> Value {
        let ty = self.type_of(x);
        let int = Self::int_like(ty);
        let (r, n) = self.quadrant(x);
        let quadrant = if shift == 0 {
            n
        } else {
            let shift = self.int(int, shift);
            self.b.ins().iadd(n, shift)
        };
        let square = self.b.ins().fmul(r, r);
        let (sine, cosine) = (self.sine(r, square), self.cosine(ty, square));
        let odd = self.keep(quadrant, 1);
        let zero = self.int(int, 0);
        let is_odd = self.compare_ints(IntCC::NotEqual, odd, zero);
        let value = self.choose(is_odd, cosine, sine);
        let half_turn = self.keep(quadrant, 2);
        let sign = self.shift_left(half_turn, 30);
        let bits = self.bits(int, value);
        let bits = self.b.ins().bxor(bits, sign);
        self.bits(ty, bits)
    }

    fn quadrant(&mut self, x: Value) -> (Value, Value) {
        let ty = self.type_of(x);
        let (n, bits) = self.round_product(x, std::f32::consts::FRAC_2_PI);
        let mut r = x;
        for part in HALF_PI {
            let part = self.float(ty, part);
            r = self.negated_multiply_add(n, part, r);
        }
        (r, bits)
    }

    fn sine(&mut self, r: Value, square: Value) -> Value {
        let tail = self.polynomial(&SIN, square);
        let cube = self.b.ins().fmul(square, r);
        self.multiply_add(tail, cube, r)
    }

    fn cosine(&mut self, ty: Type, square: Value) -> Value {
        let tail = self.polynomial(&COS, square);
        let fourth = self.b.ins().fmul(square, square);
        let (half, one) = (self.float(ty, 0.5), self.float(ty, 1.0));
        let base = self.negated_multiply_add(half, square, one);
        self.multiply_add(tail, fourth, base)
    }
}
