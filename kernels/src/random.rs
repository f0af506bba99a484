//! Threefry-2x32-20, the counter-based generator of Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (2011).
//!
//! A number is a pure function of key and counter, so every back end draws the same numbers in any order.

const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
/// The key-schedule parity word for 32-bit Threefry.
const PARITY: u32 = 0x1BD1_1BDA;

/// Twenty rounds over one counter pair.
#[inline(always)]
pub fn threefry2x32(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let schedule = [key[0], key[1], PARITY ^ key[0] ^ key[1]];
    let (mut x, mut y) = (counter[0].wrapping_add(schedule[0]), counter[1].wrapping_add(schedule[1]));
    for group in 0..5u32 {
        for round in 0..4 {
            x = x.wrapping_add(y);
            y = y.rotate_left(ROTATIONS[((group % 2) * 4 + round) as usize]) ^ x;
        }
        x = x.wrapping_add(schedule[(group as usize + 1) % 3]);
        y = y.wrapping_add(schedule[(group as usize + 2) % 3]).wrapping_add(group + 1);
    }
    [x, y]
}

/// Uniform in `[0, 1)`, a multiple of 2^-24: the high 24 bits of `bits`.
#[inline(always)]
pub fn uniform_f32(bits: u32) -> f32 {
    (bits >> 8) as f32 * (1.0 / (1 << 24) as f32)
}

/// Random words for the counters `[low + i, high]`, `i` being the position: the first and second word of each draw go
/// to `first[i]` and `second[i]`. The low counter word wraps; the high word is constant over a strip.
///
/// Both slices have the same length; what exceeds the shorter one is left unchanged.
pub fn threefry2x32_strip(key: [u32; 2], counter: [u32; 2], first: &mut [u32], second: &mut [u32]) {
    #[cfg(target_arch = "x86_64")]
    if crate::CpuLevel::detect() >= crate::CpuLevel::Avx2 {
        // SAFETY: the processor has AVX2.
        return unsafe { strip_avx2(key, counter, first, second) };
    }
    strip(key, counter, first, second);
}

/// The same loop, compiled with eight lanes.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn strip_avx2(key: [u32; 2], counter: [u32; 2], first: &mut [u32], second: &mut [u32]) {
    strip(key, counter, first, second);
}

#[inline(always)]
fn strip(key: [u32; 2], counter: [u32; 2], first: &mut [u32], second: &mut [u32]) {
    for (i, (x, y)) in first.iter_mut().zip(second).enumerate() {
        [*x, *y] = threefry2x32(key, [counter[0].wrapping_add(i as u32), counter[1]]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_of_random123() {
        assert_eq!(threefry2x32([0, 0], [0, 0]), [0x6b200159, 0x99ba4efe]);
        assert_eq!(threefry2x32([u32::MAX; 2], [u32::MAX; 2]), [0x1cb996fc, 0xbb002be7]);
        assert_eq!(
            threefry2x32([0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3]),
            [0xc4923a9c, 0x483df7a0]
        );
    }

    #[test]
    fn a_strip_equals_single_draws_across_the_wrap() {
        let (mut first, mut second) = ([0; 37], [0; 37]);
        threefry2x32_strip([7, 9], [u32::MAX - 5, 3], &mut first, &mut second);
        for i in 0..37 {
            let single = threefry2x32([7, 9], [(u32::MAX - 5).wrapping_add(i as u32), 3]);
            assert_eq!([first[i], second[i]], single);
        }
    }

    #[test]
    fn uniform_covers_zero_and_stays_below_one() {
        assert_eq!(uniform_f32(255), 0.0);
        assert_eq!(uniform_f32(u32::MAX), 1.0 - f32::powi(2.0, -24));
    }
}
