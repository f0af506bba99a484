//! Puts the standard library into the binary: a table of module path and text.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../stdlib");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let mut table = String::from("&[\n");
    for file in files {
        let inside = file.strip_prefix(&root).expect("files lie in the folder").with_extension("");
        let name = inside.to_string_lossy().replace('\\', "/");
        let full = fs::canonicalize(&file).expect("the file exists");
        writeln!(table, "    (\"{name}\", include_str!({:?})),", full.display().to_string())
            .expect("strings take all");
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("stdlib.rs");
    fs::write(out, table).expect("the output folder is writable");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            println!("cargo::rerun-if-changed={}", path.display());
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "nn") {
            println!("cargo::rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
}
