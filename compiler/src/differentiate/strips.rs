//! Loops in blocks of turns: `n` turns become `n / k` blocks of `k` turns, and a loop over what is left.
//!
//! Values, order of turns and results are those of the loop that was written. The gradient of the loop over blocks can
//! then save what it carries once per block and replay the turns.

use super::Recompute;
use crate::passes::copy::Copier;
use nnc_ir::graph::{Function, Node, Value};
use nnc_ir::ops::{Insert, Loop, Op, Pad, Slice};
use nnc_ir::{Builder, Dim, Symbol};
use std::collections::{HashMap, HashSet};

/// Cuts the loops among `nodes` that have gradients, bodies included. Returns the counters of loops over blocks.
pub(super) fn mine(
    function: &mut Function,
    nodes: &mut Vec<Node>,
    live: &HashSet<Value>,
    recompute: Recompute,
) -> HashSet<Symbol> {
    let mut blocks = HashSet::new();
    if let Recompute::Every(turns @ 1..) = recompute {
        mine_nodes(function, nodes, live, turns, &mut blocks);
    }
    blocks
}

fn mine_nodes(
    function: &mut Function,
    nodes: &mut Vec<Node>,
    live: &HashSet<Value>,
    turns: i64,
    blocks: &mut HashSet<Symbol>,
) {
    for mut node in std::mem::take(nodes) {
        if !matches!(node.op, Op::Rule(_)) {
            let bodies = node.blocks.iter_mut();
            bodies.for_each(|block| mine_nodes(function, &mut block.nodes, live, turns, blocks));
        }
        match strip_of(&node, live, turns) {
            Some(strip) => {
                blocks.insert(strip.name("outer"));
                nodes.extend(strip.build(function));
            }
            None => nodes.push(node),
        }
    }
}

/// How a loop is cut, if it has a gradient and more turns than a block.
fn strip_of<'a>(node: &'a Node, live: &HashSet<Value>, turns: i64) -> Option<Strip<'a>> {
    let Op::Loop(op) = &node.op else { return None };
    let mut values = node.results.iter().chain(&node.blocks[0].params);
    let short = op.count.as_constant().is_some_and(|count| count <= turns);
    if short || !values.any(|value| live.contains(value)) {
        return None;
    }
    let blocks = op.count.floor_div(&Dim::constant(turns));
    let whole = &blocks * &Dim::constant(turns);
    let rest = &op.count - &whole;
    Some(Strip { node, op, turns: Dim::constant(turns), blocks, whole, rest })
}

struct Strip<'a> {
    node: &'a Node,
    op: &'a Loop,
    /// Turns of a block.
    turns: Dim,
    /// Number of blocks.
    blocks: Dim,
    /// Turns in blocks.
    whole: Dim,
    /// Turns after them.
    rest: Dim,
}

