//! The WGSL back end: kernels as WGSL text, and a device that runs plans through wgpu.
//!
//! # What a kernel becomes
//! One invocation per instance of the grid, linear over x and y so that no dimension exceeds 65,535 workgroups. Loops
//! run in order, folds are scalar accumulators, tiles are private arrays.
//!
//! # Memory
//! Every element takes a 32-bit word: `F32`, `I32` and `U32` as they are, `Bf16` and `F16` as the `f32` of the same
//! value, `Bool` and `U8` as `u32`. The device converts when bytes come and go, so hosts see their own layout. `F64` does
//! not exist in WGSL and is refused.
//!
//! # Numbers
//! Indices are `i32`. `Bf16` and `F16` results are rounded after every operation. WGSL lets an implementation assume that
//! no float is NaN or infinite: minimum, maximum, sign, powers and conversions test bits and are exact everywhere;
//! `<`, `<=`, `>`, `>=` and `==` are the hardware's, which are right on Vulkan and D3D but not promised by WGSL.

mod device;
mod expressions;
mod kernels;
mod types;

pub use device::{Device, DeviceError, WgslBuffer, WgslProgram};
pub use kernels::{Options, bindings, print};
pub use nnc_ir::kernel::cfamily::Unsupported;
pub use nnc_ir::session::{CallError, HostBytes, Sizes};

/// A plan on a wgpu device.
pub type Session = nnc_ir::session::Session<Device>;

/// The naga front end and validator on `source`: `Ok`, or a report with line numbers.
pub fn validate(source: &str) -> Result<(), String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
    let (flags, capabilities) = (naga::valid::ValidationFlags::all(), naga::valid::Capabilities::empty());
    let checked = naga::valid::Validator::new(flags, capabilities).validate(&module);
    checked.map(|_| ()).map_err(|error| error.emit_to_string(source))
}
