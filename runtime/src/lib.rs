//! Runs compiled models: data, training reports, checkpoints. It needs no compiler.

pub mod checkpoint;
pub mod data;
pub mod file;
pub mod report;
pub mod tensor;
