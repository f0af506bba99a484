//! `nnc build`: compiles a program; says what it has, prints a stage, or writes an artifact.

use crate::account;
use crate::files::Files;
use crate::pipeline::{self, Compiled, in_file, refuse};
use crate::summary;
use crate::target::Target;
use nnc_compiler::entries::Built;
use nnc_ir::graph::{Module, SlotKind};
use nnc_ir::plan::Plan;
use nnc_kernels::CpuLevel;
use nnc_runtime::artifact::{self, Contents};
use nnc_runtime::weights::{self, Need};
use nnc_runtime::{HostTensor, Model};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `nnc build`
#[derive(clap::Args)]
pub struct Build {
    /// The program.
    file: PathBuf,
    /// Settings of the model, `name=value`.
    #[arg(long = "param", num_args = 1..)]
    params: Vec<String>,
    /// Writes an artifact: the compiled program with its weights, for `nnc run` and for Rust programs.
    #[arg(short = 'o', long)]
    output: Option<PathBuf>,
    /// Entries to build, separated by commas: those of the program, `forward_saving`, `backward`. With `-o` `forward` and,
    /// for models with caches, `session`.
    #[arg(long, value_delimiter = ',')]
    entries: Vec<String>,
    /// Weights of the artifact: a file, or the folder of a run. Initial values without it.
    #[arg(long, requires = "output")]
    weights: Option<PathBuf>,
    /// Seed of the initial values.
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// What the kernels are for.
    #[arg(long, value_enum, default_value_t)]
    target: Target,
    /// What to print instead of the summary; `kernels` are source text for `wgsl` and `cuda`.
    #[arg(long, value_parser = ["graph", "kernels", "plan", "notes"])]
    emit: Option<String>,
    /// The summary as JSON: operations, bytes, every kernel and why it is there.
    #[arg(long, conflicts_with_all = ["emit", "output"])]
    json: bool,
}

/// Builds.
pub fn build(arguments: &Build) -> ExitCode {
    run(arguments).map_or_else(|code| code, |()| ExitCode::SUCCESS)
}

fn run(arguments: &Build) -> Result<(), ExitCode> {
    let world = Files::beside(&arguments.file);
    if arguments.output.is_some() && arguments.target != Target::Cpu {
        let help = "leave `--target` out, or print the kernels with `--emit kernels`";
        return Err(refuse(format!("artifacts hold machine code of this processor\n  help: {help}")));
    }
    let (program, mut built) =
        pipeline::build(&arguments.file, &arguments.params, None, &world, arguments.json)?;
    pipeline::add_sides(&mut built, arguments.entries.iter().map(String::as_str))?;
    let whole = built.module.clone();
    if arguments.output.is_some() || !arguments.entries.is_empty() {
        built.module = chosen(&whole, &arguments.entries)?;
    }
    match arguments.emit.as_deref() {
        Some("graph") => println!("{}", nnc_ir::text::print(&built.module)),
        Some(what) => {
            emit(&pipeline::compile(&program, built.clone(), arguments.target)?, arguments.target, what)
        }
        None if arguments.output.is_none() => {
            account(arguments, &pipeline::compile(&program, built.clone(), arguments.target)?);
        }
        None => {}
    }
    match &arguments.output {
        Some(path) => write(arguments, path, &whole, built),
        None => Ok(()),
    }
}

fn account(arguments: &Build, compiled: &Compiled) {
    let account = account::account(compiled);
    if arguments.json {
        println!("{}", serde_json::json!(account));
    } else {
        summary::print(&account);
    }
}

fn emit(Compiled { plan, code, .. }: &Compiled, target: Target, what: &str) {
    match what {
        "kernels" if target != Target::Cpu => {
            for (kernel, text) in plan.kernels.iter().zip(code) {
                println!("// kernel {}\n{}", kernel.name, String::from_utf8_lossy(text));
            }
        }
        "kernels" => plan.kernels.iter().for_each(|kernel| println!("{kernel}")),
        "plan" => print!("{plan}"),
        _ => plan.entries.iter().for_each(|entry| {
            println!("entry {}", entry.name);
            entry.notes.iter().for_each(|note| println!("  {note}"));
        }),
    }
}

