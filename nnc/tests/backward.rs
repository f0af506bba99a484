//! The entries `forward_saving` and `backward` of an artifact, against differences of `forward`.

use nnc_runtime::{HostTensor, Model};
use std::path::PathBuf;
use std::process::Command;

/// Smooth, with a rolled stack, normalization, attention and an integer input that has no gradient.
const PROGRAM: &str = "\
use std::{Embedding, LayerNorm, Attention, FeedForward, Linear, Plain, silu}

block Layer() on x: [.., T, d] {
    branch attention = LayerNorm() |> Attention(2)
    branch mlp       = LayerNorm() |> FeedForward(2 * d)
}

model Mixed(d: int = 8) {
    input  token: int[B, T]
    input  x:     [B, T, d]
    output y:     [B, T, 3]
    output z:     [B, T, d]
    let h = (token |> Embedding(5, d)) + x
    z = h |> stack(3, Layer(), join: Plain())
    y = z |> LayerNorm() |> Linear(3) |> silu
}
";

fn folder() -> PathBuf {
    let path = std::env::temp_dir().join(format!("nnc-backward-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("the folder can be made");
    path
}

/// Numbers from -1 to 1 that differ by `salt`.
fn numbers(shape: &[usize], salt: f32) -> HostTensor {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|i| ((i as f32 + 1.3) * (1.7 + salt)).sin()).collect();
    HostTensor::from_values(shape.to_vec(), &values).expect("they fit")
}

fn moved(from: &HostTensor, along: &HostTensor, step: f64) -> HostTensor {
    let pairs = from.to_f64().into_iter().zip(along.to_f64());
    let values: Vec<f32> = pairs.map(|(value, direction)| (value + step * direction) as f32).collect();
    HostTensor::from_values(from.shape().to_vec(), &values).expect("they fit")
}

fn dot(a: &HostTensor, b: &HostTensor) -> f64 {
    a.to_f64().into_iter().zip(b.to_f64()).map(|(a, b)| a * b).sum()
}

fn find<'t>(tensors: &'t [(String, HostTensor)], name: &str) -> &'t HostTensor {
    &tensors.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("there is `{name}`")).1
}

/// Copies of a stack put together, as the slots hold them: `layer[2].w` is part of `layer.w`.
fn stacked(copies: Vec<(String, HostTensor)>) -> Vec<(String, HostTensor)> {
    let mut slots: Vec<(String, HostTensor)> = Vec::new();
    for (key, copy) in copies {
        let Some((before, (_, after))) =
            key.split_once('[').and_then(|(before, rest)| Some((before, rest.split_once(']')?)))
        else {
            slots.push((key, copy));
            continue;
        };
        let path = format!("{before}{after}");
        let known = slots.iter().position(|(known, _)| *known == path);
        let mut values: Vec<f32> = Vec::new();
        let mut shape = [&[0], copy.shape()].concat();
        if let Some((_, slot)) = known.map(|place| slots.remove(place)) {
            shape[0] = slot.shape()[0];
            values.extend(slot.to_f64().into_iter().map(|value| value as f32));
        }
        shape[0] += 1;
        values.extend(copy.to_f64().into_iter().map(|value| value as f32));
        slots.push((path, HostTensor::from_values(shape, &values).expect("they fit")));
    }
    slots
}

#[test]
fn backward_after_saving_agrees_with_differences() {
    let folder = folder();
    let (program, artifact) = (folder.join("mixed.nn"), folder.join("mixed.nnb"));
    std::fs::write(&program, PROGRAM).expect("it can be written");
    let built = Command::new(env!("CARGO_BIN_EXE_nnc"))
        .arg("build")
        .arg(&program)
        .args(["--entries", "forward,forward_saving,backward", "--seed", "3", "-o"])
        .arg(&artifact)
        .output()
        .expect("the command runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let mut model = Model::open(&artifact).expect("it opens");
    // Two batches of different sizes are under way at once: what is saved is the caller's.
    for (batch, length) in [(1, 4), (2, 3)] {
        check(&mut model, batch, length);
    }
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

fn check(model: &mut Model, batch: usize, length: usize) {
    let tokens: Vec<i32> = (0..batch * length).map(|i| (i * 3 % 5) as i32).collect();
    let token = HostTensor::from_values(vec![batch, length], &tokens).expect("they fit");
    let x = numbers(&[batch, length, 8], 0.0);
    let cotangents = [("y", numbers(&[batch, length, 3], 0.4)), ("z", numbers(&[batch, length, 8], 0.9))];
    let loss = |model: &mut Model, x: &HostTensor| -> f64 {
        let outputs = model.run("forward", &[("token", &token), ("x", x)]).expect("it runs");
        cotangents.iter().map(|(name, cotangent)| dot(find(&outputs, name), cotangent)).sum()
    };
    let saved = model.run("forward_saving", &[("token", &token), ("x", &x)]).expect("it runs");
    let plain = model.run("forward", &[("token", &token), ("x", &x)]).expect("it runs");
    plain.iter().for_each(|(name, tensor)| assert_eq!(find(&saved, name), tensor, "`{name}` is the same"));
    let gradients = backward(model, &saved, &[("token", &token), ("x", &x)], &cotangents);
    assert!(gradients.iter().all(|(name, _)| name != "gradient.token"));

    let mut checked = 0;
    let mut agree = |name: &str, gradient: &HostTensor, direction: &HostTensor, difference: f64| {
        let exact = dot(gradient, direction);
        assert!(
            (exact - difference).abs() < 0.02 * (1.0 + exact.abs()),
            "`{name}`: {exact}, by differences {difference}"
        );
        checked += usize::from(exact.abs() > 0.01);
    };
    const STEP: f64 = 1e-2;
    let direction = numbers(x.shape(), 0.2);
    let [up, down] = [STEP, -STEP].map(|step| loss(model, &moved(&x, &direction, step)));
    agree("x", find(&gradients, "gradient.x"), &direction, (up - down) / (2.0 * STEP));
    for (path, weight) in stacked(model.weights().expect("they are read")) {
        let direction = numbers(weight.shape(), 0.6);
        let [up, down] = [STEP, -STEP].map(|step| {
            model.set_weight(&path, &moved(&weight, &direction, step)).expect("it is a weight");
            loss(model, &x)
        });
        model.set_weight(&path, &weight).expect("it is a weight");
        agree(&path, find(&gradients, &format!("gradient.{path}")), &direction, (up - down) / (2.0 * STEP));
    }
    assert!(checked > 8, "{checked} gradients are not about zero");
}

/// Gives `backward` what its interface lists.
fn backward(
    model: &mut Model,
    saved: &[(String, HostTensor)],
    inputs: &[(&str, &HostTensor)],
    cotangents: &[(&str, HostTensor)],
) -> Vec<(String, HostTensor)> {
    let entry = model.interface().entry("backward").expect("it is there").clone();
    let given = entry.inputs.iter().map(|input| {
        let name = input.name.as_str();
        let own = inputs.iter().find(|(known, _)| *known == name).map(|(_, tensor)| *tensor);
        let seed = cotangents.iter().find(|(known, _)| name == format!("gradient.{known}")).map(|(_, t)| t);
        (name, own.or(seed).unwrap_or_else(|| find(saved, name)))
    });
    let given: Vec<(&str, &HostTensor)> = given.collect();
    model.run("backward", &given).expect("it runs")
}
