//! The standard library: every declaration is used, and its gradient is that of finite differences.

use super::machine::{Machine, noise};
use nnc_compiler::program::STDLIB;
use nnc_ir::Array;

/// A model of one library piece: what it imports, type and value of the input, type of the output, and the piece.
struct Piece {
    uses: &'static str,
    input: &'static str,
    shape: &'static [usize],
    output: &'static str,
    value: &'static str,
    loss: &'static str,
}

const fn piece(
    uses: &'static str,
    input: &'static str,
    shape: &'static [usize],
    output: &'static str,
    value: &'static str,
) -> Piece {
    Piece { uses, input, shape, output, value, loss: "mean(y ^ 2 + 0.3 * y)" }
}

const fn loss(
    uses: &'static str,
    input: &'static str,
    shape: &'static [usize],
    output: &'static str,
    value: &'static str,
    loss: &'static str,
) -> Piece {
    Piece { uses, input, shape, output, value, loss }
}

const ROWS: (&str, &[usize], &str) = ("[B, 4]", &[2, 4], "[B, 4]");

macro_rules! on_rows {
    ($uses:literal, $value:literal) => {
        piece($uses, ROWS.0, ROWS.1, ROWS.2, $value)
    };
}

const PIECES: &[Piece] = &[
    piece("Linear", "[B, 4]", &[2, 4], "[B, 3]", "x |> Linear(3)"),
    piece("Linear, glorot", "[B, 4]", &[2, 4], "[B, 3]", "x |> Linear(3, bias: false, init: glorot(4, 3))"),
    piece("Embedding", "index(5)[B, T]", &[2, 3], "[B, T, 4]", "x |> Embedding(5, 4)"),
    piece("Positions", "[B, T, 4]", &[2, 3, 4], "[B, T, 4]", "x |> Positions(8)"),
    piece("Linear, rotary", "[B, T, 4]", &[2, 3, 4], "[B, T, 4]", "rotary(x |> Linear(4), 100, 2)"),
    on_rows!("Linear, relu", "x |> Linear(4) |> relu"),
    on_rows!("Linear, leaky_relu", "x |> Linear(4) |> leaky_relu"),
    on_rows!("Linear, sigmoid", "x |> Linear(4) |> sigmoid"),
    on_rows!("Linear, softplus", "x |> Linear(4) |> softplus"),
    on_rows!("Linear, silu", "x |> Linear(4) |> silu"),
    on_rows!("Linear, gelu", "x |> Linear(4) |> gelu"),
    on_rows!("Linear, gelu_tanh", "x |> Linear(4) |> gelu_tanh"),
    on_rows!("Linear, elu", "x |> Linear(4) |> elu"),
    on_rows!("Linear, clamp", "clamp(x |> Linear(4), -0.4, 0.3)"),
    piece("Linear, softmax", "[B, 4]", &[2, 4], "[B, d: 4]", "rename[d](x |> Linear(4)) |> softmax[d]"),
    piece(
        "Linear, log_softmax",
        "[B, 4]",
        &[2, 4],
        "[B, d: 4]",
        "rename[d](x |> Linear(4)) |> log_softmax[d]",
    ),
    piece("Linear, logsumexp", "[B, 4]", &[2, 4], "[B]", "rename[d](x |> Linear(4)) |> logsumexp[d]"),
    piece("Linear, rms", "[B, 4]", &[2, 4], "[B, d: 4]", "rename[d](x |> Linear(4)) |> rms[d]"),
    on_rows!("Linear, RmsNorm", "x |> Linear(4) |> RmsNorm()"),
    on_rows!("Linear, LayerNorm", "x |> Linear(4) |> LayerNorm()"),
    piece("GroupNorm", "[B, 4, 3, 2]", &[2, 4, 3, 2], "[B, 4, 3, 2]", "x |> GroupNorm(2)"),
    piece("Conv, BatchNorm", "[B, 2, 3, 3]", &[2, 2, 3, 3], "[B, 3, 3, 3]", "x |> Conv(3) |> BatchNorm()"),
    piece(
        "Conv",
        "[B, 2, 5, 4]",
        &[2, 2, 5, 4],
        "[B, 4, 3, 2]",
        "x |> Conv(4, stride: 2, groups: 2, bias: true)",
    ),
    piece("Conv", "[B, 3, 4, 4]", &[1, 3, 4, 4], "[B, 3, 4, 4]", "x |> Conv(3, groups: 3)"),
    piece("Conv1", "[B, 4, 5]", &[2, 4, 5], "[B, 6, 3]", "x |> Conv1(6, stride: 2, groups: 2, bias: true)"),
    piece("Conv, MaxPool", "[B, 1, 4, 4]", &[1, 1, 4, 4], "[B, 2, 2, 2]", "x |> Conv(2) |> MaxPool()"),
    piece(
        "Conv, MeanPool",
        "[B, 1, 5, 5]",
        &[1, 1, 5, 5],
        "[B, 2, 2, 2]",
        "x |> Conv(2) |> MeanPool(3, stride: 2)",
    ),
    piece("Attention, causal", "[B, T, 4]", &[2, 3, 4], "[B, T, 4]", "x |> Attention(2, mask: causal)"),
    piece(
        "Attention",
        "[B, T, 8]",
        &[1, 3, 8],
        "[B, T, 8]",
        "x |> Attention(4, groups: 2, theta: 100, bias: true)",
    ),
    piece("Attention, full", "[B, T, 4]", &[1, 3, 4], "[B, T, 4]", "x |> Attention(2, mask: full)"),
    piece("Attention, window", "[B, T, 4]", &[1, 5, 4], "[B, T, 4]", "x |> Attention(2, mask: window(2))"),
    piece("Attention, Cached", "[B, T, 4]", &[1, 3, 4], "[B, T, 4]", "x |> Attention(2, core: Cached(8))"),
    piece(
        "Attention, attend, causal",
        "[B, T, 4]",
        &[1, 3, 4],
        "[B, T, 4]",
        "x |> Attention(2, core: (q, k, v) => attend(q, k, v, mask: causal).out)",
    ),
    on_rows!("FeedForward", "x |> FeedForward(5)"),
    on_rows!("SwiGlu", "x |> SwiGlu(5)"),
    on_rows!("Linear, Dropout", "x |> Linear(4) |> Dropout(0.3)"),
    piece("Rnn", "[B, T, 3]", &[2, 3, 3], "[B, T, 4]", "x |> Rnn(4)"),
    piece("Lstm", "[B, T, 3]", &[2, 3, 3], "[B, T, 4]", "x |> Lstm(4)"),
    piece("Gru", "[B, T, 3]", &[2, 3, 3], "[B, T, 4]", "x |> Gru(4)"),
    on_rows!("FeedForward, Plain", "x |> stack(2, FeedForward(5), join: Plain())"),
    on_rows!(
        "FeedForward, Scaled",
        "x |> stack(2, FeedForward(5), join: Scaled(n => 1.0 / n, act: z => tanh(z)))"
    ),
    loss("Linear, mse", "[B, 4]", &[2, 4], "[B, 3]", "x |> Linear(3)", "mse(y, 0.5 * y ^ 2)"),
    loss("Linear, mae", "[B, 4]", &[2, 4], "[B, 3]", "x |> Linear(3)", "mae(y, 0.1)"),
    loss("Linear, kl", "[B, 4]", &[2, 4], "[B, k: 3]", "x |> Linear(3)", "kl(rename[k](2 * y), y)"),
    loss(
        "Linear, binary_cross_entropy",
        "[B, 4]",
        &[2, 4],
        "[B, 3]",
        "x |> Linear(3)",
        "binary_cross_entropy(y, 0.25)",
    ),
    loss(
        "Linear, cross_entropy",
        "[B, 4]",
        &[2, 4],
        "[B, k: 3]",
        "x |> Linear(3)",
        "cross_entropy(y, data.label)",
    ),
];

