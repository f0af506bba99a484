//! The two 16-bit floats: rounding to nearest even, and back.

/// The bits of `x` as a bf16.
pub fn bf16_bits(x: f64) -> u16 {
    let bits = (x as f32).to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    let odd = (bits >> 16) & 1;
    (bits.wrapping_add(0x7fff + odd) >> 16) as u16
}

/// The bits of `x` as an f16.
pub fn f16_bits(x: f64) -> u16 {
    let sign = if x.is_sign_negative() { 0x8000 } else { 0 };
    let size = x.abs();
    if size.is_nan() {
        return sign | 0x7e00;
    }
    // Below 2^-14 numbers are multiples of 2^-24; above, the spacing is 2^-10 of the leading power of two.
    let exponent = size.max(2f64.powi(-14)).log2().floor() as i32;
    let exponent = if 2f64.powi(exponent) > size.max(2f64.powi(-14)) { exponent - 1 } else { exponent };
    let steps = (size / 2f64.powi(exponent.min(20) - 10)).round_ties_even();
    let bits = (f64::from(exponent.min(20) + 14) * 1024.0 + steps).min(31744.0);
    sign | bits as u16
}

/// The value of an f16.
pub fn f16_value(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        0 => fraction * 2f64.powi(-24),
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_comes_back() {
        let all = (0..=u16::MAX).filter(|bits| !f16_value(*bits).is_nan());
        assert!(all.clone().count() > 60000);
        all.for_each(|bits| assert_eq!(f16_bits(f16_value(bits)), bits, "{bits:x}"));
    }

    #[test]
    fn rounding_goes_to_even() {
        assert_eq!(f16_bits(1.0 + 1.0 / 2048.0), f16_bits(1.0));
        assert_eq!(f16_bits(1.0 + 3.0 / 2048.0), f16_bits(1.0 + 2.0 / 1024.0));
        assert_eq!(f16_bits(65520.0), 0x7c00);
        assert_eq!(f16_bits(65519.0), 0x7bff);
        assert_eq!(bf16_bits(1.0 + 1.0 / 256.0), 0x3f80);
        assert_eq!(bf16_bits(1.0 + 3.0 / 256.0), 0x3f82);
    }
}
