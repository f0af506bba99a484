//! Optimizers against the formulas of their papers, schedules against theirs.

use super::machine::{Machine, assert_close, noise};
use nnc_ir::Array;

/// The gradient of `w` is the input `g`.
fn program(optimizer: &str) -> String {
    format!(
        "use std::{{Sgd, Adam, AdamW, Lion, Muon, normal, cosine, linear, warm, staircase}}

model Piece() {{
    input  g: [B, m: 3, n: 4]
    output y: [B]
    weight w: [m: 3, n: 4] = normal()
    y[b] = sum[i, j](w[i, j] * g[b, i, j])
}}

train Piece() {{
    data      = csv(\"points.csv\", batch: 1, target: \"t\")
    loss      = mean(y)
    optimizer = {optimizer}
    steps     = 10
}}
"
    )
}

type Update<'a> = &'a dyn Fn(usize, &Array, &Array, &mut [Array]) -> Array;

/// Runs five steps beside a formula that is given the step, `w`, the gradient and two states.
fn follows(optimizer: &str, formula: Update) {
    let mut machine = Machine::new(&program(optimizer));
    let mut w = machine.slot("w").clone();
    let mut states = vec![Array::filled(vec![3, 4], 0.0); 2];
    for t in 0..5 {
        let g = noise(20 + t as u64, &[3, 4]);
        let batch = Array::new(vec![1, 3, 4], g.data.clone());
        machine.call("step", &[("g", batch), ("step", Array::scalar(t as f64))]);
        w = formula(t, &w, &g, &mut states);
        assert_close(machine.slot("w"), &w, 1e-6, optimizer);
    }
}

fn zip3(a: &Array, b: &Array, c: &Array, f: impl Fn(f64, f64, f64) -> f64) -> Array {
    let data = a.data.iter().zip(&b.data).zip(&c.data).map(|((a, b), c)| f(*a, *b, *c)).collect();
    Array::new(a.shape.clone(), data)
}

#[test]
fn descent_with_momentum() {
    follows("Sgd(lr: 0.1, decay: 0.2)", &|_, w, g, _| w.zip(g, |w, g| w - 0.1 * (g + 0.2 * w)));
    follows("Sgd(lr: 0.1, momentum: 0.9)", &|_, w, g, s| {
        s[0] = s[0].zip(g, |m, g| 0.9 * m + g);
        w.zip(&s[0], |w, m| w - 0.1 * m)
    });
    follows("Sgd(lr: 0.1, momentum: 0.9, nesterov: true)", &|_, w, g, s| {
        s[0] = s[0].zip(g, |m, g| 0.9 * m + g);
        zip3(w, g, &s[0], |w, g, m| w - 0.1 * (g + 0.9 * m))
    });
}

/// Kingma and Ba, algorithm 1; with `decoupled` the decay of Loshchilov and Hutter, algorithm 2.
fn adam(t: usize, w: &Array, g: &Array, s: &mut [Array], decay: f64, decoupled: bool) -> Array {
    let (b1, b2, lr): (f64, f64, f64) = (0.8, 0.95, 0.01);
    let g = if decoupled { g.clone() } else { g.zip(w, |g, w| g + decay * w) };
    s[0] = s[0].zip(&g, |m, g| b1 * m + (1.0 - b1) * g);
    s[1] = s[1].zip(&g, |v, g| b2 * v + (1.0 - b2) * g * g);
    let (c1, c2) = (1.0 - b1.powi(t as i32 + 1), 1.0 - b2.powi(t as i32 + 1));
    let extra = if decoupled { decay } else { 0.0 };
    zip3(w, &s[0], &s[1], |w, m, v| w - lr * ((m / c1) / ((v / c2).sqrt() + 1e-8) + extra * w))
}

#[test]
fn adam_and_adam_w() {
    follows("Adam(lr: 0.01, b1: 0.8, b2: 0.95, decay: 0.1)", &|t, w, g, s| adam(t, w, g, s, 0.1, false));
    follows("AdamW(lr: 0.01, b1: 0.8, b2: 0.95, decay: 0.1)", &|t, w, g, s| adam(t, w, g, s, 0.1, true));
}

#[test]
fn lion() {
    follows("Lion(lr: 0.01, decay: 0.1)", &|_, w, g, s| {
        let u = s[0].zip(g, |m, g| (0.9 * m + 0.1 * g).signum());
        s[0] = s[0].zip(g, |m, g| 0.99 * m + 0.01 * g);
        w.zip(&u, |w, u| w - 0.01 * (u + 0.1 * w))
    });
}

fn product(a: &Array, b: &Array) -> Array {
    let (m, k, n) = (a.shape[0], a.shape[1], b.shape[1]);
    Array::from_index(vec![m, n], |at| (0..k).map(|c| a.at(&[at[0], c]) * b.at(&[c, at[1]])).sum())
}

fn transposed(a: &Array) -> Array {
    Array::from_index(vec![a.shape[1], a.shape[0]], |at| a.at(&[at[1], at[0]]))
}

/// The step of Jordan et al.; the product with `orthogonal` is five of its rounds.
#[test]
fn muon() {
    follows("Muon(lr: 0.1, decay: 0.1)", &|_, w, g, s| {
        s[0] = s[0].zip(g, |m, g| 0.95 * m + g);
        let u = g.zip(&s[0], |g, m| g + 0.95 * m);
        let norm = u.data.iter().map(|x| x * x).sum::<f64>().sqrt() + 1e-7;
        let mut x = u.map(|u| u / norm);
        for _ in 0..5 {
            let a = product(&x, &transposed(&x));
            let b = a.zip(&product(&a, &a), |a, aa| -4.7750 * a + 2.0315 * aa);
            x = x.zip(&product(&b, &x), |x, bx| 3.4445 * x + bx);
        }
        w.zip(&x, |w, x| w - 0.1 * (0.2 * 4f64.sqrt() * x + 0.1 * w))
    });
}

#[test]
fn schedules() {
    let rates = |schedule: &str| -> Vec<f64> {
        let mut machine = Machine::new(&program(&format!("Sgd(lr: {schedule})")));
        let rate = |t: usize| {
            let before = machine.slot("w").data[0];
            let g = Array::filled(vec![1, 3, 4], 1.0);
            machine.call("step", &[("g", g), ("step", Array::scalar(t as f64))]);
            before - machine.slot("w").data[0]
        };
        (0..10).map(rate).collect()
    };
    let cosine = |t: usize| match t {
        0 | 1 => 0.5 * (t + 1) as f64 / 2.0,
        t => 0.1 + 0.4 * (1.0 + (std::f64::consts::PI * (t - 2) as f64 / 8.0).cos()) / 2.0,
    };
    let linear = |t: usize| match t {
        0 | 1 => 0.5 * (t + 1) as f64 / 2.0,
        t => 0.5 - 0.4 * (t - 2) as f64 / 8.0,
    };
    let warm = |t: usize| 0.5 * f64::min(1.0, (t + 1) as f64 / 4.0);
    let staircase = |t: usize| 0.5 * 0.1f64.powi((t / 3) as i32);
    let constant = |_| 0.5;
    let wanted: [(&str, &dyn Fn(usize) -> f64); 5] = [
        ("cosine(0.5, low: 0.1, warmup: 2)", &cosine),
        ("linear(0.5, low: 0.1, warmup: 2)", &linear),
        ("warm(0.5, 4)", &warm),
        ("staircase(0.5, 3)", &staircase),
        ("0.5", &constant),
    ];
    for (schedule, formula) in wanted {
        for (t, found) in rates(schedule).into_iter().enumerate() {
            assert!((found - formula(t)).abs() < 1e-6, "{schedule} at {t}: {found}, not {}", formula(t));
        }
    }
}
