//! Every program that documents and examples show is accepted, and formatted.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn run(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_nnc")).args(arguments).output().expect("the command runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn programs_of(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).expect("the folder is there").flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            programs_of(&path, found);
        } else if path.extension().is_some_and(|e| e == "nn") {
            found.push(path);
        }
    }
}

#[test]
fn programs_of_documents_are_accepted() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("the document is there");
    let text = read("docs/guide.md") + &read("README.md");
    let blocks: Vec<&str> =
        text.split("```nn\n").skip(1).filter_map(|part| part.split("```").next()).collect();
    assert!(blocks.len() >= 6);
    let folder = std::env::temp_dir().join(format!("nnc-guide-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
    for (place, block) in blocks.iter().enumerate() {
        let file = folder.join(format!("block{place}.nn"));
        std::fs::write(&file, block).expect("the folder is writable");
        let (accepted, message) = run(&["check", &file.to_string_lossy()]);
        assert!(accepted, "block {place}:\n{message}");
    }
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
}

#[test]
fn examples_and_library_are_accepted_and_formatted() {
    let mut examples = Vec::new();
    programs_of(&root().join("examples"), &mut examples);
    assert!(examples.len() >= 6);
    for file in &examples {
        let (accepted, message) = run(&["check", &file.to_string_lossy()]);
        assert!(accepted, "{}:\n{message}", file.display());
    }
    programs_of(&root().join("stdlib"), &mut examples);
    for file in &examples {
        let (formatted, message) = run(&["fmt", "--check", &file.to_string_lossy()]);
        assert!(formatted, "{}:\n{message}", file.display());
    }
}
