//! Gradients against central differences, in float64, for every way to save.

mod support;

use nnc_compiler::differentiate::{Recompute, partition, pullback, pullback_with};
use nnc_ir::ops::{self, Contract, Fold, Reduce, Rule, ScatterKind, Slice};
use nnc_ir::{Array, Builder, DType, Dim, Type, Value};
use support::*;

fn matmul(b: &mut Builder, x: Value, w: Value) -> Value {
    b.apply(Contract { lhs: vec![0, 1], rhs: vec![1, 2], out: vec![0, 2] }, &[x, w])
}

fn tanh(b: &mut Builder, x: Value) -> Value {
    b.apply(ops::Tanh, &[x])
}

/// `tanh(x w)` and its square sum.
fn layer_loss(b: &mut Builder, x: Value, w: Value) -> Value {
    let y = matmul(b, x, w);
    let y = tanh(b, y);
    let y = b.mul(y, y);
    total(b, y)
}

#[test]
fn a_chain() {
    check(&|b, p| layer_loss(b, p[0], p[1]), &arrays(1, &[&[2, 3], &[3, 2]]));
}

#[test]
fn a_value_used_several_times() {
    let loss = |b: &mut Builder, p: &[Value]| {
        let s = b.apply(ops::Sin, &[p[0]]);
        let q = b.mul(s, p[0]);
        let q = b.add(q, s);
        let q = b.mul(q, q);
        total(b, q)
    };
    check(&loss, &arrays(2, &[&[4]]));
}

/// Every operation that has a gradient, in a loop that changes its operands from turn to turn.
#[test]
fn every_operation_in_a_loop() {
    let mut tried = 0;
    for (name, examples) in ops::catalog() {
        for (number, example) in examples.into_iter().enumerate() {
            let floats = example.operands.iter().any(|(ty, _)| ty.dtype == DType::F32);
            let blocked = matches!(name, "rem" | "floor" | "round" | "sign" | "digamma" | "compare" | "stop");
            let product = format!("{:?}", example.op).contains("Scan { fold: Mul");
            let discrete = matches!(&example.op, ops::Op::Cast(op) if !op.dtype.is_float())
                || matches!(&example.op, ops::Op::Bitcast(_) | ops::Op::Compare(_));
            if !floats || blocked || product || discrete || example.results.iter().all(Vec::is_empty) {
                continue;
            }
            tried += 1;
            let mut numbers = Numbers(number as u64);
            let inputs: Vec<Array> = example
                .operands
                .iter()
                .map(|(ty, data)| {
                    let shape = ty.shape.iter().map(|n| n.as_constant().unwrap_or(0) as usize).collect();
                    // Differences of huge numbers lose their digits.
                    let near = |x: &f64| match ty.dtype {
                        DType::F32 => x.clamp(-1e3, 1e3) + 0.02 * numbers.number(),
                        _ => *x,
                    };
                    Array::new(shape, data.iter().map(near).collect())
                })
                .collect();
            let wide =
                |ty: &Type| if ty.dtype == DType::F32 { ty.with_dtype(DType::F64) } else { ty.clone() };
            let types: Vec<Type> = example.operands.iter().map(|(ty, _)| wide(ty)).collect();
            let loss = |b: &mut Builder, p: &[Value]| operation_in_a_loop(b, p, &example.op);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                check_sized(&loss, &types, &inputs, &[])
            }))
            .unwrap_or_else(|_| panic!("`{name}`, example {number}: {:?}", example.op));
        }
    }
    assert!(tried > 40, "{tried} examples");
}

fn operation_in_a_loop(b: &mut Builder, p: &[Value], op: &ops::Op) -> Value {
    let mut op = op.clone();
    if let ops::Op::Cast(op) = &mut op {
        op.dtype = DType::F64;
    }
    let zero = b.fill(0.0, real(&[]));
    let results = turns(b, ("i", 2usize), false, &[zero], &[], |b, carried| {
        let operands: Vec<Value> = p.iter().map(|x| shifted(b, *x, carried[0])).collect();
        let results =
            b.try_apply_blocks(op.clone(), &operands, Vec::new()).expect("an example is well typed");
        let mut sum = carried[0];
        for result in results.into_iter().take(1) {
            let weighted = weighted(b, result);
            let part = total(b, weighted);
            sum = b.add(sum, part);
        }
        vec![sum]
    });
    results[0]
}

