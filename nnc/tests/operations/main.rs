//! Every example of every operation, and its gradient, on every target: the plan of the scheduler is executed (machine
//! code on this processor, WGSL by the graphics driver, CUDA where there is a device) and compared with the float64
//! reference. CUDA sources are compiled wherever NVRTC is.

#[path = "../support/devices.rs"]
mod devices;
#[path = "../../../codegen/testing/elements.rs"]
mod elements;
mod machines;
#[allow(dead_code, reason = "programs of the IR's tests, of which this one uses a part")]
#[path = "../../../ir/tests/ir/programs.rs"]
mod programs;

use machines::{Cuda, Machine, Processor, Wgsl};
use nnc_compiler::schedule::{GAPS, Kind, Target, schedule};
use nnc_ir::graph::{Function, Module};
use nnc_ir::ops::Example;
use nnc_ir::plan::Plan;
use nnc_ir::session::Sizes;
use nnc_ir::{Array, DType, Symbol, Value, evaluate};
use programs::{all_examples, backward, function, module, noise, operands, rich_module};
use std::collections::{BTreeMap, BTreeSet};

/// A function at a point, with its float64 results.
struct Case {
    label: String,
    operation: &'static str,
    module: Module,
    sizes: Sizes,
    arguments: Vec<Array>,
    expected: Vec<Array>,
}

impl Case {
    fn new(label: String, operation: &'static str, function: Function, arguments: Vec<Array>) -> Case {
        // The reference sees what the elements of the operands can hold.
        let held = function.body.params.iter().zip(arguments).map(|(param, array)| {
            let dtype = function.ty(*param).dtype;
            Array::new(array.shape, elements::decode(dtype, &elements::encode(dtype, &array.data)))
        });
        let arguments: Vec<Array> = held.collect();
        let expected = evaluate(&function, &arguments, &BTreeMap::new());
        let expected = expected.unwrap_or_else(|error| panic!("{label}: {error}"));
        Case { label, operation, module: module(function), sizes: Sizes::new(), arguments, expected }
    }

    /// A loop with a branch inside, and a rule of its own, at an open size: operations with bodies have no examples.
    fn structure() -> Case {
        let rich = rich_module();
        let function = rich.entries[0].function.clone();
        let sizes: Sizes = [(Symbol::new("N"), 5)].into_iter().collect();
        let arguments = vec![Array::new(vec![5], noise(1, 5)), Array::new(vec![3, 5], noise(2, 15))];
        let expected = evaluate(&function, &arguments, &sizes).expect("the module evaluates");
        let module = Module { sizes: rich.sizes, ..module(function) };
        Case { label: "loop, if and rule".into(), operation: "loop", module, sizes, arguments, expected }
    }

    fn function(&self) -> &Function {
        &self.module.entries[0].function
    }

    /// How far results may be off, relative above 1: by the narrowest real type the function computes in.
    fn tolerance(&self) -> f64 {
        let has = |dtype: DType| self.function().values.iter().any(|value| value.ty.dtype == dtype);
        match (has(DType::Bf16), has(DType::F16)) {
            (true, _) => 3e-2,
            (_, true) => 4e-3,
            _ => 3e-5,
        }
    }
}

/// The same example in another real type.
fn in_type(example: &Example, dtype: DType) -> Example {
    let mut example = example.clone();
    example.operands.iter_mut().filter(|(ty, _)| ty.dtype == DType::F32).for_each(|(ty, _)| ty.dtype = dtype);
    example
}

/// The example itself, and its gradient for invented cotangents where it has one.
fn cases_of(label: &str, example: &Example) -> Vec<Case> {
    let operation = example.op.name();
    let forward = Case::new(label.to_string(), operation, function(example), operands(example));
    let real = example.operands.iter().any(|(ty, _)| ty.dtype.is_float());
    let Some((gradient, _)) = real.then(|| backward(example).ok()).flatten() else { return vec![forward] };
    if gradient.body.results.is_empty() {
        return vec![forward];
    }
    let results: Vec<Value> = forward.function().body.results.clone();
    let cotangents = results.iter().zip(&forward.expected).enumerate().map(|(place, (value, result))| {
        let real = forward.function().ty(*value).dtype.is_float();
        let data = noise(7 + place as u32, result.data.len());
        let data = if real { data } else { vec![0.0; result.data.len()] };
        Array::new(result.shape.clone(), data)
    });
    let arguments = operands(example).into_iter().chain(cotangents).collect();
    let gradient = Case::new(format!("gradient of {label}"), operation, gradient, arguments);
    vec![forward, gradient]
}