impl Strip<'_> {
    fn name(&self, part: &str) -> Symbol {
        Symbol::new(&format!("{}.{part}", self.op.counter))
    }

    fn build(&self, function: &mut Function) -> Vec<Node> {
        let mut b = Builder::resume(std::mem::take(function));
        b.span = self.node.span;
        let (first, stacked) = self.node.operands.split_at(self.op.carried);
        let results = if self.rest.is_zero() {
            self.blocks(&mut b, first, stacked)
        } else if self.op.reverse {
            let rest = self.rest(&mut b, first, stacked);
            let whole = self.blocks(&mut b, &rest[..first.len()], stacked);
            self.join(&mut b, &whole, &rest, &whole)
        } else {
            let whole = self.blocks(&mut b, first, stacked);
            let rest = self.rest(&mut b, &whole[..first.len()], stacked);
            self.join(&mut b, &whole, &rest, &rest)
        };
        let mut nodes = std::mem::take(&mut b.current().nodes);
        *function = b.function;
        rename(&mut nodes, &results, &self.node.results);
        nodes
    }

    /// The loop over blocks, its collected values in one stack again.
    fn blocks(&self, b: &mut Builder, carried: &[Value], stacked: &[Value]) -> Vec<Value> {
        let cut = stacked.iter().map(|value| self.cut(b, *value)).collect::<Vec<_>>();
        b.open();
        let mut given: Vec<Value> = Vec::new();
        for value in carried {
            let ty = b.ty(*value).clone();
            given.push(b.param(ty));
        }
        for value in &cut {
            let ty = b.ty(*value);
            let ty = ty.with_shape(ty.shape[1..].to_vec());
            given.push(b.param(ty));
        }
        let outer = self.name("outer");
        let first = &self.turns * &Dim::from(&outer);
        let inner = self.turns(b, "inner", &self.turns, &first, &given);
        let body = b.close(inner);
        let op = Loop { counter: outer, count: self.blocks.clone(), ..self.op.clone() };
        let operands = [carried, &cut].concat();
        let results = b.try_apply_blocks(op.into(), &operands, vec![body]);
        let mut results = results.expect("a block carries and collects what a turn does");
        for value in &mut results[carried.len()..] {
            let shape = b.ty(*value).shape.clone();
            *value = b.reshape(*value, [std::slice::from_ref(&self.whole), &shape[2..]].concat());
        }
        results
    }

    /// The turns after the last block.
    fn rest(&self, b: &mut Builder, carried: &[Value], stacked: &[Value]) -> Vec<Value> {
        let stacked = stacked.iter().map(|value| slice(b, *value, &self.whole, &self.rest));
        let given: Vec<Value> = carried.iter().copied().chain(stacked.collect::<Vec<_>>()).collect();
        self.turns(b, "rest", &self.rest, &self.whole, &given)
    }

    /// A loop over `count` turns, from turn `first` on.
    fn turns(&self, b: &mut Builder, part: &str, count: &Dim, first: &Dim, given: &[Value]) -> Vec<Value> {
        let counter = self.name(part);
        let mut copier = Copier::new();
        copier.symbols.insert(self.op.counter.clone(), first + &Dim::from(&counter));
        let body = copier.block(&mut b.function, &self.node.blocks[0]);
        let op = Loop { counter, count: count.clone(), ..self.op.clone() };
        b.try_apply_blocks(op.into(), given, vec![body]).expect("a copy has the type of its original")
    }

    /// A stack of all turns as a stack of blocks.
    fn cut(&self, b: &mut Builder, stacked: Value) -> Value {
        let whole = slice(b, stacked, &Dim::zero(), &self.whole);
        let shape = b.ty(whole).shape.clone();
        b.reshape(whole, [&[self.blocks.clone(), self.turns.clone()], &shape[1..]].concat())
    }

    /// Collected values of both loops in one stack; what is carried comes from `last`.
    fn join(&self, b: &mut Builder, whole: &[Value], rest: &[Value], last: &[Value]) -> Vec<Value> {
        let carried = self.op.carried;
        let mut results = last[..carried].to_vec();
        for (whole, rest) in whole[carried..].iter().zip(&rest[carried..]) {
            let rank = b.ty(*whole).rank();
            let mut high = vec![Dim::zero(); rank];
            let (low, mut starts) = (high.clone(), high.clone());
            (high[0], starts[0]) = (self.rest.clone(), self.whole.clone());
            let base = b.apply(Pad { low, high, value: 0.0 }, &[*whole]);
            results.push(b.apply(Insert { starts, axis: None }, &[base, *rest]));
        }
        results
    }
}

/// `size` elements along the first axis, from `start` on.
fn slice(b: &mut Builder, value: Value, start: &Dim, size: &Dim) -> Value {
    let mut sizes = b.ty(value).shape.clone();
    if sizes[0] == *size {
        return value;
    }
    let mut starts = vec![Dim::zero(); sizes.len()];
    let steps = vec![1; sizes.len()];
    (starts[0], sizes[0]) = (start.clone(), size.clone());
    b.apply(Slice { starts, sizes, steps }, &[value])
}

/// Lets `nodes` define and use `to` instead of `from`.
fn rename(nodes: &mut [Node], from: &[Value], to: &[Value]) {
    let names: HashMap<Value, Value> = from.iter().copied().zip(to.iter().copied()).collect();
    for node in nodes {
        let values = node.operands.iter_mut().chain(&mut node.results);
        values.for_each(|value| *value = names.get(value).copied().unwrap_or(*value));
    }
}
