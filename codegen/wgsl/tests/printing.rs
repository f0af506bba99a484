//! Every kernel that can be printed is valid WGSL, and what cannot be printed is refused with a reason.

mod support;

use nnc_ir::kernel::{Access, BufferId, Gemm, Kernel, Matrix, Scalar, Statement};
use nnc_ir::{DType, kernel::cfamily::Library};
use nnc_wgsl::{Options, print, validate};
use support::TYPES;
use support::samples::{self, buffer, kernel, load, n, s, store, symbol};

fn refusal(kernel: &Kernel) -> String {
    print(kernel, &Options::default()).expect_err("the kernel is refused").to_string()
}

#[test]
fn every_sample_is_valid() {
    let kernels = samples::all(&TYPES);
    assert!(kernels.len() > 200, "{}", kernels.len());
    for kernel in kernels {
        let source = print(&kernel, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
        validate(&source).unwrap_or_else(|report| panic!("{}:\n{report}\n{source}", kernel.name));
    }
}

#[test]
fn the_whole_library_is_valid() {
    let text = include_str!("../src/library.wgsl");
    validate(text).unwrap_or_else(|report| panic!("{report}"));
    assert!(Library::new(text).names().count() > 40);
}

#[test]
fn a_kernel_gets_only_what_it_uses() {
    let source = print(&samples::softmax(), &Options::default()).unwrap();
    assert!(source.contains("fn exp_f32(") && !source.contains("fn log_f32("), "{source}");
}

#[test]
fn softmax_reads_as_expected() {
    let source = print(&samples::softmax(), &Options::default()).unwrap();
    let main = &source[source.find("@compute").unwrap()..];
    assert_eq!(main, include_str!("softmax.wgsl"));
}

#[test]
fn aliases_share_one_binding() {
    let options = Options { aliases: vec![0, 1, 0], ..Options::default() };
    let made = samples::map(Scalar::Add, &[DType::F32, DType::F32]);
    let source = print(&made, &options).unwrap();
    validate(&source).unwrap();
    assert!(source.contains("@binding(0) var<storage, read_write> operand_0"));
    assert!(source.contains("operand_0[i_i] = (operand_0[i_i] + operand_1[i_i]);"), "{source}");
    assert!(!source.contains("@binding(2)"));
}

#[test]
fn f64_is_refused() {
    let made = samples::map(Scalar::Add, &[DType::F64, DType::F64]);
    assert_eq!(refusal(&made), "kernel `add` computes in f64, which WGSL does not have");
}

#[test]
fn too_many_buffers_are_refused() {
    let buffers = (0..9).map(|_| buffer("x", DType::F32, n(1), Access::Read)).collect();
    let made = kernel("wide", buffers, Vec::new(), Vec::new());
    assert_eq!(refusal(&made), "kernel `wide` needs 9 storage buffers, the target has 8");
}

#[test]
fn tiles_of_unknown_size_are_refused() {
    let mut made = samples::tiles(DType::F32);
    made.tiles[0].size = s("G");
    assert_eq!(refusal(&made), "kernel `tiles` has a tile `group` of size `G`, not a constant");
}

#[test]
fn micro_kernels_are_refused() {
    let matrix = || Matrix { buffer: BufferId(0), offset: n(0), row: n(1), column: n(1) };
    let gemm = Gemm { m: n(1), n: n(1), k: n(1), c: matrix(), a: matrix(), b: matrix(), accumulate: false };
    let buffers = vec![buffer("x", DType::F32, n(1), Access::ReadWrite)];
    let made = kernel("product", buffers, Vec::new(), vec![Statement::Gemm(Box::new(gemm))]);
    assert_eq!(refusal(&made), "kernel `product` calls a micro-kernel, which only the CPU has");
}

#[test]
fn malformed_kernels_are_refused() {
    let write = |value| {
        let buffers = vec![buffer("x", DType::F32, n(4), Access::ReadWrite)];
        kernel("wrong", buffers, vec![(symbol("i"), n(4))], vec![store(0, s("i"), value)])
    };
    let cases = [
        (load(0, s("j")), "reads `j`, which nothing binds"),
        (load(9, n(0)), "uses buffer 9, but has 1"),
        (samples::var(3), "uses scalar 3, but has 0"),
        (samples::apply(Scalar::Add, [load(0, n(0))]), "gives 1 operands to Add"),
        (nnc_ir::kernel::Expr::Operand(2, DType::F32), "still names operand 2 instead of a buffer"),
        (nnc_ir::kernel::Expr::Constant(1.0, DType::I32), "gives `x_0` of type f32 a value of type i32"),
    ];
    for (value, reason) in cases {
        assert_eq!(refusal(&write(value)), format!("kernel `wrong` {reason}"));
    }
}
