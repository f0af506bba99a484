//! Printed text judged on the host: a C++ compiler and a few definitions stand in for the device, the float64 reference
//! is the judge. Skipped where there is no C++ compiler.

#[path = "../../testing/elements.rs"]
mod elements;
#[path = "../../testing/samples.rs"]
mod samples;

use elements::{decode, encode};
use nnc_cuda::{Options, print, symbol};
use nnc_ir::kernel::cfamily::Library;
use nnc_ir::kernel::{Kernel, Scalar};
use nnc_ir::ops::Fold;
use nnc_ir::{DType, random};
use std::ffi::c_void;
use std::path::Path;
use std::process::Command;

/// All kernels as one loaded library.
struct Host {
    library: libloading::Library,
}

/// PTX that the host has no words for, and what stands in for it.
const CONVERSIONS: [(&str, &str); 2] = [
    (r#"asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));"#, "x = ::bits<_Float16>(bits);"),
    (
        r#"asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));"#,
        "bits = ::bits<unsigned short>((_Float16)x);",
    ),
];

impl Host {
    /// Compiles `kernels`, whose names differ; says so where there is no compiler.
    fn compile(test: &str, kernels: &[Kernel]) -> Option<Host> {
        let library = Library::new(include_str!("../src/library.cu"));
        let mut source = library.select(&library.names().collect::<Vec<_>>().join(" "));
        for (ptx, host) in CONVERSIONS {
            assert!(source.contains(ptx));
            source = source.replace(ptx, host);
        }
        for kernel in kernels {
            let printed = print(kernel, &Options { distinct: true }).unwrap();
            source.push_str(&printed[printed.find("extern \"C\"").unwrap()..]);
        }
        Host::build(test, &format!("{}{source}", include_str!("host.cpp")))
    }

    fn build(test: &str, source: &str) -> Option<Host> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (text, object) = (folder.join(format!("{test}.cpp")), folder.join(format!("{test}.so")));
        std::fs::write(&text, source).unwrap();
        let mut command = Command::new("c++");
        command.args([
            "-std=c++17",
            "-O1",
            "-fPIC",
            "-shared",
            "-ffp-contract=off",
            "-Wno-unknown-pragmas",
            "-o",
        ]);
        let Ok(output) = command.arg(&object).arg(&text).output() else {
            println!("skipped: there is no C++ compiler");
            return None;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // SAFETY: the library was made above, of functions without initializers.
        Some(Host { library: unsafe { libloading::Library::new(object) }.unwrap() })
    }

    /// Runs a kernel of at most four buffers and two sizes.
    fn run(&self, kernel: &Kernel, buffers: &mut [Vec<u8>], sizes: &[i64]) {
        let a: Vec<*mut c_void> = buffers.iter_mut().map(|bytes| bytes.as_mut_ptr().cast()).collect();
        type P = *mut c_void;
        // SAFETY: the printed signature is the buffers, then the sizes; buffers are as large as the kernel says.
        unsafe {
            macro_rules! call {
                ($($ty:ty),*; $($argument:expr),*) => {{
                    let name = symbol(kernel);
                    let function = self.library.get::<unsafe extern "C" fn($($ty),*)>(name.as_bytes()).unwrap();
                    function($($argument),*)
                }};
            }
            match (a.len(), sizes) {
                (1, []) => call!(P; a[0]),
                (1, [n, m]) => call!(P, i64, i64; a[0], *n, *m),
                (2, [n]) => call!(P, P, i64; a[0], a[1], *n),
                (2, [n, m]) => call!(P, P, i64, i64; a[0], a[1], *n, *m),
                (3, [n]) => call!(P, P, P, i64; a[0], a[1], a[2], *n),
                (3, [n, m]) => call!(P, P, P, i64, i64; a[0], a[1], a[2], *n, *m),
                (4, [n]) => call!(P, P, P, P, i64; a[0], a[1], a[2], a[3], *n),
                (count, _) => panic!("no call of {count} buffers and {} sizes", sizes.len()),
            }
        }
    }
}

fn values(dtype: DType) -> Vec<f64> {
    let floats = [0.0, 0.3, 1.0, 1.5, 2.5, 7.25, 19.0, 88.0, 3e4, 3e9, 1e30, f64::INFINITY, f64::NAN];
    let signed: Vec<f64> = floats.iter().flat_map(|x| [*x, -*x]).collect();
    let chosen = match dtype {
        DType::Bool => vec![0.0, 1.0],
        DType::U8 => vec![0.0, 1.0, 2.0, 7.0, 31.0, 32.0, 129.0, 255.0],
        DType::I32 => vec![0.0, 1.0, -1.0, 2.0, -7.0, 33.0, 1e6, 2147483647.0, -2147483648.0],
        DType::U32 => vec![0.0, 1.0, 2.0, 7.0, 33.0, 1e6, 2147483648.0, 4294967295.0],
        // Remainders by 0.3 depend on its rounding; those by 0.25 are exact in f64.
        DType::F64 => signed.iter().map(|x| if x.abs() == 0.3 { x.signum() * 0.25 } else { *x }).collect(),
        _ => signed,
    };
    decode(dtype, &encode(dtype, &chosen))
}

/// Every combination of operands.
fn operands(types: &[DType]) -> Vec<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = vec![Vec::new()];
    for dtype in types {
        let longer = |row: &Vec<f64>| {
            values(*dtype).into_iter().map(|x| [row.as_slice(), &[x]].concat()).collect::<Vec<_>>()
        };
        rows = rows.iter().flat_map(longer).collect();
    }
    rows
}

