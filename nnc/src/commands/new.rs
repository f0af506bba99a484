//! `nnc new DIR`: a small project that trains at once.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `nnc new`
#[derive(clap::Args)]
pub struct New {
    /// The folder to make; it must not hold anything yet.
    dir: PathBuf,
}

const MODEL: &str = r#"//! Two rings: is a point inside the inner one?
use std::{Linear, gelu, AdamW, cosine, mse, mae}

/// Two coordinates in, one score out: 1 inside, 0 outside.
model Rings(hidden: int = 32) {
    input  features: [B, 2]
    output value:    [B]
    let y = features |> Linear(hidden) |> gelu |> Linear(hidden) |> gelu |> Linear(1)
    value[b] = y[b, 0]
}

train Rings() {
    data      = csv("points.csv", batch: 32, target: "inside")
    loss      = mse(value, data.target)
    metrics   = { mae: mae(value, data.target) }
    optimizer = AdamW(lr: cosine(1e-2, warmup: 20))
    held_out  = 20%
    steps     = 600
}
"#;

const README: &str = "# A network in nnc

`model.nn` is the program, `points.csv` its data: points of the plane, and whether they lie in the inner of two rings.

    nnc train model.nn --out run        trains; weights, log and loss curve lie in run/
    nnc eval model.nn --weights run/weights.safetensors
    nnc graph model.nn -o model.html    draws the network
    nnc check model.nn                  says what is wrong, all at once
    nnc fmt model.nn                    lays the program out

Change `hidden`, the layers or the loss, and train again: `nnc train model.nn --param hidden=64`.
";

/// Points of the plane on two noisy rings, and which ring. The same on every machine.
fn points() -> String {
    let mut out = String::from("x,y,inside\n");
    for place in 0..400u32 {
        let bits = nnc_kernels::random::threefry2x32([7, 11], [place, 0]);
        let share = |bits: u32| f64::from(bits) / f64::from(u32::MAX);
        let inside = place % 2 == 0;
        let radius = if inside { 0.4 } else { 1.0 } + 0.3 * (share(bits[0]) - 0.5);
        let (sine, cosine) = (share(bits[1]) * std::f64::consts::TAU).sin_cos();
        let _ = writeln!(out, "{:.4},{:.4},{}", radius * cosine, radius * sine, u8::from(inside));
    }
    out
}

/// Makes the project.
pub fn new(arguments: &New) -> ExitCode {
    let dir = &arguments.dir;
    match make(dir) {
        Ok(()) => {
            println!("made `{0}`; train it with\n\n    nnc train {0}/model.nn", dir.display());
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn make(dir: &Path) -> Result<(), String> {
    let shown = dir.display();
    let failed = |error: std::io::Error| format!("cannot make `{shown}`: {error}");
    if dir.is_file() {
        return Err(format!("`{shown}` is a file; give a folder that does not exist yet"));
    }
    std::fs::create_dir_all(dir).map_err(failed)?;
    if std::fs::read_dir(dir).map_err(failed)?.next().is_some() {
        return Err(format!("`{shown}` is not empty, and nothing is overwritten; give a new folder"));
    }
    for (name, text) in [("model.nn", MODEL), ("points.csv", &points()), ("README.md", README)] {
        std::fs::write(dir.join(name), text).map_err(failed)?;
    }
    Ok(())
}