/// `x + 0.001 * by`, of floats.
fn shifted(b: &mut Builder, x: Value, by: Value) -> Value {
    if !b.ty(x).dtype.is_float() {
        return x;
    }
    let by = b.scale(by, 1e-3);
    let shape = b.ty(x).shape.clone();
    let by = b.broadcast(by, shape, Vec::new());
    b.add(x, by)
}

/// Each element times another number.
fn weighted(b: &mut Builder, x: Value) -> Value {
    let ty = b.ty(x).clone();
    let size = ty.size();
    let places = b.apply(ops::Iota { ty: Type::new(DType::F64, vec![size]), axis: 0 }, &[]);
    let places = b.scale(places, 0.7);
    let places = b.apply(ops::Cos, &[places]);
    let places = b.reshape(places, ty.shape);
    b.mul(x, places)
}

/// Carried, sliced, captured and collected, all with gradients.
fn recurrent(b: &mut Builder, p: &[Value], count: Dim, reverse: bool) -> Value {
    let (x, inputs, w, u) = (p[0], p[1], p[2], p[3]);
    let results = turns(b, ("t", count), reverse, &[x], &[inputs], |b, v| {
        let (state, input) = (v[0], v[1]);
        let a = matmul(b, state, w);
        let c = matmul(b, input, u);
        let sum = b.add(a, c);
        let state = tanh(b, sum);
        let seen = b.apply(ops::Exp, &[state]);
        let seen = b.mul(seen, input);
        vec![state, seen]
    });
    let a = b.mul(results[0], results[0]);
    let a = total(b, a);
    let c = weighted(b, results[1]);
    let c = total(b, c);
    b.add(a, c)
}

fn recurrent_inputs(turns: usize) -> Vec<Array> {
    arrays(3, &[&[2, 3], &[turns, 2, 3], &[3, 3], &[3, 3]])
}

#[test]
fn a_loop_that_carries_slices_captures_and_collects() {
    check(&|b, p| recurrent(b, p, Dim::from(5usize), false), &recurrent_inputs(5));
}

#[test]
fn a_reversed_loop() {
    check(&|b, p| recurrent(b, p, Dim::from(5usize), true), &recurrent_inputs(5));
}

#[test]
fn a_loop_without_turns() {
    let inputs = recurrent_inputs(0);
    let types = types_of(&inputs);
    for way in WAYS {
        let (function, _) = with_gradients(&|b, p| recurrent(b, p, Dim::zero(), false), &types, way);
        let results = run(&function, &inputs, &[]);
        let twice = inputs[0].map(|x| 2.0 * x);
        assert_close(&results[1], &twice, 1e-15, "what is carried passes");
        assert_eq!(results[3].data, vec![0.0; 9]);
    }
}

#[test]
fn a_loop_of_unknown_length() {
    let size = Dim::symbol("T");
    let row = |first: Dim| Type::new(DType::F64, vec![first, Dim::from(2usize), Dim::from(3usize)]);
    let types = [real(&[2, 3]), row(size.clone()), real(&[3, 3]), real(&[3, 3])];
    for turns in [1, 2, 4, 5] {
        let loss = |b: &mut Builder, p: &[Value]| recurrent(b, p, size.clone(), false);
        check_sized(&loss, &types, &recurrent_inputs(turns), &[("T", turns as i64)]);
    }
}

#[test]
fn a_loop_whose_sizes_grow_with_the_counter() {
    // Turn i sums the first i + 1 elements of a history.
    let loss = |b: &mut Builder, p: &[Value]| {
        let results = turns(b, ("i", 4usize), false, &[p[1]], &[], |b, v| {
            let sizes = vec![Dim::symbol("i") + Dim::one()];
            let part =
                b.apply(Slice { starts: vec![Dim::zero()], sizes: sizes.clone(), steps: vec![1] }, &[p[0]]);
            let spread = b.broadcast(v[0], sizes, vec![]);
            let part = b.mul(part, spread);
            let part = b.apply(ops::Sin, &[part]);
            vec![b.sum(part, vec![0])]
        });
        results[0]
    };
    check(&loss, &arrays(4, &[&[4], &[]]));
}

