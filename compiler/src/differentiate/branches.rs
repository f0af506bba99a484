//! Gradients of branches: a branch on the same condition, whose sides replay theirs and hand back cotangents of what
//! either captures. Nothing is saved, so the side that is not taken costs nothing.

use super::reverse::Reverse;
use crate::passes::copy::Copier;
use crate::passes::dead_code::prune;
use nnc_ir::graph::{Block, Node, Value};
use nnc_ir::ops::If;
use std::collections::BTreeSet;

impl Reverse<'_> {
    /// Adds the cotangents of what the bodies of a branch capture.
    pub(super) fn branch(&mut self, node: &Node) {
        let captures: BTreeSet<Value> = node.blocks.iter().flat_map(Block::captures).collect();
        let captures: Vec<Value> = captures.into_iter().filter(|value| self.lives(*value)).collect();
        if captures.is_empty() {
            return;
        }
        let seeds: Vec<Option<Value>> = node.results.iter().map(|result| self.cotangent(*result)).collect();
        let outer = std::mem::take(&mut self.sums);
        let sides = node.blocks.iter().map(|block| self.side(block, &seeds, &captures)).collect();
        self.sums = outer;
        self.b.span = node.span;
        let gradient = self.b.try_apply_blocks(If.into(), &node.operands, sides);
        let cotangents = gradient.expect("both sides hand back cotangents of the same values");
        captures.into_iter().zip(cotangents).for_each(|(value, cotangent)| self.accumulate(value, cotangent));
    }

    fn side(&mut self, block: &Block, seeds: &[Option<Value>], captures: &[Value]) -> Block {
        let mut copier = Copier::new();
        let mut nodes = copier.nodes(&mut self.b.function, &block.nodes);
        let copies = copier.values.iter().filter(|(original, _)| self.live.contains(original));
        let copies: Vec<Value> = copies.map(|(_, copy)| *copy).collect();
        self.live.extend(copies);
        self.b.open();
        self.sums.clear();
        for (result, seed) in copier.all(&block.results).into_iter().zip(seeds) {
            seed.iter().for_each(|seed| self.accumulate(result, *seed));
        }
        self.walk(&mut nodes);
        let blocked =
            copier.values.iter().filter_map(|(original, copy)| Some((*original, *self.blocked.get(copy)?)));
        let blocked: Vec<_> = blocked.collect();
        self.blocked.extend(blocked);
        let cotangents = captures.iter().map(|value| self.cotangent_or_zero(*value)).collect();
        let mut side = self.b.close(cotangents);
        nodes.append(&mut side.nodes);
        prune(&mut nodes, &side.results);
        Block { nodes, ..side }
    }
}
