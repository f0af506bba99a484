//! Gradients agree with central differences, at the points of the examples and around them.

use crate::programs::{all_examples, backward, close, constant_shape, function, noise, operands};
use nnc_ir::graph::Function;
use nnc_ir::ops::{Example, Pow};
use nnc_ir::{Array, DType, Dim, Type, evaluate};
use std::collections::{BTreeMap, BTreeSet};

/// Cotangents of the results: noise for floats, zero for others.
fn cotangents(results: &[Array], types: &[Type], seed: u32) -> Vec<Array> {
    let one = |(place, (result, ty)): (usize, (&Array, &Type))| {
        let size = result.data.len();
        let data = if ty.dtype.is_float() { noise(seed + place as u32, size) } else { vec![0.0; size] };
        Array::new(result.shape.clone(), data)
    };
    results.iter().zip(types).enumerate().map(one).collect()
}

fn weighted(forward: &Function, operands: &[Array], cotangents: &[Array]) -> f64 {
    let results = evaluate(forward, operands, &BTreeMap::new()).expect("evaluates");
    let dot = |(x, w): (&Array, &Array)| x.data.iter().zip(&w.data).map(|(x, w)| x * w).sum::<f64>();
    results.iter().zip(cotangents).map(dot).sum()
}

/// Checks all cotangents at one point.
fn check(label: &str, forward: &Function, backward: &(Function, Vec<bool>), operands: &[Array]) {
    let results = evaluate(forward, operands, &BTreeMap::new()).expect("evaluates");
    let types: Vec<Type> = forward.body.results.iter().map(|result| forward.ty(*result).clone()).collect();
    let weights = cotangents(&results, &types, 7);
    let params: Vec<Array> = operands.iter().chain(&weights).cloned().collect();
    let found = evaluate(&backward.0, &params, &BTreeMap::new()).expect("evaluates");
    let places = (0..operands.len()).filter(|place| backward.1[*place]);
    for (place, found) in places.zip(found) {
        let slope = |element: usize| {
            let step = 1e-5;
            let shifted = |by: f64| {
                let mut moved = operands.to_vec();
                moved[place].data[element] += by;
                weighted(forward, &moved, &weights)
            };
            (shifted(step) - shifted(-step)) / (2.0 * step)
        };
        let expected: Vec<f64> = (0..found.data.len()).map(slope).collect();
        assert!(
            close(&found.data, &expected, 1e-5),
            "{label}, operand {place}: {:?} is not {expected:?}",
            found.data
        );
    }
}

#[test]
fn gradients_agree_with_differences() {
    let (mut blocked, mut checked) = (BTreeSet::new(), BTreeSet::new());
    for (label, example) in all_examples() {
        if !example.operands.iter().any(|(ty, _)| ty.dtype.is_float()) {
            continue;
        }
        let name = example.op.name();
        match backward(&example) {
            Err(_) => {
                blocked.insert(name);
            }
            Ok(backward) => {
                let (forward, point) = (function(&example), operands(&example));
                check(&label, &forward, &backward, &point);
                for seed in 0..3 {
                    let moved = around(&example, &point, 100 + 10 * seed);
                    check(&format!("{label}, moved {seed}"), &forward, &backward, &moved);
                }
                if backward.1.contains(&true) {
                    checked.insert(name);
                }
            }
        }
    }
    assert_eq!(blocked.into_iter().collect::<Vec<_>>(), ["digamma", "floor", "rem", "round", "scan", "sign"]);
    assert!(checked.len() >= 38, "{checked:?}");
    assert!(
        ["scan", "reduce", "contract", "solve", "cholesky", "top_k"]
            .iter()
            .all(|name| checked.contains(name))
    );
}

/// A point near the example's.
fn around(example: &Example, point: &[Array], seed: u32) -> Vec<Array> {
    let moved = |(place, (array, (ty, _))): (usize, (&Array, &(Type, Vec<f64>)))| {
        let by = noise(seed + place as u32, array.data.len());
        let scale = if ty.dtype.is_float() { 0.3 } else { 0.0 };
        Array::new(array.shape.clone(), array.data.iter().zip(by).map(|(x, by)| x + scale * by).collect())
    };
    point.iter().zip(&example.operands).enumerate().map(moved).collect()
}

/// The cotangents of an operation on f32 vectors, for a cotangent of ones.
fn of_ones(op: impl Into<nnc_ir::ops::Op>, operands: &[&[f64]]) -> Vec<Vec<f64>> {
    let ty = |data: &[f64]| Type::new(DType::F32, vec![Dim::from(data.len())]);
    let example = Example {
        op: op.into(),
        operands: operands.iter().map(|data| (ty(data), data.to_vec())).collect(),
        results: Vec::new(),
    };
    let (backward, _) = backward(&example).expect("not blocked");
    let ones = &backward.body.params[operands.len()..];
    let ones = ones.iter().map(|p| Array::filled(constant_shape(backward.ty(*p)), 1.0));
    let params: Vec<Array> = self::operands(&example).into_iter().chain(ones).collect();
    evaluate(&backward, &params, &BTreeMap::new())
        .expect("evaluates")
        .into_iter()
        .map(|array| array.data)
        .collect()
}

#[test]
fn powers_are_safe_at_zero() {
    let found = of_ones(Pow, &[&[0.0, 0.0, 0.0, -2.0], &[1.0, 0.0, 2.0, 2.0]]);
    assert_eq!(found, [[1.0, 0.0, 0.0, -4.0], [0.0, 0.0, 0.0, 0.0]]);
}

#[test]
fn ties_go_to_the_first() {
    use nnc_ir::ops::{Fold, Maximum, Minimum, Reduce, Scan};
    assert_eq!(of_ones(Maximum, &[&[1.0], &[1.0]]), [[1.0], [0.0]]);
    assert_eq!(of_ones(Minimum, &[&[1.0], &[1.0]]), [[1.0], [0.0]]);
    let x: &[f64] = &[1.0, 3.0, 3.0];
    assert_eq!(of_ones(Reduce { fold: Fold::Max, axes: vec![0] }, &[x]), [[0.0, 1.0, 0.0]]);
    assert_eq!(of_ones(Scan { fold: Fold::Max, axis: 0, reverse: false }, &[x]), [[1.0, 2.0, 0.0]]);
    assert_eq!(of_ones(Scan { fold: Fold::Max, axis: 0, reverse: true }, &[x]), [[0.0, 0.0, 3.0]]);
}

#[test]
fn products_with_zeros_have_exact_gradients() {
    use nnc_ir::ops::{Fold, Reduce};
    let product = || Reduce { fold: Fold::Mul, axes: vec![0] };
    assert_eq!(of_ones(product(), &[&[2.0, 0.0, 5.0]]), [[0.0, 10.0, 0.0]]);
    assert_eq!(of_ones(product(), &[&[0.0, 0.0, 5.0]]), [[0.0, 0.0, 0.0]]);
    assert_eq!(of_ones(product(), &[&[2.0, 4.0, 5.0]]), [[20.0, 10.0, 8.0]]);
}