#[test]
fn loops_in_loops() {
    let loss = |b: &mut Builder, p: &[Value]| {
        let (x, w) = (p[0], p[1]);
        let results = turns(b, ("l", 3usize), false, &[x], &[w], |b, outer| {
            let inner = turns(b, ("t", 4usize), false, &[outer[0]], &[], |b, inner| {
                let y = matmul(b, inner[0], outer[1]);
                let y = tanh(b, y);
                let n = b.dim(Dim::symbol("l") + Dim::symbol("t"), DType::F64);
                let shape = b.ty(y).shape.clone();
                let n = b.broadcast(n, shape, vec![]);
                let y = b.add(y, n);
                let s = b.apply(ops::Sin, &[y]);
                vec![s, y]
            });
            let seen = b.sum(inner[1], vec![0]);
            vec![inner[0], seen]
        });
        let a = weighted(b, results[0]);
        let a = total(b, a);
        let c = weighted(b, results[1]);
        let c = total(b, c);
        b.add(a, c)
    };
    check(&loss, &arrays(5, &[&[2, 2], &[3, 2, 2]]));
}

#[test]
fn a_branch_in_a_loop() {
    let loss = |b: &mut Builder, p: &[Value]| {
        let (x, w) = (p[0], p[1]);
        let results = turns(b, ("i", 4usize), false, &[x], &[], |b, v| {
            let turn = b.dim(Dim::symbol("i").modulo(&Dim::constant(2)), DType::I32);
            let zero = b.fill(0.0, Type::scalar(DType::I32));
            let even = b.apply(ops::Compare { kind: nnc_ir::kernel::Compare::Equal }, &[turn, zero]);
            let state = v[0];
            branch(
                b,
                even,
                |b| {
                    let y = matmul(b, state, w);
                    vec![tanh(b, y)]
                },
                |b| {
                    let inner = turns(b, ("j", 2usize), false, &[state], &[], |b, v| {
                        let y = b.mul(v[0], state);
                        vec![b.apply(ops::Cos, &[y])]
                    });
                    vec![inner[0]]
                },
            )
        });
        let y = weighted(b, results[0]);
        total(b, y)
    };
    check(&loss, &arrays(6, &[&[2, 2], &[2, 2]]));
}

/// Rounds forward, is the identity backward.
fn straight_through(b: &mut Builder, x: Value) -> Value {
    let ty = b.ty(x).clone();
    b.open();
    let param = b.param(ty.clone());
    let rounded = b.apply(ops::Round, &[param]);
    let forward = b.close(vec![rounded]);
    b.open();
    let given: Vec<Value> = (0..3).map(|_| b.param(ty.clone())).collect();
    let backward = b.close(vec![given[2]]);
    b.try_apply_blocks(Rule.into(), &[x], vec![forward, backward]).expect("the rule is well typed")[0]
}

#[test]
fn a_rule_replaces_the_gradient() {
    let loss = |b: &mut Builder, p: &[Value]| {
        let scaled = b.scale(p[0], 3.0);
        let y = straight_through(b, scaled);
        let y = b.mul(y, p[0]);
        total(b, y)
    };
    let x = Array::new(vec![2], vec![0.3, 0.9]);
    let (function, _) = with_gradients(&loss, &[real(&[2])], Recompute::Cheap);
    // d(round(3x) x) = round(3x) + 3x.
    assert_close(
        &run(&function, &[x], &[])[1],
        &Array::new(vec![2], vec![1.9, 5.7]),
        1e-12,
        "straight through",
    );
}

#[test]
fn what_is_not_asked_for_is_not_computed() {
    let mut b = Builder::new();
    let (x, w) = (b.param(real(&[2, 2])), b.param(real(&[2, 2])));
    let loss = layer_loss(&mut b, x, w);
    let one = b.fill_like(1.0, loss);
    let gradients = pullback(&mut b, &[(loss, one)], &[w]).expect("w has a gradient");
    assert_eq!(count(&b.finish(gradients), "contract"), 2, "one forward, one for w, none for x");
}

