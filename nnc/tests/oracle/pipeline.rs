//! A program through every stage: load, elaborate, differentiate; then the reference interpreter in float64, and
//! passes, schedule, machine code and a session in f32.

use crate::compare::Comparison;
use crate::fixture::Fixture;
use crate::table::{Run, Source};
use nnc_base::Diagnostic;
use nnc_compiler::differentiate::{Recompute, pullback_with};
use nnc_compiler::entries::{self, Built, Overrides};
use nnc_compiler::passes;
use nnc_compiler::program;
use nnc_compiler::schedule::{Target, schedule};
use nnc_compiler::world::{DataInfo, DataSource, World};
use nnc_ir::graph::{Entry, Module, Port};
use nnc_ir::session::{HostBytes, Session, Sizes};
use nnc_ir::{Array, Builder, Type, Value, evaluate};
use nnc_kernels::CpuLevel;
use nnc_runtime::HostTensor;
use nnc_runtime::call::view;
use nnc_runtime::cpu::Cpu;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Tolerance of the interpreter.
const DOUBLE: f64 = 1e-9;
const ENTRY: &str = "oracle";

/// The entry with everything it takes and gives.
struct Joint {
    module: Module,
    arguments: Vec<Array>,
    results: Vec<Source>,
    sizes: Sizes,
}

/// Modules beside the programs, no data.
struct Beside<'f>(&'f Path);

impl World for Beside<'_> {
    fn read(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(self.0.join(path)).map_err(|error| error.to_string())
    }

    fn data(&self, _: &DataSource) -> Option<DataInfo> {
        None
    }
}

/// Runs one model in both ways.
pub fn check(folder: &Path, fixture: &Fixture, run: &Run, comparison: &mut Comparison) -> Result<(), String> {
    let built = build(folder, fixture, run)?;
    let guards = built.guards.clone();
    let joint = joint(built, fixture, run, comparison)?;
    let entry = joint.module.entry(ENTRY).ok_or("the entry was just made")?;
    let found = evaluate(&entry.function, &joint.arguments, &joint.sizes)?;
    for (result, found) in joint.results.iter().zip(&found) {
        comparison.result(result, found, DOUBLE, "float64");
    }
    let found = compiled(&joint, guards)?;
    for (result, found) in joint.results.iter().zip(&found) {
        comparison.result(result, found, run.tolerance, "f32");
    }
    Ok(())
}

fn build(folder: &Path, fixture: &Fixture, run: &Run) -> Result<Built, String> {
    let path = folder.join(format!("{}.nn", fixture.slug));
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let overrides = Overrides {
        params: run.params(fixture)?,
        steps: None,
        model: Some(run.model.clone()),
        ..Overrides::default()
    };
    let world = Beside(folder);
    let program = program::load(&format!("{}.nn", fixture.slug), &text, &world);
    entries::build(&program, &overrides, &world).map_err(|found| {
        let place = |d: &Diagnostic| {
            let label = d.labels.first()?;
            let source = program.sources.get(label.span.source.0 as usize)?;
            let line = source.text[..label.span.start as usize].lines().count();
            Some(format!("{}:{line}", source.name))
        };
        let lines = found.iter().map(|d| format!("{} {d}", place(d).unwrap_or_default()));
        lines.collect::<Vec<_>>().join("\n")
    })
}

