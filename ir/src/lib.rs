//! The two IRs of nnc. `graph` is the tensor IR (typed SSA with rolled loops), `kernel` the loop IR that back ends
//! print, `plan` what a runtime executes. Nothing here knows the language, a device or a file.

pub mod dim;
pub mod dtype;

pub use dim::{Atom, Dim, Ranges, Symbol};
pub use dtype::DType;
