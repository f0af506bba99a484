//! The host table: the functions that compiled code calls by index, so that stored code needs no relocation.
//!
//! The order of [`HostFn`] is part of the artifact format. New functions go at the end; none is removed or reordered.

use crate::gemm::{gemm_f32, gemm_f64};
use crate::{math, random, special};

/// The calling shape of a host function. All use the C convention of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signature {
    /// `(args: *const GemmArgs)`.
    Gemm,
    /// `(start: *mut f32, len: usize)`: every element in place.
    Strip,
    /// `(args: *const ThreefryArgs)`.
    Threefry,
    /// `(f32) -> f32`.
    F32,
    /// `(f32, f32) -> f32`.
    F32F32,
    /// `(f64) -> f64`.
    F64,
    /// `(f64, f64) -> f64`.
    F64F64,
}

/// The operands of a gemm call. Every field is eight bytes, in this order, so code generators store words.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct GemmArgs {
    /// Rows of A and C.
    pub m: u64,
    /// Columns of B and C.
    pub n: u64,
    /// Columns of A, rows of B.
    pub k: u64,
    /// The result; f32 or f64 by function, as are A and B.
    pub c: *mut u8,
    /// Row stride of C in elements, as all strides.
    pub c_rs: i64,
    /// Column stride of C.
    pub c_cs: i64,
    /// Zero overwrites C, anything else adds to it.
    pub accumulate: u64,
    /// Scales the product; rounded to the element type.
    pub alpha: f64,
    /// The left operand.
    pub a: *const u8,
    /// Row stride of A.
    pub a_rs: i64,
    /// Column stride of A.
    pub a_cs: i64,
    /// The right operand.
    pub b: *const u8,
    /// Row stride of B.
    pub b_rs: i64,
    /// Column stride of B.
    pub b_cs: i64,
}

/// The operands of a Threefry strip: see [`random::threefry2x32_strip`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ThreefryArgs {
    /// The key words.
    pub key: [u32; 2],
    /// The counter of the first draw; its first word counts up.
    pub counter: [u32; 2],
    /// Receives the first word of each draw.
    pub first: *mut u32,
    /// Receives the second word of each draw.
    pub second: *mut u32,
    /// Draws.
    pub len: u64,
}

/// A function address in the table.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct HostEntry(*const ());

// SAFETY: the address of a function that touches no shared state may be used from any thread.
unsafe impl Sync for HostEntry {}
// SAFETY: as above.
unsafe impl Send for HostEntry {}

impl HostEntry {
    /// The address, for a JIT symbol or a stored constant.
    pub fn address(self) -> *const () {
        self.0
    }
}

/// Declares every host function once: index, name, signature and address.
macro_rules! host_functions {
    ($($variant:ident: $signature:ident = $function:path, $about:literal;)*) => {
        /// The index of a function in [`HOST`].
        #[repr(usize)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum HostFn {
            $(#[doc = $about] $variant,)*
        }

        /// Functions in the table.
        pub const HOST_LEN: usize = [$(HostFn::$variant),*].len();

        /// The table: one address per [`HostFn`], in order.
        pub static HOST: [HostEntry; HOST_LEN] =
            [$(HostEntry(callable::$signature($function) as *const ())),*];

        impl HostFn {
            /// All functions, by index.
            pub const ALL: [HostFn; HOST_LEN] = [$(HostFn::$variant),*];

            /// How the function is called.
            pub fn signature(self) -> Signature {
                match self { $(HostFn::$variant => Signature::$signature,)* }
            }

            /// The name used in listings and symbol tables.
            pub fn name(self) -> &'static str {
                match self { $(HostFn::$variant => stringify!($variant),)* }
            }
        }
    };
}

/// Type ascriptions: a table line whose function does not have the declared signature fails to compile.
#[allow(non_snake_case)]
mod callable {
    use super::{GemmArgs, ThreefryArgs};

    macro_rules! ascribe {
        ($($signature:ident = $function:ty;)*) => {
            $(pub const fn $signature(function: $function) -> $function { function })*
        };
    }

    ascribe! {
        Gemm = unsafe extern "C" fn(*const GemmArgs);
        Strip = unsafe extern "C" fn(*mut f32, usize);
        Threefry = unsafe extern "C" fn(*const ThreefryArgs);
        F32 = extern "C" fn(f32) -> f32;
        F32F32 = extern "C" fn(f32, f32) -> f32;
        F64 = extern "C" fn(f64) -> f64;
        F64F64 = extern "C" fn(f64, f64) -> f64;
    }
}