fn cut_places(loss: Scalar, inputs: &[Type]) -> Vec<(usize, Vec<(&'static str, &'static str)>)> {
    let mut b = Builder::new();
    let params: Vec<Value> = inputs.iter().map(|ty| b.param(ty.clone())).collect();
    let value = loss(&mut b, &params);
    let one = b.fill_like(1.0, value);
    let cuts = pullback(&mut b, &[(value, one)], &params).expect_err("some path is cut");
    let place = |value| params.iter().position(|param| *param == value).expect("a source");
    let list = |cut: nnc_compiler::differentiate::Cut| {
        (place(cut.value), cut.places.iter().map(|place| (place.op, place.reason)).collect())
    };
    cuts.into_iter().map(list).collect()
}

#[test]
fn a_cut_names_what_cuts() {
    let loss = |b: &mut Builder, p: &[Value]| {
        let stopped = b.apply(ops::Stop, &[p[0]]);
        let rounded = b.apply(ops::Floor, &[p[1]]);
        let whole = b.cast(p[2], DType::I32);
        let whole = b.cast(whole, DType::F64);
        let x = b.mul(stopped, rounded);
        let y = b.mul(whole, p[3]);
        let y = b.add(x, y);
        total(b, y)
    };
    let found = cut_places(&loss, &vec![real(&[2]); 5]);
    assert_eq!(
        found,
        [
            (0, vec![("stop", "the gradient is stopped here")]),
            (1, vec![("floor", "a rounded number is flat")]),
            (2, vec![("cast", "whole numbers and truth values carry no gradient")]),
            (4, vec![]),
        ]
    );
}

#[test]
fn a_cut_in_a_loop_is_found() {
    let loss = |b: &mut Builder, p: &[Value]| {
        let results = turns(b, ("i", 3usize), false, &[p[0]], &[p[1]], |b, v| {
            let flat = b.apply(ops::Sign, &[v[1]]);
            let y = b.mul(v[0], flat);
            vec![tanh(b, y)]
        });
        total(b, results[0])
    };
    let found = cut_places(&loss, &[real(&[2]), real(&[3, 2])]);
    assert_eq!(found, [(1, vec![("sign", "a sign is flat")])]);
}

#[test]
fn one_open_path_is_enough() {
    let loss = |b: &mut Builder, p: &[Value]| {
        let stopped = b.apply(ops::Stop, &[p[0]]);
        let y = b.mul(stopped, p[0]);
        total(b, y)
    };
    let (function, pullback) = with_gradients(&loss, &[real(&[2])], Recompute::Cheap);
    assert_eq!(pullback.cuts, []);
    let x = Array::new(vec![2], vec![2.0, 5.0]);
    assert_eq!(run(&function, std::slice::from_ref(&x), &[])[1], x);
}

/// The square norm of the gradient of `inner` by its first parameter: differentiated again.
fn gradient_norm(b: &mut Builder, inner: Value, wrt: Value, way: Recompute) -> Value {
    let one = b.fill_like(1.0, inner);
    let gradient = pullback_with(b, &[(inner, one)], &[wrt], way).cotangents[0];
    let square = b.mul(gradient, gradient);
    total(b, square)
}

#[test]
fn second_order_of_a_chain() {
    let loss = |b: &mut Builder, p: &[Value]| {
        let inner = layer_loss(b, p[0], p[1]);
        gradient_norm(b, inner, p[0], Recompute::Cheap)
    };
    check(&loss, &arrays(7, &[&[2, 3], &[3, 2]]));
}

#[test]
fn second_order_of_a_loop() {
    for way in [Recompute::Off, Recompute::Cheap, Recompute::Always, Recompute::Every(2)] {
        let loss = |b: &mut Builder, p: &[Value]| {
            let inner = recurrent(b, p, Dim::from(3usize), false);
            gradient_norm(b, inner, p[2], way)
        };
        check(&loss, &recurrent_inputs(3));
    }
}

