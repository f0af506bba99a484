//! Parts of networks: rows, products with epilogues, attention, convolution, reductions that are cut.

use crate::programs::*;
use nnc_compiler::differentiate::pullback;
use nnc_ir::kernel::{Compare as Relation, Kernel, Statement};
use nnc_ir::ops::*;
use nnc_ir::plan::{Plan, Step};
use nnc_ir::{Builder, DType, Dim, Type, Value};
use std::slice::from_ref;

fn spread(b: &mut Builder, x: Value, like: Value, axes: &[usize]) -> Value {
    let shape = b.ty(like).shape.clone();
    b.broadcast(x, shape, axes.to_vec())
}

fn reduce(b: &mut Builder, fold: Fold, x: Value, axes: &[usize]) -> Value {
    b.apply(Reduce { fold, axes: axes.to_vec() }, &[x])
}

/// All axes but the last.
fn rows(b: &Builder, x: Value) -> Vec<usize> {
    (0..b.ty(x).rank() - 1).collect()
}

pub fn softmax(b: &mut Builder, x: Value) -> Value {
    let (axes, last) = (rows(b, x), b.ty(x).rank() - 1);
    let peak = reduce(b, Fold::Max, x, &[last]);
    let peak = spread(b, peak, x, &axes);
    let shifted = b.sub(x, peak);
    let e = b.apply(Exp, &[shifted]);
    let sum = reduce(b, Fold::Add, e, &[last]);
    let sum = spread(b, sum, x, &axes);
    b.div(e, sum)
}

pub fn mean(b: &mut Builder, x: Value) -> Value {
    let last = b.ty(x).rank() - 1;
    let sum = b.sum(x, vec![last]);
    let size = b.dim(b.ty(x).shape[last].clone(), DType::F32);
    let size = spread(b, size, sum, &[]);
    b.div(sum, size)
}

pub fn layer_norm(b: &mut Builder, x: Value, scale: Value, shift: Value) -> Value {
    let (axes, last) = (rows(b, x), b.ty(x).rank() - 1);
    let m = mean(b, x);
    let m = spread(b, m, x, &axes);
    let c = b.sub(x, m);
    let square = b.mul(c, c);
    let v = mean(b, square);
    let eps = b.fill_like(1e-5, v);
    let v = b.add(v, eps);
    let deviation = b.apply(Sqrt, &[v]);
    let deviation = spread(b, deviation, x, &axes);
    let n = b.div(c, deviation);
    let scale = spread(b, scale, x, &[last]);
    let shift = spread(b, shift, x, &[last]);
    let y = b.mul(n, scale);
    b.add(y, shift)
}

pub fn gelu(b: &mut Builder, x: Value) -> Value {
    let inner = b.scale(x, std::f64::consts::FRAC_1_SQRT_2);
    let e = b.apply(Erf, &[inner]);
    let one = b.fill_like(1.0, e);
    let e = b.add(e, one);
    let half = b.scale(x, 0.5);
    b.mul(half, e)
}

/// `x w^T + bias` over the last axis of `x: [b, t, n]`.
pub fn linear(b: &mut Builder, x: Value, w: Value, bias: Value) -> Value {
    let rank = b.ty(x).rank() as u32;
    let lhs: Vec<u32> = (0..rank).collect();
    let out: Vec<u32> = (0..rank - 1).chain([rank]).collect();
    let y = b.apply(Contract { lhs, rhs: vec![rank, rank - 1], out }, &[x, w]);
    let bias = spread(b, bias, y, &[rank as usize - 1]);
    b.add(y, bias)
}

pub fn launches(plan: &Plan) -> Vec<&Kernel> {
    fn walk<'p>(plan: &'p Plan, steps: &[Step], found: &mut Vec<&'p Kernel>) {
        for step in steps {
            match step {
                Step::Launch { kernel, .. } => found.push(&plan.kernels[*kernel as usize]),
                Step::Loop { body, .. } => walk(plan, body, found),
                Step::If { then, otherwise, .. } => {
                    walk(plan, then, found);
                    walk(plan, otherwise, found);
                }
                Step::Copy { .. } => {}
            }
        }
    }
    let mut found = Vec::new();
    walk(plan, &plan.entries[0].steps, &mut found);
    found
}

