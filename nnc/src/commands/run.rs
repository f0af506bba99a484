//! `nnc run`: calls an entry of a program or an artifact with inputs from files.

use crate::account;
use crate::files::Files;
use crate::inputs;
use crate::pipeline::{self, in_file, refuse};
use nnc_ir::plan::Guard;
use nnc_kernels::CpuLevel;
use nnc_runtime::artifact::{Artifact, EXTENSION, Manifest};
use nnc_runtime::call::Named;
use nnc_runtime::data::Facts;
use nnc_runtime::file::npy::write_npy;
use nnc_runtime::weights::{self, Need};
use nnc_runtime::{DType, HostTensor, Model};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `nnc run`
#[derive(clap::Args)]
pub struct Run {
    /// A program, or an artifact (`.nnb`).
    file: PathBuf,
    /// Inputs, `name=PATH`: npy, npz, safetensors, csv, idx or, for models of text, txt. Scalars: `name=NUMBER`.
    #[arg(long = "input", num_args = 1..)]
    inputs: Vec<String>,
    /// What is called.
    #[arg(long, default_value = "forward")]
    entry: String,
    /// Weights: a file, or the folder of a run. Without it those of the artifact, or initial values.
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Writes every output into this folder, as NAME.npy.
    #[arg(long)]
    output: Option<PathBuf>,
    /// Settings of a program's model, `name=value`.
    #[arg(long = "param", num_args = 1..)]
    params: Vec<String>,
    /// Seed of initial values, and the input `seed` of entries that draw.
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// Compiles an artifact's graph instead of running the machine code in it.
    #[arg(long)]
    no_native: bool,
    /// Threads; all cores without it.
    #[arg(long, value_parser = crate::running::threads)]
    threads: Option<usize>,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Runs.
pub fn run(arguments: &Run) -> ExitCode {
    call(arguments).map_or_else(|code| code, |()| ExitCode::SUCCESS)
}

fn call(arguments: &Run) -> Result<(), ExitCode> {
    let (mut model, mut facts) = match is_artifact(&arguments.file) {
        true => open(arguments)?,
        false => (compile(arguments)?, None),
    };
    if let Some(path) = &arguments.weights {
        let file = weights::open(path).map_err(refuse)?;
        let absent = model.set_weights(&file, Need::Weights).map_err(refuse)?;
        pipeline::warn_of_states(absent.iter());
        facts = weights::facts(&file).map_err(refuse)?.or(facts);
    }
    let given =
        inputs::read(model.interface(), &arguments.entry, &arguments.inputs, arguments.seed, facts.as_ref());
    let given = given.map_err(refuse)?;
    let given: Vec<(&str, &HostTensor)> =
        given.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let outputs = model.run(&arguments.entry, &given).map_err(refuse)?;
    let files = save(arguments, &outputs)?;
    tell(arguments, &outputs, &files);
    Ok(())
}

/// By name, or by the first bytes of the file.
fn is_artifact(path: &Path) -> bool {
    let begins = || {
        use std::io::Read;
        let mut start = [0; 2];
        std::fs::File::open(path).is_ok_and(|mut file| file.read_exact(&mut start).is_ok() && &start == b"PK")
    };
    path.extension().is_some_and(|extension| extension == EXTENSION) || begins()
}

fn open(arguments: &Run) -> Result<(Model, Option<Facts>), ExitCode> {
    if !arguments.params.is_empty() {
        return Err(refuse("an artifact is built already: give `--param` to `nnc build -o`"));
    }
    let artifact = Artifact::open(&arguments.file).map_err(in_file)?;
    let facts = weights::facts(&artifact.weights().map_err(in_file)?).map_err(refuse)?;
    let model = match arguments.no_native {
        false => Model::from_artifact(&artifact, arguments.threads).map_err(refuse)?,
        true => rebuild(arguments, &artifact)?,
    };
    Ok((model, facts))
}

/// Compiles the graph of an artifact: neither its machine code nor its plan is used.
fn rebuild(arguments: &Run, artifact: &Artifact) -> Result<Model, ExitCode> {
    let in_graph = |error: String| refuse(format!("the graph of `{}`: {error}", artifact.path().display()));
    let module =
        nnc_ir::text::parse(&artifact.graph().map_err(in_file)?).map_err(|e| in_graph(e.to_string()))?;
    nnc_ir::verify(&module)
        .map_err(|errors| in_graph(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
    let plan = pipeline::lower(module, &guards(artifact.manifest()).map_err(in_graph)?, None)?;
    let code = pipeline::native(&plan, CpuLevel::detect())?;
    let mut model = Model::new(plan, &code, arguments.threads).map_err(refuse)?;
    model.set_weights(&artifact.weights().map_err(in_file)?, Need::All).map_err(refuse)?;
    Ok(model)
}

/// What must hold of the sizes, by entry: the graph does not say it.
fn guards(manifest: &Manifest) -> Result<Vec<(String, Guard)>, String> {
    let mut guards = Vec::new();
    for entry in &manifest.interface.entries {
        for guard in &entry.guards {
            let zero = nnc_ir::text::parse_dim(&guard.zero).map_err(|error| error.to_string())?;
            guards.push((entry.name.clone(), Guard { zero, message: guard.message.clone() }));
        }
    }
    Ok(guards)
}

/// Compiles one entry of a program, with the initial values of what it needs.
fn compile(arguments: &Run) -> Result<Model, ExitCode> {
    let world = Files::beside(&arguments.file);
    let (_, mut built) = pipeline::build(&arguments.file, &arguments.params, None, &world, arguments.json)?;
    pipeline::add_sides(&mut built, std::iter::once(arguments.entry.as_str()))?;
    if !built.module.entries.iter().any(|entry| entry.name == arguments.entry) {
        return Err(pipeline::no_entry(&built.module, &arguments.entry));
    }
    let plan = pipeline::lower(
        built.module.only(&["init", &arguments.entry]),
        &built.guards,
        built.training.as_ref(),
    )?;
    account::fits_memory(&plan, built.training.as_ref()).map_err(refuse)?;
    let code = pipeline::native(&plan, CpuLevel::detect())?;
    let mut model = Model::new(plan, &code, arguments.threads).map_err(refuse)?;
    model.initialize(arguments.seed).map_err(refuse)?;
    Ok(model)
}

/// Writes the outputs, if asked to; the path of each.
fn save(arguments: &Run, outputs: &[Named]) -> Result<Vec<Option<PathBuf>>, ExitCode> {
    let Some(folder) = &arguments.output else { return Ok(vec![None; outputs.len()]) };
    std::fs::create_dir_all(folder)
        .map_err(|error| refuse(format!("cannot make the folder `{}`: {error}", folder.display())))?;
    let write = |(name, tensor): &Named| {
        let path = folder.join(format!("{}.npy", name.replace(['/', '\\'], "_")));
        write_npy(&path, tensor).map_err(in_file)?;
        Ok(Some(path))
    };
    outputs.iter().map(write).collect()
}

/// How many first elements are told.
const TOLD: usize = 6;

fn tell(arguments: &Run, outputs: &[Named], files: &[Option<PathBuf>]) {
    let mut objects = Vec::new();
    for ((name, tensor), file) in outputs.iter().zip(files) {
        let values = tensor.to_f64();
        let first = &values[..values.len().min(TOLD)];
        let (min, mean, max) = spread(&values);
        objects.push(json!({
            "name": name, "dtype": tensor.dtype().name(), "shape": tensor.shape(),
            "min": min, "mean": mean, "max": max, "first": first, "file": file,
        }));
        if !arguments.json {
            println!("{name}: {}{:?}", tensor.dtype(), tensor.shape());
            if !values.is_empty() {
                println!("  min {}  mean {}  max {}", short(min), short(mean), short(max));
                let more = if values.len() > TOLD { ", .." } else { "" };
                let first: Vec<String> = first.iter().map(|value| exact(*value, tensor.dtype())).collect();
                println!("  {}{more}", first.join(", "));
            }
            file.iter().for_each(|file| println!("  written to {}", file.display()));
        }
    }
    if arguments.json {
        println!("{}", json!({"entry": arguments.entry, "outputs": objects}));
    }
}

/// Smallest, mean and largest; NaN where an element is NaN or there is none.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let worst = |better: fn(f64, f64) -> f64| {
        let fold = |kept: f64, value: &f64| {
            if kept.is_nan() || value.is_nan() { f64::NAN } else { better(kept, *value) }
        };
        values.split_first().map_or(f64::NAN, |(first, rest)| rest.iter().fold(*first, fold))
    };
    (worst(f64::min), values.iter().sum::<f64>() / values.len() as f64, worst(f64::max))
}

fn short(value: f64) -> String {
    format!("{value:.4}")
}

fn exact(value: f64, dtype: DType) -> String {
    if dtype.is_float() { format!("{value:.6}") } else { value.to_string() }
}
