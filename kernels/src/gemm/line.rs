//! Products with one row of C, as in decoding one token: every element of B is read once, so the speed is that of memory.

use crate::simd::{Float, Vector};

/// `c[j] (+)= alpha Σ x[p] b[p][j]`. Strides are in elements; the contiguous direction has none.
pub(crate) struct Line<T> {
    pub n: usize,
    pub k: usize,
    pub x: *const T,
    /// Stride of `x`; one for [`dot_columns`].
    pub x_step: isize,
    pub b: *const T,
    /// Row stride of B for [`combine_rows`], column stride for [`dot_columns`].
    pub b_step: isize,
    pub c: *mut T,
    /// Stride of `c`; one for [`combine_rows`].
    pub c_step: isize,
    pub alpha: T,
    pub accumulate: bool,
}

/// Rows of B read at once by [`combine_rows`]: as many streams as the prefetcher of a core follows.
const STREAMS: usize = 8;

/// Contiguous rows of B and contiguous `c`: adds scaled rows into `c`, a few rows at a time.
///
/// # Safety
/// The processor has the level of `V`; operands are readable and `c` readable and writable for what `line` describes.
#[inline(always)]
pub(crate) unsafe fn combine_rows<V: Vector>(line: &Line<V::Element>) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut p = 0;
        while p + STREAMS <= line.k {
            add_rows::<V, STREAMS>(line, p);
            p += STREAMS;
        }
        while p < line.k {
            add_rows::<V, 1>(line, p);
            p += 1;
        }
    }
}

/// Adds rows `p..p + S` to `c`; the first rows overwrite it unless the product accumulates.
///
/// # Safety
/// As for [`combine_rows`], and `p + S <= k`.
#[inline(always)]
unsafe fn add_rows<V: Vector, const S: usize>(line: &Line<V::Element>, p: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let (mut factors, mut rows) = ([V::zero(); S], [line.b; S]);
        for s in 0..S {
            let step = (p + s) as isize;
            factors[s] = V::splat(*line.x.offset(step * line.x_step) * line.alpha);
            rows[s] = line.b.offset(step * line.b_step);
        }
        let keeps = line.accumulate || p > 0;
        let mut j = 0;
        while j + V::LANES <= line.n {
            let mut sum = if keeps { V::load(line.c.add(j)) } else { V::zero() };
            for s in 0..S {
                sum = factors[s].fma(V::load(rows[s].add(j)), sum);
            }
            sum.store(line.c.add(j));
            j += V::LANES;
        }
        let rest = line.n - j;
        if rest > 0 {
            let mut sum = if keeps { V::load_first(line.c.add(j), rest) } else { V::zero() };
            for s in 0..S {
                sum = factors[s].fma(V::load_first(rows[s].add(j), rest), sum);
            }
            sum.store_first(line.c.add(j), rest);
        }
    }
}

/// Columns of B that [`dot_columns`] reads at once.
const DOTS: usize = 4;

/// Contiguous columns of B and contiguous `x`: one dot product per column, a few columns at a time.
///
/// # Safety
/// As for [`combine_rows`].
#[inline(always)]
pub(crate) unsafe fn dot_columns<V: Vector>(line: &Line<V::Element>) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut j = 0;
        while j + DOTS <= line.n {
            dots::<V, DOTS>(line, j);
            j += DOTS;
        }
        while j < line.n {
            dots::<V, 1>(line, j);
            j += 1;
        }
    }
}

/// Columns `j..j + D`. Each sum has two accumulators (even and odd vectors), added in a fixed order whatever `D` is.
///
/// # Safety
/// As for [`dot_columns`], and `j + D <= n`.
#[inline(always)]
unsafe fn dots<V: Vector, const D: usize>(line: &Line<V::Element>, j: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut columns = [line.b; D];
        for (d, column) in columns.iter_mut().enumerate() {
            *column = line.b.offset((j + d) as isize * line.b_step);
        }
        let mut sums = [[V::zero(); 2]; D];
        let mut p = 0;
        while p + 2 * V::LANES <= line.k {
            let x = [V::load(line.x.add(p)), V::load(line.x.add(p + V::LANES))];
            for (sums, column) in sums.iter_mut().zip(columns) {
                sums[0] = x[0].fma(V::load(column.add(p)), sums[0]);
                sums[1] = x[1].fma(V::load(column.add(p + V::LANES)), sums[1]);
            }
            p += 2 * V::LANES;
        }
        while p < line.k {
            let count = (line.k - p).min(V::LANES);
            let x = V::load_first(line.x.add(p), count);
            for (sums, column) in sums.iter_mut().zip(columns) {
                sums[0] = x.fma(V::load_first(column.add(p), count), sums[0]);
            }
            p += count;
        }
        for (d, sums) in sums.iter().enumerate() {
            let to = line.c.offset((j + d) as isize * line.c_step);
            let dot = across(sums[0].add(sums[1])) * line.alpha;
            *to = if line.accumulate { *to + dot } else { dot };
        }
    }
}

/// The sum of the lanes, by halves.
///
/// # Safety
/// The processor has the level of `V`.
#[inline(always)]
unsafe fn across<V: Vector>(sum: V) -> V::Element {
    let mut lanes = [V::Element::ZERO; 16];
    // SAFETY: no register has more than sixteen lanes.
    unsafe { sum.store(lanes.as_mut_ptr()) };
    let mut half = V::LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = lanes[i] + lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}