/// All cases: real examples in f32, then in every other real type that the operation takes.
fn cases() -> Vec<Case> {
    let mut cases = vec![Case::structure()];
    for (label, example) in all_examples() {
        cases.extend(cases_of(&label, &example));
        for dtype in [DType::F64, DType::F16, DType::Bf16] {
            let other = in_type(&example, dtype);
            if other.operands != example.operands && is_typed(&other) {
                cases.extend(cases_of(&format!("{label} in {dtype}"), &other));
            }
        }
    }
    cases
}

fn is_typed(example: &Example) -> bool {
    let mut b = nnc_ir::Builder::new();
    let params: Vec<Value> = example.operands.iter().map(|(ty, _)| b.param(ty.clone())).collect();
    b.try_apply_blocks(example.op.clone(), &params, Vec::new()).is_ok()
}

/// Whether `found` is what the reference says.
fn agree(found: &Array, expected: &Array, tolerance: f64) -> bool {
    found.shape == expected.shape && programs::close(&found.data, &expected.data, tolerance)
}

/// Runs all cases for a target. What the scheduler refuses must be what [`GAPS`] says, and all of it.
fn run(target: &Target, machine: &mut dyn Machine) {
    let (mut failures, mut refused) = (Vec::new(), BTreeSet::new());
    let cases = cases();
    for case in &cases {
        let plan: Plan = match schedule(&case.module, target) {
            Ok(plan) => plan,
            Err(errors) => {
                let known =
                    errors.iter().all(|error| error.code == "support::target" && error.help.is_some());
                assert!(known, "{}: {errors:#?}", case.label);
                refused.insert((case.operation, types(case.function())));
                continue;
            }
        };
        match machine.run(&plan, &case.arguments, &case.sizes) {
            Err(why) => failures.push(format!("{}: {why}", case.label)),
            Ok(None) => {}
            Ok(Some(found)) => {
                assert_eq!(found.len(), case.expected.len(), "{}: results", case.label);
                let wrong = |(a, b): &(&Array, &Array)| !agree(a, b, case.tolerance());
                if let Some((found, expected)) = found.iter().zip(&case.expected).find(wrong) {
                    failures.push(format!("{}: {:?} is not {:?}", case.label, found.data, expected.data));
                }
            }
        }
    }
    let report = failures.join("\n");
    assert!(
        failures.is_empty(),
        "{:?}: {} of {} cases fail\n{report}",
        target.kind,
        failures.len(),
        cases.len()
    );
    let stated = |case: &&Case| GAPS.iter().any(|gap| gap.kind == target.kind && gap.covers(case.function()));
    let stated: BTreeSet<_> =
        cases.iter().filter(stated).map(|case| (case.operation, types(case.function()))).collect();
    assert_eq!(refused, stated, "{:?} refuses what the list of gaps says", target.kind);
    println!("{:?}: {} cases, {} kinds refused", target.kind, cases.len(), refused.len());
}

fn types(function: &Function) -> Vec<DType> {
    function.values.iter().map(|value| value.ty.dtype).collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn operations_on_this_processor() {
    run(&Target::cpu(), &mut Processor);
}

#[test]
fn operations_in_wgsl() {
    if let Some(device) = devices::wgsl() {
        run(&Target::wgsl(), &mut Wgsl::new(device));
    }
}

#[test]
fn operations_in_cuda() {
    if devices::nvrtc() {
        run(&Target::cuda(), &mut Cuda::new(devices::cuda()));
    }
}

/// Every gap is needed: some case falls into it, and no target lacks an operation without saying so.
#[test]
fn every_gap_is_met_by_an_example() {
    let cases = cases();
    for gap in GAPS {
        assert!(cases.iter().any(|case| gap.covers(case.function())), "nothing meets {gap:?}");
        assert_ne!(gap.kind, Kind::Cpu, "this processor runs everything");
    }
}