pub fn has_gemm(kernel: &Kernel) -> bool {
    fn find(body: &[Statement]) -> bool {
        body.iter().any(|statement| match statement {
            Statement::Gemm(_) => true,
            Statement::For { body, .. } | Statement::Guard { body, .. } => find(body),
            _ => false,
        })
    }
    find(&kernel.body)
}

fn counts(plan: &Plan, expected: usize) {
    assert_eq!(launches(plan).len(), expected, "{}", show(plan));
}

#[test]
fn softmax_is_one_kernel() {
    let f = function(&[f32s(&[s("B"), s("N")])], |b, x| vec![softmax(b, x[0])]);
    let plan = check(
        "softmax",
        &f,
        vec![size("B", 1, None), size("N", 1, None)],
        &[&[("B", 5), ("N", 7)], &[("B", 1), ("N", 1)]],
    );
    counts(&plan, 1);
    assert!(!plan.kernels[0].tiles.is_empty(), "exponentials are kept\n{}", plan.kernels[0]);
}

#[test]
fn layer_norm_is_one_kernel() {
    let (n, m) = (s("N"), d(96));
    let f = function(&[f32s(&[d(2), n, m.clone()]), f32s(from_ref(&m)), f32s(&[m])], |b, x| {
        vec![layer_norm(b, x[0], x[1], x[2])]
    });
    counts(&check("layer norm", &f, vec![size("N", 1, Some(100))], &[&[("N", 5)], &[("N", 1)]]), 1);
}

#[test]
fn cross_entropy_folds_rows_and_then_all() {
    let f = function(&[f32s(&[s("B"), d(10)]), Type::new(DType::I32, vec![s("B")])], |b, x| {
        let last = [0];
        let peak = reduce(b, Fold::Max, x[0], &[1]);
        let shifted = spread(b, peak, x[0], &last);
        let shifted = b.sub(x[0], shifted);
        let e = b.apply(Exp, &[shifted]);
        let sum = reduce(b, Fold::Add, e, &[1]);
        let log = b.apply(Log, &[sum]);
        let all = b.add(log, peak);
        let hit = b.apply(Gather { axis: 1, batch: 1 }, &[x[0], x[1]]);
        let loss = b.sub(all, hit);
        vec![mean(b, loss)]
    });
    counts(&check("cross entropy", &f, vec![size("B", 1, None)], &[&[("B", 6)], &[("B", 1)]]), 2);
}

#[test]
fn a_perceptron_finishes_its_products() {
    let (n, m, h) = (s("B"), d(20), d(33));
    let f = function(
        &[
            f32s(&[n, m.clone()]),
            f32s(&[h.clone(), m]),
            f32s(from_ref(&h)),
            f32s(&[d(10), h]),
            f32s(&[d(10)]),
        ],
        |b, x| {
            let z = linear(b, x[0], x[1], x[2]);
            let z = gelu(b, z);
            vec![linear(b, z, x[3], x[4])]
        },
    );
    let plan = check("perceptron", &f, vec![size("B", 1, None)], &[&[("B", 70)], &[("B", 64)], &[("B", 3)]]);
    counts(&plan, 2);
    assert!(launches(&plan).iter().all(|kernel| has_gemm(kernel)), "{}", show(&plan));
}

#[test]
fn a_value_that_is_kept_is_stored_by_the_product_that_makes_it() {
    let f = function(&[f32s(&[d(48), d(40)]), f32s(&[d(24), d(40)]), f32s(&[d(24)])], |b, x| {
        let z = linear(b, x[0], x[1], x[2]);
        let y = gelu(b, z);
        vec![z, y]
    });
    counts(&check("two results", &f, vec![], &[&[]]), 1);
}

fn heads(b: &mut Builder, x: Value, heads: i64) -> Value {
    let shape = b.ty(x).shape.clone();
    let e = shape[2].floor_div(&d(heads));
    let x = b.reshape(x, vec![shape[0].clone(), shape[1].clone(), d(heads), e]);
    b.permute(x, vec![0, 2, 1, 3])
}

