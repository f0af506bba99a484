//! Prints kernel IR as machine code with Cranelift.
//!
//! # Calling convention
//!
//! A kernel is `extern "C" fn(cx: *const Context, start: i64, end: i64)`, see [`nnc_kernels::context`]: it runs the
//! instances `start..end` of its grid, counted row by row with the last axis fastest. Tiles lie in `cx.scratch`, laid
//! out by [`nnc_kernels::context::tile_layout`] over the tiles' sizes; [`tile_bytes`] is how much that takes.
//!
//! # Code
//!
//! [`CompiledKernel::code`] is position-independent and has no relocations: constants lie behind the instructions and
//! are addressed relative to them, host functions are called through `cx.host`. It runs from any address that is a
//! multiple of [`CODE_ALIGNMENT`], on any processor of the level it was compiled for.
//!
//! # Numbers
//!
//! f32 is computed in f32 and f64 in f64; bf16 and f16 are computed in f32 and rounded by casts and stores. A vector loop
//! takes sixteen iterations at a time, then four, then one; the order of its folds depends on its length only (see
//! `folds`), so results do not change with the way the grid is cut. Where a loop cannot be vectorised (it holds f64, or
//! a fold that it also reads), it runs in order.
//!
//! # Laws
//!
//! Malformed IR is an [`Unsupported`] error, never a panic. Loads under a guard happen only where the guard holds. Every
//! division of indices has a divisor of at least 1, so kernels do not trap.

mod bylane;
mod casts;
mod dims;
mod emitter;
mod error;
mod expressions;
mod folds;
mod function;
mod guards;
mod half;
mod host;
mod integers;
mod lanes;
mod math;
mod memory;
mod random;
mod scalars;
mod schedule;
mod statements;
mod target;
mod visit;

pub use error::Unsupported;

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use nnc_ir::kernel::Kernel;
use nnc_kernels::CpuLevel;
use nnc_kernels::context::tile_layout;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Code must start at a multiple of this many bytes: constants in it are read in 16-byte pieces.
pub const CODE_ALIGNMENT: usize = 64;

/// Machine code of one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledKernel {
    /// The kernel's name.
    pub name: String,
    /// What the processor must have.
    pub level: CpuLevel,
    /// Position-independent code; the entry is its first byte.
    pub code: Vec<u8>,
}

/// Compiles one kernel for processors of `level`.
pub fn compile(kernel: &Kernel, level: CpuLevel) -> Result<CompiledKernel, Unsupported> {
    let (code, _) =
        emit(kernel, level, false).map_err(|message| Unsupported { kernel: kernel.name.clone(), message })?;
    Ok(CompiledKernel { name: kernel.name.clone(), level, code })
}

/// Compiles kernels on `threads` threads; the results are in the order of the kernels.
pub fn compile_all(
    kernels: &[Kernel],
    level: CpuLevel,
    threads: usize,
) -> Result<Vec<CompiledKernel>, Unsupported> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((place, kernel)) = claim(&next, kernels) {
            done.push((place, compile(kernel, level)));
        }
        done
    };
    let mut results = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(kernels.len())).map(|_| scope.spawn(work)).collect();
        let mut results = work();
        for other in others {
            results.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        results
    });
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

fn claim<'k>(next: &AtomicUsize, kernels: &'k [Kernel]) -> Option<(usize, &'k Kernel)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    kernels.get(place).map(|kernel| (place, kernel))
}

/// Bytes of tile memory that one thread needs to run `kernel` with these sizes, in the kernel's order. `None` if a tile
/// size has no value or is negative.
pub fn tile_bytes(kernel: &Kernel, sizes: &[i64]) -> Option<usize> {
    tile_layout(function::tile_sizes(kernel, sizes)?).map(|(_, bytes)| bytes)
}

/// The machine code of `kernel` as text, for people.
pub fn listing(kernel: &Kernel, level: CpuLevel) -> Result<String, Unsupported> {
    let text = emit(kernel, level, true).map(|(_, listing)| listing.unwrap_or_default());
    text.map_err(|message| Unsupported { kernel: kernel.name.clone(), message })
}

/// The code, and its listing if asked for.
fn emit(kernel: &Kernel, level: CpuLevel, listed: bool) -> Result<(Vec<u8>, Option<String>), String> {
    let (optimizing, plain) = (target::isa(level, "speed")?, target::isa(level, "none")?);
    let function = function::print(kernel, &*optimizing, target::has_fma(level))?;
    let mut context = Context::for_function(function);
    context.set_disasm(listed);
    let mut control = ControlPlane::default();
    context.optimize(&*optimizing, &mut control).map_err(|error| error.to_string())?;
    schedule::interleave(&mut context.func);
    // The optimizer has run and would undo the order.
    let compiled = context.compile(&*plain, &mut control).map_err(|error| error.inner.to_string())?;
    match compiled.buffer.relocs() {
        [] => Ok((compiled.code_buffer().to_vec(), compiled.vcode.clone())),
        [first, ..] => Err(format!("the code would need a relocation: {:?}", first.target)),
    }
}
