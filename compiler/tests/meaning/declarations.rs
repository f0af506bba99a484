//! What is wrong in a declaration is told although nobody uses it.

use super::machine::{refused, try_build};

/// A sound model beside what is looked at.
fn beside(text: &str) -> String {
    format!(
        "use std::{{Linear, relu, softmax, AdamW, Plain}}

{text}

model Sound() {{
    input  x: [B, 4]
    output y: [B, 2]
    y = x |> Linear(2)
}}
"
    )
}

fn only(text: &str, wanted: &str) {
    assert_eq!(refused(&beside(text)), [wanted], "{text}");
}

#[test]
fn names_that_mean_nothing() {
    only("block Unused() on x: [.., d] { x |> Linear(d) |> rleu }", "name::unknown: no `rleu` here");
    only("fn unused(x, scale: real = 1) -> [like x] = x * scal", "name::unknown: no `scal` here");
    only("fn unused(x) { let f = z => z + wrong; f }", "name::unknown: no `wrong` here");
    only("policy Unused() on w { view = w * mask }", "name::unknown: no `mask` here");
    only(
        "topology Unused() on x: [..] { carry h = x; join(f) { h := h + f(g) }; leave = h }",
        "name::unknown: no `g` here",
    );
    only("sheet Unused { **.w : by AdmW(lr: 1) }", "name::unknown: no `AdmW` here");
}

#[test]
fn arguments_that_do_not_fit() {
    only(
        "block Unused() on x: [.., d] { x |> Linear(d, basi: false) }",
        "name::argument: `Linear` has no argument `basi`; it has out, bias, init",
    );
    only("block Unused() on x: [.., d] { x |> Linear() }", "name::argument: `Linear` needs `out`");
    only("fn unused(x) = relu(x, 1, 2)", "name::argument: `relu` takes 1 arguments, this is number 2");
}

#[test]
fn roles_that_are_confused() {
    only(
        "block Unused() on x: [.., d] { x |> AdamW(lr: 1) }",
        "role::wrong: `AdamW` is a policy, not a block",
    );
    only("block Unused() on x: [.., d] { x |> Plain() }", "role::wrong: `Plain` is a topology, not a block");
    only("sheet Unused { **.w : by Linear(3) }", "role::wrong: `Linear` is a block, not a policy");
}

#[test]
fn what_binds_a_name_is_no_error() {
    let text = "let base = 3

fn pick(x: [.., n], start: int[] = 0) -> [.., n] requires n > base {
    let table[i: n, (a: 3 b: 2)] = where(i == a, b, start)
    carry total = x
    for k in [1, 2] { total := total + k }
    loop t in 0..n {
        let y[.., t] = total[.., t]
    }
    softmax[n](y)
}

fn hard(x: [..]) -> [..] { f32(x > 0) } backward(dy) { { x: dy * result } }

policy Marks(rate: schedule) on w as p given steps: int, mask: bool[like w] {
    state m: f32[like w] = 0
    penalty size = sum(w)
    step(g, t) { w - rate(t, steps) * g * p.density }
}

block Many(cell, count: int = 2) on (q: [.., T, e], k: [.., S: T, e]) {
    let cells = [cell for c in 0..count]
    weight w: [to: e, from: e] = 0
    let out[.., to] = sum[from](w[to, from] * q[.., from])
    cells[0](out) + last(cells)(k)
}
";
    let found = try_build(&beside(text)).err().unwrap_or_default();
    assert!(found.is_empty(), "{found:#?}");
}
