//! Runs compiled models: data, sessions, training, reports, checkpoints, artifacts. It needs no compiler.

pub mod artifact;
pub mod call;
pub mod checkpoint;
pub mod cpu;
pub mod data;
pub mod file;
pub mod model;
pub mod report;
pub mod tensor;
pub mod trainer;
pub mod weights;

pub use call::RunError;
pub use model::Model;
pub use nnc_ir::DType;
pub use tensor::HostTensor;
