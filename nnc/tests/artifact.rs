//! `nnc build -o` and `nnc run`: what an artifact gives is what the program gives; what is wrong is told.

use nnc_runtime::checkpoint::{TensorFile, write_tensors};
use nnc_runtime::data::read_tensor;
use nnc_runtime::file::npy::write_npy;
use nnc_runtime::{DType, HostTensor, Model};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = "\
use std::{Linear, relu}

model Small(d: int = 4) {
    input  x: [B, 3]
    output y: [B, 2]
    y = x |> Linear(d) |> relu |> Linear(2)
}
";

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("nnc-artifact-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("the folder can be made");
        std::fs::write(path.join("small.nn"), PROGRAM).expect("the program can be written");
        Folder(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn nnc(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nnc")).args(arguments).output().expect("the command runs")
}

fn succeeds(arguments: &[&str]) -> String {
    let output = nnc(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn fails(arguments: &[&str]) -> String {
    let output = nnc(arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
    text
}

fn small_input(folder: &Folder, batch: usize) -> String {
    let values: Vec<f32> = (0..batch * 3).map(|i| (i as f32 * 0.7).sin()).collect();
    let path = folder.path(&format!("x{batch}.npy"));
    write_npy(Path::new(&path), &HostTensor::from_values(vec![batch, 3], &values).expect("it fits"))
        .expect("written");
    path
}

#[test]
fn an_artifact_gives_what_its_program_gives() {
    let folder = Folder::new("round");
    let (program, artifact) = (folder.path("small.nn"), folder.path("small.nnb"));
    let told = succeeds(&["build", &program, "-o", &artifact, "--seed", "7"]);
    assert!(told.contains("forward") && told.contains("kernels"), "{told}");
    // Batches of several sizes: the size is the caller's.
    for batch in [1, 5, 64] {
        let input = format!("x={}", small_input(&folder, batch));
        let run = |file: &str, name: &str, more: &[&str]| {
            let out = folder.path(name);
            succeeds(&[&["run", file, "--input", &input, "--output", &out][..], more].concat());
            read_tensor("y", &Path::new(&out).join("y.npy")).expect("the output is written")
        };
        let direct = run(&program, "direct", &["--seed", "7"]);
        assert_eq!(direct.shape(), [batch, 2]);
        assert!(direct.to_f64().iter().any(|value| *value != 0.0));
        assert_eq!(run(&artifact, "stored", &[]), direct);
        assert_eq!(run(&artifact, "rebuilt", &["--no-native"]), direct);
        assert_eq!(run(&artifact, "threads", &["--threads", "1"]), direct);
        assert!(run(&program, "other", &["--seed", "8"]) != direct);
    }
}

#[test]
fn a_rust_program_runs_an_artifact() {
    let folder = Folder::new("rust");
    let artifact = folder.path("small.nnb");
    succeeds(&["build", &folder.path("small.nn"), "-o", &artifact]);
    let mut model = Model::open(&artifact).expect("it opens");
    let forward = model.interface().entry("forward").expect("there is a forward entry");
    assert_eq!(
        (forward.inputs[0].to_string(), forward.outputs[0].to_string()),
        ("f32[B, 3]".into(), "f32[B, 2]".into())
    );
    let weights: BTreeMap<String, HostTensor> = model.weights().expect("they are read").into_iter().collect();
    for batch in [2, 3] {
        let x = HostTensor::from_values(vec![batch, 3], &vec![0.5f32; batch * 3]).expect("it fits");
        let outputs = model.run("forward", &[("x", &x)]).expect("it runs");
        assert_eq!((outputs[0].0.as_str(), outputs[0].1.shape()), ("y", &[batch, 2][..]));
        let expected = small(&weights, &[0.5; 3]);
        for row in outputs[0].1.to_f64().chunks(2) {
            row.iter()
                .zip(&expected)
                .for_each(|(a, b)| assert!((a - b).abs() < 1e-5, "{row:?}, {expected:?}"));
        }
    }
    let wrong = HostTensor::zeros(DType::F32, vec![2, 4]);
    assert_eq!(model.run("forward", &[("x", &wrong)]).expect_err("three columns").code, "call::shape");
    assert_eq!(model.run("backwards", &[]).expect_err("no such entry").code, "call::entry");
}

/// The model in float64.
fn small(weights: &BTreeMap<String, HostTensor>, x: &[f64]) -> Vec<f64> {
    let linear = |name: &str, x: &[f64]| -> Vec<f64> {
        let (w, b) = (weights[&format!("{name}.w")].to_f64(), weights[&format!("{name}.b")].to_f64());
        let row = |(row, b): (&[f64], &f64)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b;
        w.chunks(x.len()).zip(&b).map(row).collect()
    };
    let hidden: Vec<f64> = linear("linear", x).into_iter().map(|value| value.max(0.0)).collect();
    linear("linear_2", &hidden)
}

#[test]
fn weights_come_from_files_and_their_mistakes_are_told() {
    let folder = Folder::new("weights");
    let (program, artifact) = (folder.path("small.nn"), folder.path("small.nnb"));
    succeeds(&["build", &program, "-o", &artifact, "--seed", "1"]);
    let mut tensors = Model::open(&artifact).expect("it opens").weights().expect("they are read");
    tensors.iter_mut().for_each(|(_, tensor)| tensor.values_mut::<f32>().expect("singles").fill(0.25));
    let save = |name: &str, tensors: &[(String, HostTensor)]| {
        let path = folder.path(name);
        let views = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.into()));
        write_tensors(Path::new(&path), &BTreeMap::new(), views).expect("written");
        path
    };
    let weights = save("w.safetensors", &tensors);
    let input = format!("x={}", small_input(&folder, 2));
    let direct = succeeds(&["run", &program, "--weights", &weights, "--input", &input]);
    assert_eq!(succeeds(&["run", &artifact, "--weights", &weights, "--input", &input]), direct);
    assert!(succeeds(&["run", &artifact, "--input", &input]) != direct);
    let other = folder.path("other.nnb");
    succeeds(&["build", &program, "-o", &other, "--weights", &weights]);
    assert_eq!(succeeds(&["run", &other, "--input", &input]), direct);
    let fewer = save("fewer.safetensors", &tensors[1..]);
    let message = fails(&["run", &program, "--weights", &fewer, "--input", &input]);
    assert!(message.contains("weights::missing") && message.contains(&tensors[0].0), "{message}");
    let message = fails(&["build", &program, "--param", "d=5", "-o", &other, "--weights", &weights]);
    assert!(message.contains("weights::shape"), "{message}");
    let kept = TensorFile::open(Path::new(&weights)).expect("the weights are still whole");
    assert_eq!(kept.verify(), Ok(()));
}

#[test]
fn wrong_inputs_name_what_is_expected() {
    let folder = Folder::new("inputs");
    let program = folder.path("small.nn");
    let run = |inputs: &[&str]| {
        let arguments: Vec<&str> =
            ["run", &program].into_iter().chain(inputs.iter().flat_map(|i| ["--input", i])).collect();
        fails(&arguments)
    };
    let whole = format!("x={}", small_input(&folder, 2));
    assert!(run(&[]).contains("input `x` is missing"));
    assert!(run(&[]).contains("`forward` takes `x`: f32[B, 3]"));
    assert!(run(&["x"]).contains("is not `name=PATH`"));
    assert!(run(&[&whole, &whole]).contains("given twice"));
    assert!(run(&[&whole, "z=1"]).contains("no input `z`"));
    assert!(run(&["x=/nowhere/x.npy"]).contains("/nowhere/x.npy"));
    let path = folder.path("bad.npy");
    write_npy(Path::new(&path), &HostTensor::zeros(DType::I32, vec![2, 3])).expect("written");
    assert!(run(&[&format!("x={path}")]).contains("`x` is f32[B, 3]; i32[2, 3] is given"));
    write_npy(Path::new(&path), &HostTensor::zeros(DType::F32, vec![2, 4])).expect("written");
    assert!(run(&[&format!("x={path}")]).contains("f32[2, 4] is given"));
    write_npy(Path::new(&path), &HostTensor::zeros(DType::F32, vec![0, 3])).expect("written");
    assert!(run(&[&format!("x={path}")]).contains("`B` is 0, but must be at least 1"));
    let message = fails(&["run", &program, "--entry", "foward", "--input", &whole]);
    assert!(message.contains("no entry `foward`") && message.contains("forward"), "{message}");
    let text = folder.path("x.txt");
    std::fs::write(&text, "hello").expect("written");
    assert!(run(&[&format!("x={text}")]).contains("which token stands for what"));
}

#[test]
fn tables_and_archives_are_inputs_and_results_are_json() {
    let folder = Folder::new("formats");
    let (program, table) = (folder.path("small.nn"), folder.path("x.csv"));
    std::fs::write(&table, "a,b,c\n1,2,3\n4,5,6\n").expect("written");
    let tensor = HostTensor::from_values(vec![2, 3], &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).expect("it fits");
    let file = folder.path("x.safetensors");
    let views = [("other", (&tensor).into()), ("x", (&tensor).into())];
    write_tensors(Path::new(&file), &BTreeMap::new(), views).expect("written");
    let json = |path: &str| succeeds(&["run", &program, "--json", "--input", &format!("x={path}")]);
    let found: serde_json::Value = serde_json::from_str(&json(&table)).expect("it is JSON");
    assert_eq!(found["entry"], "forward");
    let y = &found["outputs"][0];
    assert_eq!(
        (&y["name"], &y["dtype"], &y["shape"]),
        (&"y".into(), &"f32".into(), &serde_json::json!([2, 2]))
    );
    let first: Vec<f64> = y["first"].as_array().expect("a list").iter().filter_map(|v| v.as_f64()).collect();
    let mean = first.iter().sum::<f64>() / 4.0;
    assert!(first.len() == 4 && (y["mean"].as_f64().expect("a number") - mean).abs() < 1e-6);
    assert_eq!(json(&file), json(&table));
}

#[test]
fn damaged_artifacts_are_errors() {
    let folder = Folder::new("damaged");
    let artifact = folder.path("small.nnb");
    succeeds(&["build", &folder.path("small.nn"), "-o", &artifact]);
    let whole = std::fs::read(&artifact).expect("it is there");
    let input = format!("x={}", small_input(&folder, 2));
    let run = |bytes: &[u8]| {
        std::fs::write(&artifact, bytes).expect("written");
        nnc(&["run", &artifact, "--input", &input])
    };
    let sound = run(&whole);
    assert!(sound.status.success());
    for part in 0..8 {
        let output = run(&whole[..whole.len() * part / 8]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && text.contains("artifact::foreign"), "{text}");
    }
    for place in (0..whole.len()).step_by(whole.len() / 40 + 1) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x10;
        let output = run(&damaged);
        let same = output.status.success() && output.stdout == sound.stdout;
        assert!(
            same || output.status.code() == Some(1),
            "byte {place}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert!(fails(&["run", &artifact, "--param", "d=5"]).contains("nnc build -o"));
}

#[test]
fn builds_without_an_artifact_print_their_stages() {
    let folder = Folder::new("emit");
    let program = folder.path("small.nn");
    let emit = |what: &str| succeeds(&["build", &program, "--entries", "forward", "--emit", what]);
    assert!(emit("graph").contains("entry \"forward\"") && !emit("graph").contains("\"init\""));
    assert!(emit("plan").contains("launch ") && emit("plan").contains("entry forward"));
    assert!(emit("kernels").contains("kernel "));
    let message = fails(&["build", &program, "--entries", "forward,sideways"]);
    assert!(message.contains("no entry `sideways`"), "{message}");
    assert!(!nnc(&["build", &program, "--target", "abacus"]).status.success());
}
