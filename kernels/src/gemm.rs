//! Dense products of strided matrices on one thread; callers split the work into panels.
//!
//! `C = alpha A B` or `C += alpha A B`, for any strides, a zero stride of A or B being a broadcast. The order of the sums
//! is a function of the arguments, and every product takes part: zeros are never skipped, so NaN and infinities show.

use gemm::Parallelism;

/// A product, strides in elements. All sizes may be zero: with `k == 0` the product is zero.
#[derive(Clone, Copy, Debug)]
pub struct Product<T> {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Columns of A, rows of B.
    pub k: usize,
    /// The result.
    pub c: *mut T,
    /// From one row of C to the next.
    pub c_rs: isize,
    /// From one column of C to the next.
    pub c_cs: isize,
    /// Add to C instead of overwriting it; overwriting never reads C.
    pub accumulate: bool,
    /// Scales the product.
    pub alpha: T,
    /// The left operand.
    pub a: *const T,
    /// From one row of A to the next.
    pub a_rs: isize,
    /// From one column of A to the next.
    pub a_cs: isize,
    /// The right operand.
    pub b: *const T,
    /// From one row of B to the next.
    pub b_rs: isize,
    /// From one column of B to the next.
    pub b_cs: isize,
}

macro_rules! product_function {
    ($name:ident, $float:ty) => {
        #[doc = concat!("The product of `", stringify!($float), "` matrices; strides in elements.")]
        ///
        /// # Safety
        /// Every element that sizes and strides of A and B reach is readable, every one of C readable and writable, the
        /// elements of C are distinct, and C overlaps neither A nor B.
        #[allow(clippy::too_many_arguments)]
        pub unsafe fn $name(
            m: usize,
            n: usize,
            k: usize,
            c: *mut $float,
            c_rs: isize,
            c_cs: isize,
            accumulate: bool,
            alpha: $float,
            a: *const $float,
            a_rs: isize,
            a_cs: isize,
            b: *const $float,
            b_rs: isize,
            b_cs: isize,
        ) {
            let product = Product { m, n, k, c, c_rs, c_cs, accumulate, alpha, a, a_rs, a_cs, b, b_rs, b_cs };
            // SAFETY: the caller's promise is this function's.
            unsafe { library(product, 1.0) }
        }
    };
}

product_function!(gemm_f32, f32);
product_function!(gemm_f64, f64);

/// The `gemm` crate.
///
/// # Safety
/// As for [`gemm_f32`].
pub(crate) unsafe fn library<T: 'static + Copy>(p: Product<T>, one: T) {
    // SAFETY: the caller's promise; the library takes (column stride, row stride) and computes `one C + alpha A B`.
    unsafe {
        gemm::gemm(
            p.m,
            p.n,
            p.k,
            p.c,
            p.c_cs,
            p.c_rs,
            p.accumulate,
            p.a,
            p.a_cs,
            p.a_rs,
            p.b,
            p.b_cs,
            p.b_rs,
            one,
            p.alpha,
            false,
            false,
            false,
            Parallelism::None,
        )
    }
}
