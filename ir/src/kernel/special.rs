//! Special functions in float64, for the reference evaluation: accurate to about 1e-14, obvious rather than fast.

use std::f64::consts::{FRAC_2_SQRT_PI, PI};

/// The error function. Near 0 a series of positive terms, `2/sqrt(pi) e^(-x^2) sum 2^n x^(2n+1) / (2n+1)!!`; far out the
/// continued fraction of the complement.
pub fn erf(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    let size = x.abs();
    let value = if size < 3.0 { erf_series(size) } else { 1.0 - erfc_fraction(size) };
    value.copysign(x)
}

fn erf_series(x: f64) -> f64 {
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term > sum * 1e-17 {
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
        n += 1.0;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

fn erfc_fraction(x: f64) -> f64 {
    let tail = (1..60).rev().fold(x, |tail, n| x + f64::from(n) / 2.0 / tail);
    (-x * x).exp() / PI.sqrt() / tail
}

/// `log |gamma(x)|`: Stirling's series from 15 on, the recurrence below, the reflection below 0.
pub fn lgamma(x: f64) -> f64 {
    if x.is_nan() || x.is_infinite() {
        return x.abs();
    }
    if x <= 0.0 && x == x.floor() {
        return f64::INFINITY;
    }
    if x < 0.0 {
        return (PI / (PI * x).sin().abs()).ln() - lgamma(1.0 - x);
    }
    let (mut at, mut product) = (x, 1.0);
    while at < 15.0 {
        product *= at;
        at += 1.0;
    }
    let series = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360360.0];
    let square = 1.0 / (at * at);
    let rest = series.iter().rev().fold(0.0, |sum, term| sum * square + term) / at;
    (at - 0.5) * at.ln() - at + 0.5 * (2.0 * PI).ln() + rest - product.ln()
}

/// The derivative of `lgamma`: the asymptotic series from 15 on, the recurrence below, the reflection below 0.
pub fn digamma(x: f64) -> f64 {
    if x.is_nan() || x == f64::NEG_INFINITY || (x <= 0.0 && x == x.floor()) {
        return f64::NAN;
    }
    if x < 0.0 {
        return digamma(1.0 - x) - PI / (PI * x).tan();
    }
    let (mut at, mut sum) = (x, 0.0);
    while at < 15.0 {
        sum -= 1.0 / at;
        at += 1.0;
    }
    let series = [1.0 / 12.0, -1.0 / 120.0, 1.0 / 252.0, -1.0 / 240.0, 1.0 / 132.0, -691.0 / 32760.0];
    let square = 1.0 / (at * at);
    let rest = series.iter().rev().fold(0.0, |sum, term| sum * square + term) * square;
    sum + at.ln() - 0.5 / at - rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-13 * expected.abs().max(1.0), "{found} is not {expected}");
    }

    #[test]
    fn known_values() {
        close(erf(0.1), 0.1124629160182849);
        close(erf(2.9), 0.9999589021219005);
        close(erf(3.1), 0.9999883513426328);
        close(erf(-7.0), -1.0);
        close(lgamma(0.1), 2.252712651734206);
        close(lgamma(100.0), 359.1342053695754);
        close(digamma(10.0), 2.251752589066721);
        assert_eq!(lgamma(-2.0), f64::INFINITY);
        assert!(digamma(0.0).is_nan());
    }
}