pub fn attention(b: &mut Builder, q: Value, k: Value, v: Value, causal: bool) -> Value {
    let scores = Contract { lhs: vec![0, 1, 2, 4], rhs: vec![0, 1, 3, 4], out: vec![0, 1, 2, 3] };
    let s = b.apply(scores, &[q, k]);
    let mut s = b.scale(s, 0.3);
    if causal {
        let ty = b.ty(s).with_dtype(DType::I32);
        let (i, j) = (b.apply(Iota { ty: ty.clone(), axis: 2 }, &[]), b.apply(Iota { ty, axis: 3 }, &[]));
        let seen = b.apply(Compare { kind: Relation::LessEqual }, &[j, i]);
        let never = b.fill_like(-1e30, s);
        s = b.apply(Select, &[seen, s, never]);
    }
    let p = softmax(b, s);
    b.apply(Contract { lhs: vec![0, 1, 2, 3], rhs: vec![0, 1, 3, 4], out: vec![0, 1, 2, 4] }, &[p, v])
}

fn block(causal: bool) -> nnc_ir::graph::Function {
    let (bs, t, m) = (s("B"), s("T"), d(32));
    let weight = || f32s(&[m.clone(), m.clone()]);
    let bias = || f32s(from_ref(&m));
    function(&[f32s(&[bs, t, m.clone()]), weight(), weight(), weight(), weight(), bias()], |b, x| {
        let mut parts = Vec::new();
        for w in &x[1..4] {
            let y = linear(b, x[0], *w, x[5]);
            parts.push(heads(b, y, 4));
        }
        let y = attention(b, parts[0], parts[1], parts[2], causal);
        let y = b.permute(y, vec![0, 2, 1, 3]);
        let shape = b.ty(x[0]).shape.clone();
        let y = b.reshape(y, shape);
        let y = linear(b, y, x[4], x[5]);
        let y = b.add(y, x[0]);
        vec![layer_norm(b, y, x[5], x[5])]
    })
}

#[test]
fn attention_over_heads() {
    let declared = vec![size("B", 1, None), size("T", 1, Some(1024))];
    for causal in [false, true] {
        let plan = check(
            "attention",
            &block(causal),
            declared.clone(),
            &[&[("B", 2), ("T", 5)], &[("B", 1), ("T", 70)]],
        );
        assert!(launches(&plan).len() <= 8, "{}", show(&plan));
    }
}

/// Whether a matrix of scores has a place in memory.
fn keeps_scores(plan: &Plan) -> bool {
    plan.entries[0].places.iter().any(|place| place.shape.iter().filter(|size| **size == s("T")).count() == 2)
}

#[test]
fn scores_of_attention_stay_in_cache() {
    let declared = vec![size("B", 1, None), size("T", 1, Some(1024))];
    let runs: &[&[(&str, i64)]] = &[&[("B", 2), ("T", 70)], &[("B", 1), ("T", 1)], &[("B", 1), ("T", 64)]];
    for heads in [1, 3] {
        let part = || f32s(&[s("B"), d(heads), s("T"), d(8)]);
        let f = function(&[part(), part(), part()], |b, x| vec![attention(b, x[0], x[1], x[2], true)]);
        let plan = check("attention", &f, declared.clone(), runs);
        assert!(launches(&plan).len() == 1 && !keeps_scores(&plan), "{}", show(&plan));
    }
}

#[test]
fn scores_and_their_gradient_stay_in_cache() {
    let part = || f32s(&[s("B"), d(3), s("T"), d(8)]);
    let f = function(&[part(), part(), part(), part()], |b, x| {
        let y = attention(b, x[0], x[1], x[2], true);
        pullback(b, &[(y, x[3])], &x[..3]).unwrap_or_default()
    });
    let declared = vec![size("B", 1, None), size("T", 1, Some(1024))];
    let runs: &[&[(&str, i64)]] = &[&[("B", 2), ("T", 70)], &[("B", 1), ("T", 3)]];
    let plan = check("attention's gradient", &f, declared, runs);
    assert!(!keeps_scores(&plan), "{}", show(&plan));
}