#[test]
fn a_pullback_inside_a_loop() {
    // Gradient descent, unrolled by a loop, differentiated with respect to where it starts and what it fits.
    let loss = |b: &mut Builder, p: &[Value]| {
        let (start, x) = (p[0], p[1]);
        let results = turns(b, ("step", 3usize), false, &[start], &[], |b, v| {
            let loss = layer_loss(b, x, v[0]);
            let one = b.fill_like(1.0, loss);
            let slope = pullback(b, &[(loss, one)], &[v[0]]).expect("it has a gradient")[0];
            let step = b.scale(slope, 0.1);
            vec![b.sub(v[0], step)]
        });
        layer_loss(b, x, results[0])
    };
    check(&loss, &arrays(8, &[&[3, 2], &[2, 3]]));
}

#[test]
fn look_ups_add_up() {
    let positions = Array::new(vec![4], vec![1.0, 0.0, 1.0, 2.0]);
    let loss = |b: &mut Builder, p: &[Value]| {
        let positions = b.apply(
            ops::Table { values: positions.data.clone(), ty: Type::new(DType::I32, vec![Dim::from(4usize)]) },
            &[],
        );
        let rows = b.apply(ops::Gather { axis: 0, batch: 0 }, &[p[0], positions]);
        let tied = b.apply(Contract { lhs: vec![0, 1], rhs: vec![2, 1], out: vec![0, 2] }, &[rows, p[0]]);
        let tied = b.apply(ops::Tanh, &[tied]);
        let scattered =
            b.apply(ops::Scatter { axis: 0, batch: 0, kind: ScatterKind::Add }, &[p[0], positions, rows]);
        let (a, c) = (weighted(b, tied), weighted(b, scattered));
        let (a, c) = (total(b, a), total(b, c));
        b.add(a, c)
    };
    check(&loss, &arrays(9, &[&[3, 2]]));
}

/// A small transformer in a rolled loop: norm, attention with a causal mask, residual; cross entropy at the end.
fn transformer(b: &mut Builder, p: &[Value]) -> Value {
    let (x, gain, q, k, v, out) = (p[0], p[1], p[2], p[3], p[4], p[5]);
    let stacks = [gain, q, k, v];
    let results = turns(b, ("layer", 3usize), false, &[x], &stacks, |b, given| {
        let n = layer_norm(b, given[0], given[1]);
        let [q, k, v] = [given[2], given[3], given[4]].map(|w| matmul(b, n, w));
        let scores = b.apply(Contract { lhs: vec![0, 1], rhs: vec![2, 1], out: vec![0, 2] }, &[q, k]);
        let ty = Type::new(DType::I32, b.ty(scores).shape.clone());
        let row = b.apply(ops::Iota { ty: ty.clone(), axis: 0 }, &[]);
        let column = b.apply(ops::Iota { ty, axis: 1 }, &[]);
        let seen = b.apply(ops::Compare { kind: nnc_ir::kernel::Compare::LessEqual }, &[column, row]);
        let never = b.fill_like(f64::NEG_INFINITY, scores);
        let scores = b.apply(ops::Select, &[seen, scores, never]);
        let share = softmax(b, scores);
        let mixed = matmul(b, share, v);
        vec![b.add(given[0], mixed)]
    });
    let logits = matmul(b, results[0], out);
    let share = softmax(b, logits);
    let share = b.apply(ops::Log, &[share]);
    let first = Slice {
        starts: vec![Dim::zero(), Dim::one()],
        sizes: vec![Dim::from(4usize), Dim::one()],
        steps: vec![1, 1],
    };
    let picked = b.apply(first, &[share]);
    let sum = total(b, picked);
    b.neg(sum)
}

fn per_row(b: &mut Builder, fold: Fold, x: Value) -> Value {
    let shape = b.ty(x).shape.clone();
    let folded = b.apply(Reduce { fold, axes: vec![1] }, &[x]);
    b.broadcast(folded, shape, vec![0])
}

fn softmax(b: &mut Builder, x: Value) -> Value {
    let peak = per_row(b, Fold::Max, x);
    let x = b.sub(x, peak);
    let x = b.apply(ops::Exp, &[x]);
    let sum = per_row(b, Fold::Add, x);
    b.div(x, sum)
}

