//! Repeats index maps, constants and counters in the bodies that use them.
//!
//! A body that captures `broadcast x` would make somebody store it; a body that captures `x` and broadcasts it does not.
//! What a body captures in the end are tensors that exist anyway.

use super::copy::Copier;
use super::cost::lowered;
use super::{Findings, Pass};
use nnc_ir::graph::{Block, Function, Module, Node, Value};
use nnc_ir::ops::{Lowered, Op};
use std::collections::HashMap;
use std::rc::Rc;

/// See the module.
pub const SINK_VIEWS: Pass =
    Pass { name: "sink-views", about: "repeat index maps and constants in the bodies that use them", run };

fn run(mut module: Module) -> Result<Module, Findings> {
    for entry in &mut module.entries {
        let mut body = std::mem::take(&mut entry.function.body);
        Sink { function: &mut entry.function, views: HashMap::new() }.nodes(&mut body.nodes);
        entry.function.body = body;
    }
    Ok(module)
}

struct Sink<'a> {
    function: &'a mut Function,
    /// What makes each value that costs nothing.
    views: HashMap<Value, Rc<Node>>,
}

impl Sink<'_> {
    fn nodes(&mut self, nodes: &mut [Node]) {
        for node in nodes {
            for block in &mut node.blocks {
                self.block(block);
            }
            if self.is_view(node) {
                self.views.insert(node.result(), Rc::new(node.clone()));
            }
        }
    }

    fn is_view(&self, node: &Node) -> bool {
        let free = matches!(lowered(self.function, node), Lowered::View { .. } | Lowered::Source(_));
        free && !matches!(node.op, Op::Random(_))
    }

    fn block(&mut self, block: &mut Block) {
        let mut copier = Copier::new();
        let mut copies = Vec::new();
        for value in block.captures() {
            self.sink(value, &mut copier, &mut copies);
        }
        block.replace_uses(&|value| copier.value(value));
        block.nodes.splice(0..0, copies);
        self.nodes(&mut block.nodes);
    }

    /// Copies what makes `value`, and what that is made of.
    fn sink(&mut self, value: Value, copier: &mut Copier, copies: &mut Vec<Node>) {
        let Some(view) = self.views.get(&value).cloned() else { return };
        if copier.values.contains_key(&value) {
            return;
        }
        view.operands.iter().for_each(|operand| self.sink(*operand, copier, copies));
        copies.push(copier.node(self.function, &view));
    }
}
