//! Builds small kernels and runs them from an executable page.

#![allow(dead_code, reason = "each test that includes it uses a part")]

use nnc_cpu::{compile, tile_bytes};
use nnc_ir::kernel::{Access, Buffer, BufferId, Expr, Kernel, LoopKind, Scalar, Statement, Tile, Var};
use nnc_ir::{DType, Dim, Symbol};
use nnc_kernels::context::{Context, KernelFn};
use nnc_kernels::exec::CodePage;
use nnc_kernels::host::HOST;
use nnc_kernels::{AlignedBytes, CpuLevel};

/// A kernel without buffers, grid or body.
pub fn kernel(sizes: &[&str]) -> Kernel {
    Kernel {
        name: "test".into(),
        sizes: sizes.iter().map(|name| Symbol::new(name)).collect(),
        buffers: vec![],
        tiles: vec![],
        grid: vec![],
        body: vec![],
        scalars: vec![],
        cost: 1.0,
    }
}

pub trait Build {
    fn buffer(self, dtype: DType, size: Dim) -> Self;
    fn tile(self, dtype: DType, size: Dim) -> Self;
    fn over(self, counter: &str, extent: Dim) -> Self;
    fn scalars(self, dtypes: &[DType]) -> Self;
    fn body(self, body: Vec<Statement>) -> Self;
}

impl Build for Kernel {
    fn buffer(mut self, dtype: DType, size: Dim) -> Self {
        let name = format!("b{}", self.buffers.len());
        self.buffers.push(Buffer { name, dtype, size, access: Access::ReadWrite });
        self
    }

    fn tile(mut self, dtype: DType, size: Dim) -> Self {
        self.tiles.push(Tile { name: format!("t{}", self.tiles.len()), dtype, size });
        self
    }

    fn over(mut self, counter: &str, extent: Dim) -> Self {
        self.grid.push((Symbol::new(counter), extent));
        self
    }

    fn scalars(mut self, dtypes: &[DType]) -> Self {
        self.scalars = dtypes.to_vec();
        self
    }

    fn body(mut self, body: Vec<Statement>) -> Self {
        self.body = body;
        self
    }
}

pub fn s(name: &str) -> Dim {
    Dim::symbol(name)
}

pub fn c(value: i64) -> Dim {
    Dim::constant(value)
}

pub fn load(buffer: u32, offset: Dim) -> Expr {
    Expr::Load(BufferId(buffer), offset)
}

pub fn store(buffer: u32, offset: Dim, value: Expr) -> Statement {
    Statement::Store { buffer: BufferId(buffer), offset, value }
}

pub fn var(var: u32) -> Expr {
    Expr::Var(Var(var))
}

pub fn f32c(value: f64) -> Expr {
    Expr::Constant(value, DType::F32)
}

pub fn apply(function: Scalar, operands: &[Expr]) -> Expr {
    Expr::Apply(function, operands.to_vec())
}

pub fn vector(counter: &str, extent: Dim, body: Vec<Statement>) -> Statement {
    Statement::For { counter: Symbol::new(counter), extent, kind: LoopKind::Vector, body }
}

pub fn sequential(counter: &str, extent: Dim, body: Vec<Statement>) -> Statement {
    Statement::For { counter: Symbol::new(counter), extent, kind: LoopKind::Sequential, body }
}

/// An element type of buffers.
pub trait Element: Copy + PartialEq + std::fmt::Debug {
    fn bytes(self) -> Vec<u8>;
    fn from_bytes(bytes: &[u8]) -> Self;
}

macro_rules! elements {
    ($($ty:ty),*) => {$(
        impl Element for $ty {
            fn bytes(self) -> Vec<u8> { self.to_ne_bytes().to_vec() }
            fn from_bytes(bytes: &[u8]) -> Self { <$ty>::from_ne_bytes(bytes.try_into().unwrap()) }
        }
    )*};
}
elements!(f64, f32, u16, i32, u32, u8);

pub fn pack<T: Element>(values: &[T]) -> AlignedBytes {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.bytes()).collect();
    AlignedBytes::copy_of(&bytes)
}

pub fn unpack<T: Element>(bytes: &AlignedBytes) -> Vec<T> {
    bytes.chunks_exact(size_of::<T>()).map(T::from_bytes).collect()
}

/// Runs the instances `range` of `kernel`, compiled for `level`.
pub fn run_range(
    kernel: &Kernel,
    level: CpuLevel,
    sizes: &[i64],
    buffers: &mut [AlignedBytes],
    range: std::ops::Range<i64>,
) {
    let compiled = compile(kernel, level).unwrap_or_else(|error| panic!("{error}"));
    let page = CodePage::new(&compiled.code).unwrap();
    run_page(&page, 0, kernel, sizes, buffers, range);
}

/// Runs code that starts at `offset` of `page`.
pub fn run_page(
    page: &CodePage,
    offset: usize,
    kernel: &Kernel,
    sizes: &[i64],
    buffers: &mut [AlignedBytes],
    range: std::ops::Range<i64>,
) {
    assert_eq!(buffers.len(), kernel.buffers.len());
    let mut scratch = AlignedBytes::zeroed(tile_bytes(kernel, sizes).unwrap());
    let pointers: Vec<*mut u8> = buffers.iter_mut().map(AlignedBytes::as_mut_ptr).collect();
    let context = Context {
        buffers: pointers.as_ptr(),
        sizes: sizes.as_ptr(),
        scratch: scratch.as_mut_ptr(),
        host: HOST.as_ptr(),
    };
    // SAFETY: the page holds a kernel with this convention, and the context describes it.
    unsafe {
        let function: KernelFn = page.as_fn(offset).unwrap();
        function(&context, range.start, range.end);
    }
}

/// Runs all `instances` of `kernel` at every level of this processor; the buffers must come out equal where the results
/// are exact, so the last level's are returned.
pub fn run(kernel: &Kernel, sizes: &[i64], buffers: &[AlignedBytes], instances: i64) -> Vec<AlignedBytes> {
    let mut result = Vec::new();
    for level in CpuLevel::available() {
        let mut copy = buffers.to_vec();
        run_range(kernel, level, sizes, &mut copy, 0..instances);
        result = copy;
    }
    result
}

/// A small deterministic generator for test data.
pub struct Noise(pub u64);

impl Noise {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 32)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.word() % bound
    }

    /// Uniform in -1..1.
    pub fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.unit() as f32).collect()
    }
}
