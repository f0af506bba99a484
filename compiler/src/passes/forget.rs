//! Once gradients are taken, what only they look at goes: `stop` is its operand, a rule is its forward body.

use super::{Findings, Pass};
use nnc_ir::graph::{Block, Module, Node, Value};
use nnc_ir::ops::Op;
use std::collections::HashMap;

/// See the module.
pub const FORGET_GRADIENTS: Pass = Pass {
    name: "forget-gradients",
    about: "replace `stop` by its operand and rules by their forward bodies",
    run,
};

fn run(mut module: Module) -> Result<Module, Findings> {
    for entry in &mut module.entries {
        block(&mut entry.function.body, &mut HashMap::new());
    }
    Ok(module)
}

type Names = HashMap<Value, Value>;

fn resolve(names: &Names, value: &mut Value) {
    *value = names.get(value).copied().unwrap_or(*value);
}

fn block(body: &mut Block, names: &mut Names) {
    let mut kept = Vec::new();
    nodes(std::mem::take(&mut body.nodes), names, &mut kept);
    body.nodes = kept;
    body.results.iter_mut().for_each(|value| resolve(names, value));
}

fn nodes(list: Vec<Node>, names: &mut Names, kept: &mut Vec<Node>) {
    for mut node in list {
        node.operands.iter_mut().for_each(|value| resolve(names, value));
        match &node.op {
            Op::Stop(_) => drop(names.insert(node.result(), node.operands[0])),
            Op::Rule(_) => {
                let forward = node.blocks.swap_remove(0);
                names.extend(forward.params.into_iter().zip(node.operands));
                nodes(forward.nodes, names, kept);
                let mut results = forward.results;
                results.iter_mut().for_each(|value| resolve(names, value));
                names.extend(node.results.into_iter().zip(results));
            }
            _ => {
                node.blocks.iter_mut().for_each(|inner| block(inner, names));
                kept.push(node);
            }
        }
    }
}
