//! The register tile: up to `ROWS` by two vectors of C kept in registers over the whole depth of a block.
//!
//! Each element of C is one chain of fused multiply-adds in the order of k, whatever tile it falls into; hence cutting a
//! product into panels of rows or columns does not change its result.

use crate::simd::{Float, Vector};

use super::Product;

/// Vectors of a tile side by side.
pub(crate) const VECTORS: usize = 2;

/// Where a tile reads and writes. Strides are in elements.
pub(crate) struct Tile<T> {
    /// Steps of the sum.
    pub depth: usize,
    /// First row of A, first step.
    pub a: *const T,
    pub a_rs: isize,
    pub a_cs: isize,
    /// First step of B, first column; columns are contiguous.
    pub b: *const T,
    pub b_rs: isize,
    /// B may be read up to full vectors, not only up to `columns`.
    pub b_padded: bool,
    pub c: *mut T,
    pub c_rs: isize,
    pub c_cs: isize,
    /// Columns of C, at most [`VECTORS`] vectors.
    pub columns: usize,
    pub alpha: T,
    pub accumulate: bool,
}

/// Vectors needed for `columns` columns.
#[inline(always)]
pub(crate) fn vectors<V: Vector>(columns: usize) -> usize {
    if columns > V::LANES { VECTORS } else { 1 }
}

/// The odd multiples of a row stride, in bytes. Every row is then one addressing mode away (a base, an odd multiple, a
/// power of two); left alone, the compiler walks from row to row by additions that wait for each other.
struct RowOffsets([isize; 6]);

impl RowOffsets {
    /// For tiles of `R` rows, at most twelve.
    #[inline(always)]
    fn new<const R: usize>(stride: isize) -> RowOffsets {
        let mut odd = [0; 6];
        for (i, offset) in odd.iter_mut().enumerate() {
            if 2 * i + 1 < R {
                *offset = std::hint::black_box(stride * (2 * i as isize + 1));
            }
        }
        RowOffsets(odd)
    }

    #[inline(always)]
    fn of(&self, row: usize) -> isize {
        if row == 0 {
            return 0;
        }
        let power = row.trailing_zeros();
        self.0[(row >> power) / 2] << power
    }
}

/// One tile of `R` rows and `N` vectors; `MASKED` reads B only up to `columns`.
///
/// # Safety
/// The processor has the level of `V`; A and B are readable, C is readable and writable for what `t` describes.
#[inline(always)]
pub(crate) unsafe fn compute<V: Vector, const R: usize, const N: usize, const MASKED: bool>(
    t: &Tile<V::Element>,
) {
    // SAFETY: the caller's promise; offsets stay inside the rows, steps and columns it names.
    unsafe {
        let mut sums = [[V::zero(); N]; R];
        let (mut a, mut b) = (t.a, t.b);
        let rows = RowOffsets::new::<R>(t.a_rs * size_of::<V::Element>() as isize);
        let tail = t.columns - (N - 1) * V::LANES;
        for i in 0..R {
            V::prefetch(t.c.wrapping_offset(i as isize * t.c_rs));
        }
        for _ in 0..t.depth {
            let mut row = [V::zero(); N];
            for (j, vector) in row.iter_mut().enumerate() {
                let from = b.add(j * V::LANES);
                *vector = if MASKED && j + 1 == N { V::load_first(from, tail) } else { V::load(from) };
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let x = V::splat(*a.byte_offset(rows.of(i)));
                for (sum, vector) in sums.iter_mut().zip(row) {
                    *sum = x.fma(vector, *sum);
                }
            }
            a = a.wrapping_offset(t.a_cs);
            b = b.wrapping_offset(t.b_rs);
        }
        finish::<V, R, N>(t, sums);
    }
}

/// Scales the sums and writes them to C.
///
/// # Safety
/// As for [`compute`].
#[inline(always)]
unsafe fn finish<V: Vector, const R: usize, const N: usize>(t: &Tile<V::Element>, mut sums: [[V; N]; R]) {
    // SAFETY: the caller's promise.
    unsafe {
        let alpha = V::splat(t.alpha);
        sums.iter_mut().flatten().for_each(|sum| *sum = sum.mul(alpha));
        if t.c_cs != 1 {
            return scatter::<V, R, N>(t, sums);
        }
        let tail = t.columns - (N - 1) * V::LANES;
        for (i, sums) in sums.iter().enumerate() {
            let c = t.c.offset(i as isize * t.c_rs);
            for (j, sum) in sums.iter().enumerate() {
                write(*sum, c.add(j * V::LANES), if j + 1 == N { tail } else { V::LANES }, t.accumulate);
            }
        }
    }
}

/// Writes or adds the first `count` lanes.
///
/// # Safety
/// `to` is readable and writable for `count` elements.
#[inline(always)]
unsafe fn write<V: Vector>(sum: V, to: *mut V::Element, count: usize, accumulate: bool) {
    // SAFETY: the caller's promise.
    unsafe {
        match (count == V::LANES, accumulate) {
            (true, false) => sum.store(to),
            (true, true) => V::load(to).add(sum).store(to),
            (false, false) => sum.store_first(to, count),
            (false, true) => V::load_first(to, count).add(sum).store_first(to, count),
        }
    }
}

/// Writes a tile whose columns are not contiguous in C, element by element.
///
/// # Safety
/// As for [`compute`].
#[inline(never)]
unsafe fn scatter<V: Vector, const R: usize, const N: usize>(t: &Tile<V::Element>, sums: [[V; N]; R]) {
    // SAFETY: the caller's promise; a vector is an array of `LANES` elements in memory.
    unsafe {
        for (i, sums) in sums.iter().enumerate() {
            for j in 0..t.columns {
                let to = t.c.offset(i as isize * t.c_rs + j as isize * t.c_cs);
                let sum = sums.as_ptr().cast::<V::Element>().add(j);
                *to = if t.accumulate { *to + *sum } else { *sum };
            }
        }
    }
}

/// The whole product, one element at a time, rounded as the tiles round: for sizes where setting up a tile costs more.
///
/// # Safety
/// The processor has FMA; otherwise as for [`super::gemm_f32`].
#[inline(always)]
pub(crate) unsafe fn by_element<T: Float>(p: &Product<T>) {
    for i in 0..p.m {
        for j in 0..p.n {
            let mut sum = T::ZERO;
            let (mut a, mut b, c) = (p.a_at(i, 0), p.b_at(0, j), p.c_at(i, j));
            // SAFETY: the addresses are those of elements of A, B and C.
            unsafe {
                for _ in 0..p.k {
                    sum = (*a).fma(*b, sum);
                    (a, b) = (a.wrapping_offset(p.a_cs), b.wrapping_offset(p.b_rs));
                }
                let sum = sum * p.alpha;
                *c = if p.accumulate { *c + sum } else { sum };
            }
        }
    }
}