host_functions! {
    GemmF32: Gemm = gemm_f32_host, "Product of f32 matrices.";
    GemmF64: Gemm = gemm_f64_host, "Product of f64 matrices.";
    VexpF32: Strip = strip::vexp, "`exp` over a strip.";
    VlogF32: Strip = strip::vlog, "Natural logarithm over a strip.";
    VtanhF32: Strip = strip::vtanh, "`tanh` over a strip.";
    VerfF32: Strip = strip::verf, "Error function over a strip.";
    VsinF32: Strip = strip::vsin, "`sin` over a strip.";
    VcosF32: Strip = strip::vcos, "`cos` over a strip.";
    Threefry: Threefry = threefry_host, "Threefry-2x32-20 draws over a strip.";
    ExpF32: F32 = scalar::exp_f32, "`exp`.";
    LogF32: F32 = scalar::log_f32, "Natural logarithm.";
    SinF32: F32 = scalar::sin_f32, "`sin`.";
    CosF32: F32 = scalar::cos_f32, "`cos`.";
    TanhF32: F32 = scalar::tanh_f32, "`tanh`.";
    ErfF32: F32 = scalar::erf_f32, "Error function.";
    PowF32: F32F32 = scalar::pow_f32, "Power.";
    LgammaF32: F32 = scalar::lgamma_f32, "`ln |Γ(x)|`.";
    DigammaF32: F32 = scalar::digamma_f32, "Derivative of `ln |Γ(x)|`.";
    Expm1F32: F32 = scalar::expm1_f32, "`exp(x) - 1`.";
    Log1pF32: F32 = scalar::log1p_f32, "`ln(1 + x)`.";
    AcosF32: F32 = scalar::acos_f32, "Arc cosine.";
    FmodF32: F32F32 = scalar::fmod_f32, "Remainder with the sign of the dividend.";
    ExpF64: F64 = scalar::exp_f64, "`exp`.";
    LogF64: F64 = scalar::log_f64, "Natural logarithm.";
    SinF64: F64 = scalar::sin_f64, "`sin`.";
    CosF64: F64 = scalar::cos_f64, "`cos`.";
    TanhF64: F64 = scalar::tanh_f64, "`tanh`.";
    ErfF64: F64 = scalar::erf_f64, "Error function.";
    PowF64: F64F64 = scalar::pow_f64, "Power.";
    LgammaF64: F64 = scalar::lgamma_f64, "`ln |Γ(x)|`.";
    DigammaF64: F64 = scalar::digamma_f64, "Derivative of `ln |Γ(x)|`.";
    Expm1F64: F64 = scalar::expm1_f64, "`exp(x) - 1`.";
    Log1pF64: F64 = scalar::log1p_f64, "`ln(1 + x)`.";
    AcosF64: F64 = scalar::acos_f64, "Arc cosine.";
    FmodF64: F64F64 = scalar::fmod_f64, "Remainder with the sign of the dividend.";
}

macro_rules! gemm_host {
    ($host:ident, $gemm:path, $float:ty) => {
        #[doc = concat!("[`", stringify!($gemm), "`] with its operands in memory.")]
        ///
        /// # Safety
        /// `args` points to operands that satisfy the contract of the function named above.
        pub unsafe extern "C" fn $host(args: *const GemmArgs) {
            // SAFETY: the caller passes a readable struct whose matrices satisfy the contract of the product.
            unsafe {
                let g = &*args;
                $gemm(
                    g.m as usize,
                    g.n as usize,
                    g.k as usize,
                    g.c.cast::<$float>(),
                    g.c_rs as isize,
                    g.c_cs as isize,
                    g.accumulate != 0,
                    g.alpha as $float,
                    g.a.cast::<$float>(),
                    g.a_rs as isize,
                    g.a_cs as isize,
                    g.b.cast::<$float>(),
                    g.b_rs as isize,
                    g.b_cs as isize,
                )
            }
        }
    };
}

gemm_host!(gemm_f32_host, gemm_f32, f32);
gemm_host!(gemm_f64_host, gemm_f64, f64);

/// [`random::threefry2x32_strip`] with its operands in memory.
///
/// # Safety
/// `args` points to operands whose two outputs are writable for `len` words each and do not overlap.
pub unsafe extern "C" fn threefry_host(args: *const ThreefryArgs) {
    // SAFETY: the caller passes a readable struct with two disjoint writable strips.
    unsafe {
        let t = &*args;
        if t.len == 0 {
            return;
        }
        let first = std::slice::from_raw_parts_mut(t.first, t.len as usize);
        let second = std::slice::from_raw_parts_mut(t.second, t.len as usize);
        random::threefry2x32_strip(t.key, t.counter, first, second);
    }
}

