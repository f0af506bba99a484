//! Stacks: one loop, or several where a sheet treats layers differently.

use super::machine::{Machine, assert_close, noise, refused};
use nnc_ir::Array;

fn program(sheet: &str) -> String {
    format!(
        "use std::{{RmsNorm, Linear, Scaled, Sgd, mse}}

block Layer() on x: [.., d] {{
    branch mlp  = RmsNorm() |> Linear(d)
    branch more = Linear(d)
}}

model Deep() {{
    input  x: [B, 4]
    output y: [B, 4]
    y = x |> stack(5, Layer(), join: Scaled(n => 1.0 / n))
}}

train Deep() with {{ {sheet} }} {{
    data      = csv(\"points.csv\", batch: 2, target: \"y\")
    loss      = mean(y ^ 2)
    optimizer = Sgd(lr: 0.1)
    steps     = 4
}}
"
    )
}

fn layers(array: &Array, from: usize, to: usize) -> Array {
    let size: usize = array.shape[1..].iter().product();
    let shape = [&[to - from], &array.shape[1..]].concat();
    Array::new(shape, array.data[from * size..to * size].to_vec())
}

#[test]
fn a_line_for_some_layers_cuts_the_loop_and_nothing_else() {
    let mut whole = Machine::new(&program("layer.more.** : init = 0.01"));
    let mut cut = Machine::new(&program("layer[2..4].mlp.linear.w : frozen"));
    let runs = [(0, 2), (2, 4), (4, 5)];
    let mut before = Vec::new();
    for (path, array) in whole.kept().into_iter().filter(|(path, _)| !path.contains(".sgd")) {
        let array = noise(7, &array.shape);
        for (from, to) in runs {
            cut.set(&path.replace("layer", &format!("layer[{from}..{to}]")), layers(&array, from, to));
        }
        whole.set(&path, array.clone());
        before.push((path, array));
    }
    let inputs = [("x", noise(8, &[2, 4])), ("step", Array::scalar(0.0))];
    let losses = [&mut whole, &mut cut].map(|machine| machine.call("step", &inputs)["loss"].data[0]);
    assert!((losses[0] - losses[1]).abs() < 1e-9, "{losses:?}");
    for (path, old) in before {
        for (from, to) in runs {
            let found = cut.slot(&path.replace("layer", &format!("layer[{from}..{to}]")));
            let wanted = match (from, path.as_str()) {
                (2, "layer.mlp.linear.w") => layers(&old, from, to),
                _ => layers(whole.slot(&path), from, to),
            };
            assert_close(found, &wanted, 1e-9, &path);
        }
    }
    let slot = cut.built.module.slots.iter().find(|slot| slot.path == "layer[2..4].mlp.linear.w");
    let keys = [0, 1].map(|copy| slot.expect("the slot is there").key(&[copy]));
    assert_eq!(keys, ["layer[2].mlp.linear.w", "layer[3].mlp.linear.w"]);
}

#[test]
fn one_layer_is_selected_by_its_number() {
    let machine = Machine::new(&program("layer[3].**.w : init = 0.5"));
    for (from, to, wanted) in [(0, 3, false), (3, 4, true), (4, 5, false)] {
        let w = machine.slot(&format!("layer[{from}..{to}].more.linear.w"));
        assert_eq!(w.data.iter().all(|x| *x == 0.5), wanted);
    }
    let found = refused(&program("layer[7].**.w : frozen"));
    assert!(found.iter().any(|text| text.starts_with("path::nothing")), "{found:?}");
}
