//! One broken module per law.

use crate::programs::{f32s, module, rich_module, size};
use nnc_ir::graph::{Block, Module, Node, Port, Value};
use nnc_ir::ops::{Add, Neg, Op};
use nnc_ir::verify::Law;
use nnc_ir::{Builder, DType, Dim, Pattern, Symbol, Type, verify};

/// `(x + x)` of one parameter.
fn sound() -> Module {
    let mut b = Builder::new();
    let x = b.param(f32s(&[Dim::constant(4)]));
    let y = b.apply(Add, &[x, x]);
    module(b.finish(vec![y]))
}

fn body(module: &mut Module) -> &mut Block {
    &mut module.entries[0].function.body
}

/// The laws that a changed module breaks.
fn broken(mut module: Module, change: impl FnOnce(&mut Module)) -> Vec<Law> {
    assert_eq!(verify(&module), Ok(()), "sound before the change");
    change(&mut module);
    let mut laws: Vec<Law> =
        verify(&module).expect_err("broken").into_iter().map(|error| error.law).collect();
    laws.dedup();
    laws
}

#[test]
fn sound_modules_pass() {
    assert_eq!(verify(&sound()), Ok(()));
    assert_eq!(verify(&rich_module()), Ok(()));
}

#[test]
fn scope_uses_follow_definitions() {
    assert_eq!(broken(sound(), |m| body(m).nodes[0].operands[1] = Value(1)), [Law::Scope]);
    assert_eq!(broken(sound(), |m| body(m).results[0] = Value(9)), [Law::Scope]);
}

#[test]
fn scope_values_are_defined_once() {
    let twice = |m: &mut Module| {
        let node = body(m).nodes[0].clone();
        body(m).nodes.push(node);
    };
    assert_eq!(broken(sound(), twice), [Law::Scope]);
}

#[test]
fn scope_bodies_keep_their_values() {
    let leak = |m: &mut Module| {
        let inner = body(m).nodes[0].blocks[0].nodes[0].results[0];
        body(m).results[2] = inner;
    };
    assert_eq!(broken(rich_module(), leak), [Law::Scope]);
}

#[test]
fn types_are_those_of_the_shape_rule() {
    let wrong =
        |m: &mut Module| m.entries[0].function.values[1].ty = Type::new(DType::F64, vec![Dim::constant(4)]);
    assert_eq!(broken(sound(), wrong), [Law::Types]);
    let missing = |m: &mut Module| body(m).nodes[0].operands.truncate(1);
    assert_eq!(broken(sound(), missing), [Law::Types]);
}

#[test]
fn types_bodies_belong_to_operations_that_take_some() {
    assert_eq!(broken(sound(), |m| body(m).nodes[0].blocks.push(Block::default())), [Law::Types]);
}

#[test]
fn types_loops_carry_one_type() {
    let stale = |m: &mut Module| {
        let block = &mut body(m).nodes[0].blocks[0];
        block.results.swap(0, 1);
    };
    assert_eq!(broken(rich_module(), stale), [Law::Types]);
}

#[test]
fn symbols_are_known() {
    assert_eq!(broken(rich_module(), |m| m.sizes.clear())[0], Law::Symbols);
    let recount = |m: &mut Module| {
        if let Op::Loop(op) = &mut body(m).nodes[0].op {
            op.counter = Symbol::new("N");
        }
    };
    assert_eq!(broken(rich_module(), recount), [Law::Symbols]);
}

#[test]
fn symbols_are_ranged() {
    assert_eq!(broken(sound(), |m| m.sizes.push(size("N", 4, Some(3)))), [Law::Symbols]);
    assert_eq!(broken(sound(), |m| m.sizes.push(size("not a word", 1, None))), [Law::Symbols]);
}

#[test]
fn ports_match_values_in_number_and_type() {
    assert_eq!(broken(sound(), |m| m.entries[0].inputs.clear()), [Law::Ports]);
    assert_eq!(broken(sound(), |m| m.entries[0].inputs[0] = Port::Slot(0)), [Law::Ports]);
    assert_eq!(broken(sound(), |m| m.entries[0].inputs[0] = Port::Named("seed".into())), [Law::Ports]);
    assert_eq!(broken(rich_module(), |m| m.entries[0].inputs.swap(0, 1)), [Law::Ports]);
}

#[test]
fn ports_give_a_slot_one_new_value() {
    let twice = |m: &mut Module| m.entries[0].outputs[2] = Port::Slot(0);
    assert_eq!(broken(rich_module(), twice), [Law::Ports]);
}

#[test]
fn names_are_distinct() {
    let entry = |m: &mut Module| m.entries.push(m.entries[0].clone());
    assert_eq!(broken(sound(), entry), [Law::Names]);
    assert_eq!(broken(sound(), |m| m.sizes.extend([size("N", 1, None), size("N", 1, None)])), [Law::Names]);
    let slot = |m: &mut Module| m.slots.push(m.slots[0].clone());
    assert_eq!(broken(rich_module(), slot), [Law::Names]);
}

#[test]
fn patterns_fit_their_types() {
    let shaped = |pattern: Pattern| {
        broken(rich_module(), |m| {
            let shape = vec![Dim::constant(6), Dim::constant(6)];
            let ty = Type { pattern, ..Type::new(DType::F32, shape) };
            m.slots.push(nnc_ir::graph::Slot { path: "w".into(), ty, ..m.slots[0].clone() });
        })
    };
    assert_eq!(shaped(Pattern::NofM { n: 2, m: 4, axis: 1 }), [Law::Patterns]);
    assert_eq!(shaped(Pattern::Block { rows: 4, columns: 3 }), [Law::Patterns]);
    assert_eq!(shaped(Pattern::Slices { axis: 2 }), [Law::Patterns]);
}

#[test]
fn errors_name_the_entry_and_the_operation() {
    let mut module = sound();
    let node = Node { op: Neg.into(), ..body(&mut module).nodes[0].clone() };
    body(&mut module).nodes[0] = node;
    let errors = verify(&module).expect_err("neg takes one operand");
    assert_eq!(errors[0].message, "entry `main`: `neg`: takes 1 operands, receives 2");
}
