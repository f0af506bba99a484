//! Every scalar function at every element type, against the reference evaluation in float64.

#[path = "../../testing/elements.rs"]
mod elements;
mod harness;

use elements::decode;
use harness::*;
use nnc_ir::DType;
use nnc_ir::kernel::{Compare, Kernel, Scalar};
use nnc_kernels::{AlignedBytes, CpuLevel};

const COMPARISONS: [Compare; 6] = Compare::ALL;

/// `out[i] = function(in0[i], in1[i], ...)` in a vector loop.
fn elementwise(function: Scalar, operands: &[DType]) -> Kernel {
    let last = *operands.last().unwrap();
    let mut k = kernel(&["n"]);
    for dtype in operands {
        k = k.buffer(*dtype, s("n"));
    }
    let loads: Vec<_> = (0..operands.len()).map(|place| load(place as u32, s("i"))).collect();
    let out = operands.len() as u32;
    k.buffer(function.result(last), s("n")).body(vec![vector(
        "i",
        s("n"),
        vec![store(out, s("i"), apply(function, &loads))],
    )])
}

fn encode(dtype: DType, values: &[f64]) -> AlignedBytes {
    AlignedBytes::copy_of(&elements::encode(dtype, values))
}

/// What the kernel makes of the operands at `level`; the operands first pass through their formats.
fn computed(
    function: Scalar,
    dtypes: &[DType],
    operands: &[Vec<f64>],
    level: CpuLevel,
) -> (Vec<Vec<f64>>, Vec<f64>) {
    let n = operands[0].len();
    let result = function.result(*dtypes.last().unwrap());
    let mut buffers: Vec<AlignedBytes> =
        dtypes.iter().zip(operands).map(|(dtype, values)| encode(*dtype, values)).collect();
    let seen = buffers.iter().zip(dtypes).map(|(bytes, dtype)| decode(*dtype, bytes)).collect();
    buffers.push(AlignedBytes::zeroed(n * result.size()));
    run_range(&elementwise(function, dtypes), level, &[n as i64], &mut buffers, 0..1);
    (seen, decode(result, buffers.last().unwrap()))
}

/// Distance in units of the last place of `expected` as f32.
fn ulps(found: f64, expected: f64) -> f64 {
    if found == expected || (found.is_nan() && expected.is_nan()) {
        return 0.0;
    }
    let rounded = expected as f32;
    if rounded.is_infinite() || found.is_infinite() || found.is_nan() || expected.is_nan() {
        return if f64::from(rounded) == found { 0.0 } else { f64::INFINITY };
    }
    let exponent = (expected.abs().max(f64::from(f32::MIN_POSITIVE))).log2().floor() as i32;
    (found - expected).abs() / f64::powi(2.0, exponent - 23)
}

const SPECIAL: [f64; 14] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -2.5,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    3.402823e38,
    -3.402823e38,
    1.2e-38,
    -1.4e-45,
    88.75,
];

/// Arguments from `low` to `high`, evenly spaced, then special ones.
fn sweep(low: f64, high: f64, n: usize) -> Vec<f64> {
    let step = (high - low) / n as f64;
    let mut values: Vec<f64> = (0..n).map(|i| f64::from((low + i as f64 * step) as f32)).collect();
    values.extend(SPECIAL.map(|x| f64::from(x as f32)));
    values
}

/// All positive f32 of every exponent, thinned out.
fn all_exponents(n: usize) -> Vec<f64> {
    let step = 0x7f80_0000 / n as u32;
    let mut values: Vec<f64> =
        (0..n as u32).map(|i| f64::from(f32::from_bits(i * step + (i % 97)))).collect();
    values.extend(SPECIAL.map(|x| f64::from(x as f32)));
    values
}

/// Checks a unary function over `arguments` and returns the largest error.
fn worst(function: Scalar, arguments: &[f64], level: CpuLevel) -> f64 {
    let (seen, found) = computed(function, &[DType::F32], &[arguments.to_vec()], level);
    let mut worst = (0.0, 0.0, 0.0);
    for (x, y) in seen[0].iter().zip(found) {
        let error = ulps(y, function.evaluate(&[*x], DType::F32));
        if error > worst.0 {
            worst = (error, *x, y);
        }
    }
    println!("{:8} {:7} {:.3} ulp at {:e} -> {:e}", function.name(), level.name(), worst.0, worst.1, worst.2);
    worst.0
}

