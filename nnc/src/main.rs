//! The command line: `nnc check`, `nnc fmt`, `nnc build --emit graph`, `nnc explain`, `nnc doctor`.

mod files;
mod report;

use clap::{Parser, Subcommand};
use files::Files;
use nnc_compiler::entries::{Built, Overrides, build};
use nnc_compiler::program::{self, Program};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A small declarative language for neural networks.
#[derive(Parser)]
#[command(name = "nnc", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check a program: names, shapes, types, gradients; all errors at once.
    Check {
        /// The program.
        file: PathBuf,
        /// Settings of the model, `name=value`.
        #[arg(long = "param")]
        params: Vec<String>,
        /// One JSON object per finding.
        #[arg(long)]
        json: bool,
    },
    /// Format a program in place.
    Fmt {
        /// The program.
        file: PathBuf,
        /// Only say whether it is formatted.
        #[arg(long)]
        check: bool,
    },
    /// Build the tensor IR and say what a program has: parameters, entries.
    Build {
        /// The program.
        file: PathBuf,
        /// Settings of the model, `name=value`.
        #[arg(long = "param")]
        params: Vec<String>,
        /// What to print; kernels and plans are not built yet.
        #[arg(long, value_parser = ["graph"])]
        emit: Option<String>,
    },
    /// Explain the code of an error.
    Explain {
        /// The code, such as `dim::mismatch`.
        code: String,
    },
    /// Say what this machine offers.
    Doctor,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Deep programs recurse; the stack is sized for the stated nesting limits.
    let worker = std::thread::Builder::new().stack_size(256 << 20).spawn(move || run(arguments.command));
    match worker.map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        _ => ExitCode::FAILURE,
    }
}

fn run(command: Command) -> ExitCode {
    match command {
        Command::Check { file, params, json } => check(&file, &params, json),
        Command::Fmt { file, check } => format(&file, check),
        Command::Build { file, params, emit } => build_file(&file, &params, emit.is_some()),
        Command::Explain { code } => explain(&code),
        Command::Doctor => doctor(),
    }
}

fn read(file: &Path) -> Option<String> {
    match std::fs::read_to_string(file) {
        Ok(text) => Some(text),
        Err(error) => {
            eprintln!("error: cannot read `{}`: {error}", file.display());
            None
        }
    }
}

fn overrides(params: &[String]) -> Result<Overrides, String> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not `name=value`"))?;
        Ok((name.to_string(), value.to_string()))
    };
    let params = params.iter().map(pair).collect::<Result<_, String>>()?;
    Ok(Overrides { params, ..Overrides::default() })
}

fn compile(file: &Path, params: &[String], json: bool) -> Result<(Program, Built), ExitCode> {
    let text = read(file).ok_or(ExitCode::FAILURE)?;
    let overrides = overrides(params).map_err(|reason| {
        eprintln!("error: {reason}");
        ExitCode::FAILURE
    })?;
    let world = Files::beside(file);
    let program = program::load(&file.display().to_string(), &text, &world);
    match build(&program, &overrides, &world) {
        Ok(built) => Ok((program, built)),
        Err(found) => {
            report::print(&program, &found, json);
            Err(ExitCode::FAILURE)
        }
    }
}

fn check(file: &Path, params: &[String], json: bool) -> ExitCode {
    match compile(file, params, json) {
        Ok((program, built)) => {
            report::print(&program, &built.warnings, json);
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

fn format(file: &Path, check: bool) -> ExitCode {
    let Some(text) = read(file) else { return ExitCode::FAILURE };
    match nnc_grammar::format(&text) {
        Ok(formatted) if formatted == text => ExitCode::SUCCESS,
        Ok(_) if check => {
            eprintln!("`{}` is not formatted; run `nnc fmt {0}`", file.display());
            ExitCode::FAILURE
        }
        Ok(formatted) => match std::fs::write(file, formatted) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: cannot write `{}`: {error}", file.display());
                ExitCode::FAILURE
            }
        },
        Err(found) => {
            let program = program::load(&file.display().to_string(), &text, &Files::beside(file));
            report::print(&program, &found, false);
            ExitCode::FAILURE
        }
    }
}

fn build_file(file: &Path, params: &[String], emit: bool) -> ExitCode {
    let (_, built) = match compile(file, params, false) {
        Ok(found) => found,
        Err(code) => return code,
    };
    if emit {
        println!("{}", nnc_ir::text::print(&built.module));
        return ExitCode::SUCCESS;
    }
    report::summary(&built);
    ExitCode::SUCCESS
}

fn explain(code: &str) -> ExitCode {
    match report::explanation(code) {
        Some(text) => {
            println!("{code}: {text}");
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("error: no code `{code}`; the codes are\n  {}", report::codes().join("\n  "));
            ExitCode::FAILURE
        }
    }
}

fn doctor() -> ExitCode {
    println!("{}", nnc_kernels::cpu::describe());
    ExitCode::SUCCESS
}