/// `forward` together with the gradients that the file holds.
fn joint(built: Built, fixture: &Fixture, run: &Run, comparison: &mut Comparison) -> Result<Joint, String> {
    let mut module = built.module;
    let forward = module.entry("forward").ok_or("the program has no forward entry")?.clone();
    let mut inputs = forward.inputs.clone();
    let slots = run.slots(fixture);
    let mut arguments = Vec::new();
    let mut sources: Vec<Option<Source>> = Vec::new();
    let mut sizes = Sizes::new();
    for (port, value) in forward.inputs.iter().zip(&forward.function.body.params) {
        let name = match port {
            Port::Named(name) => name.clone(),
            Port::Slot(slot) => module.slots[*slot].path.clone(),
        };
        let (array, source) = argument(&name, port, fixture, run, &slots, comparison)?;
        arguments.push(shaped(array, forward.function.ty(*value), &name, &mut sizes)?);
        sources.push(source);
    }
    unknown(run, &slots, &forward, &module)?;
    // A slot may be declared and not read at these sizes.
    for source in slots.values() {
        source.pieces(fixture)?.iter().for_each(|(piece, _)| comparison.used(piece));
    }
    let mut outputs = Vec::new();
    let mut results = Vec::new();
    let mut named: BTreeMap<String, Value> = BTreeMap::new();
    for (port, value) in forward.outputs.iter().zip(&forward.function.body.results) {
        let Port::Named(name) = port else { continue };
        named.insert(name.clone(), *value);
        if let Some(source) = run.outputs.get(name) {
            outputs.push((name.clone(), *value));
            results.push(source.clone());
        }
    }
    let params = forward.function.body.params.clone();
    let mut b = Builder::reopen(forward.function.clone());
    for (place, gradient) in run.gradients.iter().enumerate() {
        let mut given = Vec::new();
        for (output, cotangent) in &gradient.of {
            let value = *named.get(output).ok_or_else(|| format!("there is no output `{output}`"))?;
            let ty = b.ty(value).clone();
            let array = if cotangent.is_empty() {
                Array::new(vec![1], vec![1.0])
            } else {
                comparison.used(cotangent);
                fixture.tensor(cotangent)?.clone()
            };
            let port = format!("cotangent {place} {output}");
            arguments.push(shaped(array, &ty, &port, &mut sizes)?);
            given.push((value, b.param(ty)));
            inputs.push(Port::Named(port));
        }
        let mut wrt = Vec::new();
        let mut known = BTreeSet::new();
        for (value, source) in params.iter().zip(&sources) {
            let Some(source) = source.as_ref().and_then(|source| gradient.source(source)) else { continue };
            let Ok(pieces) = source.pieces(fixture) else { continue };
            if !b.ty(*value).dtype.is_float() {
                continue;
            }
            known.extend(pieces.into_iter().map(|(name, _)| name));
            wrt.push(*value);
            results.push(source);
        }
        let pullback = pullback_with(&mut b, &given, &wrt, Recompute::default());
        for (number, value) in pullback.cotangents.into_iter().enumerate() {
            outputs.push((format!("gradient {place} {number}"), value));
        }
        comparison.absent_gradients(&gradient.prefix, &known);
    }
    let function = b.finish(outputs.iter().map(|(_, value)| *value).collect());
    let outputs = outputs.into_iter().map(|(name, _)| Port::Named(name)).collect();
    module.entries = vec![Entry { name: ENTRY.into(), inputs, outputs, function }];
    Ok(Joint { module, arguments, results, sizes })
}

/// What the file gives for an input or slot.
fn argument(
    name: &str,
    port: &Port,
    fixture: &Fixture,
    run: &Run,
    slots: &BTreeMap<String, Source>,
    comparison: &mut Comparison,
) -> Result<(Array, Option<Source>), String> {
    let (source, kind) = match port {
        Port::Named(_) => (run.inputs.get(name), "input"),
        Port::Slot(_) => (slots.get(name), "slot"),
    };
    let Some(source) = source else {
        // Initial values draw random numbers; no result depends on them.
        return match name {
            "seed" | "step" => Ok((Array::scalar(0.0), None)),
            _ => Err(format!("the table has no line for {kind} `{name}`")),
        };
    };
    let pieces = source.pieces(fixture)?;
    pieces.iter().for_each(|(piece, _)| comparison.used(piece));
    let alike = pieces.iter().all(|(_, array)| array.shape == pieces[0].1.shape);
    let shape = match pieces.as_slice() {
        [(_, one)] if !source.pattern.contains('*') => one.shape.clone(),
        several if alike => [&[several.len()], several[0].1.shape.as_slice()].concat(),
        // Tensors of different shapes are one line of elements.
        several => vec![several.iter().map(|(_, array)| array.data.len()).sum()],
    };
    let data = pieces.into_iter().flat_map(|(_, array)| array.data).collect::<Vec<_>>();
    Ok((Array::new(shape, data), Some(source.clone())))
}

