//! What people read: every broken program of `tests/diagnostics` with the message it gets. `BLESS=1` writes the
//! messages anew.

use std::path::{Path, PathBuf};
use std::process::Command;

fn message(file: &Path) -> String {
    let folder = file.parent().expect("programs lie in a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_nnc"))
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .args(["check", &file.file_name().expect("it has a name").to_string_lossy()])
        .output()
        .expect("the command runs");
    assert!(!output.status.success(), "{} is accepted", file.display());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("panicked"), "{}: {text}", file.display());
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n"
}

fn programs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/diagnostics");
    let files = std::fs::read_dir(folder).expect("the folder is there").flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "nn")).collect();
    files.sort();
    files
}

#[test]
fn every_broken_program_gets_its_message() {
    let bless = std::env::var_os("BLESS").is_some();
    let programs = programs();
    assert!(programs.len() >= 20, "there are {} programs", programs.len());
    let mut differing = Vec::new();
    for file in programs {
        let (found, kept) = (message(&file), file.with_extension("txt"));
        if bless {
            std::fs::write(&kept, &found).expect("the folder is writable");
        } else if std::fs::read_to_string(&kept).unwrap_or_default() != found {
            differing.push(format!("{}:\n{found}", file.display()));
        }
    }
    assert!(differing.is_empty(), "run with BLESS=1 if these are right:\n{}", differing.join("\n"));
}