#[test]
fn scores_that_others_read_are_stored_too() {
    let part = || f32s(&[s("B"), d(3), s("T"), d(8)]);
    let f = function(&[part(), part(), part()], |b, x| {
        let op = Contract { lhs: vec![0, 1, 2, 4], rhs: vec![0, 1, 3, 4], out: vec![0, 1, 2, 3] };
        let scores = b.apply(op, &[x[0], x[1]]);
        let p = softmax(b, scores);
        let op = Contract { lhs: vec![0, 1, 2, 3], rhs: vec![0, 1, 3, 4], out: vec![0, 1, 2, 4] };
        vec![b.apply(op, &[p, x[2]]), p]
    });
    let declared = vec![size("B", 1, None), size("T", 1, Some(1024))];
    check("weights of attention", &f, declared, &[&[("B", 2), ("T", 70)]]);
}

/// A matrix by rows: a product and its exponentials.
fn powers(b: &mut Builder, x: &[Value]) -> Value {
    let op = Contract { lhs: vec![0, 1, 2, 4], rhs: vec![0, 1, 3, 4], out: vec![0, 1, 2, 3] };
    let scores = b.apply(op, &x[..2]);
    let scores = b.scale(scores, 0.1);
    softmax(b, scores)
}

#[test]
fn readers_of_a_part_or_of_more_rows_are_no_links() {
    let shapes = [[d(2), d(3), d(64), d(8)], [d(2), d(3), d(40), d(8)]];
    let inputs: Vec<Type> = shapes.iter().map(|shape| f32s(shape)).collect();
    let rows = |first: i64, rows: i64| Slice {
        starts: vec![d(0), d(0), d(first), d(0)],
        sizes: vec![d(2), d(3), d(rows), d(40)],
        steps: vec![1; 4],
    };
    let some = function(&inputs, |b, x| {
        let p = powers(b, x);
        let part = b.apply(rows(0, 32), &[p]);
        let square = b.mul(part, part);
        let op = Contract { lhs: vec![0, 1, 2, 3], rhs: vec![0, 1, 3, 4], out: vec![0, 1, 2, 4] };
        vec![square, b.apply(op, &[p, x[1]])]
    });
    check("some rows", &some, vec![], &[&[]]);
    let more = function(&inputs, |b, x| {
        let p = powers(b, x);
        let border = |rows: i64| vec![d(0), d(0), d(rows), d(0)];
        let padded = b.apply(Pad { low: border(0), high: border(1), value: 0.0 }, &[p]);
        let y = b.apply(Exp, &[padded]);
        let op = Contract { lhs: vec![0, 1, 2, 3], rhs: vec![0, 1, 3, 4], out: vec![0, 1, 2, 4] };
        vec![y, b.apply(op, &[p, x[1]])]
    });
    check("more rows", &more, vec![], &[&[]]);
    let sums = function(&[inputs[0].clone(), inputs[1].clone(), inputs[0].clone()], |b, x| {
        let p = powers(b, x);
        let part = b.apply(rows(1, 63), &[p]);
        let size = vec![d(2), d(3), d(63), d(8)];
        let cut = Slice { starts: vec![d(0); 4], sizes: size, steps: vec![1; 4] };
        let other = b.apply(cut, &[x[2]]);
        let op = Contract { lhs: vec![0, 1, 2, 3], rhs: vec![0, 1, 2, 4], out: vec![0, 1, 3, 4] };
        let sum = b.apply(op, &[part, other]);
        let op = Contract { lhs: vec![0, 1, 2, 3], rhs: vec![0, 1, 3, 4], out: vec![0, 1, 2, 4] };
        vec![sum, b.apply(op, &[p, x[1]])]
    });
    check("sums of some rows", &sums, vec![], &[&[]]);
}

#[test]
fn a_sum_over_rows_and_columns_of_a_chain() {
    let q = || f32s(&[d(8), d(1), s("T"), d(4)]);
    let f = function(&[q(), q(), f32s(&[d(8), d(5), s("T"), s("T")])], |b, x| {
        let p = powers(b, x);
        let shape = vec![d(8), s("T"), s("T")];
        let p = b.reshape(p, shape);
        let op = Contract { lhs: vec![0, 1, 2], rhs: vec![0, 3, 1, 2], out: vec![0, 3] };
        vec![b.apply(op, &[p, x[2]])]
    });
    check("both", &f, vec![size("T", 1, Some(1024))], &[&[("T", 70)], &[("T", 2)]]);
}

