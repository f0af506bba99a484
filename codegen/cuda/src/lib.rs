//! The CUDA back end: kernels as CUDA C++, NVRTC to compile them, and a device that runs plans on the driver.
//!
//! # What a kernel becomes
//! One thread per instance of the grid in a grid-stride loop; loops run in order, folds are scalar accumulators, tiles
//! are local arrays. The text includes no header.
//!
//! # Memory and numbers
//! Elements lie as on the host: `Bf16` and `F16` are raw bits, `Bool` and `U8` bytes. Indices are 64-bit. `Bf16` and
//! `F16` are computed in `float` and rounded after every operation. Signed arithmetic is printed unsigned, so that it
//! wraps. NaN behaves as the kernel IR says.
//!
//! # Libraries
//! Driver and NVRTC are loaded when first asked for; without them this crate builds, prints, and says what is missing.

mod compile;
mod device;
mod expressions;
mod kernels;
mod types;

pub use compile::{CompileError, Cubin, compile, compiler_is_present};
pub use device::{CudaBuffer, CudaProgram, Device, DeviceError};
pub use kernels::{Options, print, symbol};
pub use nnc_ir::kernel::cfamily::Unsupported;
pub use nnc_ir::session::{CallError, HostBytes, Sizes};

/// A plan on a CUDA device.
pub type Session = nnc_ir::session::Session<Device>;
