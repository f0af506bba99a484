//! Programs that several tests use.

use nnc_ir::graph::{Entry, Function, Module, Port, Size, Slot, SlotKind};
use nnc_ir::ops::{Add, Compare, Example, Fold, If, Loop, Mul, Op, Reduce, Rule, Sub, catalog};
use nnc_ir::{Array, Builder, DType, Dim, Symbol, Type, Value};

/// Every example of every operation, with a label.
pub fn all_examples() -> Vec<(String, Example)> {
    let numbered = |(name, examples): (&str, Vec<Example>)| {
        examples
            .into_iter()
            .enumerate()
            .map(|(place, example)| (format!("{name} {place}"), example))
            .collect::<Vec<_>>()
    };
    catalog().into_iter().flat_map(numbered).collect()
}

/// The operands of an example.
pub fn operands(example: &Example) -> Vec<Array> {
    let array = |(ty, data): &(Type, Vec<f64>)| Array::new(constant_shape(ty), data.clone());
    example.operands.iter().map(array).collect()
}

/// The sizes of a type without symbols.
pub fn constant_shape(ty: &Type) -> Vec<usize> {
    ty.shape.iter().map(|size| size.as_constant().expect("examples have constant shapes") as usize).collect()
}

/// A function that applies the operation of an example to its parameters.
pub fn function(example: &Example) -> Function {
    let mut b = Builder::new();
    let params: Vec<Value> = example.operands.iter().map(|(ty, _)| b.param(ty.clone())).collect();
    let results =
        b.try_apply_blocks(example.op.clone(), &params, Vec::new()).expect("examples are well typed");
    b.finish(results)
}

/// A module with one entry.
pub fn module(function: Function) -> Module {
    let names = |values: &[Value]| (0..values.len()).map(|place| Port::Named(format!("x{place}"))).collect();
    let (inputs, outputs) = (names(&function.body.params), names(&function.body.results));
    Module { entries: vec![Entry { name: "main".into(), inputs, outputs, function }], ..Module::default() }
}

/// A size symbol.
pub fn size(name: &str, min: i64, max: Option<i64>) -> Size {
    Size { symbol: Symbol::new(name), min, max, multiple: 1 }
}

/// `f32[sizes]`
pub fn f32s(shape: &[Dim]) -> Type {
    Type::new(DType::F32, shape.to_vec())
}

/// A module with a size, slots, a loop with a branch inside, and a custom gradient.
pub fn rich_module() -> Module {
    let (n, three) = (Dim::symbol("N"), Dim::constant(3));
    let mut b = Builder::new();
    let x = b.param(f32s(std::slice::from_ref(&n)));
    let stack = b.param(f32s(&[three.clone(), n.clone()]));
    b.function.values[x.0 as usize].name = Some("x \"quoted\"".into());
    let looped = repeat(&mut b, x, stack, &three);
    let ruled = ruled(&mut b, looped[0]);
    let function = b.finish(vec![ruled, looped[1], x]);
    let weight = |path: &str, ty, copies| Slot {
        path: path.into(),
        kind: SlotKind::Weight,
        ty,
        copies,
        was: Some("old.w".into()),
    };
    Module {
        sizes: vec![size("N", 1, Some(64))],
        slots: vec![
            weight("start", f32s(std::slice::from_ref(&n)), vec![]),
            weight("layer.w", Type { pattern: nnc_ir::Pattern::Any, ..f32s(&[three, n]) }, vec![0]),
        ],
        entries: vec![Entry {
            name: "step".into(),
            inputs: vec![Port::Slot(0), Port::Slot(1)],
            outputs: vec![Port::Slot(0), Port::Named("sums".into()), Port::Named("x".into())],
            function,
        }],
    }
}

/// Carries `x + slice` (or `x - slice` where the sum of `x` is negative) and collects the sums of `x`.
fn repeat(b: &mut Builder, x: Value, stack: Value, count: &Dim) -> Vec<Value> {
    b.open();
    let (ty, row) = (b.ty(x).clone(), b.ty(x).clone());
    let (carry, slice) = (b.param(ty), b.param(row));
    let sum = b.apply(Reduce { fold: Fold::Add, axes: vec![0] }, &[carry]);
    let zero = b.fill_like(0.0, sum);
    let kind = nnc_ir::kernel::Compare::Less;
    let negative = b.apply(Compare { kind }, &[sum, zero]);
    b.open();
    let less = b.apply(Sub, &[carry, slice]);
    let then = b.close(vec![less]);
    b.open();
    let more = b.apply(Add, &[carry, slice]);
    let otherwise = b.close(vec![more]);
    let next = b.try_apply_blocks(Op::If(If), &[negative], vec![then, otherwise]).expect("typed")[0];
    let body = b.close(vec![next, sum]);
    let op = Loop { counter: Symbol::new("l"), count: count.clone(), reverse: false, carried: 1, sliced: 1 };
    b.try_apply_blocks(op.into(), &[x, stack], vec![body]).expect("typed")
}

/// Squares, with an invented gradient.
fn ruled(b: &mut Builder, x: Value) -> Value {
    let ty = b.ty(x).clone();
    b.open();
    let argument = b.param(ty.clone());
    let square = b.apply(Mul, &[argument, argument]);
    let forward = b.close(vec![square]);
    b.open();
    let _ = (b.param(ty.clone()), b.param(ty.clone()));
    let dy = b.param(ty);
    let backward = b.close(vec![dy]);
    b.try_apply_blocks(Rule.into(), &[x], vec![forward, backward]).expect("typed")[0]
}

/// Whether two lists agree to `tolerance`, relative above 1. NaN agrees with NaN.
pub fn close(found: &[f64], expected: &[f64], tolerance: f64) -> bool {
    let same = |(a, b): (&f64, &f64)| {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * b.abs().max(1.0)
    };
    found.len() == expected.len() && found.iter().zip(expected).all(same)
}

/// Numbers in -0.5..0.5 that look random and never change.
pub fn noise(seed: u32, count: usize) -> Vec<f64> {
    (0..count).map(|place| nnc_ir::random::uniform([seed, 0], [place as u32, 0]) - 0.5).collect()
}
