//! What the repository asks of itself: `cargo run -p xtask -- tidy | bless | reference | fuzz`.

mod bless;
mod fuzz;
mod reference;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["tidy"] => tidy::tidy(&root()),
        ["bless"] => bless::bless(&root()),
        ["reference"] => reference::write(&root()),
        ["fuzz", target] => fuzz::fuzz(&root(), target, 60),
        ["fuzz", target, "--seconds", seconds] => match seconds.parse() {
            Ok(seconds) => fuzz::fuzz(&root(), target, seconds),
            Err(_) => Err(vec![format!("`{seconds}` is no number of seconds")]),
        },
        _ => Err(vec![
            "cargo run -p xtask -- tidy        checks what no compiler does".into(),
            "cargo run -p xtask -- bless       writes golden files and the reference anew".into(),
            "cargo run -p xtask -- reference   writes docs/reference.md from the sources".into(),
            format!(
                "cargo run -p xtask -- fuzz TARGET [--seconds N]   targets: {}",
                fuzz::names().join(", ")
            ),
        ]),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(found) => {
            found.iter().for_each(|line| eprintln!("{line}"));
            ExitCode::FAILURE
        }
    }
}
