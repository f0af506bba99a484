//! Policies: what the model sees of a weight, and how the weight changes.

use super::machine::{Machine, assert_close, noise, refused};
use nnc_ir::Array;

fn program(policy: &str, sheet: &str, optimizer: &str) -> String {
    format!(
        "use std::{{Linear, Plain, Sgd, AdamW, Ema, mse, uniform}}

{policy}

block Layer() on x: [.., d] {{
    branch mlp = Linear(d, bias: false)
}}

model Line() {{
    input  features: [B, 3]
    output value:    [B]
    let y = features |> Linear(4, bias: false) |> stack(2, Layer()) |> Linear(1, bias: false)
    value[b] = y[b, 0]
}}

train Line() with {{ {sheet} }} {{
    data      = csv(\"points.csv\", batch: 4, target: \"y\")
    loss      = mse(value, data.target)
    optimizer = {optimizer}
    steps     = 10
}}
"
    )
}

const WEIGHTS: [&str; 3] = ["linear.w", "layer.mlp.linear.w", "linear_2.w"];

fn step(machine: &mut Machine, t: usize) -> f64 {
    let inputs = [
        ("features", noise(3 + t as u64, &[4, 3])),
        ("target", noise(4, &[4])),
        ("step", Array::scalar(t as f64)),
        ("draw", Array::scalar(t as f64)),
        ("seed", Array::scalar(1.0)),
    ];
    machine.call("step", &inputs)["loss"].data[0]
}

fn forward(machine: &mut Machine) -> Array {
    machine.call("forward", &[("features", noise(3, &[4, 3]))]).remove("value").expect("the output")
}

#[test]
fn an_average_is_what_runs_and_is_evaluated() {
    let mut plain = Machine::new(&program("", "linear.w : frozen", "Sgd(lr: 0.1)"));
    let mut machine = Machine::new(&program("", "** : by Ema(0.9)", "Sgd(lr: 0.1)"));
    for path in WEIGHTS {
        let average = machine.slot(&format!("{path}.ema.average"));
        assert_eq!(average, machine.slot(path), "an average starts at its weight");
    }
    let mut wanted: Vec<Array> = WEIGHTS.iter().map(|path| machine.slot(path).clone()).collect();
    for t in 0..4 {
        step(&mut machine, t);
        for (average, path) in wanted.iter_mut().zip(WEIGHTS) {
            *average = average.zip(machine.slot(path), |a, w| 0.9 * a + 0.1 * w);
        }
    }
    for (average, path) in wanted.iter().zip(WEIGHTS) {
        assert_close(machine.slot(&format!("{path}.ema.average")), average, 1e-6, path);
        plain.set(path, average.clone());
    }
    assert_close(&forward(&mut machine), &forward(&mut plain), 1e-6, "the model runs on averages");
    let inputs = [("features", noise(3, &[4, 3])), ("target", noise(4, &[4]))];
    let losses = [machine.call("evaluate", &inputs), plain.call("evaluate", &inputs)];
    assert!((losses[0]["loss"].data[0] - losses[1]["loss"].data[0]).abs() < 1e-6);
}

const ALTERNATING: &str = "policy Alternating() on w {
    state count: f32[]        = 0
    state mask:  f32[like w]  = 1
    before(t) {
        count := count + 1
        if t % 2 == 1 { mask := f32(w > 0) }
    }
    view = w * mask
}";

#[test]
fn before_runs_first_and_once_per_step() {
    for accumulate in ["", "    accumulate = 2\n"] {
        let text = program(ALTERNATING, "** : by Alternating()", "Sgd(lr: 0.1)");
        let text = text.replace("    steps ", &format!("{accumulate}    steps "));
        let mut machine = Machine::new(&text);
        for t in 0..2 {
            let before: Vec<Array> = WEIGHTS.iter().map(|path| machine.slot(path).clone()).collect();
            if !accumulate.is_empty() {
                let inputs = [
                    ("features", noise(3, &[4, 3])),
                    ("target", noise(4, &[4])),
                    ("step", Array::scalar(t as f64)),
                    ("draw", Array::scalar(2.0 * t as f64)),
                ];
                machine.call("accumulate", &inputs);
            }
            let inputs = [
                ("features", noise(3, &[4, 3])),
                ("target", noise(4, &[4])),
                ("step", Array::scalar(t as f64)),
                ("draw", Array::scalar(if accumulate.is_empty() { t as f64 } else { 2.0 * t as f64 + 1.0 })),
            ];
            machine.call("step", &inputs);
            for (path, w) in WEIGHTS.iter().zip(&before) {
                let count = machine.slot(&format!("{path}.alternating.count"));
                assert!(count.data.iter().all(|n| *n == t as f64 + 1.0), "{path}: {count:?}");
                let mask = machine.slot(&format!("{path}.alternating.mask"));
                let wanted = w.map(|x| if t == 1 { f64::from(x > 0.0) } else { 1.0 });
                assert_eq!(mask, &wanted, "{path} at step {t}");
            }
        }
    }
}

#[test]
fn init_gives_first_values_to_states_and_weights() {
    let policy = "policy Rounded() on w {
    state start: f32[like w] = 0
    init {
        w     := 2 * w
        start := w + 1
    }
}";
    let plain = Machine::new(&program("", "linear.w : frozen", "Sgd(lr: 0.1)"));
    let machine = Machine::new(&program(policy, "** : by Rounded()", "Sgd(lr: 0.1)"));
    for path in WEIGHTS {
        let doubled = plain.slot(path).map(|x| 2.0 * x);
        assert_close(machine.slot(path), &doubled, 1e-6, path);
        assert_close(machine.slot(&format!("{path}.rounded.start")), &doubled.map(|x| x + 1.0), 1e-6, path);
    }
}

