//! Kernels: what the verifier proves and refuses, what the interpreter computes, and their text.

use nnc_ir::kernel::text::parse;
use nnc_ir::kernel::{Kernel, interpret, verify};
use nnc_ir::{Dim, Ranges, Symbol};
use std::collections::BTreeMap;

fn kernel(text: &str) -> Kernel {
    let kernel = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(parse(&kernel.to_string()).as_ref(), Ok(&kernel), "the text comes back");
    kernel
}

/// Sizes `N` and `W`, at least 1.
fn ranges() -> Ranges {
    let mut ranges = Ranges::new();
    ranges.state(Symbol::new("N"), Dim::one(), None);
    ranges.state(Symbol::new("W"), Dim::one(), None);
    ranges
}

fn errors(text: &str) -> String {
    verify(&kernel(text), &ranges()).expect_err("refused").join("; ")
}

fn proved(text: &str) -> Kernel {
    let kernel = kernel(text);
    let report = verify(&kernel, &ranges()).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
    assert_eq!(report.unproved, Vec::<String>::new(), "{text}");
    kernel
}

/// A product of matrices in row tiles, bias and activation fused: every kind of statement but `index`.
pub fn matmul() -> Kernel {
    kernel(
        r#"kernel "matmul" sizes(N, W) grid(t: floor(N + 3, 4)) {
            cost 100.0
            scalars(f32, f32)
            b0 = buffer "x" f32[N * W] read
            b1 = buffer "w" f32[W * 8] read
            b2 = buffer "y" f32[N * 8] write
            b3 = tile "c" f32[32]
            gemm set(min(4, N - 4 * t), 8, W) b3[0; 8, 1] = b0[4 * t * W; W, 1] * b1[0; 8, 1]
            for i: min(4, N - 4 * t) {
                fold v0 = max
                for j: 8 vector { accumulate v0 = b3[8 * i + j] }
                for j: 8 vector {
                    let v1 = select(compare{"<"}(v0, constant(0.0, f32)), dim(i + 1, f32), exp(sub(b3[8 * i + j], v0)))
                    store b2[32 * t + 8 * i + j] = v1
                }
                guard i - 1: 2 { store b2[32 * t + 8 * i] = guarded(i - 2: 1; v0; -inf) }
            }
        }"#,
    )
}

#[test]
fn a_tiled_product_is_proved_and_computes() {
    let kernel = matmul();
    verify(&kernel, &ranges()).unwrap_or_else(|errors| panic!("{errors:?}"));
    let sizes = BTreeMap::from([(Symbol::new("N"), 5), (Symbol::new("W"), 2)]);
    let x: Vec<f64> = (0..10).map(f64::from).collect();
    let w: Vec<f64> = (0..16).map(|k| f64::from(k % 3)).collect();
    let mut buffers = vec![x.clone(), w.clone(), vec![f64::NAN; 40]];
    interpret(&kernel, &sizes, &mut buffers).expect("runs");
    let product = |row: usize, column: usize| (0..2).map(|k| x[row * 2 + k] * w[k * 8 + column]).sum::<f64>();
    let largest = |row: usize| (0..8).map(|column| product(row, column)).fold(f64::NEG_INFINITY, f64::max);
    for (row, column) in (0..5).flat_map(|row| (0..8).map(move |column| (row, column))) {
        let expected = match (row % 4, column) {
            (1, 0) => f64::NEG_INFINITY,
            (2, 0) => largest(row),
            _ => (product(row, column) - largest(row)).exp(),
        };
        assert_eq!(buffers[2][row * 8 + column], expected, "{row}, {column}");
    }
}

#[test]
fn a_guard_proves_padding() {
    proved(
        r#"kernel "pad" sizes(N, W) grid(i: N + 2, j: W + 2) {
            cost 1.0 scalars()
            b0 = buffer "x" f32[N * W] read
            b1 = buffer "y" f32[N * W + 2 * N + 2 * W + 4] write
            store b1[i * W + 2 * i + j] = guarded(i - 1: N, j - 1: W; b0[i * W - W + j - 1]; 0.0)
        }"#,
    );
}

#[test]
fn a_guard_proves_strided_windows() {
    proved(
        r#"kernel "strided" sizes(N) grid(i: N) {
            cost 1.0 scalars()
            b0 = buffer "x" f32[3 * N] read
            b1 = buffer "y" f32[N] write
            store b1[i] = guarded(2 * i - 1: N; b0[6 * i - 3]; 0.0)
        }"#,
    );
}

