//! Every function on every element type against the float64 reference, on whatever adapter there is.

mod support;

use nnc_ir::DType;
use nnc_ir::kernel::Scalar;
use support::{TYPES, decode, device, encode, run, samples, sizes};

/// Errors are counted in spacings of the type at the expected value. Addition, subtraction and multiplication are
/// correctly rounded; the others are bounded by what their formulas promise, plus the final rounding.
fn allowed(function: Scalar, dtype: DType) -> f64 {
    let single = match function {
        Scalar::Div | Scalar::Sqrt => 2.5,
        Scalar::Exp | Scalar::Expm1 | Scalar::Log | Scalar::Log1p | Scalar::Tanh | Scalar::Erf => 3.0,
        Scalar::Sin | Scalar::Cos | Scalar::Pow => 3.0,
        Scalar::Lgamma | Scalar::Digamma => 8.0,
        Scalar::Rem => 1.0,
        _ => 0.5,
    };
    match dtype {
        DType::F32 => single,
        // An f32 result near a tie rounds to the other side.
        DType::Bf16 | DType::F16 => 0.51 + single / 4096.0,
        _ => 0.0,
    }
}

/// The distance of numbers of a type near `x`.
fn spacing(x: f64, dtype: DType) -> f64 {
    let (digits, lowest) = match dtype {
        DType::F32 => (23, -126),
        DType::Bf16 => (7, -126),
        DType::F16 => (10, -14),
        _ => return 1.0,
    };
    let exponent = (x.abs().max(f64::MIN_POSITIVE).log2().floor() as i32).max(lowest);
    2f64.powi(exponent - digits)
}

fn error(function: Scalar, operands: &[f64], found: f64, dtype: DType) -> f64 {
    let exact = function.evaluate(operands, dtype);
    // The reference has no digits left beyond such quotients.
    if function == Scalar::Rem && exact.is_finite() && (operands[0] / operands[1]).abs() > 1e8 {
        let within = found.abs() <= operands[1].abs() && found * operands[1] >= 0.0;
        return if within { 0.0 } else { f64::INFINITY };
    }
    let expected = decode(dtype, &encode(dtype, &[exact]))[0];
    if found == expected || (found.is_nan() && expected.is_nan()) {
        return 0.0;
    }
    // Shaders may flush numbers below the normal range to zero.
    let tiny = 1.2e-38;
    if dtype != DType::F16 && (exact.abs() < tiny || operands.iter().any(|x| *x != 0.0 && x.abs() < tiny)) {
        return if found.abs() < 2.0 * tiny { 0.0 } else { f64::INFINITY };
    }
    let mut scale = spacing(exact, dtype);
    match function {
        Scalar::Rem => scale = spacing(operands[1], dtype),
        // Their zeros are not numbers of the type: the error is absolute there.
        Scalar::Lgamma | Scalar::Digamma => scale = scale.max(spacing(1.0, dtype)),
        _ => {}
    }
    let error = (found - exact).abs() / scale;
    if error.is_nan() { f64::INFINITY } else { error }
}

/// Numbers of all sizes, with the ones that are special to some function.
fn values(dtype: DType) -> Vec<f64> {
    let mut values: Vec<f64> = match dtype {
        DType::Bool => vec![0.0, 1.0],
        DType::U8 => (0..=255).map(f64::from).collect(),
        DType::I32 | DType::U32 => {
            let near = [0.0, 1.0, 2.0, 3.0, 7.0, 31.0, 32.0, 33.0, 1e6, 2147483646.0, 2147483647.0];
            let (low, high) =
                if dtype == DType::I32 { (-2147483648.0, -1.0) } else { (2147483648.0, 4294967295.0) };
            near.iter().copied().chain([low, low + 1.0, high - 6.0, high]).collect()
        }
        _ => floats(),
    };
    if dtype.is_float() {
        values = decode(dtype, &encode(dtype, &values));
    }
    values
}

fn floats() -> Vec<f64> {
    let special = [
        0.0,
        0.5,
        1.0,
        1.5,
        2.0,
        2.5,
        3.0,
        4.0,
        0.9,
        88.0,
        88.72,
        89.5,
        104.5,
        1e30,
        f64::INFINITY,
        f64::NAN,
    ];
    let ramp = (1..400).map(|k| f64::from(k) * 0.0513);
    let wide = (0..240).map(|k| 2f64.powf(f64::from(k) * 1.02 - 124.0));
    let near_one = (1..40).map(|k| 1.0 + (f64::from(k) - 20.0) * 3e-4);
    let positive: Vec<f64> = special.into_iter().chain(ramp).chain(wide).chain(near_one).collect();
    positive.iter().flat_map(|x| [*x, -*x]).collect()
}

/// Tuples of operands: all values, or pairs at several distances.
fn operands(function: Scalar, types: &[DType]) -> Vec<Vec<f64>> {
    let columns: Vec<Vec<f64>> = types.iter().map(|dtype| values(*dtype)).collect();
    let longest = columns.iter().map(Vec::len).max().unwrap_or(0);
    let strides: &[usize] = if function.arity() == 1 { &[0] } else { &[0, 1, 2, 5, 11, 37, 101, 333] };
    let mut chosen = vec![Vec::new(); types.len()];
    for stride in strides {
        for k in 0..longest {
            for (place, column) in columns.iter().enumerate() {
                chosen[place].push(column[(k + place * stride) % column.len()]);
            }
        }
    }
    chosen
}

#[test]
fn functions_agree_with_the_reference() {
    let Some(mut device) = device() else { return };
    let mut failures = Vec::new();
    for (function, types) in samples::functions(&TYPES) {
        let kernel = samples::map(function, &types);
        let inputs = operands(function, &types);
        let count = inputs[0].len();
        let (back, results) = run(device, &kernel, &inputs, &sizes(&[("N", count as i64)]));
        device = back;
        let (from, to) = (types[types.len() - 1], function.result(types[types.len() - 1]));
        // Results of another type than the operands are exact, those of casts after rounding.
        let mut worst = (0.0, Vec::new(), 0.0);
        for k in 0..count {
            let given: Vec<f64> = inputs.iter().map(|column| column[k]).collect();
            let found = results[0][k];
            let error = if from == to {
                error(function, &given, found, to)
            } else {
                let exact = function.evaluate(&given, from);
                let expected = decode(to, &encode(to, &[exact]))[0];
                let same = expected == found || (expected.is_nan() && found.is_nan());
                if same { 0.0 } else { f64::INFINITY }
            };
            if error > worst.0 {
                worst = (error, given, found);
            }
        }
        let line = format!("{function:?} {from}: {:.3} at {:?}, found {}", worst.0, worst.1, worst.2);
        println!("{line}");
        if worst.0 > allowed(function, to) {
            failures.push(line);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn sines_of_large_angles_keep_their_digits() {
    let Some(device) = device() else { return };
    let angles: Vec<f64> = (0..400).map(|k| f64::from((8192.0 * 1.2f32.powi(k % 440)).min(3e38))).collect();
    let angles: Vec<f64> = angles.iter().flat_map(|x| [*x, -x]).collect();
    let kernel = samples::map(Scalar::Sin, &[DType::F32]);
    let (_, found) =
        run(device, &kernel, std::slice::from_ref(&angles), &sizes(&[("N", angles.len() as i64)]));
    for (x, y) in angles.iter().zip(&found[0]) {
        assert!((x.sin() - y).abs() < 2e-7, "sin({x}) = {y}, expected {}", x.sin());
    }
}
