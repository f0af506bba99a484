//! The two IRs of nnc. `graph` is the tensor IR (typed SSA with rolled loops), `kernel` the loop IR that back ends
//! print, `plan` what a runtime executes. Nothing here knows the language, a device or a file.

pub mod array;
pub mod builder;
pub mod dim;
pub mod dtype;
pub mod evaluate;
pub mod graph;
pub mod kernel;
pub mod ops;
pub mod plan;
pub mod random;
pub mod session;
pub mod text;
pub mod training;
pub mod types;
pub mod verify;

pub use array::Array;
pub use builder::Builder;
pub use dim::{Atom, Dim, Ranges, Symbol};
pub use dtype::DType;
pub use evaluate::evaluate;
pub use graph::Value;
pub use types::{Pattern, Type};
pub use verify::{VerifyError, verify};
