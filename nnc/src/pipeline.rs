//! The stages in order: text, program, tensor IR, passes, plan, code of the kernels.

use crate::files::{self, Files};
use crate::report;
use crate::target::Target;
use nnc_base::{Diagnostic, Span};
use nnc_compiler::entries::{self, Built, Overrides};
use nnc_compiler::passes::{self, Observer, Pass};
use nnc_compiler::program::{self, Program};
use nnc_compiler::schedule::schedule;
use nnc_compiler::sides;
use nnc_compiler::usual_sizes;
use nnc_ir::Pattern;
use nnc_ir::graph::{Module, Slot};
use nnc_ir::plan::{Guard, Plan};
use nnc_ir::training::Training;
use nnc_kernels::CpuLevel;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// A program ready to run on its target.
pub struct Compiled {
    /// What is run.
    pub plan: Plan,
    /// Machine code of each kernel; source text where the target compiles that.
    pub code: Vec<Vec<u8>>,
    /// The training program, if there is one.
    pub training: Option<Training>,
    /// Time from tensor IR to code.
    pub seconds: f64,
}

/// The text of a file; says why it cannot be read.
pub fn read(file: &Path) -> Option<String> {
    match files::source(file) {
        Ok(text) => Some(text),
        Err(reason) => {
            eprintln!("error: cannot read `{}`: {reason}", file.display());
            None
        }
    }
}

fn overrides(params: &[String], steps: Option<i64>) -> Result<Overrides, String> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not `name=value`"))?;
        Ok((name.to_string(), value.to_string()))
    };
    let params = params.iter().map(pair).collect::<Result<_, String>>()?;
    Ok(Overrides { params, steps, ..Overrides::default() })
}

/// A file as the tensor IR; prints what is wrong.
pub fn build(
    file: &Path,
    params: &[String],
    steps: Option<i64>,
    world: &Files,
    json: bool,
) -> Result<(Program, Built), ExitCode> {
    front(file, overrides(params, steps), world, json)
}

/// The same for a file that may be a module without model.
pub fn check(
    file: &Path,
    params: &[String],
    world: &Files,
    json: bool,
) -> Result<(Program, Built), ExitCode> {
    let overrides = overrides(params, None).map(|found| Overrides { module: true, ..found });
    let (program, built) = front(file, overrides, world, json)?;
    for fit in built.training.iter().flat_map(|training| &training.fits) {
        nnc_runtime::data::check(&world.spec(&fit.data, None)).map_err(refuse)?;
    }
    Ok((program, built))
}

fn front(
    file: &Path,
    overrides: Result<Overrides, String>,
    world: &Files,
    json: bool,
) -> Result<(Program, Built), ExitCode> {
    let text = read(file).ok_or(ExitCode::FAILURE)?;
    let overrides = overrides.map_err(|reason| {
        eprintln!("error: {reason}");
        ExitCode::FAILURE
    })?;
    let program = program::load(&file.display().to_string(), &text, world);
    match entries::build(&program, &overrides, world) {
        Ok(built) => {
            report::print(&program, &built.warnings, json);
            Ok((program, built))
        }
        Err(found) => {
            report::print(&program, &found, json);
            Err(ExitCode::FAILURE)
        }
    }
}

/// Adds the entries `forward_saving` and `backward` if one of them is wanted: they cost the time of a gradient.
pub fn add_sides<'n>(built: &mut Built, mut wanted: impl Iterator<Item = &'n str>) -> Result<(), ExitCode> {
    if !wanted.any(|name| [sides::FORWARD_SAVING, sides::BACKWARD].contains(&name)) {
        return Ok(());
    }
    sides::add(&mut built.module, &mut built.guards, &built.frozen).map_err(|found| refuse(found.message))
}

/// An entry that a program does not have.
pub fn no_entry(module: &Module, name: &str) -> ExitCode {
    let mut names: Vec<&str> = module.entries.iter().map(|entry| entry.name.as_str()).collect();
    let sides = [sides::FORWARD_SAVING, sides::BACKWARD];
    names.extend(sides.iter().filter(|side| module.entry(side).is_none()));
    refuse(format!("there is no entry `{name}`; there are {}", names.join(", ")))
}

