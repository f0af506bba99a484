//! What it costs to compute a node again, judged by how it is lowered.

use nnc_ir::graph::{Function, Node};
use nnc_ir::ops::{Lowered, Op, Wanted};
use nnc_ir::{DType, Dim, Ranges, Symbol, Type};

/// Stands for a size that is not known.
const NOMINAL: i64 = 256;
/// A product this many times larger than its operands is cheaper to make than to keep.
const EXPANSION: u64 = 4;

/// How dear a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cost {
    /// No memory is touched that its user would not touch: constants, counters, random numbers, index maps.
    Free,
    /// A scalar function per element.
    Pointwise,
    /// Everything else.
    Dear,
}

/// What `node` costs.
pub(crate) fn cost(function: &Function, node: &Node) -> Cost {
    if matches!(node.op, Op::Table(_)) {
        return Cost::Free;
    }
    match lowered(function, node) {
        Lowered::Source(_) | Lowered::View { .. } => Cost::Free,
        Lowered::Map(_) => Cost::Pointwise,
        _ => Cost::Dear,
    }
}

/// Whether `node` is a product much larger than its operands, such as the scores of attention.
pub(crate) fn expands(function: &Function, node: &Node) -> bool {
    let read = node.operands.iter().map(|value| bytes(function.ty(*value))).fold(0, u64::saturating_add);
    matches!(node.op, Op::Contract(_)) && bytes(function.ty(node.result())) / EXPANSION >= read
}

/// How one element of `node` is made, at an unspecified index.
pub(crate) fn lowered(function: &Function, node: &Node) -> Lowered {
    let types = |values: &[nnc_ir::Value]| values.iter().map(|v| function.ty(*v).clone()).collect();
    let (operands, results): (Vec<Type>, Vec<Type>) = (types(&node.operands), types(&node.results));
    let rank = results.first().map_or(0, Type::rank);
    let at: Vec<Dim> = (0..rank).map(|axis| Dim::from(&Symbol::new(&format!("at{axis}")))).collect();
    node.op.lower(&Wanted { operands: &operands, results: &results, at: &at, ranges: &Ranges::new() })
}

/// Bytes of a tensor, with a nominal number for each size that is not known; at least 1.
pub(crate) fn bytes(ty: &Type) -> u64 {
    let size = ty.size().evaluate(&|_| Some(NOMINAL)).unwrap_or(i64::MAX);
    (size.max(1) as u64).saturating_mul(width(ty.dtype))
}

fn width(dtype: DType) -> u64 {
    dtype.size() as u64
}
