//! The command line; `nnc help` lists the commands.

mod account;
mod commands;
mod diagram;
mod explain;
mod files;
mod inputs;
mod pipeline;
mod report;
mod running;
mod summary;
mod target;
mod traffic;

use clap::{Parser, Subcommand};
use files::Files;
use nnc_compiler::entries::Built;
use nnc_compiler::program;
use nnc_runtime::weights::keys;
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
        /// Weights to compare with the model, a file or the folder of a run: missing, spare and mis-shaped tensors.
        #[arg(long)]
        weights: Option<PathBuf>,
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
    /// Compile a program: say what it costs, print a stage, or write an artifact.
    Build(commands::build::Build),
    /// Call an entry of a program or an artifact with inputs from files.
    Run(commands::run::Run),
    /// Train a program.
    Train(running::Train),
    /// Evaluate weights on the held-out part of the data.
    Eval(running::Eval),
    /// Measure the kernels of a training step.
    Bench(running::Bench),
    /// Write text from a trained model of characters.
    Generate(running::Generate),
    /// Make a small project that trains at once.
    New(commands::new::New),
    /// Run passes over the tensor IR and print the module.
    Opt(commands::opt::Opt),
    /// Draw the model: blocks, shapes, parameters, how values flow.
    Graph(commands::graph::Graph),
    /// Explain the code of an error.
    Explain {
        /// The code, such as `dim::mismatch`.
        code: String,
    },
    /// Say what this machine offers.
    Doctor,
}

fn main() -> ExitCode {
    nnc_kernels::pipe::end_quietly_on_closed_pipe();
    end_on_full_output();
    let arguments = Arguments::parse();
    // Deep programs recurse; the stack is sized for the stated nesting limits.
    let worker = std::thread::Builder::new().stack_size(256 << 20).spawn(move || run(arguments.command));
    match worker.map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        _ => ExitCode::FAILURE,
    }
}

/// Standard output that cannot be written (a full disk) is an error like any other, though `println!` panics.
fn end_on_full_output() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let told = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        match told.strip_prefix("failed printing to stdout: ") {
            Some(why) => {
                eprintln!("error: standard output cannot be written: {why}");
                std::process::exit(1);
            }
            None => usual(panic),
        }
    }));
}

fn run(command: Command) -> ExitCode {
    match command {
        Command::Check { file, params, weights, json } => check(&file, &params, weights.as_deref(), json),
        Command::Fmt { file, check } => format(&file, check),
        Command::Build(arguments) => commands::build::build(&arguments),
        Command::Run(arguments) => commands::run::run(&arguments),
        Command::Train(arguments) => running::train(&arguments),
        Command::Eval(arguments) => running::eval(&arguments),
        Command::Bench(arguments) => running::bench(&arguments),
        Command::Generate(arguments) => running::generate(&arguments),
        Command::New(arguments) => commands::new::new(&arguments),
        Command::Opt(arguments) => commands::opt::opt(&arguments),
        Command::Graph(arguments) => commands::graph::graph(&arguments),
        Command::Explain { code } => explain(&code),
        Command::Doctor => doctor(),
    }
}

fn check(file: &Path, params: &[String], weights: Option<&Path>, json: bool) -> ExitCode {
    match (pipeline::check(file, params, &Files::beside(file), json), weights) {
        (Ok((_, built)), Some(weights)) => check_weights(&built, weights, json),
        (Ok(_), None) => ExitCode::SUCCESS,
        (Err(code), _) => code,
    }
}

/// Compares a file with the slots of a model; what the file has too much is told, and no failure.
fn check_weights(built: &Built, weights: &Path, json: bool) -> ExitCode {
    let file = match nnc_runtime::weights::open(weights) {
        Ok(file) => file,
        Err(error) => return pipeline::refuse(error),
    };
    let slots = &built.module.slots;
    let entries = built.module.entries.iter();
    let needed = keys::needed(slots, entries.map(|e| (e.name.as_str(), e.inputs.iter().collect())));
    let found = keys::compare(slots, &needed, &file.iter().collect());
    found.iter().for_each(|finding| report::finding(finding, json));
    let fits = found.iter().all(|finding| finding.code == "weights::extra");
    if fits { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn format(file: &Path, check: bool) -> ExitCode {
    let Some(text) = pipeline::read(file) else { return ExitCode::FAILURE };
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

fn explain(code: &str) -> ExitCode {
    match explain::explanation(code) {
        Some(text) => {
            println!("{code}\n\n{text}");
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("error: no code `{code}`; the codes are\n  {}", explain::codes().join("\n  "));
            ExitCode::FAILURE
        }
    }
}

fn doctor() -> ExitCode {
    target::describe().iter().for_each(|line| println!("{line}"));
    ExitCode::SUCCESS
}
