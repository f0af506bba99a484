//! Dense products of strided matrices on one thread; callers split the work into panels.
//!
//! `C = alpha A B` or `C += alpha A B`, for any strides, a zero stride of A or B being a broadcast. The order of the sums
//! is a function of the arguments, and every product takes part: zeros are never skipped, so NaN and infinities show.

use gemm::Parallelism;

use crate::CpuLevel;

#[cfg(target_arch = "x86_64")]
mod blocked;
#[cfg(target_arch = "x86_64")]
mod levels;
#[cfg(target_arch = "x86_64")]
mod line;
#[cfg(target_arch = "x86_64")]
mod pack;
#[cfg(target_arch = "x86_64")]
mod tile;

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

impl<T: Copy> Product<T> {
    /// The product of no steps: zero, or nothing to add.
    ///
    /// # Safety
    /// C is writable.
    unsafe fn clear(&self, zero: T) {
        if self.accumulate {
            return;
        }
        for row in 0..self.m {
            for column in 0..self.n {
                // SAFETY: the element lies in C.
                unsafe { *self.c_at(row, column) = zero }
            }
        }
    }

    /// Address of an element of C.
    fn c_at(&self, row: usize, column: usize) -> *mut T {
        self.c.wrapping_offset(row as isize * self.c_rs + column as isize * self.c_cs)
    }
}

macro_rules! product_function {
    ($name:ident, $float:ty, $run:ident) => {
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
            unsafe { $run(product) }
        }
    };
}

product_function!(gemm_f32, f32, run_f32);
product_function!(gemm_f64, f64, run_f64);

/// Multiplications from which on the library is faster on AVX-512.
#[cfg(target_arch = "x86_64")]
const LARGE: usize = 768 * 768 * 768;

/// Who computes a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    /// The `gemm` crate: the portable path, and the one for large products on AVX-512. It allocates in every call.
    Library,
    /// Our tiles.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Our tiles.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Path {
    /// The one place where a product meets its implementation: a function of level and sizes alone.
    ///
    /// Measured by `examples/gemm_shapes.rs`, ours over the library. On Zen 3 (AVX2): 0.94 to 1.0 for large products,
    /// 1.0 to 1.15 for panels of up to 128 rows with B transposed, 1.0 to 1.6 for one row, 1.6 to 5 for few rows with B
    /// transposed, 1.5 to 5 up to 32 cubed. On Zen 5 (AVX-512): 0.9 to 1.2 for panels, 1.2 to 1.8 for short ones with B
    /// transposed, 0.97 at 512 cubed and 0.88 at 1024 cubed. The few percent buy calls without allocation.
    #[cfg(target_arch = "x86_64")]
    fn choose(level: CpuLevel, m: usize, n: usize, k: usize) -> Path {
        match level {
            CpuLevel::Avx2 => Path::Avx2,
            CpuLevel::Avx512 if m.saturating_mul(n).saturating_mul(k) < LARGE => Path::Avx512,
            CpuLevel::Avx512 | CpuLevel::Scalar => Path::Library,
        }
    }

    /// Elsewhere there is only the library.
    #[cfg(not(target_arch = "x86_64"))]
    fn choose(_: CpuLevel, _: usize, _: usize, _: usize) -> Path {
        Path::Library
    }
}

macro_rules! run_function {
    ($run:ident, $float:ty, $avx2:ident, $avx512:ident) => {
        /// # Safety
        /// As for the public function.
        unsafe fn $run(p: Product<$float>) {
            // SAFETY: the caller's promise, and the level was detected.
            unsafe {
                if p.m == 0 || p.n == 0 {
                    return;
                }
                if p.k == 0 {
                    return p.clear(0.0);
                }
                match Path::choose(CpuLevel::detect(), p.m, p.n, p.k) {
                    #[cfg(target_arch = "x86_64")]
                    Path::Avx2 => blocked::multiply::<levels::$avx2>(p),
                    #[cfg(target_arch = "x86_64")]
                    Path::Avx512 => blocked::multiply::<levels::$avx512>(p),
                    Path::Library => library(p, 1.0),
                }
            }
        }
    };
}

run_function!(run_f32, f32, Avx2F32, Avx512F32);
run_function!(run_f64, f64, Avx2F64, Avx512F64);

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

#[cfg(test)]
mod tests;
