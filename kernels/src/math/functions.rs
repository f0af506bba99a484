//! The functions by lanes. Coefficients are minimax fits of this project in relative error of the function over the
//! stated interval, rounded to f32 from the lowest order up with the rest fitted again.

#![allow(clippy::excessive_precision)]

use std::f32::consts::{FRAC_2_PI, LN_2, LOG2_E};

use super::lanes::Lanes;

/// `(e^r - 1 - r) / r²` for `|r| <= ln 2 / 2`; error 0.05 units of 2^-24.
const EXP: [f32; 5] = [0.4999999404, 0.1666652113, 0.04166826233, 0.00836867094, 0.00138209993];
/// `(ln(1 + f) - f + f²/2) / f³` for `sqrt(1/2) <= 1 + f <= sqrt(2)`; error 0.01 units.
const LOG: [f32; 9] = [
    0.3333331347,
    -0.2500000894,
    0.2000207156,
    -0.1666799039,
    0.142203629,
    -0.1240620688,
    0.1188346893,
    -0.1167019904,
    0.0674957037,
];
/// `(tanh(x)/x - 1) / z` in `z = x²` for `|x| <= 0.55`; error 0.02 units.
const TANH: [f32; 5] = [-0.3333331645, 0.1333254874, -0.05384855345, 0.02105695754, -0.00625440618];
/// `erf(x)/x - 1` in `z = x²` for `|x| <= 1`; error 0.02 units.
const ERF: [f32; 7] = [
    0.1283791661,
    -0.3761262596,
    0.1128357872,
    -0.02685335465,
    0.005187200848,
    -0.0007998461952,
    7.809903764e-5,
];
/// `ln(1 - erf(x))` for `1 <= x <= 4`; error 0.02 units of the result of erf.
const LOG_ERFC: [f32; 7] = [
    -0.0003414637176,
    -1.127089381,
    -0.6381446123,
    -0.1031068489,
    0.02183805592,
    -0.002947641071,
    0.0001863756479,
];
/// `(sin(r)/r - 1) / z` in `z = r²` for `|r| <= π/4`; error below 0.01 units.
const SIN: [f32; 4] = [-0.1666666716, 0.008333379403, -0.0001985307317, 2.832724931e-6];
/// `(cos(r) - 1 + z/2) / z²` in `z = r²` for `|r| <= π/4`; error below 0.01 units.
const COS: [f32; 3] = [0.04166664556, -0.001388731063, 2.443255289e-5];

/// `ln 2 - LN_2`: what the f32 constant lacks.
const LN_2_LOW: f32 = -1.90465421213e-9;
/// `π/2` in three f32 parts.
const HALF_PI: [f32; 3] = [1.57079637051, -4.37113882867e-8, -1.71512451001e-15];
/// Up to here three parts of `π/2` reduce an argument to full precision; products with its multiples are exact.
const REDUCIBLE: f32 = 32768.0;

/// Horner's rule, lowest order first.
#[inline(always)]
unsafe fn polynomial<V: Lanes, const N: usize>(x: V, coefficients: [f32; N]) -> V {
    // SAFETY (all functions of this file): the caller has the level of `V`.
    unsafe {
        let mut sum = V::splat(coefficients[N - 1]);
        for &coefficient in coefficients[..N - 1].iter().rev() {
            sum = sum.fma(x, V::splat(coefficient));
        }
        sum
    }
}

/// `e^x` as a number near one and the integer exponent of its factor two.
#[inline(always)]
unsafe fn exp_parts<V: Lanes>(x: V) -> (V, V) {
    unsafe {
        let n = x.mul(V::splat(LOG2_E)).round();
        let r = n.fma(V::splat(-LN_2_LOW), n.fma(V::splat(-LN_2), x));
        (r.mul(r).fma(polynomial(r, EXP), r).add(V::splat(1.0)), n)
    }
}

/// Without overflow or subnormal results: `|x| < 87`.
#[inline(always)]
unsafe fn exp_moderate<V: Lanes>(x: V) -> V {
    unsafe {
        let (near_one, n) = exp_parts(x);
        near_one.mul(n.power_of_two())
    }
}

/// Beyond the bounds the result is 0 or infinity in any case. The power of two is applied in two factors, so that it is
/// in range, and a subnormal result is rounded once.
#[inline(always)]
pub(super) unsafe fn vexp<V: Lanes>(x: V) -> V {
    unsafe {
        let (near_one, n) = exp_parts(x.at_most(V::splat(89.0)).at_least(V::splat(-105.0)));
        let half = n.mul(V::splat(0.5)).floor();
        near_one.mul(half.power_of_two()).mul(n.sub(half).power_of_two())
    }
}