/// Whether `found` is `exact` in the type, up to a few spacings for what the C library rounds otherwise.
fn agrees(found: f64, exact: f64, dtype: DType) -> bool {
    let expected = decode(dtype, &encode(dtype, &[exact]))[0];
    if found == expected || (found.is_nan() && expected.is_nan()) {
        return true;
    }
    let spacing = match dtype {
        // The reference is f64 itself, with errors of its own.
        DType::F64 => return (found - expected).abs() <= 1e-14 * expected.abs().max(1.0),
        DType::F32 => f64::from(f32::EPSILON),
        DType::Bf16 => 1.0 / 128.0,
        DType::F16 => 1.0 / 1024.0,
        _ => return false,
    };
    (found - expected).abs() <= 4.0 * spacing * expected.abs().max(1e-6)
}

#[test]
fn functions_agree_with_the_reference() {
    let functions = samples::functions(&DType::ALL);
    let kernels: Vec<Kernel> = functions
        .iter()
        .enumerate()
        .map(|(number, (function, types))| {
            let mut made = samples::map(*function, types);
            made.name = format!("{}{number}", made.name);
            made
        })
        .collect();
    let Some(host) = Host::compile("functions", &kernels) else { return };
    let mut wrong = Vec::new();
    for ((function, types), kernel) in functions.iter().zip(&kernels) {
        let rows = operands(types);
        let (from, to) = (types[types.len() - 1], function.result(types[types.len() - 1]));
        let column = |k: usize| rows.iter().map(|row| row[k]).collect::<Vec<f64>>();
        let mut buffers: Vec<Vec<u8>> = (0..types.len()).map(|k| encode(types[k], &column(k))).collect();
        buffers.push(vec![0; rows.len() * to.size()]);
        host.run(kernel, &mut buffers, &[rows.len() as i64]);
        let found = decode(to, &buffers[types.len()]);
        for (row, found) in rows.iter().zip(found) {
            // Long division has no reference where the quotient has no digits left.
            let far = *function == Scalar::Rem && row[1] != 0.0 && (row[0] / row[1]).abs() > 1e6;
            let exact = function.evaluate(row, from);
            if !far && !agrees(found, exact, to) {
                wrong.push(format!("{function:?} {from} of {row:?} is {found}, expected {exact}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(30)].join("\n"));
}

#[test]
fn statements_agree_with_plain_rust() {
    let (softmax, windows, gather) = (samples::softmax(), samples::windows(), samples::gather());
    let (indices, draws, constants) = (samples::indices(), samples::random(), samples::constants());
    let all = [&softmax, &windows, &gather, &indices, &draws, &constants].map(Clone::clone);
    let Some(host) = Host::compile("statements", &all) else { return };
    let f32s = |values: &[f64]| encode(DType::F32, values);

    let mut buffers = vec![f32s(&[0.0, 1.0, 2.0, 5.0]), vec![0; 16]];
    host.run(&softmax, &mut buffers, &[2, 2]);
    let e = 1f64.exp();
    let expected = [1.0 / (1.0 + e), e / (1.0 + e), 1.0 / (1.0 + e.powi(3)), e.powi(3) / (1.0 + e.powi(3))];
    assert!(decode(DType::F32, &buffers[1]).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6));

    let mut buffers = vec![f32s(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), vec![0; 24]];
    host.run(&windows, &mut buffers, &[6]);
    assert_eq!(decode(DType::F32, &buffers[1]), [0.0, 2.75, 5.0, 7.0, 9.0, 0.0]);

    let table = f32s(&[10.0, 11.0, 12.0, 20.0, 21.0, 22.0]);
    let mut buffers = vec![table, encode(DType::I32, &[1.0, -5.0, 99.0]), f32s(&[0.5; 9])];
    host.run(&gather, &mut buffers, &[3, 2]);
    assert_eq!(decode(DType::F32, &buffers[2]), [20.5, 21.5, 22.5, 10.5, 11.5, 12.5, 20.5, 21.5, 22.5]);

    let rows = samples::index_expressions();
    let mut buffers = vec![vec![0; rows.len() * 20 * 4]];
    host.run(&indices, &mut buffers, &[3, 20]);
    let found = decode(DType::I32, &buffers[0]);
    for (row, dim) in rows.iter().enumerate() {
        for i in 0..20 {
            assert_eq!(found[row * 20 + i as usize], samples::index_value(dim, i), "{dim} at {i}");
        }
    }

    let mut buffers = vec![5u32.to_ne_bytes().to_vec(), u32::MAX.to_ne_bytes().to_vec(), vec![0; 600]];
    host.run(&draws, &mut buffers, &[50]);
    let one = |k: u32| random::uniform([5, u32::MAX], [k / 3, k % 3 + 7]);
    assert_eq!(decode(DType::F32, &buffers[2]), (0..150).map(one).collect::<Vec<_>>());

    let mut buffers = vec![vec![0; 32]];
    host.run(&constants, &mut buffers, &[]);
    let found = decode(DType::F32, &buffers[0]);
    let expected =
        [0.0, -0.0, 1.5, -3e-20, 1e30, f64::INFINITY, f64::NEG_INFINITY].map(|x| f64::from(x as f32));
    assert!(found[..7] == expected && found[1].is_sign_negative() && found[7].is_nan());
}

#[test]
fn tiles_and_folds_of_every_type() {
    let mut kernels = Vec::new();
    for dtype in DType::ALL {
        let folds = if dtype == DType::Bool {
            &[Fold::Or, Fold::And][..]
        } else {
            &[Fold::Add, Fold::Mul, Fold::Max, Fold::Min]
        };
        kernels.push((samples::tiles(dtype), dtype, None));
        kernels.extend(folds.iter().map(|fold| (samples::folds(dtype, *fold), dtype, Some(*fold))));
    }
    for (number, (kernel, ..)) in kernels.iter_mut().enumerate() {
        kernel.name = format!("{}{number}", kernel.name);
    }
    let printed: Vec<Kernel> = kernels.iter().map(|(kernel, ..)| kernel.clone()).collect();
    let Some(host) = Host::compile("types", &printed) else { return };
    for (kernel, dtype, fold) in &kernels {
        let count = if fold.is_some() { 12 } else { 16 };
        let x: Vec<f64> =
            (0..count).map(|k| f64::from(if *dtype == DType::Bool { k % 3 / 2 } else { k % 5 })).collect();
        let expected: Vec<f64> = match fold {
            None => x.chunks(8).flat_map(|group| group.iter().rev().copied()).collect(),
            Some(fold) => {
                x.chunks(3).map(|row| row.iter().fold(fold.identity(), |a, b| fold.apply(a, *b))).collect()
            }
        };
        let mut buffers = vec![encode(*dtype, &x), vec![0; expected.len() * dtype.size()]];
        host.run(kernel, &mut buffers, &[if fold.is_some() { 4 } else { 2 }]);
        assert_eq!(decode(*dtype, &buffers[1]), expected, "{} of {dtype}", kernel.name);
    }
}