#[test]
fn a_broken_loss_holds_states_of_every_shape() {
    let policy = "policy Counting() on w {
    state count: f32[] = 0
    free(t) = w > 0
    step(g, t) {
        count := count + 1
        w - 0.1 * g
    }
}";
    let mut machine = Machine::new(&program(policy, "** : by Counting()", "Sgd(lr: 0.1)"));
    step(&mut machine, 0);
    let before = machine.kept();
    let target = Array::new(vec![4], vec![f64::NAN; 4]);
    machine.call("step", &[("features", noise(3, &[4, 3])), ("target", target)]);
    assert_eq!(before, machine.kept());
    assert_eq!(machine.slot("linear.w.counting.count").data, [1.0]);
}

#[test]
fn elements_that_are_not_free_stay_bit_for_bit() {
    let policy = "policy Some(limit: real = 0.2) on w {
    state open: bool[like w] = abs(w) < limit
    free(t) = open and t != 2
}";
    let text = program(policy, "** : by Some()", "AdamW(lr: 0.1, decay: 0.1)");
    let mut machine = Machine::new(&text.replace("steps ", "clip = 0.1\n    steps "));
    let before: Vec<Array> = WEIGHTS.iter().map(|path| machine.slot(path).clone()).collect();
    let mut third = Vec::new();
    for t in 0..3 {
        if t == 2 {
            third = machine.kept();
        }
        step(&mut machine, t);
    }
    assert_eq!(third, machine.kept(), "nothing is free at step 2");
    let mut counts = [0, 0];
    for (path, start) in WEIGHTS.iter().zip(&before) {
        let (now, m) = (machine.slot(path), machine.slot(&format!("{path}.adam_w.m")));
        for place in 0..start.data.len() {
            let open = start.data[place].abs() < 0.2;
            counts[usize::from(open)] += 1;
            assert_eq!(now.data[place] != start.data[place], open, "{path} {place}");
            assert_eq!(m.data[place] != 0.0, open, "{path} {place}");
        }
    }
    assert!(counts[0] > 3 && counts[1] > 3, "{counts:?}");
}

#[test]
fn policies_on_one_weight_see_each_other() {
    let policies = "policy Half() on w {
    state mask: bool[like w] = w > 0
    view = where(mask, w, 0)
}

policy Masked(lr: real) on w given mask: bool[like w] {
    step(g, t) { where(mask, w - lr * g, w - 0.5) }
}";
    let mut machine = Machine::new(&program(policies, "** : by Half() then Masked(lr: 0.1)", "Sgd(lr: 0.1)"));
    let before = machine.slot("layer.mlp.linear.w").clone();
    step(&mut machine, 0);
    let now = machine.slot("layer.mlp.linear.w");
    for (old, new) in before.data.iter().zip(&now.data) {
        assert_eq!(*old <= 0.0, (new - old + 0.5).abs() < 1e-6);
    }
    let found = refused(&program(policies, "** : by Masked(lr: 0.1)", "Sgd(lr: 0.1)"));
    assert!(found[0].starts_with("given::missing"), "{found:?}");
}

#[test]
fn a_penalty_of_a_policy_counts_each_weight_once() {
    let policy = "policy Small(price: real) on w {
    penalty size = price * sum(w ^ 2)
}";
    let text = program(policy, "** : by Small(0.5)", "Sgd(lr: 0.1)");
    let mut machine = Machine::new(&text);
    let squares = |machine: &Machine| -> f64 {
        WEIGHTS.iter().flat_map(|path| machine.slot(path).data.iter()).map(|x| x * x).sum()
    };
    let (wanted, before) = (0.5 * squares(&machine), machine.slot("layer.mlp.linear.w").clone());
    let mut plain = Machine::new(&program("", "linear.w : frozen", "Sgd(lr: 0.1)"));
    let inputs = [("features", noise(3, &[4, 3])), ("target", noise(4, &[4])), ("step", Array::scalar(0.0))];
    let found = machine.call("step", &inputs);
    assert!((found["size"].data[0] - wanted).abs() < 1e-5, "{found:?} {wanted}");
    plain.call("step", &inputs);
    // One step of descent: the penalty adds `w` to the gradient.
    let wanted = plain.slot("layer.mlp.linear.w").zip(&before, |w, old| w - 0.1 * old);
    assert_close(machine.slot("layer.mlp.linear.w"), &wanted, 1e-5, "the penalty has a gradient");
}

#[test]
fn adapters_train_beside_a_weight_that_stays() {
    let policy = "policy Lora(rank: int = 2, alpha: real = 4) on w: [m, n] {
    weight a: [rank, n] = uniform(1 / sqrt(n))
    weight b: [m, rank] = 0
    let full[i, j] = w[i, j] + alpha / rank * sum[r](b[i, r] * a[r, j])
    view = full
    free = false
}";
    let mut machine = Machine::new(&program(policy, "**.mlp.**.w : by Lora()", "Sgd(lr: 0.1)"));
    let before = machine.slot("layer.mlp.linear.w").clone();
    let first = step(&mut machine, 0);
    (1..4).for_each(|_| {
        step(&mut machine, 0);
    });
    assert_eq!(&before, machine.slot("layer.mlp.linear.w"));
    assert!(machine.slot("layer.mlp.linear.w.lora.b").data.iter().all(|x| *x != 0.0));
    assert!(step(&mut machine, 0) < first);
}

#[test]
fn what_is_exported_is_not_random() {
    let policy = "policy Noisy() on w {
    export = w + random(like: w)
}";
    let found = refused(&program(policy, "** : by Noisy()", "Sgd(lr: 0.1)"));
    assert!(found.iter().any(|text| text == "rate::export: `export` is random"), "{found:?}");
}