/// The strip functions of [`math`] under the C convention.
mod strip {
    use super::math;

    macro_rules! strips {
        ($($name:ident)*) => {
            $(
                pub unsafe extern "C" fn $name(start: *mut f32, len: usize) {
                    if len == 0 {
                        return;
                    }
                    // SAFETY: the caller passes a strip that is readable and writable for `len` elements.
                    math::$name(unsafe { std::slice::from_raw_parts_mut(start, len) });
                }
            )*
        };
    }

    strips! { vexp vlog vtanh verf vsin vcos }
}

/// Scalar functions under the C convention. They come from `libm`, not from the system's C library, so that a model
/// computes the same on every operating system.
mod scalar {
    use super::special;

    macro_rules! unary {
        ($($name:ident: $float:ty = $function:path;)*) => {
            $(pub extern "C" fn $name(x: $float) -> $float { $function(x) })*
        };
    }

    macro_rules! binary {
        ($($name:ident: $float:ty = $function:path;)*) => {
            $(pub extern "C" fn $name(x: $float, y: $float) -> $float { $function(x, y) })*
        };
    }

    unary! {
        exp_f32: f32 = libm::expf;
        log_f32: f32 = libm::logf;
        sin_f32: f32 = libm::sinf;
        cos_f32: f32 = libm::cosf;
        tanh_f32: f32 = special::tanh_f32;
        erf_f32: f32 = libm::erff;
        lgamma_f32: f32 = special::lgamma_f32;
        digamma_f32: f32 = special::digamma_f32;
        expm1_f32: f32 = libm::expm1f;
        log1p_f32: f32 = libm::log1pf;
        acos_f32: f32 = libm::acosf;
        exp_f64: f64 = libm::exp;
        log_f64: f64 = libm::log;
        sin_f64: f64 = libm::sin;
        cos_f64: f64 = libm::cos;
        tanh_f64: f64 = libm::tanh;
        erf_f64: f64 = libm::erf;
        lgamma_f64: f64 = libm::lgamma;
        digamma_f64: f64 = special::digamma;
        expm1_f64: f64 = libm::expm1;
        log1p_f64: f64 = libm::log1p;
        acos_f64: f64 = libm::acos;
    }

    binary! {
        pow_f32: f32 = libm::powf;
        fmod_f32: f32 = libm::fmodf;
        pow_f64: f64 = libm::pow;
        fmod_f64: f64 = libm::fmod;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_the_position() {
        assert!(HostFn::ALL.iter().enumerate().all(|(i, &function)| function as usize == i));
    }

    #[test]
    fn scalar_entries_compute_what_their_name_says() {
        let unary = [
            (HostFn::ExpF64, f64::exp as fn(f64) -> f64),
            (HostFn::LogF64, f64::ln),
            (HostFn::SinF64, f64::sin),
            (HostFn::CosF64, f64::cos),
            (HostFn::TanhF64, f64::tanh),
            (HostFn::Expm1F64, f64::exp_m1),
            (HostFn::Log1pF64, f64::ln_1p),
            (HostFn::AcosF64, f64::acos),
        ];
        for (function, reference) in unary {
            assert_eq!(function.signature(), Signature::F64);
            // SAFETY: the signature was checked.
            let call: extern "C" fn(f64) -> f64 =
                unsafe { std::mem::transmute(HOST[function as usize].address()) };
            let (found, expected) = (call(0.3), reference(0.3));
            assert!((found - expected).abs() < 1e-15, "{}: {found}, expected {expected}", function.name());
        }
    }

    #[test]
    fn a_product_through_the_table() {
        // SAFETY: `GemmF32` has signature `Gemm`.
        let call: unsafe extern "C" fn(*const GemmArgs) =
            unsafe { std::mem::transmute(HOST[HostFn::GemmF32 as usize].address()) };
        let (a, b, mut c) = ([1.0f32, 2.0, 3.0, 4.0], [5.0f32, 6.0, 7.0, 8.0], [1.0f32; 4]);
        let args = GemmArgs {
            m: 2,
            n: 2,
            k: 2,
            c: c.as_mut_ptr().cast(),
            c_rs: 2,
            c_cs: 1,
            accumulate: 1,
            alpha: 2.0,
            a: a.as_ptr().cast(),
            a_rs: 2,
            a_cs: 1,
            b: b.as_ptr().cast(),
            b_rs: 2,
            b_cs: 1,
        };
        // SAFETY: three distinct 2 by 2 matrices.
        unsafe { call(&args) };
        assert_eq!(c, [39.0, 45.0, 87.0, 101.0]);
        assert_eq!(size_of::<GemmArgs>(), 14 * 8);
    }
}
