//! Products with one or few rows of C, as in decoding: B is read once, in place, so the speed is that of memory.

use crate::simd::{Float, Vector};

use super::Product;

/// Rows of B read at once by [`combine_rows`]: as many streams as the prefetcher of a core follows.
const STREAMS: usize = 8;

/// One row of C, contiguous, and contiguous rows of B: adds scaled rows into C, a few rows at a time.
///
/// # Safety
/// As for [`super::gemm_f32`], and the processor has the level of `V`; `m == 1`.
#[inline(always)]
pub(crate) unsafe fn combine_rows<V: Vector>(p: &Product<V::Element>) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut step = 0;
        while step + STREAMS <= p.k {
            add_rows::<V, STREAMS>(p, step);
            step += STREAMS;
        }
        while step < p.k {
            add_rows::<V, 1>(p, step);
            step += 1;
        }
    }
}

/// Adds rows `step..step + S` to C; the first rows overwrite it unless the product accumulates.
///
/// # Safety
/// As for [`combine_rows`], and `step + S <= k`.
#[inline(always)]
unsafe fn add_rows<V: Vector, const S: usize>(p: &Product<V::Element>, step: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let (mut factors, mut rows) = ([V::zero(); S], [p.b; S]);
        for s in 0..S {
            factors[s] = V::splat(*p.a_at(0, step + s) * p.alpha);
            rows[s] = p.b_at(step + s, 0);
        }
        let keeps = p.accumulate || step > 0;
        let mut j = 0;
        while j + V::LANES <= p.n {
            let mut sum = if keeps { V::load(p.c.add(j)) } else { V::zero() };
            for s in 0..S {
                sum = factors[s].fma(V::load(rows[s].add(j)), sum);
            }
            sum.store(p.c.add(j));
            j += V::LANES;
        }
        let rest = p.n - j;
        if rest > 0 {
            let mut sum = if keeps { V::load_first(p.c.add(j), rest) } else { V::zero() };
            for s in 0..S {
                sum = factors[s].fma(V::load_first(rows[s].add(j), rest), sum);
            }
            sum.store_first(p.c.add(j), rest);
        }
    }
}

/// Columns of B that [`dot_columns`] reads at once.
const DOTS: usize = 4;

/// Contiguous rows of A and contiguous columns of B: one dot product per element of C. A few columns of B at a time
/// stay in the first-level cache while all rows of A pass.
///
/// # Safety
/// As for [`super::gemm_f32`], and the processor has the level of `V`.
#[inline(always)]
pub(crate) unsafe fn dot_columns<V: Vector>(p: &Product<V::Element>) {
    let mut j = 0;
    // SAFETY: the caller's promise.
    unsafe {
        while j + DOTS <= p.n {
            let mut i = 0;
            while i + 2 <= p.m {
                dots::<V, 2, 2>(p, i, j);
                dots::<V, 2, 2>(p, i, j + 2);
                i += 2;
            }
            if i < p.m {
                dots::<V, 1, DOTS>(p, i, j);
            }
            j += DOTS;
        }
        while j < p.n {
            (0..p.m).for_each(|i| dots::<V, 1, 1>(p, i, j));
            j += 1;
        }
    }
}

/// Rows `i..i + R` and columns `j..j + D` of C. Each sum has two accumulators (even and odd vectors), added in a fixed
/// order, whatever `R` and `D` are.
///
/// # Safety
/// As for [`dot_columns`]; `i + R <= m` and `j + D <= n`.
#[inline(always)]
unsafe fn dots<V: Vector, const R: usize, const D: usize>(p: &Product<V::Element>, i: usize, j: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let (mut rows, mut columns) = ([p.a; R], [p.b; D]);
        rows.iter_mut().enumerate().for_each(|(r, row)| *row = p.a_at(i + r, 0));
        columns.iter_mut().enumerate().for_each(|(d, column)| *column = p.b_at(0, j + d));
        let mut sums = [[[V::zero(); 2]; D]; R];
        let mut step = 0;
        while step + 2 * V::LANES <= p.k {
            for half in 0..2 {
                let from = step + half * V::LANES;
                let column = columns.map(|column| V::load(column.add(from)));
                for (sums, row) in sums.iter_mut().zip(rows) {
                    let x = V::load(row.add(from));
                    for (sum, column) in sums.iter_mut().zip(column) {
                        sum[half] = x.fma(column, sum[half]);
                    }
                }
            }
            step += 2 * V::LANES;
        }
        while step < p.k {
            let count = (p.k - step).min(V::LANES);
            let column = columns.map(|column| V::load_first(column.add(step), count));
            for (sums, row) in sums.iter_mut().zip(rows) {
                let x = V::load_first(row.add(step), count);
                for (sum, column) in sums.iter_mut().zip(column) {
                    sum[0] = x.fma(column, sum[0]);
                }
            }
            step += count;
        }
        for (r, sums) in sums.iter().enumerate() {
            for (d, sum) in sums.iter().enumerate() {
                let to = p.c_at(i + r, j + d);
                let dot = across(sum[0].add(sum[1])) * p.alpha;
                *to = if p.accumulate { *to + dot } else { dot };
            }
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
