//! `docs/reference.md`: the library, the settings, the operations, the passes, the codes and the commands, as the
//! sources state them.

use nnc_base::{SourceId, Span};
use nnc_compiler::{elaborate, passes, settings};
use nnc_grammar::syntax::{Body, Code, Doc, Item, ItemKind};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// Where it lies.
pub const PATH: &str = "docs/reference.md";

/// Writes the reference.
pub fn write(root: &Path) -> Result<(), Vec<String>> {
    let text = reference(root)?;
    std::fs::write(root.join(PATH), text).map_err(|error| vec![format!("{PATH}: {error}")])
}

/// The reference as the sources have it now.
pub fn reference(root: &Path) -> Result<String, Vec<String>> {
    let mut out = String::from(
        "# Reference\n\nMade from the sources by `cargo run -p xtask -- reference`; changes belong there.\n",
    );
    library(&mut out);
    primitives(&mut out);
    training(&mut out);
    commands(root, &mut out)?;
    pass_list(&mut out);
    let codes = std::fs::read_to_string(root.join("nnc/src/explanations.md"));
    let codes = codes.map_err(|error| vec![format!("nnc/src/explanations.md: {error}")])?;
    out.push_str(&lowered(&codes));
    out.push_str(&lowered(&nnc_ir::ops::reference()));
    Ok(out)
}

/// Markdown one heading deeper.
fn lowered(text: &str) -> String {
    let deeper = |line: &str| if line.starts_with('#') { format!("#{line}\n") } else { format!("{line}\n") };
    format!("\n{}", text.lines().map(deeper).collect::<String>())
}

fn library(out: &mut String) {
    out.push_str("\n## Standard library\n");
    for (module, text) in nnc_compiler::program::STDLIB {
        let syntax = nnc_grammar::parse(text, SourceId(0));
        let _ = writeln!(out, "\n### `std::{}`\n", module.trim_end_matches(".nn").replace('/', "::"));
        docs(&syntax.about, out);
        for item in &syntax.items {
            let Some(signature) = signature(item, text) else { continue };
            let _ = writeln!(out, "\n```\n{signature}\n```");
            if !item.docs.is_empty() {
                out.push('\n');
            }
            docs(&item.docs, out);
        }
    }
}

fn docs(lines: &[Doc], out: &mut String) {
    for line in lines {
        out.push_str(&line.text);
        out.push('\n');
    }
}

/// An item up to its body; private ones have none.
fn signature(item: &Item, text: &str) -> Option<String> {
    let (name, end) = match &item.kind {
        ItemKind::Fn(function) => (
            &function.name,
            match &function.code {
                Code::Expr(expr) => before(text, item.span.start, expr.span, '='),
                Code::Body(body) => start(body),
            },
        ),
        ItemKind::Decl(decl) => (&decl.name, start(&decl.body)),
        _ => return None,
    };
    let public = !name.text.starts_with('_');
    public.then(|| text.get(item.span.start as usize..end as usize).unwrap_or("").trim().to_string())
}

fn start(body: &Body) -> u32 {
    body.span.start
}

/// The last `mark` in front of an expression.
fn before(text: &str, from: u32, expr: Span, mark: char) -> u32 {
    let head = text.get(from as usize..expr.start as usize).unwrap_or("");
    head.rfind(mark).map_or(expr.start, |at| from + at as u32)
}

fn primitives(out: &mut String) {
    out.push_str("\n## Primitive functions\n\nEverything else is in the library.\n\n");
    for (name, about) in elaborate::PRIMITIVES {
        let _ = writeln!(out, "- `{name}`: {about}");
    }
}

fn training(out: &mut String) {
    out.push_str("\n## Settings of a training program\n\n");
    for (name, about) in settings::SETTINGS {
        let _ = writeln!(out, "- `{name}`: {about}");
    }
}

fn pass_list(out: &mut String) {
    out.push_str("\n## Passes\n\n`nnc opt FILE --pass NAME,..` runs them over the tensor IR.\n\n");
    let mut told: Vec<&str> = Vec::new();
    for pass in passes::PIPELINE {
        if !told.contains(&pass.name) {
            told.push(pass.name);
            let _ = writeln!(out, "- `{}`: {}", pass.name, pass.about);
        }
    }
}

/// The help of every command.
fn commands(root: &Path, out: &mut String) -> Result<(), Vec<String>> {
    out.push_str("\n## Commands\n");
    let overview = help(root, &["help"])?;
    let listed = overview.split("Commands:").nth(1).unwrap_or("").split("\n\n").next().unwrap_or("");
    let indented = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let names = listed.lines().filter(indented).filter_map(|line| line.split_whitespace().next());
    for name in names.filter(|name| *name != "help") {
        let text = help(root, &["help", name])?;
        let text: Vec<&str> = text.trim().lines().map(str::trim_end).collect();
        let _ = writeln!(out, "\n### `nnc {name}`\n\n```\n{}\n```", text.join("\n"));
    }
    Ok(())
}

fn help(root: &Path, arguments: &[&str]) -> Result<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["run", "--quiet", "-p", "nnc", "--"])
        .args(arguments)
        .env("COLUMNS", "110")
        .output()
        .map_err(|error| vec![format!("nnc: {error}")])?;
    if !output.status.success() {
        return Err(vec![format!("nnc {arguments:?}: {}", String::from_utf8_lossy(&output.stderr))]);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