#[test]
fn strips_are_for_single_precision_only() {
    let f = function(&[f32s(&[d(700)])], |b, x| {
        let narrow = b.apply(Exp, &[x[0]]);
        let half = b.cast(x[0], DType::Bf16);
        let half = b.apply(Tanh, &[half]);
        let half = b.cast(half, DType::F32);
        vec![b.add(narrow, half)]
    });
    let text = show(&check("precisions", &f, vec![], &[&[]]));
    assert_eq!(text.matches("map ").count(), 1, "{text}");
}

#[test]
fn costly_functions_are_computed_in_strips() {
    for columns in [2, 512, 700] {
        let f = function(&[f32s(&[d(3), d(columns)])], |b, x| {
            let e = b.apply(Erf, &[x[0]]);
            let y = b.mul(e, x[0]);
            let z = b.apply(Tanh, &[y]);
            let sum = b.sum(z, vec![1]);
            vec![z, sum, b.add(y, e)]
        });
        let plan = check("strips", &f, vec![], &[&[]]);
        let text = show(&plan);
        assert_eq!(text.contains("map erf"), columns > 2, "{text}");
    }
}

#[test]
fn the_gradient_of_a_convolution_is_one() {
    for (dilation, height, width) in [(1, 6, 7), (2, 5, 9)] {
        let f = function(
            &[f32s(&[s("B"), d(4), d(height), d(width)]), f32s(&[d(4), d(3), d(3), d(2)])],
            |b, x| {
                // [b, o, i, j] and [o, c, a, e]
                let op =
                    Contract { lhs: vec![0, 1, 2, 3], rhs: vec![1, 4, 5, 6], out: vec![0, 4, 2, 5, 3, 6] };
                let y = b.apply(op, x);
                let length = d(width + dilation);
                let y = b.apply(FoldWindow { axis: 4, length, stride: 1, dilation }, &[y]);
                let length = d(height + 2 * dilation);
                vec![b.apply(FoldWindow { axis: 2, length, stride: 1, dilation }, &[y])]
            },
        );
        let plan = check("gradient", &f, vec![size("B", 1, None)], &[&[("B", 2)]]);
        assert!(launches(&plan).iter().all(|kernel| !kernel.name.contains("fold")), "{}", show(&plan));
    }
}

#[test]
fn convolution_with_padding_stride_and_pooling() {
    for stride in [1, 2] {
        let f = function(&[f32s(&[s("B"), d(3), d(9), d(9)]), f32s(&[d(8), d(3), d(3), d(3)])], |b, x| {
            let (low, high) = (vec![d(0), d(0), d(1), d(1)], vec![d(0), d(0), d(1), d(1)]);
            let p = b.apply(Pad { low, high, value: 0.0 }, &[x[0]]);
            let w = b.apply(Window { axis: 2, size: d(3), stride, dilation: 1 }, &[p]);
            let w = b.apply(Window { axis: 4, size: d(3), stride, dilation: 1 }, &[w]);
            // [b, c, i, a, j, e] and [o, c, a, e]
            let op = Contract { lhs: vec![6, 1, 3, 5], rhs: vec![0, 1, 2, 3, 4, 5], out: vec![0, 6, 2, 4] };
            let y = b.apply(op, &[x[1], w]);
            let zero = b.fill_like(0.0, y);
            let y = b.apply(Maximum, &[y, zero]);
            let pool = b.apply(Window { axis: 2, size: d(2), stride: 2, dilation: 1 }, &[y]);
            let pool = b.apply(Window { axis: 4, size: d(2), stride: 2, dilation: 1 }, &[pool]);
            vec![reduce(b, Fold::Max, pool, &[3, 5])]
        });
        check("convolution", &f, vec![size("B", 1, None)], &[&[("B", 2)]]);
    }
}

