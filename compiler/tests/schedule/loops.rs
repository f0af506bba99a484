//! Loops, branches and slots: carried values, histories, in-place updates and their hazards.

use crate::machine::Machine;
use crate::networks::{launches, layer_norm, linear};
use crate::programs::*;
use nnc_ir::graph::Function;
use nnc_ir::graph::{Entry, Module, Port};
use nnc_ir::kernel::Compare as Relation;
use nnc_ir::ops::*;
use nnc_ir::{Array, Builder, DType, Dim, Symbol, Type, Value, evaluate};

fn repeat(
    b: &mut Builder,
    (counter, count, reverse): (&str, Dim, bool),
    carried: &[Value],
    sliced: &[Value],
    body: impl FnOnce(&mut Builder, &[Value], &[Value]) -> Vec<Value>,
) -> Vec<Value> {
    b.open();
    let carries: Vec<Value> = carried
        .iter()
        .map(|v| {
            let ty = b.ty(*v).clone();
            b.param(ty)
        })
        .collect();
    let slices: Vec<Value> = sliced
        .iter()
        .map(|v| {
            let ty = b.ty(*v).clone();
            let part = ty.with_shape(ty.shape[1..].to_vec());
            b.param(part)
        })
        .collect();
    let results = body(b, &carries, &slices);
    let block = b.close(results);
    let op =
        Loop { counter: Symbol::new(counter), count, reverse, carried: carried.len(), sliced: sliced.len() };
    let operands = [carried, sliced].concat();
    b.try_apply_blocks(op.into(), &operands, vec![block]).expect("typed")
}

#[test]
fn layers_read_their_slices_in_place() {
    let (n, m) = (s("L"), d(16));
    for reverse in [false, true] {
        let f = function(
            &[
                f32s(&[s("B"), m.clone()]),
                f32s(&[n.clone(), m.clone(), m.clone()]),
                f32s(&[n.clone(), m.clone()]),
            ],
            |b, x| {
                repeat(b, ("l", n.clone(), reverse), &x[..1], &x[1..], |b, carry, part| {
                    let y = linear(b, carry[0], part[0], part[1]);
                    let y = b.apply(Tanh, &[y]);
                    let y = b.add(y, carry[0]);
                    let norm = layer_norm(b, y, part[1], part[1]);
                    vec![y, norm]
                })
            },
        );
        let declared = vec![size("L", 1, None), size("B", 1, None)];
        check("layers", &f, declared, &[&[("L", 3), ("B", 5)], &[("L", 1), ("B", 40)]]);
    }
}

/// A recurrence that collects what it carries: nothing is copied.
#[test]
fn collected_states_are_carried_in_place() {
    for (reverse, before) in [(false, false), (false, true), (true, false), (true, true)] {
        let f = function(&[f32s(&[s("T"), s("B"), d(24)]), f32s(&[d(24), d(24)]), f32s(&[d(24)])], |b, x| {
            let ty = f32s(&[s("B"), d(24)]);
            let start = b.fill(0.25, ty);
            repeat(b, ("t", s("T"), reverse), &[start], &x[..1], |b, carry, part| {
                let y = linear(b, carry[0], x[1], x[2]);
                let y = b.add(y, part[0]);
                let y = b.apply(Tanh, &[y]);
                vec![y, if before { carry[0] } else { y }]
            })
        });
        let declared = vec![size("T", 1, None), size("B", 1, None)];
        let module = module(f.clone(), declared.clone());
        for target in targets() {
            let plan = plan(&module, &target);
            let at = sizes(&[("T", 4), ("B", 3)]);
            let arguments = arguments(&f, &at);
            let expected = evaluate(&f, &arguments, &at).expect("evaluates");
            let names = ["x0", "x1", "x2"];
            let inputs: Vec<(&str, Array)> = names.into_iter().zip(arguments).collect();
            let mut machine = Machine::new(&plan);
            let found = machine.call("main", &inputs, &at);
            for ((_, found), expected) in found.iter().zip(&expected) {
                assert!(close(found, expected, 1e-6), "{reverse} {before}\n{}", show(&plan));
            }
        }
        check("recurrence", &f, declared, &[&[("T", 1), ("B", 2)]]);
    }
}

