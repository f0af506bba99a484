//! Copies of nodes. Every value that a copy defines is new, so a copy may stand beside its original.

use nnc_ir::graph::{Block, Function, Node, Value};
use nnc_ir::{Dim, Symbol};
use std::collections::HashMap;

/// Copies nodes and bodies, replacing values and symbols on the way.
#[derive(Default)]
pub(crate) struct Copier {
    /// What stands for a value of the original; values without an entry are shared.
    pub values: HashMap<Value, Value>,
    /// What stands for a symbol.
    pub symbols: HashMap<Symbol, Dim>,
}

impl Copier {
    /// Nothing replaced yet.
    pub fn new() -> Copier {
        Copier::default()
    }

    /// Replaces values.
    pub fn replacing(pairs: impl IntoIterator<Item = (Value, Value)>) -> Copier {
        Copier { values: pairs.into_iter().collect(), symbols: HashMap::new() }
    }

    /// What stands for `value`.
    pub fn value(&self, value: Value) -> Value {
        self.values.get(&value).copied().unwrap_or(value)
    }

    /// What stands for each.
    pub fn all(&self, values: &[Value]) -> Vec<Value> {
        values.iter().map(|value| self.value(*value)).collect()
    }

    fn dim(&self, dim: &Dim) -> Dim {
        if self.symbols.is_empty() {
            return dim.clone();
        }
        dim.substitute(&|symbol| self.symbols.get(symbol).cloned())
    }

    /// A new value that stands for `value` from now on.
    pub fn define(&mut self, function: &mut Function, value: Value) -> Value {
        let mut info = function.values[value.0 as usize].clone();
        info.ty.shape.iter_mut().for_each(|size| *size = self.dim(size));
        function.values.push(info);
        let copy = Value(function.values.len() as u32 - 1);
        self.values.insert(value, copy);
        copy
    }

    /// A copy of `node`.
    pub fn node(&mut self, function: &mut Function, node: &Node) -> Node {
        let mut op = node.op.clone();
        if !self.symbols.is_empty() {
            op.map_dims(&|dim| self.dim(dim));
        }
        let operands = self.all(&node.operands);
        let blocks = node.blocks.iter().map(|block| self.block(function, block)).collect();
        let results = node.results.iter().map(|result| self.define(function, *result)).collect();
        Node { op, operands, results, blocks, span: node.span }
    }

    /// Copies of nodes in order.
    pub fn nodes(&mut self, function: &mut Function, nodes: &[Node]) -> Vec<Node> {
        nodes.iter().map(|node| self.node(function, node)).collect()
    }

    /// A copy of a body.
    pub fn block(&mut self, function: &mut Function, block: &Block) -> Block {
        let params = block.params.iter().map(|param| self.define(function, *param)).collect();
        let nodes = self.nodes(function, &block.nodes);
        Block { params, nodes, results: self.all(&block.results) }
    }
}
