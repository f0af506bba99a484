//! What a target can do: the facts that change a schedule.

use nnc_ir::Symbol;

/// Whose printer will print the kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Machine code for this processor.
    Cpu,
    /// WebGPU shading language.
    Wgsl,
    /// CUDA C++.
    Cuda,
}

/// What a target can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whose printer will print the kernels.
    pub kind: Kind,
    /// It has a micro-kernel for matrix products.
    pub gemm: bool,
    /// An instance runs its innermost loop on vectors; otherwise an instance is one thread of many.
    pub vector: bool,
    /// An instance may have scratch memory.
    pub tiles: bool,
    /// Buffers that one kernel may touch.
    pub max_buffers: usize,
    /// Run-time sizes that calls usually have. They decide between schedules that are all right.
    pub usual: Vec<(Symbol, i64)>,
}

impl Target {
    /// This processor: products by a micro-kernel, vectors, scratch memory.
    pub fn cpu() -> Target {
        Target { kind: Kind::Cpu, gemm: true, vector: true, tiles: true, max_buffers: 64, usual: Vec::new() }
    }

    /// WebGPU: one thread per instance, eight buffers.
    pub fn wgsl() -> Target {
        Target {
            kind: Kind::Wgsl,
            gemm: false,
            vector: false,
            tiles: false,
            max_buffers: 8,
            usual: Vec::new(),
        }
    }

    /// The same target for calls of these sizes.
    pub fn usually(self, usual: Vec<(Symbol, i64)>) -> Target {
        Target { usual, ..self }
    }

    /// CUDA: one thread per instance.
    pub fn cuda() -> Target {
        Target {
            kind: Kind::Cuda,
            gemm: false,
            vector: false,
            tiles: false,
            max_buffers: 24,
            usual: Vec::new(),
        }
    }
}