#[test]
fn elementary_functions_are_within_their_stated_error() {
    let n = 200_000;
    for level in CpuLevel::available() {
        for (function, low, high, bound) in [
            (Scalar::Exp, -110.0, 95.0, 1.0),
            (Scalar::Exp, -1.0, 1.0, 1.0),
            (Scalar::Log, 0.0, 3.0, 1.0),
            (Scalar::Log, 0.99, 1.01, 1.0),
            (Scalar::Tanh, -12.0, 12.0, 1.5),
            (Scalar::Tanh, -0.7, 0.7, 1.5),
            (Scalar::Erf, -5.0, 5.0, 1.5),
            (Scalar::Erf, -0.01, 0.01, 1.5),
            (Scalar::Sin, -20.0, 20.0, 1.6),
            (Scalar::Sin, -9000.0, 9000.0, 2.5),
            (Scalar::Cos, -20.0, 20.0, 1.6),
            (Scalar::Cos, -9000.0, 9000.0, 2.5),
            (Scalar::Expm1, -20.0, 20.0, 1.0),
            (Scalar::Log1p, -1.0, 20.0, 1.0),
        ] {
            let error = worst(function, &sweep(low, high, n), level);
            assert!(error <= bound, "{function:?} on {low}..{high} at {}: {error} ulp", level.name());
        }
        for (function, bound) in
            [(Scalar::Log, 1.0), (Scalar::Tanh, 1.5), (Scalar::Erf, 1.5), (Scalar::Exp, 1.0)]
        {
            let error = worst(function, &all_exponents(n), level);
            assert!(error <= bound, "{function:?} over all exponents at {}: {error} ulp", level.name());
        }
    }
}

#[test]
fn gamma_functions_come_from_the_host() {
    let arguments = sweep(-4.9, 30.0, 999);
    for function in [Scalar::Lgamma, Scalar::Digamma] {
        let (seen, found) =
            computed(function, &[DType::F32], std::slice::from_ref(&arguments), CpuLevel::detect());
        for (x, y) in seen[0].iter().zip(found) {
            let expected = function.evaluate(&[*x], DType::F32);
            let close =
                (y - expected).abs() <= 1e-7 * expected.abs().max(1.0) || y == f64::from(expected as f32);
            assert!(
                close || (y.is_nan() && expected.is_nan()),
                "{function:?}({x}) = {y}, expected {expected}"
            );
        }
    }
}

#[test]
fn float_functions_are_exact_or_correctly_rounded() {
    use Scalar::*;
    let mut noise = Noise(1);
    let mut a: Vec<f64> = (0..2000).map(|_| noise.unit() * 10.0).collect();
    let mut b: Vec<f64> = (0..2000).map(|_| noise.unit() * 10.0).collect();
    for x in SPECIAL {
        a.extend([x; 14]);
        b.extend(SPECIAL);
    }
    for level in CpuLevel::available() {
        for dtype in [DType::F32, DType::F64] {
            for function in [Add, Sub, Mul, Div, Min, Max, Neg, Abs, Sign, Sqrt, Floor, Round] {
                let operands = [a.clone(), b.clone()];
                let operands = &operands[..function.arity()];
                let (seen, found) = computed(function, &vec![dtype; operands.len()], operands, level);
                for (place, y) in found.iter().enumerate() {
                    let x: Vec<f64> = seen.iter().map(|values| values[place]).collect();
                    let expected = function.evaluate(&x, dtype);
                    let expected = if dtype == DType::F32 { f64::from(expected as f32) } else { expected };
                    let same = *y == expected || (y.is_nan() && expected.is_nan());
                    assert!(same, "{function:?} {dtype} of {x:?}: {y}, expected {expected}");
                }
            }
        }
    }
}

#[test]
fn powers_and_remainders_of_floats() {
    let mut noise = Noise(2);
    let a: Vec<f64> = (0..1003).map(|_| noise.unit() * 20.0).collect();
    let b: Vec<f64> = (0..1003).map(|_| noise.unit() * 3.0 + 4.0).collect();
    for level in CpuLevel::available() {
        for dtype in [DType::F32, DType::F64] {
            let (seen, found) = computed(Scalar::Rem, &[dtype; 2], &[a.clone(), b.clone()], level);
            for (place, y) in found.iter().enumerate() {
                let (a, b) = (seen[0][place], seen[1][place]);
                let expected = Scalar::Rem.evaluate(&[a, b], dtype);
                assert!((y - expected).abs() < 1e-6, "{a} rem {b} = {y}, expected {expected}");
            }
            let positive: Vec<f64> = a.iter().map(|x| x.abs()).collect();
            let (seen, found) = computed(Scalar::Pow, &[dtype; 2], &[positive, b.clone()], level);
            for (place, y) in found.iter().enumerate() {
                let expected = Scalar::Pow.evaluate(&[seen[0][place], seen[1][place]], dtype);
                assert!(ulps(*y, expected) <= 1.0, "{y}, expected {expected}");
            }
        }
    }
}

