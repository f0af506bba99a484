//! What programs mean: small models, elaborated and run by the reference interpreter.

use nnc_compiler::entries::{self, Built, Overrides};
use nnc_compiler::program;
use nnc_compiler::world::Nothing;
use nnc_ir::graph::Port;
use nnc_ir::{Array, evaluate, verify};
use std::collections::BTreeMap;

fn build(text: &str) -> Built {
    let program = program::load("test.nn", text, &Nothing);
    let built = entries::build(&program, &Overrides::default(), &Nothing);
    built.unwrap_or_else(|found| panic!("{}", found.iter().map(ToString::to_string).collect::<String>()))
}

/// The outputs of `forward` for inputs and slots by name.
fn run(text: &str, given: &[(&str, Array)]) -> Vec<Array> {
    let built = build(text);
    let forward = built.module.entry("forward").expect("every model has it");
    let arguments: Vec<Array> = forward
        .inputs
        .iter()
        .map(|port| {
            let name = match port {
                Port::Named(name) => name.as_str(),
                Port::Slot(slot) => built.module.slots[*slot].path.as_str(),
            };
            let found = given.iter().find(|(known, _)| *known == name);
            found.unwrap_or_else(|| panic!("`{name}` is not given")).1.clone()
        })
        .collect();
    evaluate(&forward.function, &arguments, &BTreeMap::new()).expect("the function runs")
}

fn vector(data: &[f64]) -> Array {
    Array::new(vec![data.len()], data.to_vec())
}

#[test]
fn concat_puts_parts_one_behind_the_other() {
    let text = "
model Net() {
    input  x: [2, c: 2]
    input  y: [2, c: 1]
    output z: [2, c: 5]
    output n: [2, c: 3]
    z = concat[c]([x, y, x])
    n = concat[c](y, x)
}
";
    let x = Array::new(vec![2, 2], vec![1.0, 2.0, 3.0, 4.0]);
    let y = Array::new(vec![2, 1], vec![5.0, 6.0]);
    let found = run(text, &[("x", x), ("y", y)]);
    assert_eq!(found[0].data, [1.0, 2.0, 5.0, 1.0, 2.0, 3.0, 4.0, 6.0, 3.0, 4.0]);
    assert_eq!(found[1].data, [5.0, 1.0, 2.0, 6.0, 3.0, 4.0]);
}

#[test]
fn a_stack_applied_twice_has_one_set_of_weights() {
    let text = "
block Times() on x: [d] -> [d] {
    weight w: [d] = 1
    w * x
}

model Net() {
    input  x: [2]
    output y: [2]
    let f = stack(3, Times())
    y = f(f(x))
}
";
    assert_eq!(build(text).module.slots.len(), 1);
    let w = Array::new(vec![3, 2], vec![2.0, 1.0, 3.0, 1.0, 5.0, 2.0]);
    let found = run(text, &[("x", vector(&[1.0, 1.0])), ("f.times.w", w)]);
    assert_eq!(found[0].data, [900.0, 4.0]);
}

#[test]
fn pullback_takes_lists_and_records() {
    let text = "
model Net() {
    input  x: [2]
    input  y: [2]
    output a: [2]
    output b: [2]
    output c: [2]
    let both = pullback(p => sum(p[0] * p[0] * p[1]), [x, y])
    let named = pullback(p => sum(p.u * p.v), { u: x, v: y })
    a = both[0]
    b = both[1]
    c = named.u
}
";
    let found = run(text, &[("x", vector(&[2.0, 3.0])), ("y", vector(&[5.0, 7.0]))]);
    assert_eq!(found[0].data, [20.0, 42.0]);
    assert_eq!(found[1].data, [4.0, 9.0]);
    assert_eq!(found[2].data, [5.0, 7.0]);
}

#[test]
fn an_index_and_a_number_choose_an_integer() {
    let text = "
model Net() {
    input  x: [4]
    output y: [4]
    let p[i: 4] = where(i < 2, i, 3)
    y[i] = x[p[i]]
}
";
    let found = run(text, &[("x", vector(&[1.0, 2.0, 3.0, 4.0]))]);
    assert_eq!(found[0].data, [1.0, 2.0, 4.0, 4.0]);
}

#[test]
fn the_leading_axes_of_a_signature_are_one_list() {
    let text = "
fn picked(z: [.., k], place: int[..]) {
    let y[..] = z[.., place[..]]
    y
}

model Net() {
    input  x: [2, 3]
    input  place: int[2]
    output y: [2]
    let named[b: 2, c] = x[b, c]
    y = picked(named, place)
}
";
    let x = Array::new(vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let found = run(text, &[("x", x), ("place", vector(&[2.0, 0.0]))]);
    assert_eq!(found[0].data, [3.0, 4.0]);
}

#[test]
fn weights_of_a_block_made_outside_a_loop_are_drawn_once() {
    let text = "
use std::Linear
use std::residual::Score

model Net() {
    input  x: [B, 4]
    output y: [B, 4]
    y = x |> Score(Linear(4), 3)
}
";
    verify::verify(&build(text).module).expect("every entry knows its symbols");
}

#[test]
fn pullback_counts_the_argument_alone() {
    let text = "
model Net() {
    input  x: [2]
    output g: [2]
    let square = x * x
    g = pullback(p => sum(p * square), x)
}
";
    let found = run(text, &[("x", vector(&[2.0, 3.0]))]);
    assert_eq!(found[0].data, [4.0, 9.0]);
}

#[test]
fn a_subscripted_call_is_computed_in_every_turn_of_a_for() {
    let text = "
model Net() {
    input  x: [3]
    output y: [3]
    carry all: [i: 3] = 0
    for k in 0..3 {
        let z[i: 3]  = x[i] * (k + 1)
        let smallest = sort[i](z)[0]
        all[k] := smallest
    }
    y = all
}
";
    let found = run(text, &[("x", vector(&[2.0, 1.0, 3.0]))]);
    assert_eq!(found[0].data, [1.0, 2.0, 3.0]);
}
