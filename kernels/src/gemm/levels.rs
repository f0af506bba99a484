//! The kernels, compiled once per instruction level and element type behind `#[target_feature]`.

use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};

use crate::simd::{Float, Vector};

use super::Product;
use super::tile::{self, Tile, VECTORS, vectors};
use super::{line, pack};

/// The kernels of one instruction level and element type.
///
/// # Safety
/// Every method: the processor has the level, and the pointers are valid for what the arguments say is touched.
pub(crate) trait Kernel {
    /// The register.
    type Vector: Vector<Element = Self::Element>;
    /// The element.
    type Element: Float;
    /// Rows of the largest tile.
    const ROWS: usize;
    /// Columns of the largest tile.
    const COLUMNS: usize = VECTORS * Self::Vector::LANES;

    /// Computes a tile of `rows` rows, `1 <= rows <= ROWS`.
    unsafe fn tile(rows: usize, tile: &Tile<Self::Element>);

    /// See [`tile::by_element`].
    unsafe fn by_element(p: &Product<Self::Element>);

    /// See [`pack::pack_a`].
    unsafe fn pack_a(
        from: *const Self::Element,
        rs: isize,
        cs: isize,
        rows: usize,
        depth: usize,
        to: *mut Self::Element,
    );

    /// See [`pack::pack_b`].
    unsafe fn pack_b(
        from: *const Self::Element,
        rs: isize,
        cs: isize,
        columns: usize,
        depth: usize,
        to: *mut Self::Element,
    );

    /// See [`line::combine_rows`].
    unsafe fn combine_rows(p: &Product<Self::Element>);

    /// See [`line::dot_columns`].
    unsafe fn dot_columns(p: &Product<Self::Element>);
}

macro_rules! level {
    ($name:ident, $features:literal, $vector:ty, $element:ty, [$($rows:literal)*]) => {
        /// Kernels of this level.
        pub(crate) enum $name {}

        impl Kernel for $name {
            type Vector = $vector;
            type Element = $element;
            const ROWS: usize = { let rows = [$($rows),*]; rows[rows.len() - 1] };

            // SAFETY (all methods): the trait's contract is that of the functions called.
            unsafe fn tile(rows: usize, t: &Tile<$element>) {
                #[target_feature(enable = $features)]
                unsafe fn of<const R: usize, const N: usize, const MASKED: bool>(t: &Tile<$element>) {
                    unsafe { tile::compute::<$vector, R, N, MASKED>(t) }
                }
                let width = vectors::<$vector>(t.columns);
                let masked = !t.b_padded && t.columns < width * <$vector>::LANES;
                unsafe {
                    match (rows, width, masked) {
                        $(
                            ($rows, 1, false) => of::<$rows, 1, false>(t),
                            ($rows, 1, true) => of::<$rows, 1, true>(t),
                            ($rows, _, false) => of::<$rows, 2, false>(t),
                            ($rows, _, true) => of::<$rows, 2, true>(t),
                        )*
                        _ => unreachable!("tiles have 1 to {} rows, not {rows}", Self::ROWS),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn by_element(p: &Product<$element>) {
                unsafe { tile::by_element(p) }
            }

            #[target_feature(enable = $features)]
            unsafe fn pack_a(
                from: *const $element,
                rs: isize,
                cs: isize,
                rows: usize,
                depth: usize,
                to: *mut $element,
            ) {
                unsafe { pack::pack_a::<$vector>(from, rs, cs, rows, depth, to) }
            }

            #[target_feature(enable = $features)]
            unsafe fn pack_b(
                from: *const $element,
                rs: isize,
                cs: isize,
                columns: usize,
                depth: usize,
                to: *mut $element,
            ) {
                unsafe { pack::pack_b::<$vector>(from, rs, cs, columns, depth, to) }
            }

            #[target_feature(enable = $features)]
            unsafe fn combine_rows(p: &Product<$element>) {
                unsafe { line::combine_rows::<$vector>(p) }
            }

            #[target_feature(enable = $features)]
            unsafe fn dot_columns(p: &Product<$element>) {
                unsafe { line::dot_columns::<$vector>(p) }
            }
        }
    };
}

level!(Avx2F32, "avx2,fma", __m256, f32, [1 2 3 4 5 6]);
level!(Avx2F64, "avx2,fma", __m256d, f64, [1 2 3 4 5 6]);
level!(Avx512F32, "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl", __m512, f32, [1 2 3 4 5 6 7 8 9 10 11 12]);
level!(Avx512F64, "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl", __m512d, f64, [1 2 3 4 5 6 7 8 9 10 11 12]);