#[test]
fn f64_functions_come_from_the_host() {
    use Scalar::*;
    let arguments: Vec<f64> = (0..303).map(|i| 0.05 + i as f64 * 0.03).collect();
    for function in [Exp, Log, Sin, Cos, Tanh, Erf, Expm1, Log1p, Lgamma, Digamma] {
        let (_, found) =
            computed(function, &[DType::F64], std::slice::from_ref(&arguments), CpuLevel::detect());
        for (x, y) in arguments.iter().zip(found) {
            let expected = function.evaluate(&[*x], DType::F64);
            let error = (y - expected).abs() / expected.abs().max(1.0);
            assert!(error < 1e-13, "{function:?}({x}) = {y}, expected {expected}");
        }
    }
}

/// Integers of `dtype` that matter, and random ones.
fn integers(dtype: DType, noise: &mut Noise) -> Vec<f64> {
    let edges: &[i64] = match dtype {
        DType::I32 => &[0, 1, -1, 2, -2, 7, -7, 31, 32, 33, i32::MAX as i64, i32::MIN as i64],
        DType::U32 => &[0, 1, 2, 3, 7, 31, 32, 33, 255, 1 << 31, u32::MAX as i64],
        DType::U8 => &[0, 1, 2, 3, 7, 127, 128, 254, 255],
        _ => &[0, 1],
    };
    let random = |_| edges[noise.below(edges.len() as u64) as usize] as f64;
    edges.iter().map(|x| *x as f64).chain((0..500).map(random)).collect()
}

#[test]
fn integer_functions_wrap_and_round_down() {
    use Scalar::*;
    let mut noise = Noise(3);
    for level in CpuLevel::available() {
        for dtype in [DType::I32, DType::U32, DType::U8, DType::Bool] {
            let a = integers(dtype, &mut noise);
            let b: Vec<f64> = integers(dtype, &mut noise).into_iter().rev().collect();
            let functions: &[Scalar] = match dtype {
                DType::Bool => &[And, Or, Xor, Not, Min, Max],
                _ => &[
                    Add, Sub, Mul, Div, Rem, Min, Max, Neg, Abs, Sign, And, Or, Xor, Not, Shl, Shr, Popcount,
                ],
            };
            for function in functions.iter().copied().chain(COMPARISONS.map(Compare)) {
                let operands = [a.clone(), b.clone()];
                let operands = &operands[..function.arity()];
                let (seen, found) = computed(function, &vec![dtype; operands.len()], operands, level);
                for (place, y) in found.iter().enumerate() {
                    let x: Vec<f64> = seen.iter().map(|values| values[place]).collect();
                    let expected = function.evaluate(&x, dtype);
                    assert_eq!(*y, expected, "{function:?} {dtype} of {x:?} at {}", level.name());
                }
            }
        }
    }
}

#[test]
fn float_comparisons_are_false_for_nan() {
    let a: Vec<f64> = SPECIAL.iter().flat_map(|x| [*x; 14]).collect();
    let b: Vec<f64> = SPECIAL.iter().cycle().take(196).copied().collect();
    for dtype in [DType::F32, DType::F64] {
        for compare in Compare::ALL {
            let function = Scalar::Compare(compare);
            let (seen, found) = computed(function, &[dtype; 2], &[a.clone(), b.clone()], CpuLevel::detect());
            for (place, y) in found.iter().enumerate() {
                let expected = function.evaluate(&[seen[0][place], seen[1][place]], dtype);
                assert_eq!(*y, expected, "{} {} {}", seen[0][place], compare.symbol(), seen[1][place]);
            }
        }
    }
}

#[test]
fn casts_between_all_types() {
    let mut noise = Noise(4);
    let types = [DType::F64, DType::F32, DType::I32, DType::U32, DType::U8, DType::Bool, DType::Bf16];
    for level in CpuLevel::available() {
        for from in types {
            let values = match from {
                _ if from.is_float() => {
                    let mut values: Vec<f64> = (0..200).map(|_| noise.unit() * 300.0).collect();
                    values.extend([0.0, -0.0, 0.25, 2.5e9, -2.5e9, 5e9, f64::INFINITY, f64::NEG_INFINITY]);
                    values.push(f64::NAN);
                    values
                }
                _ => integers(from, &mut noise),
            };
            for to in types {
                let (seen, found) = computed(Scalar::Cast(to), &[from], std::slice::from_ref(&values), level);
                for (x, y) in seen[0].iter().zip(found) {
                    let expected = Scalar::Cast(to).evaluate(&[*x], from);
                    let expected = match to {
                        DType::F32 => f64::from(expected as f32),
                        DType::Bf16 => bf16(expected as f32),
                        _ => expected,
                    };
                    let same = y == expected || (y.is_nan() && expected.is_nan());
                    assert!(same, "{from} {x} as {to}: {y}, expected {expected}");
                }
            }
        }
    }
}

