//! Folds of 16-bit floats accumulate in f32: the operand is converted before, the result after.

use super::{Findings, Pass};
use nnc_ir::DType;
use nnc_ir::graph::{Block, Function, Module, Node, Value};
use nnc_ir::ops::{self, Op};

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
        match accumulator(function, &node) {
            Some(wide) => widen(function, node, wide, &mut kept),
            None => kept.push(node),
        }
    }
    body.nodes = kept;
}

/// The element type a fold needs, if it is another than it has.
fn accumulator(function: &Function, node: &Node) -> Option<DType> {
    let fold = match &node.op {
        Op::Reduce(op) => op.fold,
        Op::Scan(op) => op.fold,
        _ => return None,
    };
    let narrow = function.ty(node.operands[0]).dtype;
    Some(fold.accumulator(narrow)).filter(|wide| *wide != narrow)
}

fn widen(function: &mut Function, node: Node, accumulator: DType, kept: &mut Vec<Node>) {
    let (operand, result) = (node.operands[0], node.result());
    let narrow = function.ty(result).dtype;
    let wide = |function: &mut Function, value: Value| {
        let ty = function.ty(value).clone().with_dtype(accumulator);
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
    kept.push(cast(operand, accumulator, input));
    let last = cast(output, narrow, result);
    kept.push(Node { operands: vec![input], results: vec![output], ..node });
    kept.push(last);
}
