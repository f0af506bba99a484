//! The two IRs of nnc. `graph` is the tensor IR (typed SSA with rolled loops), `kernel` the loop IR that back ends
//! print, `plan` what a runtime executes. Nothing here knows the language, a device or a file.

pub mod array;
pub mod builder;
pub mod dim;
pub mod dtype;
pub mod graph;
pub mod kernel;
pub mod ops;
pub mod plan;
pub mod random;
pub mod session;
pub mod types;

pub use array::Array;
pub use builder::Builder;
pub use dim::{Atom, Dim, Ranges, Symbol};
pub use dtype::DType;
pub use types::{Pattern, Type};
