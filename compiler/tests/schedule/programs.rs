//! What the tests share: modules, comparison with the reference evaluation, invented numbers.

use crate::machine::{Machine, Sizes};
use nnc_compiler::schedule::{Target, schedule};
use nnc_ir::graph::{Entry, Function, Module, Port, Size, Slot, SlotKind};
use nnc_ir::plan::Plan;
use nnc_ir::{Array, Builder, DType, Dim, Symbol, Type, Value, evaluate, verify};

/// All targets under test.
pub fn targets() -> Vec<Target> {
    vec![Target::cpu(), Target::wgsl(), Target::cuda()]
}

/// `f32[sizes]`
pub fn f32s(shape: &[Dim]) -> Type {
    Type::new(DType::F32, shape.to_vec())
}

pub fn d(value: i64) -> Dim {
    Dim::constant(value)
}

pub fn s(name: &str) -> Dim {
    Dim::symbol(name)
}

pub fn size(name: &str, min: i64, max: Option<i64>) -> Size {
    Size { symbol: Symbol::new(name), min, max, multiple: 1 }
}

/// A module with one entry over named inputs `x0..` and results `y0..`.
pub fn module(function: Function, sizes: Vec<Size>) -> Module {
    let names = |letter: &str, values: &[Value]| {
        (0..values.len()).map(|place| Port::Named(format!("{letter}{place}"))).collect::<Vec<_>>()
    };
    let (inputs, outputs) = (names("x", &function.body.params), names("y", &function.body.results));
    Module {
        sizes,
        entries: vec![Entry { name: "main".into(), inputs, outputs, function }],
        ..Module::default()
    }
}

/// A slot of state.
pub fn slot(path: &str, ty: Type) -> Slot {
    Slot { path: path.into(), kind: SlotKind::State, ty, copies: Vec::new(), was: None }
}

/// Builds a function from parameter types.
pub fn function(params: &[Type], body: impl FnOnce(&mut Builder, &[Value]) -> Vec<Value>) -> Function {
    let mut b = Builder::new();
    let params: Vec<Value> = params.iter().map(|ty| b.param(ty.clone())).collect();
    let results = body(&mut b, &params);
    b.finish(results)
}

pub fn plan(module: &Module, target: &Target) -> Plan {
    verify(module).unwrap_or_else(|errors| panic!("{errors:?}"));
    let plan = schedule(module, target).unwrap_or_else(|errors| panic!("{target:?}: {errors:#?}"));
    for kernel in &plan.kernels {
        assert!(kernel.buffers.len() <= target.max_buffers, "{target:?}\n{kernel}");
        if !target.tiles {
            assert!(kernel.tiles.is_empty(), "{kernel}");
        }
    }
    plan
}

/// Numbers in -0.5..0.5 that look random and never change.
pub fn noise(seed: u32, shape: &[usize]) -> Array {
    let count: usize = shape.iter().product();
    let data = (0..count).map(|place| nnc_ir::random::uniform([seed, 0], [place as u32, 0]) - 0.5).collect();
    Array::new(shape.to_vec(), data)
}

pub fn sizes(pairs: &[(&str, i64)]) -> Sizes {
    pairs.iter().map(|(name, value)| (Symbol::new(name), *value)).collect()
}

/// Invented parameters of a function: positions for integers.
pub fn arguments(function: &Function, at: &Sizes) -> Vec<Array> {
    let shape = |ty: &Type| -> Vec<usize> {
        let size =
            |dim: &Dim| dim.evaluate(&|symbol| at.get(symbol).copied()).expect("sizes are given") as usize;
        ty.shape.iter().map(size).collect()
    };
    let one = |(place, value): (usize, &Value)| {
        let ty = function.ty(*value);
        let array = noise(place as u32 + 1, &shape(ty));
        match ty.dtype {
            DType::F32 | DType::F64 | DType::Bf16 | DType::F16 => array,
            DType::Bool => array.map(|x| f64::from(x > 0.0)),
            _ => array.map(|x| ((x + 0.5) * 7.0).floor()),
        }
    };
    function.body.params.iter().enumerate().map(one).collect()
}

pub fn close(found: &Array, expected: &Array, tolerance: f64) -> bool {
    let same = |(a, b): (&f64, &f64)| {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * b.abs().max(1.0)
    };
    found.shape == expected.shape && found.data.iter().zip(&expected.data).all(same)
}

/// Runs a function by plan on all targets, and compares with the reference. The CPU's plan comes back.
pub fn check(label: &str, function: &Function, declared: Vec<Size>, runs: &[&[(&str, i64)]]) -> Plan {
    let module = module(function.clone(), declared);
    let mut plans: Vec<Plan> = Vec::new();
    for target in targets() {
        let plan = plan(&module, &target);
        for run in runs {
            let at = sizes(run);
            let arguments = arguments(function, &at);
            let expected =
                evaluate(function, &arguments, &at).unwrap_or_else(|error| panic!("{label}: {error}"));
            let names: Vec<String> = (0..arguments.len()).map(|place| format!("x{place}")).collect();
            let inputs: Vec<(&str, Array)> = names.iter().map(String::as_str).zip(arguments).collect();
            let found = Machine::new(&plan).call("main", &inputs, &at);
            for ((name, found), expected) in found.iter().zip(&expected) {
                assert!(
                    close(found, expected, 1e-6),
                    "{label}, {:?}, {run:?}, {name}:\nfound {:?}\nexpected {:?}\n{}",
                    target.kind,
                    short(found),
                    short(expected),
                    show(&plan)
                );
            }
            assert_eq!(found.len(), expected.len());
        }
        plans.push(plan);
    }
    plans.swap_remove(0)
}

fn short(array: &Array) -> (&[usize], &[f64]) {
    (&array.shape, &array.data[..array.data.len().min(24)])
}

/// A plan, for people.
pub fn show(plan: &Plan) -> String {
    let kernels: Vec<String> = plan.kernels.iter().map(|kernel| kernel.to_string()).collect();
    let entries: Vec<String> = plan
        .entries
        .iter()
        .map(|entry| format!("{:#?}\n{:?}\n{:#?}", entry.steps, entry.places, entry.notes))
        .collect();
    format!("{}\n{}", kernels.join("\n"), entries.join("\n"))
}