#[test]
fn overlap_add_is_the_adjoint_of_windows() {
    for (stride, dilation, count) in [(1, 1, 7), (2, 1, 4), (1, 2, 5), (3, 2, 2)] {
        let f = function(&[f32s(&[s("B"), d(count), d(3), d(5)])], |b, x| {
            vec![b.apply(FoldWindow { axis: 1, length: d(9), stride, dilation }, &[x[0]])]
        });
        check("overlap", &f, vec![size("B", 1, None)], &[&[("B", 2)]]);
    }
}

#[test]
fn large_folds_are_cut() {
    let columns = function(&[f32s(&[d(3000), d(20)])], |b, x| {
        let sum = b.sum(x[0], vec![0]);
        let square = b.mul(x[0], x[0]);
        let squares = b.sum(square, vec![0]);
        vec![sum, squares]
    });
    let plan = check("columns", &columns, vec![], &[&[]]);
    assert!(
        launches(&plan)[0].grid.iter().any(|(_, extent)| extent.as_constant().is_some_and(|n| n >= 8)),
        "{}",
        show(&plan)
    );
    let all = function(&[f32s(&[s("N"), d(700)])], |b, x| {
        let e = b.apply(Exp, &[x[0]]);
        vec![b.sum(e, vec![0, 1]), reduce(b, Fold::Max, x[0], &[0, 1])]
    });
    check("everything", &all, vec![size("N", 100, Some(1000))], &[&[("N", 101)]]);
    let odd =
        function(&[f32s(&[d(40001)])], |b, x| vec![b.sum(x[0], vec![0]), reduce(b, Fold::Min, x[0], &[0])]);
    check("odd", &odd, vec![], &[&[]]);
}

#[test]
fn wide_columns_are_cut_into_pieces() {
    let f = function(&[f32s(&[s("N"), s("M")]), f32s(&[s("M")])], |b, x| {
        let sum = b.sum(x[0], vec![0]);
        let y = b.mul(sum, x[1]);
        vec![y]
    });
    counts(
        &check(
            "pieces",
            &f,
            vec![size("N", 1, Some(50)), size("M", 1, None)],
            &[&[("N", 9), ("M", 600)], &[("N", 1), ("M", 3)]],
        ),
        1,
    );
}

#[test]
fn permuted_views_and_slices_are_read_in_place() {
    let f = function(&[f32s(&[d(6), s("N"), d(4)]), f32s(&[d(4), d(3), s("N")])], |b, x| {
        let turned = b.permute(x[0], vec![2, 0, 1]);
        let part = b.apply(
            Slice { starts: vec![d(0), d(5), d(0)], sizes: vec![d(4), d(3), s("N")], steps: vec![1, -2, 1] },
            &[turned],
        );
        let y = b.add(part, x[1]);
        let shape = vec![d(12), s("N")];
        vec![b.reshape(y, shape)]
    });
    counts(&check("views", &f, vec![size("N", 1, None)], &[&[("N", 5)]]), 1);
}

#[test]
fn embeddings_and_their_gradient() {
    let positions = Type::new(DType::I32, vec![s("B"), d(4)]);
    let f = function(&[f32s(&[d(7), d(70)]), positions, f32s(&[s("B"), d(4), d(70)])], |b, x| {
        let y = b.apply(Gather { axis: 0, batch: 0 }, &[x[0], x[1]]);
        let zero = b.fill_like(0.0, x[0]);
        let dx = b.apply(Scatter { axis: 0, batch: 0, kind: ScatterKind::Add }, &[zero, x[1], x[2]]);
        vec![b.mul(y, y), dx]
    });
    check("embedding", &f, vec![size("B", 1, None)], &[&[("B", 5)]]);
}

