//! What a target can do: the facts that change a schedule, and what it cannot.

use nnc_base::{Diagnostic, Span};
use nnc_ir::DType;
use nnc_ir::graph::{Function, Node};

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

/// Something that programs can say and a target cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The target.
    pub kind: Kind,
    /// No operation computes in this element type.
    pub dtype: DType,
    /// Why not.
    pub why: &'static str,
}

/// All gaps: what is not listed here runs on every target.
pub const GAPS: &[Gap] =
    &[Gap { kind: Kind::Wgsl, dtype: DType::F64, why: "WGSL has no real numbers of 64 bits" }];

impl Gap {
    /// Whether `function` falls into it.
    pub fn covers(&self, function: &Function) -> bool {
        self.find(function).is_some()
    }

    /// The first operation that falls into it: its name and place.
    fn find(&self, function: &Function) -> Option<(&'static str, Span)> {
        let mut found = None;
        let mut visit = |node: &Node| {
            let mut values = node.operands.iter().chain(&node.results);
            if found.is_none() && values.any(|value| function.ty(*value).dtype == self.dtype) {
                found = Some((node.op.name(), node.span));
            }
        };
        function.body.visit(&mut visit);
        found
    }

    /// The error for a function that falls into it.
    fn refusal(&self, function: &Function) -> Option<Diagnostic> {
        let (operation, span) = self.find(function)?;
        let message = format!("`{operation}` works on {}: {}", self.dtype, self.why);
        let help = "compute in a narrower type, or compile for another `--target`";
        Some(Diagnostic::error("support::target", span, message).help(help))
    }
}

/// Why `function` cannot run on a target.
pub(super) fn refusal(target: &Target, function: &Function) -> Option<Diagnostic> {
    GAPS.iter().filter(|gap| gap.kind == target.kind).find_map(|gap| gap.refusal(function))
}
