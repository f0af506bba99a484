//! Folds of 16-bit floats accumulate in f32: the operand is converted before, the result after.

use super::{Findings, Pass};
use nnc_ir::graph::{Block, Function, Module, Node, Value};
use nnc_ir::ops::{self, Fold, Op};
use nnc_ir::{DType, Type};

/// See the module.
pub const WIDEN_FOLDS: Pass =
    Pass { name: "widen-folds", about: "accumulate folds of 16-bit floats in f32", run };

fn run(mut module: Module) -> Result<Module, Findings> {
    for entry in &mut module.entries {
        let mut body = std::mem::take(&mut entry.function.body);
        block(&mut entry.function, &mut body);
        entry.function.body = body;
    }
    Ok(module)
}

fn block(function: &mut Function, body: &mut Block) {
    let mut kept = Vec::with_capacity(body.nodes.len());
    for mut node in std::mem::take(&mut body.nodes) {
        node.blocks.iter_mut().for_each(|inner| block(function, inner));
        if accumulates(&node.op) && is_half(function.ty(node.operands[0])) {
            widen(function, node, &mut kept);
        } else {
            kept.push(node);
        }
    }
    body.nodes = kept;
}

fn accumulates(op: &Op) -> bool {
    let sums = |fold: Fold| matches!(fold, Fold::Add | Fold::Mul);
    match op {
        Op::Reduce(op) => sums(op.fold),
        Op::Scan(op) => sums(op.fold),
        _ => false,
    }
}

fn is_half(ty: &Type) -> bool {
    matches!(ty.dtype, DType::Bf16 | DType::F16)
}

fn widen(function: &mut Function, node: Node, kept: &mut Vec<Node>) {
    let (operand, result) = (node.operands[0], node.result());
    let narrow = function.ty(result).dtype;
    let wide = |function: &mut Function, value: Value| {
        let ty = function.ty(value).clone().with_dtype(DType::F32);
        function.fresh(ty)
    };
    let (input, output) = (wide(function, operand), wide(function, result));
    let cast = |from: Value, dtype: DType, to: Value| Node {
        op: ops::Cast { dtype }.into(),
        operands: vec![from],
        results: vec![to],
        blocks: Vec::new(),
        span: node.span,
    };
    kept.push(cast(operand, DType::F32, input));
    let last = cast(output, narrow, result);
    kept.push(Node { operands: vec![input], results: vec![output], ..node });
    kept.push(last);
}
