//! Vectors of one register, under one trait for AVX2 and AVX-512, f32 and f64.
//!
//! Every method is one or two instructions and is always inlined, so code generic over [`Vector`] compiles to the level
//! of the `#[target_feature]` function that calls it. Methods are unsafe for one reason: the processor must have the level.

#![cfg(target_arch = "x86_64")]

use std::arch::x86_64::*;
use std::ops::{Add, Mul};

/// One register of floats.
///
/// # Safety
/// Every method: the processor has the instruction level of the type. Pointer methods: the pointer is valid for the
/// elements touched; no alignment is needed. Lanes past `count` in `load_first` and `store_first` are not touched.
pub(crate) trait Vector: Copy {
    /// The element.
    type Element: Float;
    /// Elements per register.
    const LANES: usize;

    unsafe fn splat(x: Self::Element) -> Self;
    unsafe fn zero() -> Self;
    unsafe fn load(from: *const Self::Element) -> Self;
    unsafe fn store(self, to: *mut Self::Element);
    /// The first `count` lanes, the others zero.
    unsafe fn load_first(from: *const Self::Element, count: usize) -> Self;
    unsafe fn store_first(self, to: *mut Self::Element, count: usize);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * factor + term`, rounded once.
    unsafe fn fma(self, factor: Self, term: Self) -> Self;

    /// Asks for a cache line that will be written; any address will do.
    #[inline(always)]
    unsafe fn prefetch(line: *const Self::Element) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
    }
}

/// Sixteen words, of which a window of eight has its first `count` words set: masks for AVX2.
static WINDOW: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// A mask with the first `words` of eight words set.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn first_words(words: usize) -> __m256i {
    debug_assert!(words <= 8);
    // SAFETY: the window of eight words that starts at `8 - words` lies inside the table.
    unsafe { _mm256_loadu_si256(WINDOW.as_ptr().add(8 - words.min(8)).cast()) }
}

macro_rules! vector {
    ($register:ty, $element:ty, $lanes:literal, $splat:ident, $zero:ident, $load:ident, $store:ident, $add:ident,
     $mul:ident, $fma:ident, |$from:ident, $to:ident, $value:ident, $count:ident| $load_first:expr, $store_first:expr) => {
        impl Vector for $register {
            type Element = $element;
            const LANES: usize = $lanes;

            // SAFETY (all methods): the trait's contract is that of the intrinsics.
            #[inline(always)]
            unsafe fn splat(x: $element) -> Self {
                unsafe { $splat(x) }
            }

            #[inline(always)]
            unsafe fn zero() -> Self {
                unsafe { $zero() }
            }

            #[inline(always)]
            unsafe fn load(from: *const $element) -> Self {
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $element) {
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            unsafe fn load_first($from: *const $element, $count: usize) -> Self {
                unsafe { $load_first }
            }

            #[inline(always)]
            unsafe fn store_first(self, $to: *mut $element, $count: usize) {
                let $value = self;
                unsafe { $store_first }
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                unsafe { $add(self, other) }
            }

            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                unsafe { $mul(self, other) }
            }

            #[inline(always)]
            unsafe fn fma(self, factor: Self, term: Self) -> Self {
                unsafe { $fma(self, factor, term) }
            }
        }
    };
}

vector!(
    __m256,
    f32,
    8,
    _mm256_set1_ps,
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_mul_ps,
    _mm256_fmadd_ps,
    |from, to, value, count| _mm256_maskload_ps(from, first_words(count)),
    _mm256_maskstore_ps(to, first_words(count), value)
);
vector!(
    __m256d,
    f64,
    4,
    _mm256_set1_pd,
    _mm256_setzero_pd,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    _mm256_add_pd,
    _mm256_mul_pd,
    _mm256_fmadd_pd,
    |from, to, value, count| _mm256_maskload_pd(from, first_words(2 * count)),
    _mm256_maskstore_pd(to, first_words(2 * count), value)
);
vector!(
    __m512,
    f32,
    16,
    _mm512_set1_ps,
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_mul_ps,
    _mm512_fmadd_ps,
    |from, to, value, count| _mm512_maskz_loadu_ps(((1u32 << count) - 1) as u16, from),
    _mm512_mask_storeu_ps(to, ((1u32 << count) - 1) as u16, value)
);
vector!(
    __m512d,
    f64,
    8,
    _mm512_set1_pd,
    _mm512_setzero_pd,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    _mm512_add_pd,
    _mm512_mul_pd,
    _mm512_fmadd_pd,
    |from, to, value, count| _mm512_maskz_loadu_pd(((1u32 << count) - 1) as u8, from),
    _mm512_mask_storeu_pd(to, ((1u32 << count) - 1) as u8, value)
);

/// An element type whose square blocks can be transposed in registers.
pub(crate) trait Float: Copy + PartialEq + Add<Output = Self> + Mul<Output = Self> + 'static {
    /// Zero.
    const ZERO: Self;
    /// Rows and columns of a block.
    const BLOCK: usize;

    /// `self * factor + term`, rounded once; one instruction inside a function that has FMA.
    fn fma(self, factor: Self, term: Self) -> Self;

    /// `to[j][i] = from[i][j]`; rows of `from` past `rows` count as zero.
    ///
    /// # Safety
    /// The processor has AVX2; `from` is readable for `rows` rows of `BLOCK` elements at distance `from_stride` and
    /// `to` writable for `BLOCK` rows of `BLOCK` elements at distance `to_stride`; `rows <= BLOCK`.
    unsafe fn transpose(from: *const Self, from_stride: isize, rows: usize, to: *mut Self, to_stride: usize);
}

impl Float for f32 {
    const ZERO: f32 = 0.0;
    const BLOCK: usize = 8;

    #[inline(always)]
    fn fma(self, factor: f32, term: f32) -> f32 {
        self.mul_add(factor, term)
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_stride: isize, rows: usize, to: *mut f32, to_stride: usize) {
        // SAFETY: the trait's contract.
        unsafe {
            let mut r = [_mm256_setzero_ps(); 8];
            for (i, row) in r.iter_mut().enumerate() {
                if i < rows {
                    *row = _mm256_loadu_ps(from.offset(i as isize * from_stride));
                }
            }
            // Pairs of rows, then quads, within 128-bit halves; then the halves are exchanged.
            let mut q = r;
            for i in 0..4 {
                q[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
                q[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
            }
            for h in 0..2 {
                r[4 * h] = _mm256_shuffle_ps::<0x44>(q[4 * h], q[4 * h + 2]);
                r[4 * h + 1] = _mm256_shuffle_ps::<0xee>(q[4 * h], q[4 * h + 2]);
                r[4 * h + 2] = _mm256_shuffle_ps::<0x44>(q[4 * h + 1], q[4 * h + 3]);
                r[4 * h + 3] = _mm256_shuffle_ps::<0xee>(q[4 * h + 1], q[4 * h + 3]);
            }
            for j in 0..4 {
                _mm256_storeu_ps(to.add(j * to_stride), _mm256_permute2f128_ps::<0x20>(r[j], r[j + 4]));
                _mm256_storeu_ps(to.add((j + 4) * to_stride), _mm256_permute2f128_ps::<0x31>(r[j], r[j + 4]));
            }
        }
    }
}

impl Float for f64 {
    const ZERO: f64 = 0.0;
    const BLOCK: usize = 4;

    #[inline(always)]
    fn fma(self, factor: f64, term: f64) -> f64 {
        self.mul_add(factor, term)
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f64, from_stride: isize, rows: usize, to: *mut f64, to_stride: usize) {
        // SAFETY: the trait's contract.
        unsafe {
            let mut r = [_mm256_setzero_pd(); 4];
            for (i, row) in r.iter_mut().enumerate() {
                if i < rows {
                    *row = _mm256_loadu_pd(from.offset(i as isize * from_stride));
                }
            }
            let low = [_mm256_unpacklo_pd(r[0], r[1]), _mm256_unpackhi_pd(r[0], r[1])];
            let high = [_mm256_unpacklo_pd(r[2], r[3]), _mm256_unpackhi_pd(r[2], r[3])];
            for j in 0..2 {
                _mm256_storeu_pd(to.add(j * to_stride), _mm256_permute2f128_pd::<0x20>(low[j], high[j]));
                _mm256_storeu_pd(
                    to.add((j + 2) * to_stride),
                    _mm256_permute2f128_pd::<0x31>(low[j], high[j]),
                );
            }
        }
    }
}
