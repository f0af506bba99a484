//! What the tests of graph transformations share: small functions in float64, run by the reference interpreter.
#![allow(dead_code, reason = "each test that includes it uses a part")]

pub mod random;

use nnc_compiler::differentiate::{Pullback, Recompute, pullback_with};
use nnc_ir::graph::Function;
use nnc_ir::ops::{If, Loop, Op};
use nnc_ir::{Array, Builder, DType, Dim, Symbol, Type, Value, evaluate};
use std::collections::BTreeMap;

/// Every way to save.
pub const WAYS: [Recompute; 6] = [
    Recompute::Off,
    Recompute::Cheap,
    Recompute::Always,
    Recompute::Every(1),
    Recompute::Every(2),
    Recompute::Every(3),
];

/// A float64 type.
pub fn real(shape: &[usize]) -> Type {
    Type::new(DType::F64, shape.iter().map(|size| Dim::from(*size)).collect())
}

/// Numbers in -1..1 that look random.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.word() % bound as u64) as usize
    }

    pub fn number(&mut self) -> f64 {
        self.word() as f64 / (1u64 << 30) as f64 - 1.0
    }

    pub fn array(&mut self, shape: &[usize]) -> Array {
        let size = shape.iter().product();
        Array::new(shape.to_vec(), (0..size).map(|_| self.number()).collect())
    }
}

/// Random arrays of these shapes.
pub fn arrays(seed: u64, shapes: &[&[usize]]) -> Vec<Array> {
    let mut numbers = Numbers(seed);
    shapes.iter().map(|shape| numbers.array(shape)).collect()
}

/// Adds a loop.
pub fn turns(
    b: &mut Builder,
    (counter, count): (&str, impl Into<Dim>),
    reverse: bool,
    carried: &[Value],
    sliced: &[Value],
    body: impl FnOnce(&mut Builder, &[Value]) -> Vec<Value>,
) -> Vec<Value> {
    b.open();
    let mut given = Vec::new();
    for value in carried {
        let ty = b.ty(*value).clone();
        given.push(b.param(ty));
    }
    for value in sliced {
        let ty = b.ty(*value).with_shape(b.ty(*value).shape[1..].to_vec());
        given.push(b.param(ty));
    }
    let results = body(b, &given);
    let block = b.close(results);
    let op = Loop {
        counter: Symbol::new(counter),
        count: count.into(),
        reverse,
        carried: carried.len(),
        sliced: sliced.len(),
    };
    let operands = [carried, sliced].concat();
    b.try_apply_blocks(op.into(), &operands, vec![block]).expect("the loop is well typed")
}

/// Adds a branch.
pub fn branch(
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
    b.try_apply_blocks(If.into(), &[condition], vec![first, second]).expect("the branch is well typed")
}

/// The sum of all elements.
pub fn total(b: &mut Builder, x: Value) -> Value {
    let axes = (0..b.ty(x).rank()).collect();
    b.sum(x, axes)
}

/// The results of `function`.
pub fn run(function: &Function, inputs: &[Array], sizes: &[(&str, i64)]) -> Vec<Array> {
    let symbols: BTreeMap<Symbol, i64> =
        sizes.iter().map(|(name, size)| (Symbol::new(name), *size)).collect();
    evaluate(function, inputs, &symbols).expect("the function runs")
}

/// A scalar function of some parameters.
pub type Scalar<'a> = &'a dyn Fn(&mut Builder, &[Value]) -> Value;

/// The function of these parameters: its value, then its gradients.
pub fn with_gradients(loss: Scalar, params: &[Type], recompute: Recompute) -> (Function, Pullback) {
    let mut b = Builder::new();
    let params: Vec<Value> = params.iter().map(|ty| b.param(ty.clone())).collect();
    let value = loss(&mut b, &params);
    let one = b.fill_like(1.0, value);
    let floats: Vec<Value> = params.into_iter().filter(|v| b.ty(*v).dtype.is_float()).collect();
    let pullback = pullback_with(&mut b, &[(value, one)], &floats, recompute);
    let results = [&[value], &pullback.cotangents[..]].concat();
    (b.finish(results), pullback)
}

/// Types of constant shape.
pub fn types_of(inputs: &[Array]) -> Vec<Type> {
    inputs.iter().map(|array| real(&array.shape)).collect()
}

/// Compares gradients with central differences, and all ways to save with each other.
pub fn check(loss: Scalar, inputs: &[Array]) {
    check_sized(loss, &types_of(inputs), inputs, &[]);
}

/// [`check`] with sizes.
pub fn check_sized(loss: Scalar, types: &[Type], inputs: &[Array], sizes: &[(&str, i64)]) {
    let (function, pullback) = with_gradients(loss, types, Recompute::Cheap);
    assert_eq!(pullback.cuts, [], "every input has a gradient");
    let results = run(&function, inputs, sizes);
    for way in WAYS {
        let (other, _) = with_gradients(loss, types, way);
        let again = run(&other, inputs, sizes);
        assert_eq!(results.len(), again.len());
        results.iter().zip(&again).for_each(|(a, b)| assert_close(a, b, 1e-12, &format!("{way:?}")));
    }
    let floats: Vec<usize> = (0..types.len()).filter(|place| types[*place].dtype.is_float()).collect();
    let mut moving = false;
    for (gradient, place) in results[1..].iter().zip(floats) {
        for element in 0..inputs[place].data.len() {
            let slope = difference(&function, inputs, sizes, place, element);
            let found = gradient.data[element];
            moving |= slope.abs() > 1e-6;
            let error = (slope - found).abs();
            assert!(
                error <= 1e-6 * (1.0 + slope.abs()),
                "input {place}, element {element}: {found}, not {slope}"
            );
        }
    }
    assert!(moving, "some input matters");
}

fn difference(
    function: &Function,
    inputs: &[Array],
    sizes: &[(&str, i64)],
    place: usize,
    element: usize,
) -> f64 {
    let step = 1e-5;
    let at = |distance: f64| {
        let mut inputs = inputs.to_vec();
        inputs[place].data[element] += distance;
        run(function, &inputs, sizes)[0].data[0]
    };
    (at(step) - at(-step)) / (2.0 * step)
}

/// Refuses arrays that differ.
pub fn assert_close(a: &Array, b: &Array, tolerance: f64, what: &str) {
    assert_eq!(a.shape, b.shape, "{what}");
    for (x, y) in a.data.iter().zip(&b.data) {
        let same = x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= tolerance * (1.0 + x.abs());
        assert!(same, "{what}: {x} and {y}");
    }
}

/// How many operations of this name a function has, bodies included.
pub fn count(function: &Function, name: &str) -> usize {
    let mut found = 0;
    function.body.visit(&mut |node| found += usize::from(node.op.name() == name));
    found
}

/// The loops of a function, outer before inner.
pub fn loops(function: &Function) -> Vec<nnc_ir::graph::Node> {
    let mut found = Vec::new();
    function.body.visit(&mut |node| {
        if matches!(node.op, Op::Loop(_)) {
            found.push(node.clone());
        }
    });
    found
}
