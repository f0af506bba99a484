//! Every kernel can be printed; what cannot be is refused with a reason; NVRTC, where it is found, accepts them all.

#[path = "../../testing/samples.rs"]
mod samples;

use nnc_cuda::{CompileError, Options, compile, compiler_is_present, print, symbol};
use nnc_ir::DType;
use nnc_ir::kernel::cfamily::Library;
use nnc_ir::kernel::{BufferId, Gemm, Matrix, Scalar, Statement};
use samples::n;

const OPTIONS: Options = Options { distinct: true };

#[test]
fn softmax_reads_as_expected() {
    let source = print(&samples::softmax(), &OPTIONS).unwrap();
    assert_eq!(source, include_str!("softmax.cu"));
}

#[test]
fn every_sample_prints() {
    let kernels = samples::all(&DType::ALL);
    assert!(kernels.len() > 250, "{}", kernels.len());
    for kernel in kernels {
        let source = print(&kernel, &OPTIONS).unwrap_or_else(|error| panic!("{error}"));
        assert!(source.contains(&format!("__global__ void {}(", symbol(&kernel))));
    }
}

#[test]
fn overlapping_buffers_are_not_restricted() {
    let source = print(&samples::softmax(), &Options { distinct: false }).unwrap();
    assert!(!source.contains("__restrict__") && source.contains("const float* x_0, float* y_1"), "{source}");
}

#[test]
fn micro_kernels_are_refused() {
    let matrix = || Matrix { buffer: BufferId(0), offset: n(0), row: n(1), column: n(1) };
    let gemm = Gemm { m: n(1), n: n(1), k: n(1), c: matrix(), a: matrix(), b: matrix(), accumulate: false };
    let made = samples::kernel("product", Vec::new(), Vec::new(), vec![Statement::Gemm(Box::new(gemm))]);
    let error = print(&made, &OPTIONS).unwrap_err();
    assert_eq!(error.to_string(), "kernel `product` calls a micro-kernel, which only the CPU has");
}

#[test]
fn functions_without_meaning_are_refused() {
    let made = samples::map(Scalar::Exp, &[DType::I32]);
    let error = print(&made, &OPTIONS).unwrap_err();
    assert_eq!(error.to_string(), "kernel `exp` applies Exp to i32, which has no meaning in CUDA");
}

/// Whether NVRTC is there; says so if it is not.
fn compiler() -> bool {
    match compiler_is_present() {
        Ok(()) => true,
        Err(error) => {
            println!("skipped: {error}");
            false
        }
    }
}

/// All kernels in one source: the library once, then every function under a name of its own.
fn everything() -> String {
    let library = Library::new(include_str!("../src/library.cu"));
    let names: Vec<&str> = library.names().collect();
    let mut source = library.select(&names.join(" "));
    for (number, mut kernel) in samples::all(&DType::ALL).into_iter().enumerate() {
        kernel.name = format!("{}{number}", kernel.name);
        let printed = print(&kernel, &OPTIONS).unwrap();
        source.push_str(&printed[printed.find("extern \"C\"").unwrap()..]);
    }
    source
}

#[test]
fn nvrtc_accepts_every_sample() {
    if !compiler() {
        return;
    }
    let source = everything();
    for arch in ["sm_80", "sm_90a"] {
        let cubin = compile(&source, arch).unwrap_or_else(|error| panic!("{arch}: {error}"));
        assert!(cubin.code.starts_with(b"\x7fELF") && cubin.code.len() > 100_000);
    }
}

#[test]
fn a_single_kernel_is_complete() {
    if !compiler() {
        return;
    }
    for kernel in [samples::softmax(), samples::random(), samples::map(Scalar::Digamma, &[DType::Bf16])] {
        let cubin = compile(&print(&kernel, &OPTIONS).unwrap(), "sm_80").unwrap();
        let name = symbol(&kernel);
        assert!(cubin.code.windows(name.len()).any(|part| part == name.as_bytes()));
    }
}

#[test]
fn a_wrong_source_is_refused_with_a_report() {
    if !compiler() {
        return;
    }
    let error = compile("__global__ void wrong() { undefined(); }", "sm_80").unwrap_err();
    assert!(matches!(&error, CompileError::Refused(report) if report.contains("undefined")), "{error}");
    assert_eq!(compile("\0", "sm_80"), Err(CompileError::ZeroByte));
}
