//! Lists of blocks from which data pick.

use super::machine::{Machine, noise, refused};

fn program(pick: &str, count: usize) -> String {
    format!(
        "use std::{{Linear, SwiGlu, Sgd, sigmoid}}

block Routed(expert, count: int = 3, active: int = 2) on x: [.., d] -> [.., d] {{
    let experts = [expert for e in 0..{count}]
    weight router: [count, d] = 0.3
    let s[.., e] = sigmoid(sum[c](router[e, c] * x[.., c]) * (1 + e))
    {pick}
    let g[.., k] = s[.., pick[.., k]]
    let share = g / sum[k](g)
    let y[.., c] = sum[k](share[.., k] * experts[pick[.., k]](x)[.., c])
    y
}}

model Piece() {{
    input  x: [B, T, 4]
    output y: [B, T, 4]
    y = x |> Routed(SwiGlu(5))
}}

train Piece() {{
    data      = csv(\"points.csv\", batch: 2, target: \"y\")
    loss      = mean(y ^ 2)
    optimizer = Sgd(lr: 1)
    steps     = 3
}}
"
    )
}

const TOP: &str = "let pick: index(count)[.., k: active] = top[count](s, active)";

#[test]
fn members_are_applied_where_they_are_picked() {
    let mut machine = Machine::new(&program(TOP, 3));
    let x = noise(4, &[2, 3, 4]);
    let found = machine.call("forward", &[("x", x.clone())])["y"].clone();
    let router = machine.slot("routed.router").clone();
    let w = |machine: &Machine, e: usize, name: &str| {
        machine.slot(&format!("routed.experts[{e}].{name}.w")).clone()
    };
    for row in 0..6 {
        let x = &x.data[row * 4..row * 4 + 4];
        let dot = |w: &nnc_ir::Array, o: usize, x: &[f64]| -> f64 {
            x.iter().enumerate().map(|(c, x)| w.at(&[o, c]) * x).sum()
        };
        let score = |e: usize| 1.0 / (1.0 + (-dot(&router, e, x) * (1 + e) as f64).exp());
        let mut order: Vec<usize> = (0..3).collect();
        order.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
        let total = score(order[0]) + score(order[1]);
        let mut wanted = [0.0; 4];
        for e in &order[..2] {
            let (gate, up, down) = (w(&machine, *e, "gate"), w(&machine, *e, "up"), w(&machine, *e, "down"));
            let hidden: Vec<f64> = (0..5)
                .map(|o| {
                    let g = dot(&gate, o, x);
                    g / (1.0 + (-g).exp()) * dot(&up, o, x)
                })
                .collect();
            (0..4).for_each(|c| wanted[c] += score(*e) / total * dot(&down, c, &hidden));
        }
        for c in 0..4 {
            assert!((found.data[row * 4 + c] - wanted[c]).abs() < 1e-6, "row {row}: {found:?} {wanted:?}");
        }
    }
}

#[test]
fn gradients_reach_router_and_members() {
    let mut machine = Machine::new(&program(TOP, 3));
    let inputs = [("x", noise(4, &[2, 3, 4]))];
    let before = machine.kept();
    let mut stepped = Machine::new(&program(TOP, 3));
    stepped.call("step", &inputs);
    for (path, array) in &before {
        for place in [0, array.data.len() - 1] {
            let mut at = |distance: f64| {
                let mut moved = array.clone();
                moved.data[place] += distance;
                machine.set(path, moved);
                machine.try_call("step", &inputs)["loss"].data[0]
            };
            let slope = (at(1e-6) - at(-1e-6)) / 2e-6;
            let found = array.data[place] - stepped.slot(path).data[place];
            assert!((slope - found).abs() < 1e-6 * (1.0 + slope.abs()), "{path}: {found}, not {slope}");
        }
        machine.set(path, array.clone());
    }
}

#[test]
fn positions_must_be_known_to_lie_in_the_list() {
    let found = refused(&program(TOP, 2));
    assert!(found.iter().any(|text| text.starts_with("index::bounds: positions below 3")), "{found:?}");
}