#[test]
fn accesses_beyond_the_end_are_refused() {
    let found = errors(
        r#"kernel "k" sizes(N) grid(i: N) {
            cost 1.0 scalars()
            b0 = buffer "x" f32[N] read
            b1 = buffer "y" f32[N] write
            store b1[i] = b0[i + 1]
        }"#,
    );
    assert_eq!(found, "element `i + 1` of b0 `x` is not proved within `N`");
    let found = errors(
        r#"kernel "k" sizes(N) grid() {
            cost 1.0 scalars()
            b0 = buffer "x" f32[N] update
            gemm add(N, 1, 2) b0[0; 1, 1] = b0[0; 1, 1] * b0[0; 1, 1]
        }"#,
    );
    assert!(found.contains("not proved within `N`"), "{found}");
}

#[test]
fn instances_that_write_one_place_are_refused() {
    let found = errors(
        r#"kernel "k" sizes(N) grid(i: N, j: 2) {
            cost 1.0 scalars()
            b0 = buffer "y" f32[N] write
            store b0[i] = constant(1.0, f32)
        }"#,
    );
    assert_eq!(found, "instances may write the same `i` of b0: `j` makes no difference");
}

#[test]
fn what_never_runs_writes_nothing() {
    let kernel = kernel(
        r#"kernel "k" sizes(N) grid(i: N) {
            cost 1.0 scalars()
            b0 = buffer "y" f32[0] write
            for j: 0 { store b0[j] = constant(1.0, f32) }
        }"#,
    );
    assert_eq!(verify(&kernel, &ranges()).map(|report| report.unproved.len()), Ok(0));
}

#[test]
fn writes_by_position_are_noted() {
    let kernel = kernel(
        r#"kernel "k" sizes(N) grid(i: N) {
            cost 1.0 scalars()
            b0 = buffer "p" i32[N] read
            b1 = buffer "y" f32[N] write
            index p: N = b0[i]
            store b1[p] = constant(1.0, f32)
        }"#,
    );
    assert_eq!(verify(&kernel, &ranges()).map(|report| report.unproved.len()), Ok(1));
    let mut buffers = vec![vec![2.0, 9.0, -1.0], vec![0.0; 3]];
    interpret(&kernel, &BTreeMap::from([(Symbol::new("N"), 3)]), &mut buffers).expect("runs");
    assert_eq!(buffers[1], [1.0, 0.0, 1.0], "positions are clamped");
}

#[test]
fn names_and_types_are_checked() {
    let with = |body: &str| {
        errors(&format!(
            r#"kernel "k" sizes(N) grid() {{ cost 1.0 scalars(f32)
            b0 = buffer "x" f32[N] read
            b1 = buffer "y" f32[N] write
            {body} }}"#
        ))
    };
    assert_eq!(with("store b1[0] = v0"), "v0 is not bound");
    assert_eq!(with("let v0 = dim(M, f32)"), "`M` in `M` is not bound");
    assert_eq!(with("let v0 = constant(1.0, i32)"), "v0 is f32, its value i32");
    assert_eq!(with("let v0 = b0[0] let v0 = b0[0]"), "v0 is bound twice");
    assert_eq!(with("let v0 = b0[0] accumulate v0 = v0"), "v0 is accumulated, but no fold in scope");
    assert_eq!(with("store b0[0] = constant(1.0, f32)"), "b0 `x` is written, but not for that");
    assert_eq!(with("store b1[0] = b1[0]"), "b1 `y` is read, but not for that");
    assert_eq!(with("store b1[0] = dim(0, i32)"), "b1 stores f32, its value has another type");
    assert_eq!(with("store b1[0] = add(dim(0, i32), b0[0])"), "`add` does not take (i32, f32)");
    assert_eq!(with("store b1[0] = neg(b0[0], b0[0])"), "`neg` takes 1 operands, receives 2");
    assert_eq!(with("for N: N { }"), "`N` is bound twice");
    assert_eq!(with("for i: N vector { for j: N { } }"), "loop `j` lies inside a vector loop");
    assert_eq!(with("store b2[0] = b0[0]"), "b2 does not exist");
}

#[test]
fn the_interpreter_refuses_what_is_not_there() {
    let kernel = kernel(
        r#"kernel "k" sizes(N) grid(i: N) {
            cost 1.0 scalars()
            b0 = buffer "y" f32[N] update
            store b0[i] = b0[i + 1]
        }"#,
    );
    let sizes = BTreeMap::from([(Symbol::new("N"), 2)]);
    let error = interpret(&kernel, &sizes, &mut [vec![0.0; 2]]).expect_err("out of bounds");
    assert_eq!(error, "kernel `k`: element 2 of b0, which has 2");
    assert!(interpret(&kernel, &sizes, &mut [vec![0.0; 3]]).is_err(), "a buffer of the wrong size");
    assert!(interpret(&kernel, &BTreeMap::new(), &mut [vec![0.0; 2]]).is_err(), "a size without a value");
}