/// Nearest bf16, ties to even.
fn bf16(x: f32) -> f64 {
    if x.is_nan() {
        return f64::NAN;
    }
    let bits = x.to_bits();
    let (low, rest) = (bits & 0xffff_0000, bits & 0xffff);
    let up = rest > 0x8000 || (rest == 0x8000 && low & 0x1_0000 != 0);
    f64::from(f32::from_bits(if up { low.wrapping_add(0x1_0000) } else { low }))
}

#[test]
fn bitcasts_keep_all_bits() {
    let patterns: Vec<u32> = (0..1000u32).map(|i| i.wrapping_mul(0x9e37_79b9)).collect();
    for (from, to) in [(DType::F32, DType::U32), (DType::U32, DType::F32), (DType::I32, DType::F32)] {
        let k = elementwise(Scalar::Bitcast(to), &[from]);
        let result = run(&k, &[1000], &[pack(&patterns), AlignedBytes::zeroed(4000)], 1);
        assert_eq!(unpack::<u32>(&result[1]), patterns, "{from} as {to}");
    }
}

#[test]
fn select_takes_either_side() {
    let n = 37;
    let truth: Vec<u8> = (0..n).map(|i| u8::from(i % 3 == 0)).collect();
    for dtype in [DType::F32, DType::I32, DType::F64, DType::U8, DType::Bool] {
        let (a, b) = (vec![1.0; n], vec![0.0; n]);
        let k = elementwise(Scalar::Select, &[DType::Bool, dtype, dtype]);
        let buffers =
            [pack(&truth), encode(dtype, &a), encode(dtype, &b), AlignedBytes::zeroed(n * dtype.size())];
        let result = run(&k, &[n as i64], &buffers, 1);
        let expected: Vec<f64> = truth.iter().map(|t| f64::from(*t)).collect();
        assert_eq!(decode(dtype, &result[3]), expected, "{dtype}");
    }
}

#[test]
fn all_f16_and_bf16_values_survive_a_load_and_a_store() {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    for dtype in [DType::F16, DType::Bf16] {
        let k = elementwise(Scalar::Neg, &[dtype]);
        let result = run(&k, &[65536], &[pack(&all), AlignedBytes::zeroed(2 * 65536)], 1);
        let infinity = if dtype == DType::F16 { 0x7c00 } else { 0x7f80 };
        for (x, y) in all.iter().zip(unpack::<u16>(&result[1])) {
            let is_nan = x & 0x7fff > infinity;
            assert!(if is_nan { y & 0x7fff > infinity } else { y == x ^ 0x8000 }, "{dtype} {x:#x} -> {y:#x}");
        }
    }
}

#[test]
fn f32_rounds_to_f16_as_the_format_asks() {
    // Half way points between neighbours, and one f32 step to either side.
    let mut values = Vec::new();
    for half in (0..0x7c00u16).step_by(7) {
        let middle = (f16(half) + if half == 0x7bff { 65536.0 } else { f16(half + 1) }) / 2.0;
        let bits = (middle as f32).to_bits();
        values.extend([bits - 1, bits, bits + 1].map(f32::from_bits));
    }
    let n = values.len();
    let k = elementwise(Scalar::Cast(DType::F16), &[DType::F32]);
    let result = run(&k, &[n as i64], &[pack(&values), AlignedBytes::zeroed(2 * n)], 1);
    for (place, y) in unpack::<u16>(&result[1]).into_iter().enumerate() {
        let (half, side) = ((place / 3 * 7) as u16, place % 3);
        let expected = match side {
            0 => half,
            2 => half + 1,
            _ => half + (half & 1),
        };
        assert_eq!(y, expected, "{} to f16", values[place]);
    }
}

/// The value of f16 bits that are finite and positive.
fn f16(bits: u16) -> f64 {
    let (exponent, mantissa) = (i32::from(bits >> 10), f64::from(bits & 0x3ff));
    match exponent {
        0 => mantissa * f64::powi(2.0, -24),
        _ => (1024.0 + mantissa) * f64::powi(2.0, exponent - 25),
    }
}
