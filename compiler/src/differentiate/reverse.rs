//! The walk from last node to first, adding up cotangents.
//!
//! Backward nodes go to the builder's open block and name forward values as they are. A body that is differentiated
//! elsewhere than where it stands is patched afterwards: see `loops` and `branches`.

use super::Recompute;
use crate::passes::copy::Copier;
use nnc_ir::graph::{Node, Value};
use nnc_ir::ops::{Applied, Gradient, Op};
use nnc_ir::{Builder, Symbol};
use std::collections::{HashMap, HashSet};

/// The state of one walk.
pub(super) struct Reverse<'a> {
    /// Where backward nodes go.
    pub b: &'a mut Builder,
    /// Values that have cotangents: those on a path from a source to an output.
    pub live: HashSet<Value>,
    /// Cotangents so far.
    pub sums: HashMap<Value, Value>,
    /// What loops save.
    pub recompute: Recompute,
    /// Counters of loops over blocks of turns.
    pub blocks: HashSet<Symbol>,
    /// Results of operations that have no gradient, and why.
    pub blocked: HashMap<Value, &'static str>,
}

impl<'a> Reverse<'a> {
    /// Nothing seeded yet.
    pub fn new(
        b: &'a mut Builder,
        live: HashSet<Value>,
        recompute: Recompute,
        blocks: HashSet<Symbol>,
    ) -> Reverse<'a> {
        Reverse { b, live, sums: HashMap::new(), recompute, blocks, blocked: HashMap::new() }
    }

    /// Whether `value` has a cotangent worth computing.
    pub fn lives(&self, value: Value) -> bool {
        self.live.contains(&value)
    }

    /// The cotangent of `value` so far.
    pub fn cotangent(&self, value: Value) -> Option<Value> {
        self.sums.get(&value).copied()
    }

    /// The cotangent of `value` so far, or zeros.
    pub fn cotangent_or_zero(&mut self, value: Value) -> Value {
        self.cotangent(value).unwrap_or_else(|| self.b.fill_like(0.0, value))
    }

    /// Adds to the cotangent of `value`, if it has one.
    pub fn accumulate(&mut self, value: Value, cotangent: Value) {
        if !self.lives(value) {
            return;
        }
        let sum = match self.sums.get(&value) {
            Some(sum) => self.b.add(*sum, cotangent),
            None => cotangent,
        };
        self.sums.insert(value, sum);
    }

    /// Differentiates nodes, last first. Loops among them may gain results.
    pub fn walk(&mut self, nodes: &mut [Node]) {
        for node in nodes.iter_mut().rev() {
            if node.results.iter().any(|result| self.sums.contains_key(result)) {
                self.b.span = node.span;
                self.node(node);
            }
        }
    }

    fn node(&mut self, node: &mut Node) {
        match &node.op {
            Op::Loop(_) => self.repeat(node),
            Op::If(_) => self.branch(node),
            Op::Rule(_) => self.rule(node),
            _ => self.plain(node),
        }
    }

    fn plain(&mut self, node: &Node) {
        if !node.operands.iter().any(|operand| self.lives(*operand)) {
            return;
        }
        let cotangents: Vec<Value> =
            node.results.iter().map(|result| self.cotangent_or_zero(*result)).collect();
        let (operands, results) = (&node.operands[..], &node.results[..]);
        let mut applied = Applied { operands, results, cotangents: &cotangents, b: self.b };
        match node.op.gradient(&mut applied) {
            Gradient::Of(cotangents) => {
                let pairs = operands.iter().zip(cotangents);
                pairs.filter_map(|(v, c)| Some((*v, c?))).for_each(|(v, c)| self.accumulate(v, c));
            }
            Gradient::Blocked(reason) => {
                self.blocked.extend(results.iter().map(|result| (*result, reason)));
            }
            Gradient::Structural => {}
        }
    }

    /// The gradient that was written takes the place of the derived one.
    fn rule(&mut self, node: &Node) {
        let given = node.operands.iter().chain(&node.results).copied().collect::<Vec<_>>();
        let cotangents: Vec<Value> =
            node.results.iter().map(|result| self.cotangent_or_zero(*result)).collect();
        let backward = &node.blocks[1];
        let arguments = given.into_iter().chain(cotangents);
        let mut copier = Copier::replacing(backward.params.iter().copied().zip(arguments));
        let copies = copier.nodes(&mut self.b.function, &backward.nodes);
        self.b.current().nodes.extend(copies);
        let floats = node.operands.iter().filter(|operand| self.b.ty(**operand).dtype.is_float());
        let pairs: Vec<(Value, Value)> = floats.copied().zip(copier.all(&backward.results)).collect();
        pairs.into_iter().for_each(|(operand, cotangent)| self.accumulate(operand, cotangent));
    }
}
