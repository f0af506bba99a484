//! One function made ready for scheduling: where every value comes from.

use nnc_ir::graph::{Block, Function, Node};
use nnc_ir::ops::Op;
use nnc_ir::{Dim, Symbol, Type, Value};
use std::collections::HashMap;

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(super) enum Def<'f> {
    /// A result of a node.
    Node(&'f Node, usize),
    /// A part of a stacked value, cut by a loop at its counter.
    Slice(Value, Symbol),
    /// Given from outside: it has a home before its block begins.
    Given,
}

/// A function and the definitions of all its values.
pub(super) struct Graph<'f> {
    pub function: &'f Function,
    defs: HashMap<Value, Def<'f>>,
}

impl<'f> Graph<'f> {
    /// The definitions of `function`.
    pub fn new(function: &'f Function) -> Graph<'f> {
        let mut graph = Graph { function, defs: HashMap::new() };
        graph.block(&function.body);
        graph
    }

    fn block(&mut self, block: &'f Block) {
        for node in &block.nodes {
            for (place, result) in node.results.iter().enumerate() {
                self.defs.insert(*result, Def::Node(node, place));
            }
            if let Op::Loop(op) = &node.op {
                let cut = node.operands.iter().zip(&node.blocks[0].params).skip(op.carried);
                for (operand, param) in cut {
                    self.defs.insert(*param, Def::Slice(*operand, op.counter.clone()));
                }
            }
            node.blocks.iter().for_each(|block| self.block(block));
        }
    }

    /// Where `value` comes from.
    pub fn def(&self, value: Value) -> Def<'f> {
        self.defs.get(&value).cloned().unwrap_or(Def::Given)
    }

    /// The node that makes `value`.
    pub fn node(&self, value: Value) -> Option<&'f Node> {
        match self.def(value) {
            Def::Node(node, _) => Some(node),
            _ => None,
        }
    }

    /// The type of `value`.
    pub fn ty(&self, value: Value) -> &'f Type {
        self.function.ty(value)
    }

    /// The sizes of `value`.
    pub fn shape(&self, value: Value) -> &'f [Dim] {
        &self.function.ty(value).shape
    }

    /// What people call `value`: its name in the source, or the operation that makes it.
    pub fn name(&self, value: Value) -> String {
        let named = self.function.values[value.0 as usize].name.clone();
        named
            .or_else(|| self.node(value).map(|node| node.op.name().to_string()))
            .unwrap_or_else(|| "x".into())
    }
}
