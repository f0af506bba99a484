//! What people do by mistake: wrong flags, data that do not fit, folders that cannot be written. Every command says what
//! is wrong, and nothing is silently something else.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A folder of its own with `files` in it.
fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("nnc-misuse-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
    files.iter().for_each(|(file, text)| std::fs::write(folder.join(file), text).expect("it is writable"));
    folder
}

fn nnc(folder: &PathBuf, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nnc"));
    command.current_dir(folder).args(arguments).output().expect("the command runs")
}

/// What a command that must fail says.
fn refused(folder: &PathBuf, arguments: &[&str]) -> String {
    let output = nnc(folder, arguments);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}: {:?}\n{told}", output.status);
    assert!(!told.contains("panicked") && !told.contains("internal"), "{arguments:?}: {told}");
    told
}

fn accepted(folder: &PathBuf, arguments: &[&str]) -> String {
    let output = nnc(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const TABLE: &str = "a,b,y\n1,2,3\n2,3,5\n3,4,7\n4,5,9\n5,6,11\n6,7,13\n";

const LINE: &str = "use std::{Linear, Sgd, mse}

model Line(hidden: int = 4) {
    input  features: [B, 2]
    output value:    [B]
    let y = features |> Linear(hidden) |> Linear(1)
    value[b] = y[b, 0]
}

train Line() {
    data      = csv(\"table.csv\", batch: 4, target: \"y\")
    loss      = mse(value, data.target)
    optimizer = Sgd(lr: 1e-3)
    steps     = 4
}
";

const LETTERS: &str = "use std::{Embedding, Linear, Sgd, cross_entropy}

model Letters(vocab: int = 8) {
    input  token:  index(vocab)[B, T]
    output logits: [B, T, vocab]
    logits = Embedding(vocab, 4)(token) |> Linear(vocab)
}

train Letters() {
    data      = text(\"text.txt\", context: 4, batch: 2)
    loss      = cross_entropy(logits, data.next)
    optimizer = Sgd(lr: 0.1)
    steps     = 2
}
";

#[test]
fn flags_are_checked() {
    let dir = folder("flags", &[("line.nn", LINE), ("table.csv", TABLE)]);
    let train = |more: &[&str]| refused(&dir, &[&["train", "line.nn"], more].concat());
    assert!(train(&["--steps", "-3"]).contains("-3 is not in 0.."), "{}", train(&["--steps", "-3"]));
    assert!(train(&["--threads", "0"]).contains("at least one thread"));
    assert!(train(&["--data", "data="]).contains("names no file"));
    let word = train(&["--param", "hidden=abc"]);
    assert!(word.contains("`hidden` is the integer 4, and cannot be `abc`"), "{word}");
    let bench = refused(&dir, &["bench", "line.nn", "--steps", "0"]);
    assert!(bench.contains("0 is not in 1.."), "{bench}");
    let target = refused(&dir, &["bench", "line.nn", "--target", "wgsl"]);
    assert!(target.contains("unexpected argument '--target'"), "{target}");
    let hot = refused(&dir, &["generate", "line.nn", "--weights", "none", "--temperature", "-1"]);
    assert!(hot.contains("a number from 0 is needed"), "{hot}");
    let large = train(&["--param", "hidden=100000000000"]);
    assert!(large.contains("GiB of memory; this machine has"), "{large}");
    std::fs::remove_dir_all(dir).expect("the folder is ours");
}

#[test]
fn a_layer_of_no_width_trains() {
    let dir = folder("empty", &[("line.nn", LINE), ("table.csv", TABLE)]);
    accepted(&dir, &["train", "line.nn", "--param", "hidden=0"]);
    std::fs::remove_dir_all(dir).expect("the folder is ours");
}

#[test]
fn lengths_of_training_are_whole_numbers() {
    for steps in ["-4", "1e9", "0.5", "\"a\""] {
        let text = LINE.replace("steps     = 4", &format!("steps     = {steps}"));
        let dir = folder("lengths", &[("line.nn", &text), ("table.csv", TABLE)]);
        let told = refused(&dir, &["check", "line.nn"]);
        assert!(told.contains("a whole number is needed") && !told.contains("nothing says"), "{told}");
        std::fs::remove_dir_all(dir).expect("the folder is ours");
    }
}

#[test]
fn options_of_data_are_checked_before_there_are_data() {
    let text = LINE.replace("batch: 4", "bath: 4");
    let dir = folder("options", &[("line.nn", &text)]);
    let told = refused(&dir, &["check", "line.nn"]);
    assert!(told.contains("`csv` has no option `bath`"), "{told}");
    std::fs::remove_dir_all(dir).expect("the folder is ours");
}

#[test]
fn labels_beyond_the_classes_are_refused() {
    let text = LINE
        .replace("value:    [B]\n", "value:    [B, 3]\n")
        .replace("    let y = features |> Linear(hidden) |> Linear(1)\n", "")
        .replace("value[b] = y[b, 0]", "value = features |> Linear(3)")
        .replace("mse", "cross_entropy")
        .replace("target: \"y\"", "target: \"y\", classes: true");
    let dir = folder("labels", &[("line.nn", &text), ("table.csv", TABLE)]);
    let told = refused(&dir, &["train", "line.nn"]);
    assert!(told.contains("reaches 5, beyond an axis of 3"), "{told}");
    let few = TABLE.replace(",5\n", ",3\n").replace(",9\n", ",7\n").replace(",13\n", ",11\n");
    std::fs::write(dir.join("table.csv"), few).expect("the folder is writable");
    accepted(&dir, &["train", "line.nn"]);
    std::fs::remove_dir_all(dir).expect("the folder is ours");
}

#[test]
fn weights_keep_the_characters_they_learnt() {
    let files =
        [("letters.nn", LETTERS), ("text.txt", &"abc\n".repeat(40)), ("other.txt", &"xyz\n".repeat(40))];
    let dir = folder("characters", &files);
    accepted(&dir, &["train", "letters.nn", "--out", "run"]);
    let other = refused(&dir, &["eval", "letters.nn", "--weights", "run", "--data", "text=other.txt"]);
    assert!(other.contains("'x' is none of the 4 characters"), "{other}");
    std::fs::write(dir.join("fewer.txt"), "cab\n".repeat(20).replace('b', "c")).expect("it is writable");
    accepted(&dir, &["eval", "letters.nn", "--weights", "run", "--data", "text=fewer.txt"]);
    let resume = ["train", "letters.nn", "--resume", "run", "--steps", "4"];
    let told = refused(&dir, &[&resume[..], &["--data", "text=other.txt"]].concat());
    assert!(told.contains("the run was made with other data"), "{told}");
    let told = refused(&dir, &[&resume[..], &["--seed", "5"]].concat());
    assert!(told.contains("has the seed 0"), "{told}");
    accepted(&dir, &[&resume[..], &["--seed", "0"]].concat());
    let written = ["generate", "letters.nn", "--weights", "run", "--prompt", "a", "--length", "3", "--json"];
    let written: serde_json::Value = serde_json::from_str(&accepted(&dir, &written)).expect("JSON");
    assert_eq!(written["text"].as_str().map(|text| text.chars().count()), Some(3), "{written}");
    std::fs::remove_dir_all(dir).expect("the folder is ours");
}

#[test]
fn a_table_is_scaled_as_the_one_that_was_learnt() {
    let scaled = LINE.replace("target: \"y\"", "target: \"y\", standardize: true");
    let dir = folder("scaled", &[("line.nn", &scaled), ("table.csv", TABLE)]);
    accepted(&dir, &["train", "line.nn", "--out", "run"]);
    let value = |file: &str| {
        let input = format!("features={file}");
        let told = accepted(&dir, &["run", "line.nn", "--weights", "run", "--input", &input, "--json"]);
        let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
        told["outputs"][0]["first"][0].as_f64().expect("a number")
    };
    // Of six samples the first five train: their means are scaled to 0. Columns are found by name.
    std::fs::write(dir.join("mean.csv"), "y,b,a\n0,4,3\n").expect("the folder is writable");
    std::fs::write(dir.join("other.csv"), "a,b\n0,0\n").expect("the folder is writable");
    let header = format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }");
    let array = [&b"\x93NUMPY\x01\x00\x76\x00"[..], header.as_bytes(), &[0; 8]].concat();
    std::fs::write(dir.join("zero.npy"), array).expect("the folder is writable");
    assert_eq!(value("mean.csv"), value("zero.npy"));
    assert_ne!(value("mean.csv"), value("other.csv"));
    std::fs::write(dir.join("less.csv"), "a\n0\n").expect("the folder is writable");
    let told = refused(&dir, &["run", "line.nn", "--weights", "run", "--input", "features=less.csv"]);
    assert!(told.contains("no column is called `b`"), "{told}");
    std::fs::remove_dir_all(dir).expect("the folder is ours");
}

#[test]
fn the_folder_of_a_run_stands_for_its_weights() {
    let dir = folder("weights", &[("line.nn", LINE), ("table.csv", TABLE)]);
    accepted(&dir, &["train", "line.nn", "--out", "run"]);
    accepted(&dir, &["check", "line.nn", "--weights", "run"]);
    std::fs::remove_dir_all(dir).expect("the folder is ours");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output_is_an_error() {
    let dir = folder("full", &[("line.nn", LINE), ("table.csv", TABLE)]);
    for arguments in [&["train", "line.nn"][..], &["build", "line.nn", "--json"], &["build", "line.nn"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
        let mut command = Command::new(env!("CARGO_BIN_EXE_nnc"));
        command.current_dir(&dir).args(arguments).stdout(Stdio::from(full));
        let output = command.output().expect("the command runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        assert!(told.contains("standard output cannot be written") && !told.contains("panicked"), "{told}");
    }
    std::fs::remove_dir_all(dir).expect("the folder is ours");
}