fn layer_norm(b: &mut Builder, x: Value, gain: Value) -> Value {
    let width = 1.0 / 3.0;
    let mean = per_row(b, Fold::Add, x);
    let mean = b.scale(mean, width);
    let x = b.sub(x, mean);
    let square = b.mul(x, x);
    let square = per_row(b, Fold::Add, square);
    let square = b.scale(square, width);
    let small = b.fill_like(1e-5, square);
    let square = b.add(square, small);
    let spread = b.apply(ops::Sqrt, &[square]);
    let x = b.div(x, spread);
    let shape = b.ty(x).shape.clone();
    let gain = b.broadcast(gain, shape, vec![1]);
    b.mul(x, gain)
}

fn transformer_inputs() -> Vec<Array> {
    arrays(10, &[&[4, 3], &[3, 3], &[3, 3, 3], &[3, 3, 3], &[3, 3, 3], &[3, 5]])
}

#[test]
fn a_transformer_in_a_rolled_loop() {
    check(&transformer, &transformer_inputs());
}

fn stacked_bytes(way: Recompute) -> usize {
    let (function, _) = with_gradients(&transformer, &types_of(&transformer_inputs()), way);
    let loops = loops(&function);
    let saved = loops[0].results.iter().map(|v| function.ty(*v).size().as_constant().unwrap_or(0) as usize);
    saved.sum()
}

#[test]
fn less_is_saved_where_more_is_replayed() {
    let [off, cheap, always] = [Recompute::Off, Recompute::Cheap, Recompute::Always].map(stacked_bytes);
    assert!(always < cheap && cheap < off, "{always} {cheap} {off}");
    // The state of the last turn, and what each turn begins with.
    assert_eq!(always, 12 + 3 * 12);
}

/// `x[.., t, ..]` by hand: forwards, backwards, shifted, twice, and in an inner loop.
#[test]
fn parts_taken_by_hand_get_their_own_cotangents() {
    let part = |b: &mut Builder, x: Value, start: Dim| {
        let sizes = vec![Dim::from(2usize), Dim::one(), Dim::from(2usize)];
        let op = Slice { starts: vec![Dim::zero(), start, Dim::one()], sizes, steps: vec![1; 3] };
        let part = b.apply(op, &[x]);
        b.reshape(part, vec![Dim::from(2usize), Dim::from(2usize)])
    };
    let loss = |b: &mut Builder, p: &[Value]| {
        let (x, state) = (p[0], p[1]);
        let results = turns(b, ("t", 3usize), false, &[state], &[], |b, v| {
            let t = Dim::symbol("t");
            let (now, next) = (part(b, x, t.clone()), part(b, x, &t + &Dim::one()));
            let back = part(b, x, &Dim::constant(3) - &t);
            let again = part(b, x, t.clone());
            let y = b.mul(now, next);
            let y = b.add(y, back);
            let inner = turns(b, ("j", 2usize), false, &[y], &[], |b, v| {
                let (a, c) = (part(b, x, t.clone()), part(b, x, &t + &Dim::symbol("j")));
                let z = b.mul(v[0], a);
                let z = b.add(z, c);
                vec![tanh(b, z)]
            });
            let y = b.mul(inner[0], again);
            let y = matmul(b, y, v[0]);
            vec![tanh(b, y)]
        });
        let y = weighted(b, results[0]);
        total(b, y)
    };
    let inputs = arrays(12, &[&[2, 4, 3], &[2, 2]]);
    check(&loss, &inputs);
    let (function, _) = with_gradients(&loss, &types_of(&inputs), Recompute::Cheap);
    let body = &loops(&function).into_iter().find(|node| matches!(&node.op, ops::Op::Loop(op) if op.reverse));
    let body = body.as_ref().expect("there is a backward loop").blocks[0].clone();
    let whole = |v: &&Value| *function.ty(**v) == real(&[2, 4, 3]);
    // Only what the inner loop takes at its own counter is added to a whole tensor.
    assert_eq!(body.params.iter().filter(whole).count(), 1);
}

