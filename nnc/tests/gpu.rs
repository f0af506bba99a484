//! The two examples train on a graphics adapter as they do on the processor, step by step, at toy size.

#[path = "support/devices.rs"]
mod devices;

use std::path::{Path, PathBuf};
use std::process::Command;

/// How far two losses may be apart, relative: f32 sums in another order, over a few steps of Adam.
const TOLERANCE: f64 = 1e-3;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A folder for one test with a copy of an example that logs every step.
fn workplace(test: &str, name: &str) -> (PathBuf, String) {
    let folder = std::env::temp_dir().join(format!("nnc-gpu-{test}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let text = std::fs::read_to_string(repository("examples").join(name)).expect("the example exists");
    let every_step = text.replacen("    loss ", "    log_every = 1\n    loss ", 1);
    assert_ne!(every_step, text, "the example says its loss");
    let program = folder.join(name);
    std::fs::write(&program, every_step).expect("the folder can be written");
    (folder, program.to_string_lossy().into_owned())
}

/// The losses of all steps, and of the evaluation at the end.
fn losses(target: &str, arguments: &[&str]) -> Vec<f64> {
    let output = Command::new(env!("CARGO_BIN_EXE_nnc"))
        .args(["train", "--json", "--target", target])
        .args(arguments)
        .output()
        .expect("the command runs");
    assert!(output.status.success(), "{target}: {}", String::from_utf8_lossy(&output.stderr));
    let records: Vec<serde_json::Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("every line is JSON"))
        .collect();
    let number = |record: &serde_json::Value, field: &str| record[field].as_f64();
    let trained = records.iter().map(|record| number(record, "loss").expect("every step has a loss"));
    let last = records.last().and_then(|record| number(record, "val_loss"));
    trained.chain([last.expect("the last step is evaluated")]).collect()
}

fn compare(steps: usize, arguments: &[&str]) {
    let (expected, found) = (losses("cpu", arguments), losses("wgsl", arguments));
    assert_eq!(expected.len(), steps + 1, "one loss per step, and the evaluation");
    assert_eq!(found.len(), expected.len());
    for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let apart = (found - expected).abs() / expected.abs().max(1e-3);
        assert!(apart <= TOLERANCE, "step {}: the loss is {found} on wgsl, {expected} on cpu", step + 1);
    }
    assert_ne!(expected[0], expected[steps - 1], "the weights move");
}

/// Images and labels that look random, as idx files.
fn write_digits(folder: &Path, samples: u32) -> (String, String) {
    let bytes = |seed: u32, count: u32, most: f64| -> Vec<u8> {
        let number = |place| nnc_ir::random::uniform([seed, 0], [place, 0]);
        (0..count).map(|place| (number(place) * most) as u8).collect()
    };
    let head = |magic: u32, sizes: &[u32]| -> Vec<u8> {
        [&[magic], sizes].concat().iter().flat_map(|word| word.to_be_bytes()).collect()
    };
    let (image, label) = (folder.join("images.idx"), folder.join("labels.idx"));
    let images = [head(0x803, &[samples, 28, 28]), bytes(1, samples * 784, 256.0)].concat();
    std::fs::write(&image, images).expect("the folder can be written");
    let labels = [head(0x801, &[samples]), bytes(2, samples, 10.0)].concat();
    std::fs::write(&label, labels).expect("the folder can be written");
    (format!("image={}", image.display()), format!("label={}", label.display()))
}

#[test]
fn digits_train_on_wgsl_as_on_cpu() {
    if devices::wgsl().is_none() {
        return;
    }
    let (folder, program) = workplace("digits", "digits.nn");
    let (image, label) = write_digits(&folder, 320);
    compare(6, &[&program, "--data", &image, &label, "--param", "hidden=24", "--steps", "6"]);
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

#[test]
fn the_character_model_trains_on_wgsl_as_on_cpu() {
    if devices::wgsl().is_none() {
        return;
    }
    let (folder, program) = workplace("text", "shakespeare.nn");
    let text = format!("text={}", repository("docs/guide.md").display());
    let small = ["--param", "vocab=160", "d=16", "depth=2", "heads=2"];
    let arguments = [&[program.as_str(), "--data", &text, "--steps", "4"], &small[..]].concat();
    compare(4, &arguments);
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

/// The kernels of an example at full size, as source text.
fn sources(target: &str, example: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_nnc"))
        .args(["build", "--target", target, "--emit", "kernels"])
        .arg(repository("examples").join(example))
        .output()
        .expect("the command runs");
    assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("sources are text");
    let sources: Vec<String> =
        text.split("// kernel ").skip(1).map(|kernel| format!("// {kernel}")).collect();
    assert!(sources.len() > 20, "{example}: {} kernels for {target}", sources.len());
    sources
}

#[test]
fn kernels_of_the_examples_are_wgsl() {
    for source in ["digits.nn", "shakespeare.nn"].iter().flat_map(|example| sources("wgsl", example)) {
        nnc_wgsl::validate(&source).unwrap_or_else(|report| panic!("{report}\n{source}"));
    }
}

#[test]
fn kernels_of_the_examples_are_cuda() {
    if !devices::nvrtc() {
        return;
    }
    for source in ["digits.nn", "shakespeare.nn"].iter().flat_map(|example| sources("cuda", example)) {
        for arch in ["sm_80", "sm_90a"] {
            nnc_cuda::compile(&source, arch).unwrap_or_else(|error| panic!("{error}\n{source}"));
        }
    }
}

/// A target without device is an error that says what would work.
#[test]
fn a_missing_device_is_an_error() {
    if nnc_cuda::Device::open(0).is_ok() {
        return println!("skipped: there is a CUDA device");
    }
    let (folder, program) = workplace("missing", "digits.nn");
    let (image, label) = write_digits(&folder, 8);
    let output = Command::new(env!("CARGO_BIN_EXE_nnc"))
        .args(["train", &program, "--target", "cuda", "--data", &image, &label])
        .output()
        .expect("the command runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && output.stdout.is_empty(), "{told}");
    assert!(told.contains("[device::missing]") && told.contains("help:"), "{told}");
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}
