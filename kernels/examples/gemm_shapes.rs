//! Prints GFLOP/s of `gemm_f32` and `gemm_f64` for the products of a small transformer, each beside the library alone.
//!
//! `cargo run --release -p nnc-kernels --example gemm_shapes [filter]`

use std::hint::black_box;
use std::time::{Duration, Instant};

use gemm::Parallelism;
use nnc_kernels::gemm::{gemm_f32, gemm_f64};

/// Storage of a product `C[m,n] = A[m,k] B[k,n]`: which operands lie transposed in memory. C is row-major.
#[derive(Clone, Copy)]
struct Shape {
    about: &'static str,
    m: usize,
    n: usize,
    k: usize,
    a_transposed: bool,
    b_transposed: bool,
}

fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    println!("{}", nnc_kernels::cpu::describe());
    let chosen = || shapes().into_iter().filter(|shape| shape.about.contains(&filter));
    title("f32, one thread, GFLOP/s");
    chosen().for_each(|shape| report(shape, measure(shape, gemm_f32)));
    title("f64, one thread, GFLOP/s");
    chosen().for_each(|shape| report(shape, measure(shape, gemm_f64)));
}

fn title(about: &str) {
    println!("{about:<28} {:>4} {:>4} {:>4} {:>8} {:>8} {:>6}", "m", "n", "k", "library", "ours", "ratio");
}

fn report(shape: Shape, [library, ours]: [f64; 2]) {
    let Shape { about, m, n, k, .. } = shape;
    println!("{about:<28} {m:>4} {n:>4} {k:>4} {library:>8.1} {ours:>8.1} {:>6.2}", ours / library);
}

fn shapes() -> Vec<Shape> {
    let plain = |about, m, n, k| Shape { about, m, n, k, a_transposed: false, b_transposed: false };
    let mut all = Vec::new();
    for m in [768, 96] {
        for (n, k) in [(384, 128), (128, 128), (512, 128), (128, 512), (65, 128)] {
            all.push(Shape { b_transposed: true, ..plain("forward x W^T", m, n, k) });
            all.push(plain("backward dy W", m, k, n));
        }
    }
    for (n, k) in [(384, 128), (128, 128), (512, 128), (128, 512), (65, 128)] {
        all.push(Shape { a_transposed: true, ..plain("weights dy^T x", n, k, 768) });
    }
    all.push(Shape { a_transposed: true, ..plain("weights dy^T x, panel", 64, 128, 768) });
    all.push(Shape { b_transposed: true, ..plain("attention q k^T", 64, 64, 32) });
    all.push(plain("attention p v", 64, 32, 64));
    all.push(Shape { a_transposed: true, ..plain("attention p^T do", 64, 32, 64) });
    for m in [64, 128] {
        all.push(Shape { b_transposed: true, ..plain("mlp x W^T", m, 512, 784) });
        all.push(plain("mlp x W", m, 512, 784));
    }
    all.push(Shape { a_transposed: true, ..plain("mlp dy^T x", 512, 784, 128) });
    all.push(Shape { b_transposed: true, ..plain("mlp logits", 128, 10, 512) });
    all.push(plain("square", 512, 512, 512));
    all.push(plain("square", 1024, 1024, 1024));
    for (n, k) in [(384, 128), (512, 512), (4096, 1024)] {
        all.push(Shape { b_transposed: true, ..plain("decode x W^T", 1, n, k) });
        all.push(plain("decode x W", 1, n, k));
    }
    for m in [2, 4, 8, 16] {
        all.push(Shape { b_transposed: true, ..plain("few rows, x W^T", m, 512, 512) });
        all.push(Shape { b_transposed: true, ..plain("few rows, x W^T", m, 384, 128) });
        all.push(plain("few rows, x W", m, 512, 512));
    }
    for size in [2, 3, 4, 6, 8, 16, 32] {
        all.push(plain("small", size, size, size));
        all.push(Shape { b_transposed: true, ..plain("small, B transposed", size, size, size) });
    }
    all
}

/// A product function of this crate.
type Gemm<T> = unsafe fn(
    usize,
    usize,
    usize,
    *mut T,
    isize,
    isize,
    bool,
    T,
    *const T,
    isize,
    isize,
    *const T,
    isize,
    isize,
);

/// GFLOP/s of the library and of `gemm`: the best of interleaved rounds, against noise from other processes.
fn measure<T: Copy + From<f32> + 'static>(shape: Shape, gemm: Gemm<T>) -> [f64; 2] {
    let Shape { m, n, k, a_transposed, b_transposed, .. } = shape;
    let (a, b) = (numbers::<T>(m * k), numbers::<T>(k * n));
    let mut c = numbers::<T>(m * n);
    let strides = |rows: usize, columns: usize, transposed: bool| {
        if transposed { (1, rows as isize) } else { (columns as isize, 1) }
    };
    let ((a_rs, a_cs), (b_rs, b_cs)) = (strides(m, k, a_transposed), strides(k, n, b_transposed));
    let (c_rs, one) = (n as isize, T::from(1.0));
    let (a, b, c) = (black_box(a.as_ptr()), black_box(b.as_ptr()), black_box(c.as_mut_ptr()));
    // SAFETY (both): the buffers hold exactly the elements that the strides reach.
    let mut library = || unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c,
            1,
            c_rs,
            false,
            a,
            a_cs,
            a_rs,
            b,
            b_cs,
            b_rs,
            one,
            one,
            false,
            false,
            false,
            Parallelism::None,
        )
    };
    let mut ours = || unsafe { gemm(m, n, k, c, c_rs, 1, false, one, a, a_rs, a_cs, b, b_rs, b_cs) };
    let mut best = [Duration::MAX; 2];
    let calls = (2_000_000 / (m * n * k)).clamp(1, 20_000);
    for _ in 0..200 {
        best[0] = best[0].min(time(calls, &mut library));
        best[1] = best[1].min(time(calls, &mut ours));
    }
    best.map(|best| 2.0 * (m * n * k * calls) as f64 / best.as_secs_f64() * 1e-9)
}

fn time(calls: usize, call: &mut dyn FnMut()) -> Duration {
    let start = Instant::now();
    (0..calls).for_each(|_| call());
    start.elapsed()
}

fn numbers<T: From<f32>>(len: usize) -> Vec<T> {
    (0..len).map(|i| T::from((i * 7919 % 1009) as f32 / 1009.0 - 0.5)).collect()
}