#[test]
fn products_of_every_kind_of_letter() {
    let cases: &[(&[u32], &[u32], &[u32])] = &[
        (&[0, 1], &[1, 2], &[0, 2]),
        (&[0, 1], &[1, 2], &[2, 0]),
        (&[1, 0], &[1, 2], &[0, 2]),
        (&[3, 0, 1], &[3, 1, 2], &[3, 0, 2]),
        (&[3, 0, 1], &[3, 1, 2], &[0, 3, 2]),
        (&[0, 3, 1], &[1, 2], &[0, 3, 2]),
        (&[0, 1, 3], &[2, 1, 3], &[0, 2]),
        (&[0, 1, 3], &[3, 2, 1], &[0, 2]),
        (&[0, 1], &[1], &[0]),
        (&[0], &[1], &[0, 1]),
        (&[0, 1], &[0, 1], &[]),
        (&[0, 1], &[0, 1], &[0, 1]),
        (&[0, 1, 4], &[1, 2], &[0, 2]),
        (&[0, 1], &[3, 1, 2, 4], &[3, 0, 4, 2]),
    ];
    let extents = [s("N"), d(5), d(6), d(7), d(3)];
    for (lhs, rhs, out) in cases {
        let ty = |letters: &[u32]| {
            f32s(&letters.iter().map(|l| extents[*l as usize].clone()).collect::<Vec<Dim>>())
        };
        let op = Contract { lhs: lhs.to_vec(), rhs: rhs.to_vec(), out: out.to_vec() };
        let f = function(&[ty(lhs), ty(rhs)], |b, x| {
            let y = b.apply(op, x);
            let z = b.scale(y, 2.0);
            vec![b.apply(Tanh, &[z])]
        });
        check(
            &format!("{lhs:?} {rhs:?} {out:?}"),
            &f,
            vec![size("N", 1, None)],
            &[&[("N", 67)], &[("N", 1)]],
        );
    }
}

#[test]
fn decoding_one_token_cuts_columns() {
    let f = function(&[f32s(&[d(1), d(256)]), f32s(&[d(1024), d(256)]), f32s(&[d(1024)])], |b, x| {
        let y = linear(b, x[0], x[1], x[2]);
        vec![gelu(b, y)]
    });
    let plan = check("decode", &f, vec![], &[&[]]);
    counts(&plan, 1);
    assert!(plan.kernels[0].grid.len() == 1, "{}", show(&plan));
}

#[test]
fn half_precision_products_are_computed_in_single() {
    let half = |shape: &[Dim]| Type::new(DType::Bf16, shape.to_vec());
    let f = function(&[half(&[d(40), d(24)]), half(&[d(16), d(24)])], |b, x| {
        let y = b.apply(Contract { lhs: vec![0, 1], rhs: vec![2, 1], out: vec![0, 2] }, x);
        vec![y]
    });
    let plan = check("half", &f, vec![], &[&[]]);
    assert!(launches(&plan).iter().any(|kernel| has_gemm(kernel)), "{}", show(&plan));
}

#[test]
fn many_inputs_are_split_where_buffers_are_few() {
    let types = vec![f32s(&[d(12)]); 20];
    let f = function(&types, |b, x| {
        let mut sum = x[0];
        for (number, y) in x[1..].iter().enumerate() {
            sum = if number % 2 == 0 { b.add(sum, *y) } else { b.mul(sum, *y) };
        }
        vec![sum]
    });
    check("many", &f, vec![], &[&[]]);
}

#[test]
fn a_product_may_read_another_of_its_own_shape() {
    let square = || f32s(&[d(24), d(24)]);
    let f = function(&[f32s(&[s("B"), d(24)]), square(), f32s(&[d(24)]), square()], |b, x| {
        let y = linear(b, x[0], x[1], x[2]);
        let y = gelu(b, y);
        let y = b.apply(Contract { lhs: vec![0, 1], rhs: vec![2, 1], out: vec![0, 2] }, &[y, x[3]]);
        vec![y]
    });
    check("square", &f, vec![size("B", 1, None)], &[&[("B", 24)], &[("B", 5)]]);
}

#[test]
fn many_results_are_split_where_buffers_are_few() {
    let types = vec![f32s(&[d(5), d(12)]); 6];
    let f = function(&types, |b, x| {
        let mut results = Vec::new();
        for place in 0..x.len() {
            let near = b.mul(x[place], x[(place + 1) % x.len()]);
            let bent = b.apply(Tanh, &[near]);
            let sum = results.last().map_or(bent, |last| b.add(bent, *last));
            let row = reduce(b, Fold::Add, sum, &[1]);
            let row = spread(b, row, sum, &[0]);
            results.extend([bent, b.div(sum, row)]);
        }
        results
    });
    check("many results", &f, vec![], &[&[]]);
}
