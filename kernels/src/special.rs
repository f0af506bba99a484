//! Scalar functions that neither `core` nor the C library offers everywhere: digamma, and the f32 forms computed in f64.

use std::f64::consts::PI;

/// The derivative of `ln |Γ(x)|`. Poles (zero and the negative integers) and `-inf` give NaN; `digamma(inf) = inf`.
///
/// Reflection moves `x <= 0` to the right half line, the recurrence `ψ(x) = ψ(x + 1) - 1/x` moves small arguments past
/// 10, and there the asymptotic series in Bernoulli numbers has an error below 1e-16 (Abramowitz and Stegun 6.3.18).
pub fn digamma(x: f64) -> f64 {
    if x <= 0.0 {
        return if x == x.floor() { f64::NAN } else { digamma_positive(1.0 - x) - PI / tan_pi(x) };
    }
    digamma_positive(x)
}

fn digamma_positive(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 10.0 {
        shift -= 1.0 / x;
        x += 1.0;
    }
    shift + x.ln() - 0.5 / x - series(1.0 / (x * x))
}

/// `Σ B(2n) / (2n x^(2n))` for `z = 1/x²`.
fn series(z: f64) -> f64 {
    const TERMS: [f64; 7] =
        [1.0 / 12.0, -1.0 / 120.0, 1.0 / 252.0, -1.0 / 240.0, 1.0 / 132.0, -691.0 / 32760.0, 1.0 / 12.0];
    TERMS.iter().rev().fold(0.0, |sum, term| (sum + term) * z)
}

/// `tan(πx)`, reduced by the period before the multiplication so that large `x` keeps its digits.
fn tan_pi(x: f64) -> f64 {
    (PI * (x - x.round())).tan()
}

/// [`digamma`], rounded from f64.
pub fn digamma_f32(x: f32) -> f32 {
    digamma(x as f64) as f32
}

/// `ln |Γ(x)|`, rounded from f64: near its zeros (1, 2 and some negative arguments) an f32 evaluation has no digits left.
pub fn lgamma_f32(x: f32) -> f32 {
    libm::lgamma(x as f64) as f32
}

/// `tanh`, rounded from f64: the f32 form of `libm` is off by more than two units in the last place.
pub fn tanh_f32(x: f32) -> f32 {
    libm::tanh(x as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digamma_at_known_points() {
        const EULER: f64 = 0.577_215_664_901_532_9;
        let known = [
            (1.0, -EULER),
            (2.0, 1.0 - EULER),
            (0.5, -EULER - 2.0 * std::f64::consts::LN_2),
            (10.0, 2.251_752_589_066_721),
            (-0.5, 0.036_489_973_978_576_52),
            (-2.5, 1.103_156_640_645_243),
            (1e-3, -1_000.575_571_931_810_3),
            (1e10, 23.025_850_929_890_456),
        ];
        for (x, expected) in known {
            let error = (digamma(x) - expected).abs() / f64::max(1.0, f64::abs(expected));
            assert!(error < 2e-15, "digamma({x}) = {}, expected {expected}", digamma(x));
        }
    }

    #[test]
    fn digamma_is_the_slope_of_lgamma() {
        for x in [0.1, 0.7, 1.46, 3.3, 25.0, -0.3, -3.7] {
            let h = 1e-5;
            let slope = (libm::lgamma(x + h) - libm::lgamma(x - h)) / (2.0 * h);
            assert!((digamma(x) - slope).abs() < 1e-7 * f64::max(1.0, slope.abs()), "at {x}");
        }
    }

    #[test]
    fn poles_and_infinities() {
        assert!([0.0, -0.0, -1.0, -7.0, f64::NEG_INFINITY, f64::NAN].iter().all(|&x| digamma(x).is_nan()));
        assert_eq!(digamma(f64::INFINITY), f64::INFINITY);
        assert_eq!(lgamma_f32(0.0), f32::INFINITY);
    }
}