/// Lines of the table that name nothing of the program.
fn unknown(
    run: &Run,
    slots: &BTreeMap<String, Source>,
    forward: &Entry,
    module: &Module,
) -> Result<(), String> {
    let given = |port: &Port| match port {
        Port::Named(name) => name.clone(),
        Port::Slot(slot) => module.slots[*slot].path.clone(),
    };
    let mut inputs: BTreeSet<String> = forward.inputs.iter().map(given).collect();
    inputs.extend(module.slots.iter().map(|slot| slot.path.clone()));
    let outputs: BTreeSet<String> = forward.outputs.iter().map(given).collect();
    let wrong = run.inputs.keys().chain(slots.keys()).find(|name| !inputs.contains(*name));
    let wrong = wrong.or_else(|| run.outputs.keys().find(|name| !outputs.contains(*name)));
    match wrong {
        Some(name) => {
            let all = inputs.iter().chain(&outputs).cloned().collect::<Vec<_>>().join(", ");
            Err(format!("the table has a line for `{name}`; the program has {all}"))
        }
        None => Ok(()),
    }
}

/// The array in the shape of a type; run-time sizes are read off.
fn shaped(array: Array, ty: &Type, name: &str, sizes: &mut Sizes) -> Result<Array, String> {
    if ty.shape.len() == array.shape.len() {
        for (dim, size) in ty.shape.iter().zip(&array.shape) {
            if let Some(symbol) = dim.as_symbol() {
                sizes.entry(symbol.clone()).or_insert(*size as i64);
            }
        }
    }
    let size = |dim: &nnc_ir::Dim| dim.evaluate(&|symbol| sizes.get(symbol).copied());
    let shape: Option<Vec<usize>> =
        ty.shape.iter().map(|dim| size(dim).and_then(|n| usize::try_from(n).ok())).collect();
    match shape {
        Some(shape) if shape.iter().product::<usize>() == array.data.len() => {
            Ok(Array { shape, data: array.data })
        }
        _ => Err(format!("`{name}` is {ty} in the program and {:?} in the file", array.shape)),
    }
}

/// Passes, schedule, machine code, one call.
fn compiled(joint: &Joint, guards: Vec<(String, nnc_ir::plan::Guard)>) -> Result<Vec<Array>, String> {
    let plain = |found: Vec<Diagnostic>| found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let module = passes::run_pipeline(joint.module.clone(), &mut ()).map_err(plain)?;
    let mut plan = schedule(&module, &Target::cpu()).map_err(plain)?;
    for (_, guard) in guards.into_iter().filter(|(entry, _)| entry == "forward") {
        plan.entries.iter_mut().for_each(|entry| entry.guards.push(guard.clone()));
    }
    let code = nnc_cpu::compile_all(&plan.kernels, CpuLevel::detect(), nnc_kernels::cpu::cores())
        .map_err(|error| error.to_string())?;
    let code: Vec<Vec<u8>> = code.into_iter().map(|kernel| kernel.code).collect();
    let cpu = Cpu::new(&plan.kernels, &code, None).map_err(|error| error.to_string())?;
    let mut session = Session::new(cpu, &plan);
    let original = joint.module.entry(ENTRY).ok_or("the entry was just made")?;
    let mut given: Vec<(&str, HostTensor)> = Vec::new();
    for ((port, value), array) in
        original.inputs.iter().zip(&original.function.body.params).zip(&joint.arguments)
    {
        let dtype = original.function.ty(*value).dtype;
        let tensor = HostTensor::from_f64(dtype, array.shape.clone(), &array.data);
        let tensor = tensor.ok_or("an argument has another size than its shape")?;
        match port {
            Port::Slot(slot) => session.set_slot(*slot, tensor.bytes()).map_err(|error| error.to_string())?,
            Port::Named(name) if kept(&module, name) => given.push((name, tensor)),
            Port::Named(_) => {}
        }
    }
    let inputs: Vec<(&str, HostBytes)> = given.iter().map(|(name, tensor)| (*name, view(tensor))).collect();
    let found = session.call(ENTRY, &inputs, &joint.sizes).map_err(|error| error.to_string())?;
    let array = |(_, result): (String, HostBytes)| {
        let tensor = HostTensor::from_bytes(result.dtype, result.shape.clone(), &result.bytes);
        Some(Array::new(result.shape, tensor?.to_f64()))
    };
    let arrays: Option<Vec<Array>> = found.into_iter().map(array).collect();
    arrays.ok_or_else(|| "a result has another size than its shape".into())
}

/// Passes drop inputs that nothing reads.
fn kept(module: &Module, name: &str) -> bool {
    let inputs = module.entry(ENTRY).map(|entry| entry.inputs.as_slice()).unwrap_or_default();
    inputs.iter().any(|port| matches!(port, Port::Named(n) if n == name))
}