#[test]
fn a_history_is_not_copied() {
    let f = function(&[f32s(&[s("T"), d(24)]), f32s(&[d(24), d(24)]), f32s(&[d(24)])], |b, x| {
        let start = b.fill(0.25, f32s(&[d(24)]));
        let results = repeat(b, ("t", s("T"), false), &[start], &x[..1], |b, carry, part| {
            let y = linear(b, carry[0], x[1], x[2]);
            let y = b.add(y, part[0]);
            vec![y, y]
        });
        let states = b.apply(Exp, &[results[1]]);
        let last = b.apply(Exp, &[results[0]]);
        vec![states, last]
    });
    let module = module(f.clone(), vec![size("T", 1, None)]);
    let plan = plan(&module, &nnc_compiler::schedule::Target::cpu());
    let at = sizes(&[("T", 6)]);
    let inputs: Vec<(&str, Array)> = ["x0", "x1", "x2"].into_iter().zip(arguments(&f, &at)).collect();
    let mut machine = Machine::new(&plan);
    machine.call("main", &inputs, &at);
    assert_eq!((machine.copies, machine.launches), (0, 6 + 3), "{}", show(&plan));
    check("history", &f, vec![size("T", 1, None)], &[&[("T", 6)]]);
}

/// A pattern made of counters alone is an operand of a product inside: it is kept in memory outside.
#[test]
fn a_pattern_from_outside_is_multiplied_inside() {
    let (n, m) = (d(8), d(16));
    let f = function(&[f32s(&[m.clone(), n.clone()])], |b, x| {
        let ty = Type::new(DType::I32, vec![n.clone(), n.clone()]);
        let row = b.apply(Iota { ty: ty.clone(), axis: 0 }, &[]);
        let column = b.apply(Iota { ty, axis: 1 }, &[]);
        let below = b.apply(Compare { kind: Relation::LessEqual }, &[row, column]);
        let pattern = b.cast(below, DType::F32);
        repeat(b, ("i", d(3), false), x, &[], |b, carry, _| {
            let turned = b.permute(pattern, vec![1, 0]);
            let op = Contract { lhs: vec![0, 1], rhs: vec![1, 2], out: vec![0, 2] };
            let y = b.apply(op.clone(), &[carry[0], pattern]);
            let z = b.apply(op, &[y, turned]);
            vec![b.apply(Tanh, &[z])]
        })
    });
    check("pattern", &f, vec![], &[&[]]);
}

#[test]
fn carried_values_may_swap_and_stay() {
    let f = function(&[f32s(&[d(5)]), f32s(&[d(5)]), f32s(&[d(5)])], |b, x| {
        repeat(b, ("i", d(3), false), x, &[], |b, carry, _| {
            let y = b.add(carry[2], carry[0]);
            vec![carry[1], carry[0], y]
        })
    });
    check("swap", &f, vec![], &[&[]]);
}

#[test]
fn carried_values_are_read_at_other_places() {
    let f = function(&[f32s(&[d(6)]), f32s(&[d(6)])], |b, x| {
        repeat(b, ("i", d(4), false), x, &[], |b, carry, _| {
            let turned =
                b.apply(Slice { starts: vec![d(5)], sizes: vec![d(6)], steps: vec![-1] }, &[carry[0]]);
            let y = b.add(turned, carry[1]);
            let e = b.apply(Exp, &[carry[1]]);
            let sum = b.sum(e, vec![0]);
            let sum = b.broadcast(sum, vec![d(6)], vec![]);
            let z = b.div(e, sum);
            vec![y, z]
        })
    });
    check("turned", &f, vec![], &[&[]]);
}

#[test]
fn loops_in_loops_use_both_counters() {
    let f = function(&[f32s(&[d(3), d(4), d(5)]), f32s(&[d(5)])], |b, x| {
        repeat(b, ("i", d(3), false), &x[1..], &x[..1], |b, carry, part| {
            let inner = repeat(b, ("j", d(4), true), carry, part, |b, carry, part| {
                let place = &(&Dim::symbol("i") * &d(10)) + &Dim::symbol("j");
                let place = b.dim(place, DType::F32);
                let place = b.broadcast(place, vec![d(5)], vec![]);
                let y = b.mul(carry[0], part[0]);
                let y = b.add(y, place);
                let half = b.scale(y, 0.5);
                vec![half, y]
            });
            vec![inner[0], inner[1]]
        })
    });
    check("nested", &f, vec![], &[&[]]);
}

