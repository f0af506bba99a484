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

/// The weights and the log of a run.
fn outcome(run: &str) -> [Vec<u8>; 2] {
    ["weights.safetensors", "log.jsonl"]
        .map(|name| std::fs::read(Path::new(run).join(name)).expect("a finished run has its files"))
}

/// A program that uses what a checkpoint must keep: moments, running statistics, averages, dropout, micro-batches,
/// early stop, several fits.
const THOROUGH: &str = "use std::{Linear, Dropout, RmsNorm, gelu, AdamW, Ema, cosine, mse}

block Layer() on x: [.., d] {
    branch mlp = RmsNorm() |> Linear(d) |> gelu |> Dropout(0.2)
}

model Line() {
    input  features: [B, 3]
    output value:    [B]
    state  calls:    f32[] = 0
    calls := calls + 1
    let y = features |> Linear(64) |> stack(3, Layer()) |> Linear(1)
    value[b] = y[b, 0]
}

train Line() with { ** : by Ema(0.9) } {
    data             = csv(\"table.csv\", batch: 8, target: \"y\")
    loss             = mse(value, data.target)
    metrics          = { error: mse(value, data.target) }
    optimizer        = AdamW(lr: cosine(1e-2, warmup: 10))
    clip             = 1
    accumulate       = 2
    evaluate_every   = 20
    patience         = 50
    checkpoint_every = 7
    fit 150 { log_every = 1 }
    fit 150 { log_every = 3 }
}
";

#[test]
fn a_run_killed_at_any_moment_ends_in_the_same_bits() {
    let folder = folder("killed");
    std::fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
    let program = folder.join("thorough.nn");
    std::fs::write(&program, THOROUGH).expect("the folder is writable");
    std::fs::copy(example("table.csv"), folder.join("table.csv")).expect("the table is there");
    let program = program.to_string_lossy().into_owned();
    let whole = folder.join("whole").to_string_lossy().into_owned();
    train(&[&program, "--out", &whole, "--seed", "3"]);
    let wanted = outcome(&whole);
    let mut kills = 0;
    for turn in 0..4u32 {
        let parts = folder.join(format!("parts{turn}"));
        let path = parts.to_string_lossy().into_owned();
        let mut from = "--out";
        // Moments that differ from turn to turn, and from machine to machine.
        let mut pause = 15 + 37 * u64::from(std::process::id() % 7) + 60 * u64::from(turn);
        loop {
            let mut arguments = vec!["train", &program, from, &path];
            if from == "--out" {
                arguments.extend(["--seed", "3"]);
            }
            let mut run = Command::new(env!("CARGO_BIN_EXE_nnc"))
                .args(arguments)
                .stderr(std::process::Stdio::null())
                .stdout(std::process::Stdio::null())
                .spawn()
                .expect("the command runs");
            let begun = |path: &Path| {
                let files = std::fs::read_dir(path).into_iter().flatten().flatten();
                files.into_iter().any(|file| file.file_name().to_string_lossy().starts_with("step"))
            };
            while !begun(&parts) && run.try_wait().expect("it is ours").is_none() {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            std::thread::sleep(std::time::Duration::from_millis(pause));
            if let Some(status) = run.try_wait().expect("it is ours") {
                assert!(status.success());
                break;
            }
            run.kill().expect("it is ours");
            run.wait().expect("it ends");
            kills += 1;
            pause += 150;
            from = "--resume";
        }
        assert!(outcome(&path) == wanted, "turn {turn}: both runs end in the same bits");
    }
    println!("{kills} runs were killed");
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

#[test]
fn a_folder_holds_one_run() {
    let out = folder("one-run").to_string_lossy().into_owned();
    let program = example("regression.nn");
    train(&[&program, "--steps", "5", "--out", &out]);
    let again = Command::new(env!("CARGO_BIN_EXE_nnc"))
        .args(["train", &program, "--steps", "5", "--out", &out])
        .output()
        .expect("the command runs");
    let message = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && message.contains("[train::out]"), "{message}");
    std::fs::remove_dir_all(out).expect("the folder is ours");
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
