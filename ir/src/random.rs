//! Threefry-2x32-20, the counter-based generator of Salmon et al. (2011): random bits as a pure function.

const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
const PARITY: u32 = 0x1BD1_1BDA;

/// Two random words from a key and a counter.
pub fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let schedule = [key[0], key[1], PARITY ^ key[0] ^ key[1]];
    let mut x = [counter[0].wrapping_add(schedule[0]), counter[1].wrapping_add(schedule[1])];
    for round in 0..20 {
        x[0] = x[0].wrapping_add(x[1]);
        x[1] = x[1].rotate_left(ROTATIONS[round % 8]) ^ x[0];
        if round % 4 == 3 {
            let turn = round / 4 + 1;
            x[0] = x[0].wrapping_add(schedule[turn % 3]);
            x[1] = x[1].wrapping_add(schedule[(turn + 1) % 3]).wrapping_add(turn as u32);
        }
    }
    x
}

/// A uniform number in [0, 1) with 24 random bits.
pub fn uniform(key: [u32; 2], counter: [u32; 2]) -> f64 {
    f64::from(threefry(key, counter)[0] >> 8) / f64::from(1 << 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that Random123 publishes for this generator.
    #[test]
    fn known_answers() {
        assert_eq!(threefry([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(threefry([!0, !0], [!0, !0]), [0x1cb9_96fc, 0xbb00_2be7]);
        assert_eq!(threefry([0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3]), [0xc492_3a9c, 0x483d_f7a0]);
    }
}
