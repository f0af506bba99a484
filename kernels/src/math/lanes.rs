//! What elementary functions need of a register of f32 beyond arithmetic: comparisons, rounding, exponents.

use std::arch::x86_64::*;

use crate::simd::Vector;

/// One register of f32.
///
/// # Safety
/// Every method: the processor has the instruction level of the type.
pub(super) trait Lanes: Vector<Element = f32> {
    /// One truth value per lane.
    type Mask: Copy;

    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn div(self, other: Self) -> Self;
    /// The smaller one, and NaN if `self` is NaN.
    unsafe fn at_most(self, bound: Self) -> Self;
    /// The larger one, and NaN if `self` is NaN.
    unsafe fn at_least(self, bound: Self) -> Self;
    unsafe fn abs(self) -> Self;
    /// `self` with the sign of `sign` flipped in: the product with its sign, without a rounding.
    unsafe fn times_sign_of(self, sign: Self) -> Self;
    /// To the nearest integer, ties to even.
    unsafe fn round(self) -> Self;
    unsafe fn floor(self) -> Self;
    /// Two to the power of an integer in -126..=127.
    unsafe fn power_of_two(self) -> Self;
    /// A positive normal number as `m 2^e` with `sqrt(1/2) <= m < sqrt(2)`: `(m, e)`.
    unsafe fn mantissa_exponent(self) -> (Self, Self);
    /// False where either is NaN.
    unsafe fn less(self, other: Self) -> Self::Mask;
    /// False where either is NaN.
    unsafe fn equal(self, other: Self) -> Self::Mask;
    /// `yes` where the mask holds, `no` elsewhere.
    unsafe fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// Whether the mask holds in every lane.
    unsafe fn all(mask: Self::Mask) -> bool;
}

/// The bits of `sqrt(1/2)`, one below the f32 nearest to it: subtracting them carries into the exponent at the border.
const ROOT_HALF_BITS: i32 = 0x3f35_04f3;

// SAFETY (all methods of both): the trait's contract is that of the intrinsics.
impl Lanes for __m256 {
    type Mask = __m256;

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        unsafe { _mm256_sub_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        unsafe { _mm256_div_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn at_most(self, bound: Self) -> Self {
        unsafe { _mm256_min_ps(bound, self) }
    }

    #[inline(always)]
    unsafe fn at_least(self, bound: Self) -> Self {
        unsafe { _mm256_max_ps(bound, self) }
    }

    #[inline(always)]
    unsafe fn abs(self) -> Self {
        unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), self) }
    }

    #[inline(always)]
    unsafe fn times_sign_of(self, sign: Self) -> Self {
        unsafe { _mm256_xor_ps(self, _mm256_and_ps(_mm256_set1_ps(-0.0), sign)) }
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self) }
    }

    #[inline(always)]
    unsafe fn floor(self) -> Self {
        unsafe { _mm256_floor_ps(self) }
    }

    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        unsafe {
            let biased = _mm256_add_epi32(_mm256_cvtps_epi32(self), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
        }
    }

    #[inline(always)]
    unsafe fn mantissa_exponent(self) -> (Self, Self) {
        unsafe {
            let bits = _mm256_castps_si256(self);
            let exponent = _mm256_srai_epi32::<23>(_mm256_sub_epi32(bits, _mm256_set1_epi32(ROOT_HALF_BITS)));
            let mantissa = _mm256_sub_epi32(bits, _mm256_slli_epi32::<23>(exponent));
            (_mm256_castsi256_ps(mantissa), _mm256_cvtepi32_ps(exponent))
        }
    }

    #[inline(always)]
    unsafe fn less(self, other: Self) -> __m256 {
        unsafe { _mm256_cmp_ps::<_CMP_LT_OQ>(self, other) }
    }

    #[inline(always)]
    unsafe fn equal(self, other: Self) -> __m256 {
        unsafe { _mm256_cmp_ps::<_CMP_EQ_OQ>(self, other) }
    }

    #[inline(always)]
    unsafe fn select(mask: __m256, yes: Self, no: Self) -> Self {
        unsafe { _mm256_blendv_ps(no, yes, mask) }
    }

    #[inline(always)]
    unsafe fn all(mask: __m256) -> bool {
        unsafe { _mm256_movemask_ps(mask) == 0xff }
    }
}

impl Lanes for __m512 {
    type Mask = __mmask16;

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        unsafe { _mm512_sub_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        unsafe { _mm512_div_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn at_most(self, bound: Self) -> Self {
        unsafe { _mm512_min_ps(bound, self) }
    }

    #[inline(always)]
    unsafe fn at_least(self, bound: Self) -> Self {
        unsafe { _mm512_max_ps(bound, self) }
    }

    #[inline(always)]
    unsafe fn abs(self) -> Self {
        unsafe { _mm512_andnot_ps(_mm512_set1_ps(-0.0), self) }
    }

    #[inline(always)]
    unsafe fn times_sign_of(self, sign: Self) -> Self {
        unsafe { _mm512_xor_ps(self, _mm512_and_ps(_mm512_set1_ps(-0.0), sign)) }
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self) }
    }

    #[inline(always)]
    unsafe fn floor(self) -> Self {
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(self) }
    }

    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        unsafe {
            let biased = _mm512_add_epi32(_mm512_cvtps_epi32(self), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
        }
    }

    #[inline(always)]
    unsafe fn mantissa_exponent(self) -> (Self, Self) {
        unsafe {
            let bits = _mm512_castps_si512(self);
            let exponent = _mm512_srai_epi32::<23>(_mm512_sub_epi32(bits, _mm512_set1_epi32(ROOT_HALF_BITS)));
            let mantissa = _mm512_sub_epi32(bits, _mm512_slli_epi32::<23>(exponent));
            (_mm512_castsi512_ps(mantissa), _mm512_cvtepi32_ps(exponent))
        }
    }

    #[inline(always)]
    unsafe fn less(self, other: Self) -> __mmask16 {
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self, other) }
    }

    #[inline(always)]
    unsafe fn equal(self, other: Self) -> __mmask16 {
        unsafe { _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self, other) }
    }

    #[inline(always)]
    unsafe fn select(mask: __mmask16, yes: Self, no: Self) -> Self {
        unsafe { _mm512_mask_blend_ps(mask, no, yes) }
    }

    #[inline(always)]
    unsafe fn all(mask: __mmask16) -> bool {
        mask == 0xffff
    }
}