#[test]
fn a_loop_that_never_runs_keeps_its_start() {
    let f = function(&[f32s(&[d(5)])], |b, x| {
        repeat(b, ("i", s("N"), false), x, &[], |b, carry, _| {
            let y = b.scale(carry[0], 2.0);
            vec![y, y]
        })
    });
    check("none", &f, vec![size("N", 0, None)], &[&[("N", 0)], &[("N", 2)]]);
}

fn branch(
    b: &mut Builder,
    condition: Value,
    then: impl FnOnce(&mut Builder) -> Vec<Value>,
    otherwise: impl FnOnce(&mut Builder) -> Vec<Value>,
) -> Vec<Value> {
    b.open();
    let results = then(b);
    let first = b.close(results);
    b.open();
    let results = otherwise(b);
    let second = b.close(results);
    b.try_apply_blocks(Op::If(If), &[condition], vec![first, second]).expect("typed")
}

#[test]
fn branches_compute_one_of_two() {
    let f = function(&[f32s(&[d(5)]), f32s(&[d(5)])], |b, x| {
        let sum = b.sum(x[0], vec![0]);
        let zero = b.fill_like(0.0, sum);
        let negative = b.apply(Compare { kind: Relation::Less }, &[sum, zero]);
        let (p, q) = (x[0], x[1]);
        let results = branch(b, negative, |b| vec![b.add(p, q), q], |b| vec![b.sub(p, q), p]);
        repeat(b, ("i", d(3), false), &results, &[], |b, carry, _| {
            let sum = b.sum(carry[0], vec![0]);
            let one = b.fill_like(0.1, sum);
            let small = b.apply(Compare { kind: Relation::Less }, &[sum, one]);
            let (p, q) = (carry[0], carry[1]);
            branch(b, small, |b| vec![b.mul(p, q), p], |_| vec![p, q])
        })
    });
    check("branches", &f, vec![], &[&[]]);
}

/// A module whose slots are the first parameters and results of `function`.
fn stateful(function: Function, slots: usize) -> Module {
    let port = |letter: &'static str| {
        move |place: usize| {
            if place < slots { Port::Slot(place) } else { Port::Named(format!("{letter}{place}")) }
        }
    };
    let inputs = (0..function.body.params.len()).map(port("x")).collect();
    let outputs = (0..function.body.results.len()).map(port("y")).collect();
    let types = function.body.params[..slots].iter().map(|value| function.ty(*value).clone());
    let declared = types.enumerate().map(|(place, ty)| slot(&format!("s{place}"), ty)).collect();
    Module {
        slots: declared,
        entries: vec![Entry { name: "main".into(), inputs, outputs, function }],
        ..Module::default()
    }
}

/// Two calls, so that the second sees what the first left behind. Copies of the CPU's plan.
fn check_slots(label: &str, function: Function, slots: usize) -> usize {
    let module = stateful(function.clone(), slots);
    let mut copies = 0;
    for target in targets() {
        let plan = plan(&module, &target);
        let mut machine = Machine::new(&plan);
        let mut arguments = arguments(&function, &sizes(&[]));
        (0..slots).for_each(|place| drop(machine.slots.insert(place, arguments[place].data.clone())));
        for _ in 0..2 {
            let expected = evaluate(&function, &arguments, &sizes(&[])).expect("evaluates");
            let names: Vec<String> = (0..arguments.len()).map(|place| format!("x{place}")).collect();
            let inputs: Vec<(&str, Array)> =
                names.iter().map(String::as_str).zip(arguments.clone()).skip(slots).collect();
            let found = machine.call("main", &inputs, &sizes(&[]));
            for (place, expected) in expected.iter().enumerate() {
                let data = if place < slots { &machine.slots[&place] } else { &found[place - slots].1.data };
                let found = Array::new(expected.shape.clone(), data.clone());
                assert!(
                    close(&found, expected, 1e-6),
                    "{label}, {:?}, result {place}: {found:?}, not {expected:?}\n{}",
                    target.kind,
                    show(&plan)
                );
            }
            arguments[..slots].clone_from_slice(&expected[..slots]);
        }
        if target.gemm {
            copies = machine.copies;
        }
    }
    copies
}

