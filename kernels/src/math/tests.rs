//! Every function at every level of this processor against f64, and at the edges of f32.

use super::*;

/// A function with its f64 definition and the bound its documentation states.
struct Subject {
    name: &'static str,
    run: fn(CpuLevel, &mut [f32]),
    exact: fn(f64) -> f64,
    ulps: f64,
}

const SUBJECTS: [Subject; 6] = [
    Subject { name: "exp", run: run::<Exp>, exact: f64::exp, ulps: 2.0 },
    Subject { name: "log", run: run::<Log>, exact: f64::ln, ulps: 2.0 },
    Subject { name: "tanh", run: run::<Tanh>, exact: f64::tanh, ulps: 2.0 },
    Subject { name: "erf", run: run::<Erf>, exact: libm::erf, ulps: 2.0 },
    Subject { name: "sin", run: run::<Sin>, exact: f64::sin, ulps: 2.0 },
    Subject { name: "cos", run: run::<Cos>, exact: f64::cos, ulps: 2.0 },
];

/// The distance of `found` from `exact` in units in the last place of the f32 nearest to `exact`; infinite if only one
/// of them is a number.
fn ulps(found: f32, exact: f64) -> f64 {
    let nearest = exact as f32;
    if nearest.is_nan() || nearest.is_infinite() || found.is_nan() || found.is_infinite() {
        // An overflow is decided by rounding: a neighbor of the largest number counts as one unit.
        let same = nearest == found || nearest.is_nan() && found.is_nan();
        let border = found.abs() == f32::MAX && nearest.is_infinite()
            || found.is_infinite() && nearest.abs() == f32::MAX;
        return if same {
            0.0
        } else if border {
            1.0
        } else {
            f64::INFINITY
        };
    }
    let magnitude = nearest.abs().max(f32::MIN_POSITIVE);
    let unit = (f32::from_bits(magnitude.to_bits() + 1) as f64) - magnitude as f64;
    (found as f64 - exact).abs() / unit
}

/// The largest error over the bit patterns `start, start + step, ..` with its argument.
fn sweep(subject: &Subject, level: CpuLevel, start: u32, step: u32) -> (f64, f32) {
    let mut worst = (0.0, 0.0);
    let mut bits = start;
    loop {
        let arguments: [f32; 64] =
            std::array::from_fn(|i| f32::from_bits(bits.wrapping_add(i as u32 * step)));
        let mut values = arguments;
        (subject.run)(level, &mut values);
        for (argument, value) in arguments.into_iter().zip(values) {
            let error = ulps(value, (subject.exact)(argument as f64));
            if error > worst.0 {
                worst = (error, argument);
            }
        }
        match bits.checked_add(64 * step) {
            Some(next) => bits = next,
            None => return worst,
        }
    }
}

/// Some f32 arguments. All of them take half an hour: `NNC_EVERY_ARGUMENT=1 cargo test --release -p nnc-kernels -- \
/// --nocapture errors_stay`.
#[test]
fn errors_stay_within_the_stated_bounds() {
    let step = if std::env::var_os("NNC_EVERY_ARGUMENT").is_some() { 1 } else { 2039 };
    for level in CpuLevel::available() {
        for subject in &SUBJECTS {
            let (error, argument) = sweep(subject, level, 0, step);
            let (name, level) = (subject.name, level.name());
            println!("{name:6} {level:6} {error:.3} ulp at {argument:e}");
            assert!(error <= subject.ulps, "{name} at {level}: {error} ulp at {argument:e}");
        }
    }
}

#[test]
fn edges_of_the_number_line() {
    let inf = f32::INFINITY;
    let smallest = f32::from_bits(1);
    let edges: [(usize, f32, f32); 24] = [
        (0, 0.0, 1.0),
        (0, -inf, 0.0),
        (0, inf, inf),
        (0, 88.8, inf),
        (0, 1e30, inf),
        (0, -104.5, 0.0),
        (0, -1e30, 0.0),
        (0, -103.0, smallest),
        (1, 0.0, -inf),
        (1, -0.0, -inf),
        (1, 1.0, 0.0),
        (1, inf, inf),
        (1, smallest, -103.27893),
        (2, inf, 1.0),
        (2, -inf, -1.0),
        (2, -0.0, -0.0),
        (2, 50.0, 1.0),
        (3, inf, 1.0),
        (3, -inf, -1.0),
        (3, -0.0, -0.0),
        (3, smallest, smallest),
        (4, -0.0, -0.0),
        (5, 0.0, 1.0),
        (5, smallest, 1.0),
    ];
    let not_numbers = [(1, -1.0), (1, -inf), (1, -smallest), (4, inf), (4, -inf), (5, inf), (5, -inf)];
    for level in CpuLevel::available() {
        let at = |function: usize, argument: f32| {
            let mut strip = [argument; 19];
            (SUBJECTS[function].run)(level, &mut strip);
            assert!(
                strip.iter().all(|x| x.to_bits() == strip[0].to_bits() || x.is_nan() && strip[0].is_nan())
            );
            strip[18]
        };
        for (function, argument, expected) in edges {
            let found = at(function, argument);
            let name = SUBJECTS[function].name;
            assert_eq!(
                found.to_bits(),
                expected.to_bits(),
                "{name}({argument:e}) = {found:e} at {}",
                level.name()
            );
        }
        for (function, argument) in not_numbers {
            assert!(at(function, argument).is_nan(), "{}({argument:e})", SUBJECTS[function].name);
        }
        assert!((0..SUBJECTS.len()).all(|function| at(function, f32::NAN).is_nan()));
    }
}

#[test]
fn strips_of_any_length_touch_nothing_else() {
    for len in 0..40 {
        let mut memory: Vec<f32> = (0..len + 2).map(|i| i as f32 / 8.0).collect();
        vexp(&mut memory[1..=len]);
        assert_eq!((memory[0], memory[len + 1]), (0.0, (len + 1) as f32 / 8.0));
        for (i, x) in memory[1..=len].iter().enumerate() {
            assert!(ulps(*x, ((i + 1) as f64 / 8.0).exp()) <= 2.0);
        }
    }
}
