//! Printing, parsing and printing again gives the same text.

use crate::programs::{all_examples, function, module, rich_module};
use nnc_ir::graph::{Module, Slot, SlotKind};
use nnc_ir::ops::Constant;
use nnc_ir::text::{parse, print};
use nnc_ir::{Builder, DType, Dim, Pattern, Type, verify};

fn round_trip(module: &Module) -> Module {
    let text = print(module);
    let parsed = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(print(&parsed), text);
    parsed
}

#[test]
fn every_operation_comes_back() {
    for (label, example) in all_examples() {
        let module = module(function(&example));
        assert_eq!(round_trip(&module), module, "{label}");
    }
}

#[test]
fn bodies_slots_and_sizes_come_back() {
    let module = rich_module();
    let parsed = round_trip(&module);
    assert_eq!(verify(&parsed), Ok(()));
    assert_eq!((&parsed.sizes, &parsed.slots), (&module.sizes, &module.slots));
    assert_eq!(parsed.entries[0].inputs, module.entries[0].inputs);
    assert_eq!(parsed.entries[0].function.values[0].name.as_deref(), Some("x \"quoted\""));
}

#[test]
fn patterns_and_size_expressions_come_back() {
    let (t, c) = (Dim::symbol("T"), Dim::symbol("c'"));
    let odd = [
        &(&t * &c) * &t - Dim::constant(3),
        (&t + &Dim::one()).floor_div(&Dim::constant(2)),
        (&t * &Dim::constant(3)).modulo(&c).maximum(&(&t - &c)),
        t.minimum(&c),
    ];
    let patterns = [
        Pattern::Dense,
        Pattern::Any,
        Pattern::NofM { n: 2, m: 4, axis: 1 },
        Pattern::Block { rows: 16, columns: 1 },
        Pattern::Slices { axis: 0 },
    ];
    let slot = |pattern: Pattern| Slot {
        path: format!("{pattern:?}\n\\"),
        kind: SlotKind::Cache,
        ty: Type { pattern, ..Type::new(DType::Bf16, odd.to_vec()) },
        copies: vec![0, 0],
        was: None,
    };
    let module = Module { slots: patterns.into_iter().map(slot).collect(), ..Module::default() };
    assert_eq!(round_trip(&module), module);
}

#[test]
fn unusual_numbers_come_back() {
    for value in [f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e-300, -1.5e20, 0.1] {
        let mut b = Builder::new();
        let x = b.apply(Constant { value, ty: Type::scalar(DType::F64) }, &[]);
        let module = module(b.finish(vec![x]));
        assert_eq!(round_trip(&module), module, "{value}");
    }
}

#[test]
fn errors_name_line_and_column() {
    let error = parse("size N in 1..64 step 1\nentry \"f\" inputs() outputs() () {\n  %0: f32[] = frob\n}")
        .expect_err("no such operation");
    assert_eq!((error.line, error.column), (3, 15));
    assert!(error.message.contains("`frob`"), "{error}");
    let error = parse("entry \"f\" inputs() outputs() () { yield %0 }").expect_err("not defined");
    assert_eq!((error.line, error.column), (1, 41));
    assert!(parse("entry \"f\" inputs() outputs() () {").is_err());
}

#[test]
fn depth_is_limited() {
    let deep = format!("slot state \"x\": f32[{}T", "floor(".repeat(10_000));
    let error = parse(&deep).expect_err("too deep");
    assert!(error.message.contains("deeper"), "{error}");
}
