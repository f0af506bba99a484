//! The training step: micro-batches, clipping, penalties, updates that are not made.

use super::machine::{Machine, assert_close, noise, refused};
use nnc_ir::Array;

fn program(fit: &str) -> String {
    format!(
        "use std::{{Linear, gelu, AdamW, RmsNorm, Dropout, mse}}

block Layer() on x: [.., d] {{
    branch mlp = RmsNorm() |> Linear(d) |> gelu
}}

model Line() {{
    input  features: [B, 3]
    output value:    [B]
    let y = features |> Linear(4) |> stack(2, Layer()) |> Linear(1)
    value[b] = y[b, 0]
}}

train Line() {{
    data      = csv(\"points.csv\", batch: 4, target: \"y\")
    loss      = mse(value, data.target)
    optimizer = AdamW(lr: 1e-2)
    steps     = 10
    clip      = 0.5
    {fit}
}}
"
    )
}

fn rows(array: &Array, from: usize, to: usize) -> Array {
    let width: usize = array.shape[1..].iter().product();
    let shape = [&[to - from], &array.shape[1..]].concat();
    Array::new(shape, array.data[from * width..to * width].to_vec())
}

fn number(value: usize) -> Array {
    Array::scalar(value as f64)
}

#[test]
fn micro_batches_are_one_larger_batch() {
    let (features, target) = (noise(1, &[12, 3]), noise(2, &[12]));
    let mut whole = Machine::new(&program(""));
    let mut parts = Machine::new(&program("accumulate = 3"));
    for step in 0..3 {
        let inputs = |from, to, draw| {
            let (features, target) = (rows(&features, from, to), rows(&target, from, to));
            [("features", features), ("target", target), ("step", number(step)), ("draw", number(draw))]
        };
        let wanted = whole.call("step", &inputs(0, 12, 0));
        let mut loss = 0.0;
        for micro in 0..3 {
            let entry = if micro < 2 { "accumulate" } else { "step" };
            let found = parts.call(entry, &inputs(4 * micro, 4 * micro + 4, 3 * step + micro));
            loss += found["loss"].data[0] / 3.0;
            assert_eq!(found.contains_key("grad_norm"), micro == 2);
        }
        assert!((loss - wanted["loss"].data[0]).abs() < 1e-6);
    }
    for ((path, a), (_, b)) in whole.kept().iter().zip(parts.kept()) {
        assert_close(a, &b, 1e-5, path);
    }
    let sum = parts.slot("linear.w.gradient");
    assert!(sum.data.iter().all(|x| *x == 0.0), "sums are empty after a step");
}

#[test]
fn every_micro_batch_draws_its_own_numbers() {
    let text = program("accumulate = 2").replace("Linear(4)", "Linear(4) |> Dropout(0.5)");
    let mut machine = Machine::new(&text);
    let mut loss = |draw| {
        let inputs = [
            ("features", noise(3, &[4, 3])),
            ("target", noise(4, &[4])),
            ("step", number(0)),
            ("draw", number(draw)),
            ("seed", number(5)),
        ];
        machine.call("accumulate", &inputs)["loss"].data[0]
    };
    let losses = [loss(0), loss(1), loss(0)];
    assert_eq!(losses[0], losses[2]);
    assert_ne!(losses[0], losses[1]);
}

#[test]
fn an_update_with_a_broken_loss_is_not_made() {
    let mut machine = Machine::new(&program(""));
    let before = machine.kept();
    let target = Array::new(vec![4], vec![0.0, f64::INFINITY, 0.0, 0.0]);
    let inputs = [("features", noise(3, &[4, 3])), ("target", target), ("step", number(0))];
    assert!(!machine.call("step", &inputs)["loss"].data[0].is_finite());
    assert_eq!(before, machine.kept());
}

#[test]
fn a_broken_loss_holds_what_the_model_wrote() {
    let counted = "block Counted() on x: [.., d] given training: bool {
    state seen: f32[d] = 0
    if training {
        seen := seen + 1
    }
    x
}

block Layer()";
    let text = program("").replace("block Layer()", counted).replace("RmsNorm()", "Counted() |> RmsNorm()");
    let mut machine = Machine::new(&text);
    let path = "layer.mlp.counted.seen";
    let mut seen = |broken: bool| {
        let target = if broken { vec![f64::NAN; 4] } else { vec![0.0; 4] };
        let target = Array::new(vec![4], target);
        machine.call("step", &[("features", noise(3, &[4, 3])), ("target", target), ("step", number(0))]);
        machine.slot(path).data[0]
    };
    assert_eq!([seen(false), seen(true), seen(false)], [1.0, 1.0, 2.0]);
}

#[test]
fn one_broken_micro_batch_breaks_the_step() {
    let mut machine = Machine::new(&program("accumulate = 2"));
    let before = machine.kept();
    for (entry, first) in [("accumulate", f64::INFINITY), ("step", 0.0)] {
        let target = Array::new(vec![4], vec![first, 0.0, 0.0, 0.0]);
        machine.call(entry, &[("features", noise(3, &[4, 3])), ("target", target), ("step", number(0))]);
    }
    assert_eq!(before, machine.kept());
    assert_eq!(machine.slot("loss.sum").data, [0.0], "the next step begins anew");
}

#[test]
fn numbers_of_micro_batches_have_limits() {
    for count in ["0", "2000000"] {
        let found = refused(&program(&format!("accumulate = {count}")));
        assert!(found.iter().any(|text| text.starts_with("train::accumulate")), "{found:?}");
    }
}