/// The entries that are asked for, or those that a program which uses the model needs.
fn chosen(module: &Module, wanted: &[String]) -> Result<Module, ExitCode> {
    let names: Vec<&str> = module.entries.iter().map(|entry| entry.name.as_str()).collect();
    if let Some(unknown) = wanted.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(pipeline::no_entry(module, unknown));
    }
    let cached = module.slots.iter().any(|slot| slot.kind == SlotKind::Cache);
    let used = |name: &&str| match wanted {
        [] => *name == "forward" || (*name == "session" && cached),
        wanted => wanted.iter().any(|wanted| wanted == name),
    };
    Ok(module.only(&names.into_iter().filter(used).collect::<Vec<_>>()))
}

/// Writes the artifact of `built`, whose module is part of `whole`.
fn write(arguments: &Build, path: &Path, whole: &Module, built: Built) -> Result<(), ExitCode> {
    let graph = nnc_ir::text::print(&built.module);
    let plan = pipeline::lower(built.module, &built.guards, built.training.as_ref())?;
    let (weights, metadata) = values(arguments, whole, &plan)?;
    let levels = match cfg!(target_arch = "x86_64") {
        true => vec![CpuLevel::Scalar, CpuLevel::Avx2, CpuLevel::Avx512],
        false => vec![CpuLevel::Scalar],
    };
    let code = levels.into_iter().map(|level| Ok((level, pipeline::native(&plan, level)?)));
    let code: Vec<(CpuLevel, Vec<Vec<u8>>)> = code.collect::<Result<_, ExitCode>>()?;
    let contents = Contents {
        model: &built.model,
        plan: &plan,
        graph: &graph,
        code: &code,
        weights: &weights,
        metadata: &metadata,
    };
    artifact::write(path, &contents).map_err(in_file)?;
    let bytes = std::fs::metadata(path).map_or(0, |about| about.len());
    let entries: Vec<&str> = plan.entries.iter().map(|entry| entry.name.as_str()).collect();
    let (kernels, levels) = (plan.kernels.len(), code.len());
    println!(
        "{}: {bytes} bytes; {}; {kernels} kernels for {levels} levels",
        path.display(),
        entries.join(", ")
    );
    Ok(())
}

/// Values and texts that go into an artifact.
type Values = (Vec<(String, HostTensor)>, BTreeMap<String, String>);

/// The weights and states of `plan`: drawn, then replaced by those of a file.
fn values(arguments: &Build, whole: &Module, plan: &Plan) -> Result<Values, ExitCode> {
    let init = pipeline::lower(whole.only(&["init"]), &[], None)?;
    account::fits_memory(&init, None).map_err(refuse)?;
    let code = pipeline::native(&init, CpuLevel::detect())?;
    let mut model = Model::new(init, &code, None).map_err(refuse)?;
    model.initialize(arguments.seed).map_err(refuse)?;
    let needed = |path: &String| plan.slots.iter().any(|slot| slot.path == *path);
    let mut metadata = BTreeMap::new();
    if let Some(path) = &arguments.weights {
        let file = weights::open(path).map_err(refuse)?;
        let absent = model.set_weights(&file, Need::Weights).map_err(refuse)?;
        pipeline::warn_of_states(absent.iter().filter(|path| needed(path)));
        let facts = weights::facts(&file).map_err(refuse)?;
        let facts = facts.map(|facts| serde_json::to_string(&facts)).transpose().map_err(refuse)?;
        metadata.extend(facts.map(|facts| (weights::FACTS.to_string(), facts)));
    }
    let mut values = model.weights().map_err(refuse)?;
    let stored: Vec<String> = plan.slots.iter().flat_map(weights::keys::keys).collect();
    values.retain(|(key, _)| stored.contains(key));
    Ok((values, metadata))
}
