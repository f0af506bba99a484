//! Bodies, symbols and limits of the reference interpreter.

use crate::programs::{f32s, rich_module};
use nnc_ir::ops::{DimValue, Loop};
use nnc_ir::{Array, Builder, DType, Dim, Symbol, evaluate};
use std::collections::BTreeMap;

fn symbols(pairs: &[(&str, i64)]) -> BTreeMap<Symbol, i64> {
    pairs.iter().map(|(name, value)| (Symbol::new(name), *value)).collect()
}

#[test]
fn loops_branches_and_rules_run() {
    let module = rich_module();
    let params =
        [Array::new(vec![2], vec![1.0, -2.0]), Array::new(vec![3, 2], vec![1.0, 1.0, 4.0, 4.0, 0.5, 0.0])];
    let results = evaluate(&module.entries[0].function, &params, &symbols(&[("N", 2)])).expect("evaluates");
    // -1 < 0: (0, -3); -3 < 0: (-4, -7); -11 < 0: (-4.5, -7); squared.
    assert_eq!(results[0].data, [20.25, 49.0]);
    assert_eq!(results[1].data, [-1.0, -3.0, -11.0]);
    assert_eq!(results[2].data, [1.0, -2.0]);
}

/// A loop of `count` turns that carries `2 x + counter` and collects the counter.
fn counting(count: Dim, reverse: bool) -> nnc_ir::graph::Function {
    let mut b = Builder::new();
    let x = b.param(f32s(&[]));
    b.open();
    let carry = b.param(f32s(&[]));
    let counter = b.apply(DimValue { dim: Dim::symbol("l"), dtype: DType::F32 }, &[]);
    let double = b.add(carry, carry);
    let next = b.add(double, counter);
    let body = b.close(vec![next, counter]);
    let op = Loop { counter: Symbol::new("l"), count, reverse, carried: 1, sliced: 0 };
    let results = b.try_apply_blocks(op.into(), &[x], vec![body]).expect("typed");
    b.finish(results)
}

#[test]
fn reversed_loops_collect_in_place() {
    let run = |reverse| {
        let results = evaluate(&counting(Dim::constant(3), reverse), &[Array::scalar(1.0)], &BTreeMap::new());
        results.expect("evaluates").into_iter().map(|array| array.data).collect::<Vec<_>>()
    };
    assert_eq!(run(false), [vec![12.0], vec![0.0, 1.0, 2.0]]);
    assert_eq!(run(true), [vec![18.0], vec![0.0, 1.0, 2.0]]);
}

#[test]
fn a_loop_without_turns_hands_back_what_it_got() {
    let results = evaluate(&counting(Dim::symbol("N"), false), &[Array::scalar(5.0)], &symbols(&[("N", 0)]));
    assert_eq!(results.expect("evaluates"), [Array::scalar(5.0), Array::new(vec![0], Vec::new())]);
}

#[test]
fn unknown_symbols_and_wrong_shapes_are_errors() {
    let function = &rich_module().entries[0].function;
    let (x, stack) = (Array::new(vec![2], vec![0.0; 2]), Array::new(vec![3, 2], vec![0.0; 6]));
    let unknown =
        evaluate(function, &[x.clone(), stack.clone()], &BTreeMap::new()).expect_err("N is unknown");
    assert!(unknown.contains("`N`"), "{unknown}");
    let shape = evaluate(function, &[x, stack], &symbols(&[("N", 3)])).expect_err("N is not 2");
    assert!(shape.contains("cannot hold"), "{shape}");
}

#[test]
fn tensors_beyond_the_limit_are_refused() {
    let mut b = Builder::new();
    let huge = b.fill(1.0, f32s(&[Dim::symbol("N"), Dim::symbol("N")]));
    let function = b.finish(vec![huge]);
    let error = evaluate(&function, &[], &symbols(&[("N", 1 << 20)])).expect_err("too large");
    assert!(error.contains("does not fit"), "{error}");
}

#[test]
fn values_die_after_their_last_use() {
    let mut b = Builder::new();
    let n = Dim::constant(1 << 20);
    let mut x = b.param(f32s(&[n]));
    for _ in 0..300 {
        x = b.neg(x);
    }
    let function = b.finish(vec![x]);
    // All 300 together would be above the limit of 2^28 elements.
    let results = evaluate(&function, &[Array::filled(vec![1 << 20], 2.0)], &BTreeMap::new()).expect("fits");
    assert_eq!(results[0].data[7], 2.0);
}