#[test]
fn an_optimizer_updates_its_slots_in_place() {
    let ty = || f32s(&[d(7), d(9)]);
    let f = function(&[ty(), ty(), ty(), ty()], |b, x| {
        let (w, m, v, g) = (x[0], x[1], x[2], x[3]);
        let (old, new) = (b.scale(m, 0.9), b.scale(g, 0.1));
        let m = b.add(old, new);
        let square = b.mul(g, g);
        let (old, new) = (b.scale(v, 0.99), b.scale(square, 0.01));
        let v = b.add(old, new);
        let magnitude = b.apply(Abs, &[v]);
        let root = b.apply(Sqrt, &[magnitude]);
        let eps = b.fill_like(1e-3, root);
        let root = b.add(root, eps);
        let step = b.div(m, root);
        let step = b.scale(step, 0.01);
        let w = b.sub(w, step);
        vec![w, m, v]
    });
    assert_eq!(check_slots("adam", f, 3), 0);
}

#[test]
fn old_values_are_read_before_they_are_overwritten() {
    let f = function(&[f32s(&[d(6)]), f32s(&[d(6)]), f32s(&[d(6)])], |b, x| {
        let sum = b.sum(x[0], vec![0]);
        let e = b.apply(Exp, &[x[0]]);
        let turned = b.apply(Slice { starts: vec![d(5)], sizes: vec![d(6)], steps: vec![-1] }, &[x[0]]);
        let a = b.add(turned, x[2]);
        let c = b.add(x[0], x[1]);
        let total = b.sum(c, vec![0]);
        vec![a, c, e, sum, total, x[0], x[1]]
    });
    check_slots("hazards", f, 2);
    let swapped = function(&[f32s(&[d(6)]), f32s(&[d(6)])], |b, x| vec![x[1], x[0], b.add(x[0], x[1])]);
    check_slots("swapped slots", swapped, 2);
    let kept = function(&[f32s(&[d(6)])], |b, x| vec![x[0], b.scale(x[0], 2.0)]);
    assert_eq!(check_slots("kept", kept, 1), 0);
    let twice = function(&[f32s(&[d(6)]), f32s(&[d(6)])], |b, x| {
        let y = b.add(x[0], x[1]);
        vec![y, y, y]
    });
    check_slots("twice", twice, 2);
}

#[test]
fn a_slot_may_be_carried_by_a_loop() {
    let f = function(&[f32s(&[d(6)]), f32s(&[d(6)])], |b, x| {
        let carried = repeat(b, ("i", d(3), false), &x[..1], &[], |b, carry, _| vec![b.add(carry[0], x[1])]);
        let before = b.apply(Exp, &[x[0]]);
        vec![carried[0], before]
    });
    assert_eq!(check_slots("carried slot", f, 1), 0);
    let captured = function(&[f32s(&[d(6)]), f32s(&[d(6)])], |b, x| {
        repeat(b, ("i", d(3), false), &x[..1], &[], |b, carry, _| {
            let y = b.mul(carry[0], x[1]);
            vec![b.add(y, x[0])]
        })
    });
    check_slots("captured slot", captured, 1);
}

#[test]
fn a_cache_grows_in_place() {
    let f = function(
        &[f32s(&[d(2), d(8), d(3)]), f32s(&[d(2), d(1), d(3)]), nnc_ir::Type::scalar(DType::I32)],
        |b, x| {
            let op = Insert { starts: vec![d(0), d(0), d(0)], axis: Some(1) };
            let cache = b.apply(op, x);
            let sum = b.sum(cache, vec![1]);
            vec![cache, sum]
        },
    );
    let module = stateful(f.clone(), 1);
    let plan = plan(&module, &nnc_compiler::schedule::Target::cpu());
    assert_eq!(launches(&plan).len(), 2, "{}", show(&plan));
    check_slots("cache", f, 1);
}

#[test]
fn branches_keep_or_change_slots() {
    let f = function(&[f32s(&[d(6)]), f32s(&[d(6)]), nnc_ir::Type::scalar(DType::Bool)], |b, x| {
        let (w, g) = (x[0], x[1]);
        let mut results = branch(b, x[2], |b| vec![b.sub(w, g)], |_| vec![w]);
        results.push(b.apply(Exp, &[results[0]]));
        results
    });
    assert_eq!(check_slots("branch", f, 1), 0);
}
