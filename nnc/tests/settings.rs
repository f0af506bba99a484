//! What `train` can say, end to end: every setting changes what a run does.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with a program and a table of eight rows.
struct Case {
    folder: PathBuf,
}

const MODEL: &str = "use std::{Linear, RmsNorm, gelu, AdamW, Sgd, mse, mae}

block Layer() on x: [.., d] {
    branch mlp = RmsNorm() |> Linear(d)
}

model Line(depth: int = 2) {
    input  features: [B, 2]
    output value:    [B]
    let y = features |> Linear(4) |> stack(depth, Layer()) |> Linear(1)
    value[b] = y[b, 0]
    penalty size = 0.01 * mean(y ^ 2)
}
";

impl Case {
    fn new(name: &str, train: &str) -> Case {
        Case::with_model(name, MODEL, train)
    }

    fn with_model(name: &str, model: &str, train: &str) -> Case {
        let folder = std::env::temp_dir().join(format!("nnc-settings-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
        let case = Case { folder };
        case.write("program.nn", &format!("{model}\ntrain Line() {{\n{train}\n}}\n"));
        let rows: String = (0..10)
            .map(|n| format!("{},{},{}\n", n as f64 / 10.0, (n * n % 7) as f64 / 7.0, n % 3))
            .collect();
        case.write("a.csv", &format!("u,v,y\n{rows}"));
        case.write("b.csv", &format!("u,v,y\n{}", rows.replace(",2\n", ",9\n")));
        case
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).expect("the folder is writable");
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    fn run(&self, arguments: &[&str]) -> (bool, String, String) {
        let output =
            Command::new(env!("CARGO_BIN_EXE_nnc")).args(arguments).output().expect("the command runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    }

    /// Records of a run.
    fn train(&self, more: &[&str]) -> Vec<serde_json::Value> {
        let program = self.path("program.nn");
        let (fine, out, message) = self.run(&[&["train", &program, "--json"], more].concat());
        assert!(fine, "{message}");
        out.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn numbers(records: &[serde_json::Value], field: &str) -> Vec<f64> {
    records.iter().filter_map(|record| record[field].as_f64()).collect()
}

const PLAIN: &str = "
    data      = csv(\"a.csv\", batch: 4, target: \"y\")
    loss      = mse(value, data.target)
    held_out  = 20%
    log_every = 1";

#[test]
fn patience_ends_a_run_that_does_not_improve() {
    let train = format!("{PLAIN}\n optimizer = Sgd(lr: 0)\n steps = 50\n evaluate_every = 2\n patience = 3");
    let case = Case::new("patience", &train);
    let records = case.train(&["--out", &case.path("run")]);
    // The first evaluation is the best; three more do not improve on it.
    assert_eq!(records.len(), 8);
    assert_eq!(numbers(&records, "val_loss").len(), 4);
    assert!(Path::new(&case.path("run/best.safetensors")).exists());
    let again = case.train(&["--resume", &case.path("run")]);
    assert!(again.is_empty(), "the run had ended: {again:?}");
}

#[test]
fn penalties_metrics_and_norms_are_reported_by_name() {
    let train = format!(
        "{PLAIN}\n optimizer = Sgd(lr: 0.1)\n steps = 4\n clip = 0.01
         evaluate_every = 2\n metrics = {{ error: mae(value, data.target) }}"
    );
    let records = Case::new("names", &train).train(&[]);
    assert_eq!(numbers(&records, "size").len(), 4);
    assert_eq!(numbers(&records, "val_error").len(), 2);
    assert!(numbers(&records, "grad_norm").iter().all(|norm| *norm > 0.01), "the norm before clipping");
    let (first, last) = (numbers(&records, "loss")[0], numbers(&records, "loss")[3]);
    assert!((first - last).abs() < 0.5, "clipped steps are small");
}

#[test]
fn samples_come_in_order_without_shuffling() {
    let train = |shuffle| format!("{PLAIN}\n optimizer = Sgd(lr: 0)\n epochs = 3\n shuffle = {shuffle}");
    let ordered = numbers(&Case::new("ordered", &train(false)).train(&[]), "loss");
    let shuffled = numbers(&Case::new("shuffled", &train(true)).train(&[]), "loss");
    assert_eq!(ordered.len(), 6, "three passes over eight samples in batches of four");
    assert_eq!(ordered[..2], ordered[2..4]);
    assert_eq!(ordered[..2], ordered[4..]);
    assert_ne!(shuffled[..2], shuffled[2..4]);
}

#[test]
fn micro_batches_are_the_larger_batch_of_the_command_line_too() {
    let train = |batch: u32, accumulate: u32| {
        format!("{}\n optimizer = AdamW(lr: 0.01)\n steps = 6\n clip = 1\n accumulate = {accumulate}", PLAIN)
            .replace("batch: 4", &format!("batch: {batch}"))
    };
    let whole = numbers(&Case::new("whole", &train(8, 1)).train(&[]), "loss");
    let parts = numbers(&Case::new("parts", &train(2, 4)).train(&[]), "loss");
    assert_eq!(whole.len(), 6);
    whole
        .iter()
        .zip(&parts)
        .for_each(|(a, b)| assert!((a - b).abs() < 1e-4 * (1.0 + a), "{whole:?} {parts:?}"));
}

#[test]
fn fits_have_data_of_their_own() {
    let train = "
    loss      = mse(value, data.target)
    optimizer = Sgd(lr: 0)
    held_out  = 0
    log_every = 1
    fit 2 { data = csv(\"a.csv\", batch: 10, target: \"y\") }
    fit 2 { data = csv(\"b.csv\", batch: 10, target: \"y\") }";
    let losses = numbers(&Case::new("fits", train).train(&[]), "loss");
    assert!((losses[0] - losses[1]).abs() < 1e-5 && (losses[2] - losses[3]).abs() < 1e-5);
    assert!(losses[2] > losses[0] + 1.0, "{losses:?}");
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_and_names_the_weight() {
    let train = format!("{PLAIN}\n optimizer = Sgd(lr: 1e30)\n steps = 40");
    let case = Case::new("nan", &train);
    let (fine, _, message) = case.run(&["train", &case.path("program.nn")]);
    assert!(!fine && message.contains("train::nan"), "{message}");
    let train = PLAIN.replace("mse(value, data.target)", "mean(log(value - value))");
    let case = Case::new("log", &format!("{train}\n optimizer = Sgd(lr: 0.1)\n steps = 4"));
    let (fine, _, message) = case.run(&["train", &case.path("program.nn")]);
    assert!(!fine && message.contains("all weights are finite"), "{message}");
    assert!(message.contains("-inf, made by `log`") && message.contains("program.nn:"), "{message}");
}

#[test]
fn halves_are_stored_and_trained() {
    for precision in ["bf16", "f16"] {
        let train = format!("{PLAIN}\n optimizer = AdamW(lr: 0.02)\n steps = 60\n precision = {precision}");
        let case = Case::new(precision, &train);
        let losses = numbers(&case.train(&["--out", &case.path("run")]), "loss");
        assert!(losses[losses.len() - 1] < 0.8 * losses[0], "{precision}: {losses:?}");
        let file = std::fs::read(case.path("run/weights.safetensors")).expect("weights are written");
        let wanted = format!("\"dtype\":\"{}\"", precision.to_uppercase());
        assert!(String::from_utf8_lossy(&file[..2000.min(file.len())]).contains(&wanted));
    }
}

#[test]
fn weights_are_compared_loaded_and_renamed() {
    let train = format!("{PLAIN}\n optimizer = Sgd(lr: 0.1)\n steps = 3\n precision = f32");
    let case = Case::new("weights", &train);
    let last = case.train(&["--out", &case.path("run")]);
    let (program, weights) = (case.path("program.nn"), case.path("run/weights.safetensors"));
    let check =
        |more: &[&str]| case.run(&[&["check", program.as_str(), "--weights", &weights], more].concat());
    assert_eq!(check(&[]), (true, String::new(), String::new()));
    let (fine, _, message) = check(&["--param", "depth=3"]);
    assert!(!fine && message.contains("`layer[2].mlp.linear.w`"), "{message}");
    let (fine, _, message) = check(&["--param", "depth=1"]);
    assert!(fine && message.contains("weights::extra"), "{message}");

    let loss = |case: &Case| {
        let arguments = ["eval", &case.path("program.nn"), "--weights", &weights, "--json"];
        let (fine, out, message) = case.run(&arguments);
        assert!(fine, "{message}");
        serde_json::from_str::<serde_json::Value>(&out).expect("JSON")["val_loss"].as_f64()
    };
    assert_eq!(loss(&case), numbers(&last, "val_loss").last().copied());

    let own = MODEL.replace("Linear(d)\n", "Other(d)\n")
        + "
block Other(out: int) on x: [.., n] -> [.., out] {
    weight kernel: [out, n] = 0 was \"w\"
    weight shift:  [out]    = 0 was \"layer.mlp.linear.b\"
    let y[.., o] = sum[i](kernel[o, i] * x[.., i])
    y + shift
}
";
    let other = Case::with_model("renamed", &own, &train);
    let (fine, _, message) = other.run(&["check", &other.path("program.nn"), "--weights", &weights]);
    assert!(!fine && message.contains("there are `layer[0].mlp.linear.w`"), "{message}");
    let own = own.replace("was \"w\"", "was \"layer.mlp.linear.w\"");
    let other = Case::with_model("renamed", &own, &train);
    assert_eq!(loss(&other), loss(&case));
}