fn program(piece: &Piece) -> String {
    let Piece { uses, input, output, value, loss, .. } = piece;
    format!(
        "use std::{{Sgd, {uses}}}

model Piece() {{
    input  x: {input}
    output y: {output}
    y = {value}
}}

train Piece() {{
    data      = idx(\"digits\", batch: 2)
    loss      = {loss}
    optimizer = Sgd(lr: 1)
    steps     = 3
}}
"
    )
}

fn inputs(piece: &Piece) -> Vec<(&'static str, Array)> {
    let x = noise(11, piece.shape);
    let x = if piece.input.starts_with("index") { x.map(|v| ((v + 1.0) * 2.49).floor()) } else { x };
    let label = Array::new(vec![2], vec![2.0, 0.0]);
    let number = |value: f64| Array::scalar(value);
    let mut inputs = vec![("x", x), ("step", number(0.0)), ("seed", number(3.0))];
    if piece.loss.contains("label") {
        inputs.push(("label", label));
    }
    inputs
}

fn check(piece: &Piece) {
    let mut machine = Machine::new(&program(piece));
    let inputs = inputs(piece);
    let before = machine.kept();
    let mut stepped = Machine::new(&program(piece));
    before.iter().for_each(|(path, array)| stepped.set(path, array.clone()));
    stepped.call("step", &inputs);
    let mut checked = 0;
    for (path, array) in before.iter().filter(|(path, _)| !path.contains(".sgd") && !path.ends_with("_run")) {
        let stride = array.data.len().div_ceil(5);
        for place in (0..array.data.len()).step_by(stride) {
            let mut at = |distance: f64| {
                let mut moved = array.clone();
                moved.data[place] += distance;
                machine.set(path, moved);
                machine.try_call("step", &inputs)["loss"].data[0]
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            let found = array.data[place] - stepped.slot(path).data[place];
            assert!(
                (slope - found).abs() <= 2e-6 * (1.0 + slope.abs()),
                "{}: `{path}` {place}: {found}, not {slope}",
                piece.value
            );
            checked += usize::from(slope.abs() > 1e-7);
        }
        machine.set(path, array.clone());
    }
    assert!(checked > 0, "{}: something has a gradient", piece.value);
}

#[test]
fn gradients_are_those_of_finite_differences() {
    PIECES.iter().for_each(check);
}

/// The modules that are tested here; those of papers are tested by what the papers' authors computed.
const CORE: [&str; 12] = [
    "activation",
    "attention",
    "convolution",
    "feed_forward",
    "initializer",
    "linear",
    "loss",
    "norm",
    "optimizer",
    "recurrent",
    "schedule",
    "topology",
];

/// Whether a text has a word.
fn mentions(text: &str, word: &str) -> bool {
    let parts = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    parts.into_iter().any(|part| part == word)
}

#[test]
fn every_declaration_of_the_library_is_tested() {
    let here =
        [include_str!("library.rs"), include_str!("optimizers.rs"), include_str!("policies.rs")].concat();
    let mut missing = Vec::new();
    for (module, text) in STDLIB.iter().filter(|(module, _)| CORE.contains(module)) {
        let starts = ["fn ", "block ", "topology ", "policy ", "model ", "sheet "];
        for line in text.lines() {
            let Some(rest) = starts.iter().find_map(|start| line.strip_prefix(start)) else { continue };
            let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            if !name.starts_with('_') && !mentions(&here, name) {
                missing.push(format!("{module}::{name}"));
            }
        }
    }
    assert!(missing.is_empty(), "not tested: {missing:?}");
}

#[test]
fn accuracy_is_the_share_of_right_answers() {
    let text = "use std::{Sgd, accuracy}

model Piece() {
    input  x: [B, 3]
    output y: [B, k: 3]
    weight w: [3] = 1
    y[b, i] = w[i] * x[b, i]
}

train Piece() {
    data      = idx(\"digits\", batch: 2)
    loss      = mean(y)
    metrics   = { accuracy: accuracy(y, data.label) }
    optimizer = Sgd(lr: 1)
    steps     = 3
}
";
    let x = Array::new(vec![4, 3], vec![1.0, 2.0, 0.0, 5.0, 2.0, 0.0, 0.0, 0.1, 0.2, 3.0, 3.0, 0.0]);
    let label = Array::new(vec![4], vec![1.0, 1.0, 2.0, 0.0]);
    let found = Machine::new(text).call("evaluate", &[("x", x), ("label", label)]);
    assert_eq!(found["accuracy"].data, [0.75]);
}

#[test]
fn initial_values_have_their_spread() {
    let variance = |init: &str| {
        let text = format!(
            "use std::{{uniform, normal, he, glorot}}

model Piece() {{
    input  x: [B]
    output y: [B]
    weight w: [40, 50] = {init}
    y[b] = x[b] * sum(w)
}}
"
        );
        let machine = Machine::new(&text);
        let w = &machine.slot("w").data;
        let mean = w.iter().sum::<f64>() / w.len() as f64;
        assert!(mean.abs() < 0.1, "{init}: {mean}");
        w.iter().map(|x| x * x).sum::<f64>() / w.len() as f64
    };
    for (init, wanted) in
        [("uniform(0.6)", 0.12), ("normal(0.5)", 0.25), ("he(50)", 0.04), ("glorot(50, 40)", 2.0 / 90.0)]
    {
        let found = variance(init);
        assert!((found / wanted - 1.0).abs() < 0.1, "{init}: {found}, not {wanted}");
    }
}
