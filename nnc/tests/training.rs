//! Whole runs from the command line, on data the test makes or on real data where `NNC_DATA` names them.

use std::path::{Path, PathBuf};
use std::process::Command;

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name).to_string_lossy().into_owned()
}

fn train(arguments: &[&str]) -> Vec<serde_json::Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_nnc"))
        .arg("train")
        .args(arguments)
        .arg("--json")
        .output()
        .expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
}

fn last(records: &[serde_json::Value], field: &str) -> f64 {
    records.last().and_then(|r| r[field].as_f64()).unwrap_or_else(|| panic!("the last record has `{field}`"))
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("nnc-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

#[test]
fn a_regression_on_a_table_learns() {
    let records = train(&[&example("regression.nn"), "--steps", "400"]);
    assert!(last(&records, "val_loss") < 0.05, "{:?}", records.last());
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one() {
    let (whole, parts) = (folder("whole"), folder("parts"));
    let (whole, parts) = (whole.to_string_lossy().into_owned(), parts.to_string_lossy().into_owned());
    let program = example("regression.nn");
    train(&[&program, "--steps", "60", "--out", &whole]);
    train(&[&program, "--steps", "25", "--out", &parts]);
    train(&[&program, "--steps", "60", "--resume", &parts]);
    let weights =
        |run: &str| std::fs::read(Path::new(run).join("weights.safetensors")).expect("weights are written");
    assert!(weights(&whole) == weights(&parts), "both runs end in the same bits");
    for run in [whole, parts] {
        std::fs::remove_dir_all(run).expect("the folder is ours");
    }
}

#[test]
fn threads_change_nothing() {
    let program = example("regression.nn");
    let runs =
        ["1", "2"].map(|threads| train(&[&program, "--steps", "50", "--threads", threads, "--seed", "7"]));
    assert_eq!(last(&runs[0], "val_loss"), last(&runs[1], "val_loss"));
}

#[test]
fn digits_are_learnt_to_96_5_percent() {
    let Some(data) = std::env::var_os("NNC_DATA") else {
        return println!("skipped: NNC_DATA names no folder");
    };
    let data = Path::new(&data);
    let image = format!("image={}", data.join("mnist-t10k-images-idx3-ubyte.gz").display());
    let label = format!("label={}", data.join("mnist-t10k-labels-idx1-ubyte.gz").display());
    let records = train(&[&example("digits.nn"), "--data", &image, &label]);
    assert!(last(&records, "val_accuracy") >= 0.965, "{:?}", records.last());
}

#[test]
fn a_character_model_learns() {
    let Some(data) = std::env::var_os("NNC_DATA") else {
        return println!("skipped: NNC_DATA names no folder");
    };
    let text = format!("text={}", Path::new(&data).join("tinyshakespeare.txt").display());
    let records = train(&[&example("shakespeare.nn"), "--data", &text, "--steps", "300"]);
    assert!(last(&records, "val_loss") < 2.5, "{:?}", records.last());
}
