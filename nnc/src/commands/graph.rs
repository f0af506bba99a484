//! `nnc graph FILE`: draws the model.

use crate::diagram::{self, Diagram};
use crate::files::Files;
use crate::pipeline::{self, refuse};
use std::path::PathBuf;
use std::process::ExitCode;

/// `nnc graph`
#[derive(clap::Args)]
pub struct Graph {
    /// The program.
    file: PathBuf,
    /// The file to write: `.svg`, `.html` (to drag and zoom, with a table of the weights) or `.json`; standard output
    /// without it.
    #[arg(short, long)]
    out: Option<PathBuf>,
    /// Settings of the model, `name=value`.
    #[arg(long = "param", num_args = 1..)]
    params: Vec<String>,
    /// Nodes and edges as JSON on standard output.
    #[arg(long)]
    json: bool,
}

/// Draws the model.
pub fn graph(arguments: &Graph) -> ExitCode {
    let found =
        pipeline::build(&arguments.file, &arguments.params, None, &Files::beside(&arguments.file), false);
    let (program, built) = match found {
        Ok(found) => found,
        Err(code) => return code,
    };
    let drawn = diagram::diagram(&program, &built);
    let name =
        arguments.file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let kind = match &arguments.out {
        _ if arguments.json => "json".to_string(),
        Some(out) => out.extension().map_or_else(String::new, |e| e.to_string_lossy().to_lowercase()),
        None => "svg".to_string(),
    };
    let text = match kind.as_str() {
        "json" => json(&drawn),
        "svg" => diagram::picture(&drawn, &name),
        "html" => diagram::page(&drawn, &built.module, &name),
        _ => return refuse("the drawing is written to a file that ends in .svg, .html or .json"),
    };
    match &arguments.out {
        None => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Some(out) => match std::fs::write(out, text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refuse(format!("cannot write `{}`: {error}", out.display())),
        },
    }
}

fn json(drawn: &Diagram) -> String {
    serde_json::to_string_pretty(drawn).unwrap_or_default() + "\n"
}
