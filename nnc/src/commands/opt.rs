//! `nnc opt FILE`: runs passes over the tensor IR and prints what they leave.

use crate::files::Files;
use crate::pipeline::{self, Dump, refuse};
use nnc_compiler::passes::{self, PIPELINE, Pass};
use nnc_ir::graph::Module;
use nnc_ir::{text, verify};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `nnc opt`
#[derive(clap::Args)]
pub struct Opt {
    /// A program, or the text of a module (`.nnir`), as `nnc build --emit graph` prints it.
    #[arg(required_unless_present = "list")]
    file: Option<PathBuf>,
    /// Passes by name, in this order, with commas between; all of the pipeline without it, none for `none`.
    #[arg(long = "pass", value_delimiter = ',')]
    passes: Vec<String>,
    /// Settings of the model, `name=value`.
    #[arg(long = "param", num_args = 1..)]
    params: Vec<String>,
    /// List the passes and what each does.
    #[arg(long)]
    list: bool,
}

/// Runs the passes.
pub fn opt(arguments: &Opt) -> ExitCode {
    if arguments.list {
        list();
        return ExitCode::SUCCESS;
    }
    let Some(file) = &arguments.file else { return ExitCode::FAILURE };
    let run = || {
        let passes = chosen(&arguments.passes).map_err(refuse)?;
        let module = module(file, &arguments.params)?;
        let module = passes::run_passes(&passes, module, &mut Dump::wanted()).map_err(|found| {
            found.iter().for_each(|diagnostic| eprintln!("error{diagnostic}"));
            ExitCode::FAILURE
        })?;
        print!("{}", text::print(&module));
        Ok(())
    };
    run().map_or_else(|code: ExitCode| code, |()| ExitCode::SUCCESS)
}

/// Every pass once, in the order of the pipeline.
fn list() {
    let mut told: Vec<&str> = Vec::new();
    for pass in PIPELINE {
        if !told.contains(&pass.name) {
            println!("{:<18} {}", pass.name, pass.about);
            told.push(pass.name);
        }
    }
    println!("\na build runs: {}", PIPELINE.iter().map(|pass| pass.name).collect::<Vec<_>>().join(","));
}

fn chosen(names: &[String]) -> Result<Vec<Pass>, String> {
    match names {
        [] => Ok(PIPELINE.to_vec()),
        [none] if none == "none" => Ok(Vec::new()),
        names => names.iter().map(|name| named(name)).collect(),
    }
}

fn named(name: &str) -> Result<Pass, String> {
    passes::find(name).copied().ok_or_else(|| {
        let near = nnc_compiler::nearest(name, PIPELINE.iter().map(|pass| pass.name));
        let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        format!("there is no pass `{name}`{near}; `nnc opt --list` lists them")
    })
}

/// The module of a program, or the one a text describes.
fn module(file: &Path, params: &[String]) -> Result<Module, ExitCode> {
    if file.extension().is_none_or(|extension| extension != "nnir") {
        let (_, built) = pipeline::build(file, params, None, &Files::beside(file), false)?;
        return Ok(built.module);
    }
    let source = pipeline::read(file).ok_or(ExitCode::FAILURE)?;
    let module = text::parse(&source).map_err(|error| refuse(format!("{}:{error}", file.display())))?;
    verify::verify(&module).map_err(|errors| {
        errors.iter().for_each(|error| eprintln!("error: {}: {error}", file.display()));
        ExitCode::FAILURE
    })?;
    Ok(module)
}
