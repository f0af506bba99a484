//! The stages in order: text, program, tensor IR, passes, plan, machine code.

use crate::files::Files;
use crate::report;
use nnc_base::Diagnostic;
use nnc_compiler::entries::{self, Built, Overrides};
use nnc_compiler::passes::{self, Observer, Pass};
use nnc_compiler::program::{self, Program};
use nnc_compiler::schedule::{Target, schedule};
use nnc_ir::graph::Module;
use nnc_ir::plan::Plan;
use nnc_ir::training::Training;
use nnc_kernels::CpuLevel;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// A program ready to run on this processor.
pub struct Compiled {
    /// What is run.
    pub plan: Plan,
    /// Machine code of each kernel.
    pub code: Vec<Vec<u8>>,
    /// The training program, if there is one.
    pub training: Option<Training>,
    /// Time from tensor IR to code.
    pub seconds: f64,
}

/// The text of a file; says why it cannot be read.
pub fn read(file: &Path) -> Option<String> {
    match std::fs::read_to_string(file) {
        Ok(text) => Some(text),
        Err(error) => {
            eprintln!("error: cannot read `{}`: {error}", file.display());
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
    let text = read(file).ok_or(ExitCode::FAILURE)?;
    let overrides = overrides(params, steps).map_err(|reason| {
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

/// From tensor IR to machine code.
pub fn compile(built: Built) -> Result<Compiled, ExitCode> {
    let start = Instant::now();
    let plain = |found: Vec<Diagnostic>| {
        found.iter().for_each(|diagnostic| eprintln!("error{diagnostic}"));
        ExitCode::FAILURE
    };
    let module = passes::run_pipeline(built.module, &mut Dump::wanted()).map_err(plain)?;
    let mut plan = schedule(&module, &Target::cpu()).map_err(plain)?;
    for (entry, guard) in built.guards {
        if let Some(entry) = plan.entries.iter_mut().find(|e| e.name == entry) {
            entry.guards.push(guard);
        }
    }
    let code = nnc_cpu::compile_all(&plan.kernels, CpuLevel::detect(), nnc_kernels::cpu::cores());
    let code = code.map_err(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })?;
    let code = code.into_iter().map(|kernel| kernel.code).collect();
    Ok(Compiled { plan, code, training: built.training, seconds: start.elapsed().as_secs_f64() })
}
