//! Host micro-kernels: what compiled code and the runtime call on a CPU.
//!
//! The crate knows no IR. It holds matrix products over strided memory, vectorised elementary functions, a counter-based
//! random generator, the one thread team of a process, aligned memory and executable pages for stored machine code.
//!
//! Laws that hold in every module:
//! - a result depends on the arguments and the processor's instruction level, never on the number of threads;
//! - nothing allocates per call once its thread is warm;
//! - NaN and infinities propagate: no product with zero is skipped.

pub mod align;
pub mod context;
pub mod cpu;
#[cfg(unix)]
pub mod exec;
pub mod gemm;
pub mod host;
pub mod math;
pub mod peak;
pub mod pipe;
pub mod random;
mod simd;
pub mod special;
pub mod team;

pub use align::AlignedBytes;
pub use cpu::CpuLevel;
pub use team::Team;