/// Scores of attention are as many as tokens squared: the queries and keys they are made of are saved instead.
#[test]
fn products_larger_than_their_operands_are_replayed() {
    let (tokens, width) = (Dim::symbol("T"), Dim::from(3usize));
    let square = |first: &Dim| Type::new(DType::F64, vec![first.clone(), width.clone(), width.clone()]);
    let turns = Dim::from(2usize);
    let types = [Type::new(DType::F64, vec![tokens.clone(), width.clone()]), square(&turns), square(&turns)];
    let loss = |b: &mut Builder, p: &[Value]| {
        let results = support::turns(b, ("l", 2usize), false, &[p[0]], &[p[1], p[2]], |b, v| {
            let (q, k) = (matmul(b, v[0], v[1]), matmul(b, v[0], v[2]));
            let scores = b.apply(Contract { lhs: vec![0, 1], rhs: vec![2, 1], out: vec![0, 2] }, &[q, k]);
            let share = softmax(b, scores);
            vec![matmul(b, share, v[0])]
        });
        let y = weighted(b, results[0]);
        total(b, y)
    };
    let inputs = arrays(11, &[&[4, 3], &[2, 3, 3], &[2, 3, 3]]);
    check_sized(&loss, &types, &inputs, &[("T", 4)]);
    let saved = |way| {
        let (function, _) = with_gradients(&loss, &types, way);
        let results = loops(&function)[0].results.clone();
        let wide = |v: &&Value| function.ty(**v).shape.iter().filter(|size| **size == tokens).count() == 2;
        results.iter().filter(wide).count()
    };
    assert_eq!(saved(Recompute::Cheap), 0);
    assert!(saved(Recompute::Off) > 0);
}

#[test]
fn partition_equals_joint() {
    let inputs = transformer_inputs();
    for way in WAYS {
        let mut b = Builder::new();
        let params: Vec<Value> = types_of(&inputs).into_iter().map(|ty| b.param(ty)).collect();
        let loss = transformer(&mut b, &params);
        let seed = b.param(real(&[]));
        let gradients = pullback_with(&mut b, &[(loss, seed)], &params, way).cotangents;
        let joint = b.finish([&[loss], &gradients[..]].concat());
        let parts = partition(&joint, 1, 1, way).expect("the loss does not depend on its cotangent");
        let seed = Array::scalar(0.7);
        let together = run(&joint, &[&inputs[..], std::slice::from_ref(&seed)].concat(), &[]);
        let there = run(&parts.forward, &inputs, &[]);
        assert_eq!(there[0], together[0]);
        assert_eq!(there.len(), 1 + parts.saved);
        let back = run(&parts.backward, &[&inputs[..], &there[1..], &[seed]].concat(), &[]);
        assert_eq!(back, together[1..], "{way:?}");
    }
}

#[test]
fn partition_refuses_outputs_that_depend_on_cotangents() {
    let mut b = Builder::new();
    let (x, seed) = (b.param(real(&[])), b.param(real(&[])));
    let y = b.mul(x, seed);
    let error = partition(&b.finish(vec![y, y]), 1, 1, Recompute::Off).expect_err("y depends on the seed");
    assert_eq!(error, "output 0 depends on a cotangent");
}

/// Random smooth functions: gradients against differences, saved in every way.
#[test]
fn random_functions() {
    let mut loops = 0;
    for seed in 0..120 {
        let inputs = random::Grower::new(seed, true).inputs();
        let loss = |b: &mut Builder, p: &[Value]| random::Grower::new(seed, true).loss(b, p);
        let (function, _) = with_gradients(&loss, &types_of(&inputs), Recompute::Cheap);
        loops += count(&function, "loop");
        std::panic::catch_unwind(|| check(&loss, &inputs)).unwrap_or_else(|_| panic!("seed {seed}"));
    }
    assert!(loops > 100, "{loops} loops");
}

/// Random functions twice differentiated.
#[test]
fn random_second_order() {
    for seed in 0..40 {
        let inputs = random::Grower::new(seed, true).inputs();
        let loss = |b: &mut Builder, p: &[Value]| {
            let inner = random::Grower::new(seed, true).loss(b, p);
            gradient_norm(b, inner, p[0], WAYS[seed as usize % WAYS.len()])
        };
        let (_, pullback) = with_gradients(&loss, &types_of(&inputs), Recompute::Cheap);
        let lost = pullback.cuts.len();
        let check = || {
            if lost == 0 {
                check(&loss, &inputs)
            }
        };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(check))
            .unwrap_or_else(|_| panic!("seed {seed}"));
    }
}