/// Shows what passes do, where `NNC_DUMP` names them.
pub struct Dump {
    wanted: Option<String>,
}

impl Dump {
    /// What the environment asks for.
    pub fn wanted() -> Dump {
        Dump { wanted: std::env::var("NNC_DUMP").ok() }
    }
}

impl Observer for Dump {
    fn end(&mut self, pass: &Pass, module: &Module) {
        let wanted =
            self.wanted.as_deref().is_some_and(|w| w == "all" || w.split(',').any(|name| name == pass.name));
        if wanted {
            eprintln!("// after {}\n{}", pass.name, nnc_ir::text::print(module));
        }
    }
}

/// From tensor IR to the code of a target.
pub fn compile(program: &Program, built: Built, target: Target) -> Result<Compiled, ExitCode> {
    let start = Instant::now();
    let refuse = |found: Vec<Diagnostic>| {
        report::print(program, &found, false);
        ExitCode::FAILURE
    };
    let plan = lower_for(target, built.module, &built.guards, built.training.as_ref()).map_err(refuse)?;
    let code = target.code(&plan.kernels).map_err(|error| refuse(vec![error]))?;
    Ok(Compiled { plan, code, training: built.training, seconds: start.elapsed().as_secs_f64() })
}

/// From tensor IR to a plan for this processor, with the guards of its entries; what is trained tells which sizes are
/// usual.
pub fn lower(
    module: Module,
    guards: &[(String, Guard)],
    training: Option<&Training>,
) -> Result<Plan, ExitCode> {
    lower_for(Target::Cpu, module, guards, training).map_err(|found| {
        found.iter().for_each(|diagnostic| eprintln!("error{diagnostic}"));
        ExitCode::FAILURE
    })
}

fn lower_for(
    target: Target,
    module: Module,
    guards: &[(String, Guard)],
    training: Option<&Training>,
) -> Result<Plan, Vec<Diagnostic>> {
    let unsupported = unsupported(&module);
    if !unsupported.is_empty() {
        return Err(unsupported);
    }
    let module = passes::run_pipeline(module, &mut Dump::wanted())?;
    let usual = training.map(|training| usual_sizes(&module, training)).unwrap_or_default();
    let mut plan = schedule(&module, &target.facts().usually(usual))?;
    for (entry, guard) in guards {
        if let Some(entry) = plan.entries.iter_mut().find(|e| e.name == *entry) {
            entry.guards.push(guard.clone());
        }
    }
    Ok(plan)
}

/// What a program says that has no kernels yet: it is checked, and cannot run.
fn unsupported(module: &Module) -> Vec<Diagnostic> {
    let sparse = module.slots.iter().filter(|slot| slot.ty.pattern != Pattern::Dense);
    let diagnostic = |slot: &Slot| {
        let (path, ty) = (&slot.path, &slot.ty);
        let message = format!("`{path}` is stored as {ty}; kernels for stored patterns are not built yet");
        Diagnostic::error("support::sparse", Span::default(), message)
            .help("leave the pattern out to run it dense")
    };
    sparse.map(diagnostic).collect()
}

/// Machine code of every kernel of a plan for processors of `level`.
pub fn native(plan: &Plan, level: CpuLevel) -> Result<Vec<Vec<u8>>, ExitCode> {
    let code = nnc_cpu::compile_all(&plan.kernels, level, nnc_kernels::cpu::cores()).map_err(refuse)?;
    Ok(code.into_iter().map(|kernel| kernel.code).collect())
}

/// Says what is wrong on standard error.
pub fn refuse(message: impl std::fmt::Display) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::FAILURE
}

/// Says what is wrong with a file, with the code of the error.
pub fn in_file(error: nnc_runtime::file::FileError) -> ExitCode {
    refuse(nnc_runtime::RunError::from(error))
}

/// Weights of a run may lack states that its model reads.
pub fn warn_of_states<'p>(absent: impl Iterator<Item = &'p String>) {
    for path in absent {
        eprintln!("warning: the weights have no state `{path}`; its initial value is used");
    }
}
