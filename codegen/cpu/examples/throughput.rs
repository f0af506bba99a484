//! Times compiled kernels on one thread against a copy of the same bytes: on arrays far larger than the caches, and on
//! arrays that stay in the first one. With the name of a kernel as its argument, prints that kernel's machine code. A pass counts each input and output element once, whatever a kernel reads again.

use nnc_cpu::{compile, tile_bytes};
use nnc_ir::kernel::{Access, Buffer, BufferId, Expr, Kernel, LoopKind, Scalar, Statement, Tile, Var};
use nnc_ir::ops::Fold;
use nnc_ir::{DType, Dim, Symbol};
use nnc_kernels::context::{Context, KernelFn};
use nnc_kernels::exec::CodePage;
use nnc_kernels::host::HOST;
use nnc_kernels::{AlignedBytes, CpuLevel};
use std::time::Instant;

fn s(name: &str) -> Dim {
    Dim::symbol(name)
}

fn at() -> Dim {
    s("r") * s("n") + s("i")
}

fn x() -> Expr {
    Expr::Load(BufferId(0), at())
}

fn constant(value: f64) -> Expr {
    Expr::Constant(value, DType::F32)
}

fn var(place: u32) -> Expr {
    Expr::Var(Var(place))
}

fn apply<const N: usize>(function: Scalar, operands: [Expr; N]) -> Expr {
    Expr::Apply(function, operands.to_vec())
}

fn vector(body: Vec<Statement>) -> Statement {
    Statement::For { counter: Symbol::new("i"), extent: s("n"), kind: LoopKind::Vector, body }
}

fn store(buffer: u32, offset: Dim, value: Expr) -> Statement {
    Statement::Store { buffer: BufferId(buffer), offset, value }
}

fn accumulate(place: u32, value: Expr) -> Statement {
    Statement::Accumulate { var: Var(place), value }
}

/// A kernel over `m` rows of `n`, from buffer 0 to buffer 1, with a tile of one row.
fn rows(name: &str, body: Vec<Statement>) -> Kernel {
    let buffer =
        |name: &str, access| Buffer { name: name.into(), dtype: DType::F32, size: s("m") * s("n"), access };
    Kernel {
        name: name.into(),
        sizes: vec![Symbol::new("m"), Symbol::new("n")],
        buffers: vec![buffer("x", Access::Read), buffer("y", Access::Write)],
        tiles: vec![Tile { name: "row".into(), dtype: DType::F32, size: s("n") }],
        grid: vec![(Symbol::new("r"), s("m"))],
        body,
        scalars: vec![DType::F32; 6],
        cost: 1.0,
    }
}

fn relu() -> Kernel {
    let line = apply(Scalar::Add, [apply(Scalar::Mul, [x(), constant(1.5)]), constant(0.25)]);
    rows("relu", vec![vector(vec![store(1, at(), apply(Scalar::Max, [line, constant(0.0)]))])])
}

fn gelu() -> Kernel {
    let inner = apply(Scalar::Erf, [apply(Scalar::Mul, [x(), constant(std::f64::consts::FRAC_1_SQRT_2)])]);
    let half = apply(Scalar::Mul, [x(), constant(0.5)]);
    let value = apply(Scalar::Mul, [half, apply(Scalar::Add, [inner, constant(1.0)])]);
    rows("gelu", vec![vector(vec![store(1, at(), value)])])
}

fn tanh() -> Kernel {
    rows("tanh", vec![vector(vec![store(1, at(), apply(Scalar::Tanh, [x()]))])])
}

fn exp() -> Kernel {
    rows("exp", vec![vector(vec![store(1, at(), apply(Scalar::Exp, [x()]))])])
}

fn dropout() -> Kernel {
    let word = |value| Box::new(Expr::Constant(value, DType::U32));
    let random = Expr::Random { seed: word(7.0), step: word(1.0), index: at(), salt: Dim::zero() };
    let kept = apply(Scalar::Compare(nnc_ir::kernel::Compare::Less), [random, constant(0.9)]);
    let value = apply(Scalar::Select, [kept, apply(Scalar::Mul, [x(), constant(1.0 / 0.9)]), constant(0.0)]);
    rows("dropout", vec![vector(vec![store(1, at(), value)])])
}

fn softmax() -> Kernel {
    let shifted = apply(Scalar::Exp, [apply(Scalar::Sub, [x(), var(0)])]);
    let row = || Expr::Load(BufferId(2), s("i"));
    rows(
        "softmax",
        vec![
            Statement::Fold { var: Var(0), fold: Fold::Max },
            vector(vec![accumulate(0, x())]),
            Statement::Fold { var: Var(1), fold: Fold::Add },
            vector(vec![Statement::Let(Var(2), shifted), store(2, s("i"), var(2)), accumulate(1, var(2))]),
            Statement::Let(Var(3), apply(Scalar::Div, [constant(1.0), var(1)])),
            vector(vec![store(1, at(), apply(Scalar::Mul, [row(), var(3)]))]),
        ],
    )
}

