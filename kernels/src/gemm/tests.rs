//! Every path of the product against an f64 loop: sizes around the tile edges, all layouts, broadcast strides.

use super::*;

/// A matrix in memory: strides, and a buffer that holds exactly the elements they reach.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Rows,
    Columns,
    PaddedRows,
    /// Neither direction contiguous.
    Spread,
    /// All rows are one row.
    OneRow,
    /// All columns are one column.
    OneColumn,
}

use Layout::{Columns, OneColumn, OneRow, PaddedRows, Rows, Spread};

impl Layout {
    fn strides(self, rows: usize, columns: usize) -> (isize, isize) {
        let (rows, columns) = (rows as isize, columns as isize);
        match self {
            Rows => (columns, 1),
            Columns => (1, rows),
            PaddedRows => (columns + 3, 1),
            Spread => (2 * columns + 1, 2),
            OneRow => (0, 1),
            OneColumn => (1, 0),
        }
    }

    fn len(self, rows: usize, columns: usize) -> usize {
        let (rs, cs) = self.strides(rows, columns);
        if rows * columns == 0 {
            0
        } else {
            (rows as isize - 1) as usize * rs as usize + (columns - 1) * cs as usize + 1
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Case {
    size: [usize; 3],
    layouts: [Layout; 3],
    accumulate: bool,
    alpha: f32,
}

/// An implementation with its name.
type Run<T> = (&'static str, unsafe fn(Product<T>));

macro_rules! check_function {
    ($check:ident, $float:ty, $tolerance:expr, $runs:expr) => {
        /// Compares every implementation that this processor can run with the definition.
        fn $check(case: Case) {
            let Case { size: [m, n, k], layouts: [la, lb, lc], accumulate, alpha } = case;
            let numbers = |len: usize, seed: usize| -> Vec<$float> {
                (0..len).map(|i| ((i * 7919 + seed) % 1009) as $float / 1009.0 - 0.5).collect()
            };
            let (a, b, c) = (numbers(la.len(m, k), 1), numbers(lb.len(k, n), 500), numbers(lc.len(m, n), 7));
            let ((a_rs, a_cs), (b_rs, b_cs), (c_rs, c_cs)) =
                (la.strides(m, k), lb.strides(k, n), lc.strides(m, n));
            let alpha = alpha as $float;
            let mut expected: Vec<f64> = c.iter().map(|&x| x as f64).collect();
            for i in 0..m as isize {
                for j in 0..n as isize {
                    let product = |p: isize| {
                        a[(i * a_rs + p * a_cs) as usize] as f64 * b[(p * b_rs + j * b_cs) as usize] as f64
                    };
                    let sum = alpha as f64 * (0..k as isize).map(product).sum::<f64>();
                    let element = &mut expected[(i * c_rs + j * c_cs) as usize];
                    *element = if accumulate { *element + sum } else { sum };
                }
            }
            let runs: Vec<Run<$float>> = $runs;
            for (name, run) in runs {
                let mut found = c.clone();
                let product = Product {
                    m,
                    n,
                    k,
                    c: found.as_mut_ptr(),
                    c_rs,
                    c_cs,
                    accumulate,
                    alpha,
                    a: a.as_ptr(),
                    a_rs,
                    a_cs,
                    b: b.as_ptr(),
                    b_rs,
                    b_cs,
                };
                // SAFETY: the buffers hold what the strides reach, and the layouts of C are free of overlap.
                unsafe { run(product) };
                for (i, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
                    let error = (found as f64 - expected).abs();
                    // Rounding grows like the root of k for numbers of mixed sign; elements are below one half.
                    let bound = $tolerance * (1.0 + expected.abs() + (k as f64).sqrt());
                    assert!(error <= bound, "{name} {case:?}: element {i} is {found}, expected {expected}");
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
fn by_level<T>(
    public: unsafe fn(Product<T>),
    avx2: unsafe fn(Product<T>),
    avx512: unsafe fn(Product<T>),
) -> Vec<Run<T>> {
    let mut runs = vec![("public", public)];
    runs.extend((CpuLevel::detect() >= CpuLevel::Avx2).then_some(("avx2", avx2)));
    runs.extend((CpuLevel::detect() >= CpuLevel::Avx512).then_some(("avx512", avx512)));
    runs
}

#[cfg(target_arch = "x86_64")]
check_function!(
    check_f32,
    f32,
    1e-6,
    by_level(run_f32, tiles::<levels::Avx2F32>, tiles::<levels::Avx512F32>)
);
#[cfg(target_arch = "x86_64")]
check_function!(
    check_f64,
    f64,
    1e-14,
    by_level(run_f64, tiles::<levels::Avx2F64>, tiles::<levels::Avx512F64>)
);
#[cfg(not(target_arch = "x86_64"))]
check_function!(check_f32, f32, 1e-6, vec![("public", run_f32)]);
#[cfg(not(target_arch = "x86_64"))]
check_function!(check_f64, f64, 1e-14, vec![("public", run_f64)]);

/// The blocked product, under its own precondition.
#[cfg(target_arch = "x86_64")]
unsafe fn tiles<K: levels::Kernel>(p: Product<K::Element>) {
    if p.m > 0 && p.n > 0 && p.k > 0 {
        // SAFETY: the caller's promise.
        unsafe { blocked::multiply::<K>(p) }
    } else if p.k == 0 {
        // SAFETY: the caller's promise.
        unsafe { p.clear(K::Element::ZERO) }
    }
}

#[cfg(target_arch = "x86_64")]
use crate::simd::Float as _;

fn check(case: Case) {
    check_f32(case);
    check_f64(case);
}

#[test]
fn every_size_up_to_the_tile_edges() {
    for m in (0..=14).chain([25, 31]) {
        for n in (0..=9).chain([15, 16, 17, 31, 32, 33, 65]) {
            for k in [0, 1, 2, 3, 7, 8, 9, 17] {
                let flags = (m + n + k) % 2 == 0;
                check(Case { size: [m, n, k], layouts: [Rows, Rows, Rows], accumulate: flags, alpha: 1.0 });
                check(Case {
                    size: [m, n, k],
                    layouts: [Rows, Columns, Rows],
                    accumulate: !flags,
                    alpha: 1.0,
                });
            }
        }
    }
}

#[test]
fn every_layout() {
    for a in [Rows, Columns, PaddedRows, Spread, OneRow, OneColumn] {
        for b in [Rows, Columns, PaddedRows, Spread, OneRow, OneColumn] {
            for c in [Rows, Columns, PaddedRows, Spread] {
                for size in [[1, 37, 19], [37, 1, 19], [5, 6, 7], [29, 35, 41], [3, 50, 1]] {
                    let accumulate = size[0] % 2 == 1;
                    check(Case { size, layouts: [a, b, c], accumulate, alpha: -0.75 });
                }
            }
        }
    }
}

#[test]
fn few_rows_of_long_dot_products() {
    for m in 1..=9 {
        for (n, k) in [(1, 128), (3, 131), (6, 200), (9, 128)] {
            for c in [Rows, Columns, Spread] {
                check(Case {
                    size: [m, n, k],
                    layouts: [PaddedRows, Columns, c],
                    accumulate: m % 2 == 0,
                    alpha: 0.5,
                });
            }
        }
    }
}

#[test]
fn sizes_past_every_block() {
    for (size, layouts) in [
        ([175, 70, 600], [Rows, Columns, Rows]),
        ([175, 70, 600], [Columns, Rows, Rows]),
        ([340, 40, 290], [Columns, Columns, Columns]),
        ([20, 2100, 300], [Rows, Rows, PaddedRows]),
    ] {
        check(Case { size, layouts, accumulate: false, alpha: 1.0 });
        check(Case { size, layouts, accumulate: true, alpha: 2.0 });
    }
}

#[test]
fn overwriting_never_reads_the_result() {
    for [m, n, k] in [[1, 40, 5], [40, 1, 5], [1, 5, 0], [13, 19, 700], [3, 3, 3]] {
        let (a, b, mut c) = (vec![1.0f32; m * k], vec![1.0f32; k * n], vec![f32::NAN; m * n]);
        let (ap, bp, cp, row) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr(), n as isize);
        // SAFETY: dense row-major matrices of the sizes given.
        unsafe { gemm_f32(m, n, k, cp, row, 1, false, 1.0, ap, k as isize, 1, bp, row, 1) };
        assert!(c.iter().all(|&x| x == k as f32), "{m} {n} {k}");
    }
}

#[test]
fn zero_times_infinity_shows() {
    for [m, n, k] in [[1, 9, 4], [9, 1, 4], [4, 4, 4], [30, 40, 50]] {
        let (a, mut b, mut c) = (vec![0.0f32; m * k], vec![1.0f32; k * n], vec![0.0f32; m * n]);
        b[(k - 1) * n] = f32::INFINITY;
        let (ap, bp, cp, row) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr(), n as isize);
        // SAFETY: dense row-major matrices of the sizes given.
        unsafe { gemm_f32(m, n, k, cp, row, 1, true, 1.0, ap, k as isize, 1, bp, row, 1) };
        for (i, x) in c.iter().enumerate() {
            assert_eq!(x.is_nan(), i % n == 0, "{m} {n} {k}, element {i}");
        }
    }
}

#[test]
fn a_sum_of_no_products_ignores_the_scale() {
    let mut c = [3.0f64; 4];
    let nowhere = std::ptr::NonNull::<f64>::dangling().as_ptr();
    // SAFETY: with k = 0 nothing of A and B is read.
    unsafe { gemm_f64(2, 2, 0, c.as_mut_ptr(), 2, 1, true, f64::NAN, nowhere, 0, 1, nowhere, 2, 1) };
    assert_eq!(c, [3.0; 4]);
    // SAFETY: as above.
    unsafe { gemm_f64(2, 2, 0, c.as_mut_ptr(), 2, 1, false, f64::NAN, nowhere, 0, 1, nowhere, 2, 1) };
    assert_eq!(c, [0.0; 4]);
}