#[inline(always)]
pub(super) unsafe fn vlog<V: Lanes>(x: V) -> V {
    unsafe {
        let subnormal = x.less(V::splat(f32::MIN_POSITIVE));
        let (m, e) = V::select(subnormal, x.mul(V::splat((1 << 25) as f32)), x).mantissa_exponent();
        let e = V::select(subnormal, e.sub(V::splat(25.0)), e);
        let f = m.sub(V::splat(1.0));
        let square = f.mul(f);
        let rest = square.mul(f).fma(polynomial(f, LOG), e.mul(V::splat(LN_2_LOW)));
        let finite = e.fma(V::splat(LN_2), f.add(square.fma(V::splat(-0.5), rest)));
        // Left: what is positive and finite; then infinity and NaN, which stay; zero; what is negative.
        let zero = V::zero();
        let special = V::select(x.equal(zero), V::splat(f32::NEG_INFINITY), V::splat(f32::NAN));
        let special = V::select(zero.less(x), x, special);
        let ordinary = V::select(zero.less(x), x, V::splat(f32::INFINITY)).less(V::splat(f32::INFINITY));
        V::select(ordinary, finite, special)
    }
}

/// A polynomial near zero, `1 - 2 / (e^2x + 1)` elsewhere.
#[inline(always)]
pub(super) unsafe fn vtanh<V: Lanes>(x: V) -> V {
    unsafe {
        let t = x.abs();
        let z = t.mul(t);
        let near = t.mul(z).fma(polynomial(z, TANH), t);
        let doubled = t.add(t).at_most(V::splat(20.0));
        let one = V::splat(1.0);
        let far = one.sub(V::splat(2.0).div(exp_moderate(doubled).add(one)));
        V::select(t.less(V::splat(0.55)), near, far).times_sign_of(x)
    }
}

/// A polynomial up to one, `1 - e^(polynomial)` beyond.
#[inline(always)]
pub(super) unsafe fn verf<V: Lanes>(x: V) -> V {
    unsafe {
        let t = x.abs();
        let z = t.mul(t);
        let near = t.fma(polynomial(z, ERF), t);
        let complement = exp_moderate(polynomial(t.at_most(V::splat(4.0)), LOG_ERFC));
        let far = V::splat(1.0).sub(complement);
        V::select(t.less(V::splat(1.0)), near, far).times_sign_of(x)
    }
}

/// `|x| = n π/2 + r`: `(r, n mod 4)`.
#[inline(always)]
unsafe fn quadrant<V: Lanes>(t: V) -> (V, V) {
    unsafe {
        let n = t.mul(V::splat(FRAC_2_PI)).round();
        let mut r = t;
        for part in HALF_PI {
            r = n.fma(V::splat(-part), r);
        }
        (r, n.sub(n.mul(V::splat(0.25)).floor().mul(V::splat(4.0))))
    }
}

/// `sin(r + n π/2)` for `|r| <= π/4` and `n` in 0..4.
#[inline(always)]
unsafe fn sin_in_quadrant<V: Lanes>(r: V, n: V) -> V {
    unsafe {
        let z = r.mul(r);
        let sine = r.mul(z).fma(polynomial(z, SIN), r);
        let cosine = z.mul(z).fma(polynomial(z, COS), z.fma(V::splat(-0.5), V::splat(1.0)));
        let even = V::select(n.equal(V::splat(2.0)), n.sub(n), n).equal(V::zero());
        let value = V::select(even, sine, cosine);
        value.times_sign_of(V::splat(1.5).sub(n))
    }
}

#[inline(always)]
pub(super) unsafe fn vsin<V: Lanes>(x: V) -> V {
    unsafe {
        let t = x.abs();
        let (r, n) = quadrant(t);
        large_by_libm(x, sin_in_quadrant(r, n).times_sign_of(x), libm::sinf)
    }
}

#[inline(always)]
pub(super) unsafe fn vcos<V: Lanes>(x: V) -> V {
    unsafe {
        let (r, n) = quadrant(x.abs());
        let next = n.add(V::splat(1.0));
        let next = V::select(next.equal(V::splat(4.0)), V::zero(), next);
        large_by_libm(x, sin_in_quadrant(r, next), libm::cosf)
    }
}

/// `y`, but in lanes whose argument is too large to reduce (or NaN) the portable function.
#[inline(always)]
unsafe fn large_by_libm<V: Lanes>(x: V, y: V, portable: fn(f32) -> f32) -> V {
    unsafe { if V::all(x.abs().less(V::splat(REDUCIBLE))) { y } else { patch(x, y, portable) } }
}

/// The rare half of [`large_by_libm`], out of line.
#[cold]
#[inline(never)]
unsafe fn patch<V: Lanes>(x: V, y: V, portable: fn(f32) -> f32) -> V {
    let (mut arguments, mut values) = ([0.0f32; 16], [0.0f32; 16]);
    unsafe {
        x.store(arguments.as_mut_ptr());
        y.store(values.as_mut_ptr());
        for (argument, value) in arguments.iter().zip(&mut values) {
            if argument.is_nan() || argument.abs() >= REDUCIBLE {
                *value = portable(*argument);
            }
        }
        V::load(values.as_ptr())
    }
}