fn layer_norm() -> Kernel {
    let count = || Expr::Dim(s("n"), DType::F32);
    let centered = || apply(Scalar::Sub, [x(), var(1)]);
    let variance = apply(Scalar::Add, [apply(Scalar::Div, [var(2), count()]), constant(1e-5)]);
    rows(
        "layer_norm",
        vec![
            Statement::Fold { var: Var(0), fold: Fold::Add },
            vector(vec![accumulate(0, x())]),
            Statement::Let(Var(1), apply(Scalar::Div, [var(0), count()])),
            Statement::Fold { var: Var(2), fold: Fold::Add },
            vector(vec![
                Statement::Let(Var(3), centered()),
                accumulate(2, apply(Scalar::Mul, [var(3), var(3)])),
            ]),
            Statement::Let(Var(4), apply(Scalar::Div, [constant(1.0), apply(Scalar::Sqrt, [variance])])),
            vector(vec![store(1, at(), apply(Scalar::Mul, [centered(), var(4)]))]),
        ],
    )
}

/// Median seconds of a call, each sample long enough to be measured.
fn seconds(mut call: impl FnMut()) -> f64 {
    call();
    let start = Instant::now();
    call();
    let repeats = (2e-3 / start.elapsed().as_secs_f64().max(1e-9)).ceil() as usize;
    let mut samples: Vec<f64> = (0..15)
        .map(|_| {
            let start = Instant::now();
            (0..repeats).for_each(|_| call());
            start.elapsed().as_secs_f64() / repeats as f64
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn time(kernel: &Kernel, m: usize, n: usize) -> Result<f64, Box<dyn std::error::Error>> {
    let page = CodePage::new(&compile(kernel, CpuLevel::detect())?.code)?;
    let sizes = [m as i64, n as i64];
    let values: Vec<u8> =
        (0..m * n).flat_map(|i| ((i * 37 % 1000) as f32 / 250.0 - 2.0).to_ne_bytes()).collect();
    let (mut input, mut output) = (AlignedBytes::copy_of(&values), AlignedBytes::zeroed(values.len()));
    let mut scratch = AlignedBytes::zeroed(tile_bytes(kernel, &sizes).ok_or("the tile has no size")?);
    let buffers = [input.as_mut_ptr(), output.as_mut_ptr()];
    let context = Context {
        buffers: buffers.as_ptr(),
        sizes: sizes.as_ptr(),
        scratch: scratch.as_mut_ptr(),
        host: HOST.as_ptr(),
    };
    // SAFETY: the page holds a kernel with this convention, and it outlives the calls.
    let function: KernelFn = unsafe { page.as_fn(0) }.ok_or("the code is empty")?;
    // SAFETY: the context describes the kernel.
    Ok(seconds(|| unsafe { function(&context, 0, m as i64) }))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kernels = [relu(), exp(), gelu(), tanh(), dropout(), softmax(), layer_norm()];
    if let Some(name) = std::env::args().nth(1) {
        let named = kernels.iter().find(|kernel| kernel.name == name).ok_or("no kernel has this name")?;
        println!("{}", nnc_cpu::listing(named, CpuLevel::detect())?);
        return Ok(());
    }
    for kernel in &kernels {
        let start = Instant::now();
        let code = compile(kernel, CpuLevel::detect())?.code.len();
        println!("{:12} {code} bytes in {:.2} ms", kernel.name, start.elapsed().as_secs_f64() * 1e3);
    }
    for (m, n) in [(16384, 1024), (4, 1024), (64, 64), (37, 111)] {
        let bytes = m * n * 4;
        let (from, mut to) = (AlignedBytes::zeroed(bytes), AlignedBytes::zeroed(bytes));
        let copy = seconds(|| std::hint::black_box(&mut to).copy_from_slice(std::hint::black_box(&from)));
        let rate = |seconds: f64| 2.0 * bytes as f64 / seconds / 1e9;
        println!("{m} rows of {n} ({bytes} bytes): copy {:.1} GB/s", rate(copy));
        for kernel in &kernels {
            let taken = time(kernel, m, n)?;
            let nanoseconds = taken * 1e9 / (m * n) as f64;
            println!(
                "  {:12} {:7.1} GB/s  {:4.2} of a copy  {nanoseconds:.3} ns per element",
                kernel.name,
                rate(taken),
                copy / taken
            );
        }
    }
    Ok(())
}
