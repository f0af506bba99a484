//! Runs compiled models: data, sessions, training, reports, checkpoints. It needs no compiler.

pub mod checkpoint;
pub mod cpu;
pub mod data;
pub mod file;
pub mod report;
pub mod tensor;
pub mod trainer;
