//! What no compiler checks: direction of imports, length of files, codes and their explanations, the reference.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Crates by floor: imports run downwards only. `xtask` stands beside all.
const FLOORS: &[(&str, u8)] = &[
    ("base", 1),
    ("grammar", 2),
    ("ir", 2),
    ("kernels", 2),
    ("compiler", 3),
    ("codegen/cpu", 3),
    ("codegen/wgsl", 3),
    ("codegen/cuda", 3),
    ("runtime", 3),
    ("nnc", 4),
];

/// Lines of a source file, at most.
const LINES: usize = 400;

/// Files that are longer. None may be added; split one and strike it out.
const LONG: &[&str] = &[
    "codegen/cpu/tests/statements.rs",
    "compiler/src/elaborate/arithmetic.rs",
    "compiler/src/elaborate/bodies.rs",
    "compiler/src/elaborate/builtins.rs",
    "compiler/src/elaborate/calls.rs",
    "compiler/src/elaborate/expressions.rs",
    "compiler/src/elaborate/folds.rs",
    "compiler/src/elaborate/indices.rs",
    "compiler/src/elaborate/loops.rs",
    "compiler/src/elaborate/modules.rs",
    "compiler/src/elaborate/subscripts.rs",
    "compiler/src/elaborate/types.rs",
    "compiler/src/entries.rs",
    "compiler/src/schedule/expand.rs",
    "compiler/src/schedule/units.rs",
    "compiler/src/schedule/writer.rs",
    "compiler/tests/differentiate.rs",
    "compiler/tests/schedule/networks.rs",
    "grammar/src/syntax.rs",
    "ir/src/dim.rs",
    "ir/src/ops/mod.rs",
    "kernels/src/team.rs",
    "runtime/src/file/tensors.rs",
];

/// Files beside the operations that hold none.
const NO_OPERATION: &[&str] = &["mod", "dims", "elementwise", "manual", "shape"];

/// Checks everything; yields what is wrong.
pub fn tidy(root: &Path) -> Result<(), Vec<String>> {
    let mut found = Vec::new();
    directions(root, &mut found);
    let sources = sources(root);
    lengths(&sources, &mut found);
    leftovers(&sources, &mut found);
    operations(root, &mut found);
    codes(root, &sources, &mut found);
    match crate::reference::reference(root) {
        Ok(text)
            if std::fs::read_to_string(root.join(crate::reference::PATH)).is_ok_and(|kept| kept == text) => {}
        Ok(_) => {
            found.push(format!("{} is stale: run `cargo run -p xtask -- reference`", crate::reference::PATH))
        }
        Err(errors) => found.extend(errors),
    }
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// A source file: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

fn sources(root: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    let folders = FLOORS.iter().map(|(folder, _)| *folder).chain(["xtask", "stdlib"]);
    for folder in folders {
        let mut open: Vec<PathBuf> = vec![root.join(folder)];
        while let Some(next) = open.pop() {
            for path in std::fs::read_dir(&next).into_iter().flatten().flatten().map(|entry| entry.path()) {
                let extension = path.extension().and_then(|extension| extension.to_str());
                if path.is_dir() {
                    open.push(path);
                } else if matches!(extension, Some("rs" | "nn"))
                    && let Ok(text) = std::fs::read_to_string(&path)
                {
                    let path = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                    found.push(Source { path, text });
                }
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.dedup_by(|a, b| a.path == b.path);
    found
}

fn directions(root: &Path, found: &mut Vec<String>) {
    let floor = |package: &str| {
        let name = package.strip_prefix("nnc-").unwrap_or(package);
        FLOORS.iter().find(|(folder, _)| folder.rsplit('/').next() == Some(name)).map(|(_, floor)| *floor)
    };
    for (folder, own) in FLOORS {
        let file = root.join(folder).join("Cargo.toml");
        let Ok(text) = std::fs::read_to_string(&file) else {
            found.push(format!("{} cannot be read", file.display()));
            continue;
        };
        for used in dependencies(&text).filter(|name| name.starts_with("nnc-")) {
            match floor(used) {
                Some(below) if below < *own => {}
                Some(below) => found
                    .push(format!("{folder} (floor {own}) uses {used} (floor {below}): imports run down")),
                None => found.push(format!("{folder} uses {used}, which has no floor in xtask/src/tidy.rs")),
            }
        }
    }
}

/// Names in `[dependencies]`.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let section = manifest.split("\n[dependencies]").nth(1).unwrap_or("");
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| line.split(['.', ' ', '=']).next()).filter(|name| !name.is_empty())
}

fn lengths(sources: &[Source], found: &mut Vec<String>) {
    for source in sources {
        let lines = source.text.lines().count();
        if lines > LINES && !LONG.contains(&source.path.as_str()) {
            found.push(format!("{} has {lines} lines, more than {LINES}: split it", source.path));
        }
    }
    for path in LONG {
        let short = |source: &&Source| source.path == *path && source.text.lines().count() > LINES;
        if !sources.iter().any(|source| short(&source)) {
            found.push(format!("{path} is short now (or gone): strike it out in xtask/src/tidy.rs"));
        }
    }
}

fn leftovers(sources: &[Source], found: &mut Vec<String>) {
    let words = ["todo", "unimplemented", "dbg"].map(|word| format!("{word}!("));
    for source in sources.iter().filter(|source| source.path.ends_with(".rs")) {
        for (place, line) in source.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            if let Some(word) = words.iter().find(|word| code.contains(word.as_str())) {
                found.push(format!("{}:{}: `{word}..)` stays behind", source.path, place + 1));
            }
        }
    }
}

fn operations(root: &Path, found: &mut Vec<String>) {
    let folder = root.join("ir/src/ops");
    let list = std::fs::read_to_string(folder.join("mod.rs")).unwrap_or_default();
    let list = list.split("\noperations! {").nth(1).unwrap_or("").to_string();
    for path in std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        if !NO_OPERATION.contains(&name) && !list.contains(&format!("{name}::")) {
            found.push(format!("ir/src/ops/{name}.rs is not in the list of `operations!`"));
        }
    }
}

/// Text literals of the form `family::name` are codes.
fn codes(root: &Path, sources: &[Source], found: &mut Vec<String>) {
    let mut used: BTreeSet<&str> = BTreeSet::new();
    let product = |path: &str| path.ends_with(".rs") && path.contains("/src/") && !path.starts_with("xtask");
    for source in sources.iter().filter(|source| product(&source.path) && !source.path.contains("/tests")) {
        let code = source.text.split("#[cfg(test)]").next().unwrap_or("");
        used.extend(code.split('"').filter(|text| is_code(text)));
    }
    let pages = std::fs::read_to_string(root.join("nnc/src/explanations.md")).unwrap_or_default();
    let explained: Vec<&str> = pages.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    if !explained.is_sorted() {
        found.push("nnc/src/explanations.md: the codes are in alphabetical order".into());
    }
    let explained: BTreeSet<&str> = explained.into_iter().collect();
    for code in used.difference(&explained) {
        found.push(format!("`{code}` has no section in nnc/src/explanations.md"));
    }
    for code in explained.difference(&used) {
        found.push(format!("nnc/src/explanations.md explains `{code}`, which no source uses"));
    }
}

fn is_code(text: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    text.split_once("::").is_some_and(|(family, name)| word(family) && word(name) && family != "std")
}
