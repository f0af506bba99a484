//! Stacks that a loop cuts by hand become sliced operands.
//!
//! `x[.., t, ..]` in a loop over `t` names all of `x`, so its gradient would add a whole tensor per turn. As a sliced
//! operand, each turn hands back the cotangent of its own part.

use nnc_ir::graph::{Function, Node, Value};
use nnc_ir::ops::{Loop, Op, Reshape, Slice};
use nnc_ir::{Builder, Dim, Symbol};
use std::collections::{HashMap, HashSet};

/// Rewrites the loops among `nodes`, bodies included. Returns whether anything changed.
pub(super) fn expose(function: &mut Function, nodes: &mut Vec<Node>, live: &HashSet<Value>) -> bool {
    let mut changed = false;
    for mut node in std::mem::take(nodes) {
        if let Op::Loop(op) = node.op.clone() {
            let mut b = Builder::resume(std::mem::take(function));
            b.span = node.span;
            let (stacks, added, counters) = Default::default();
            let inner = node.blocks[0].params.iter().copied().collect();
            let mut cutter = Cutter { b: &mut b, op: &op, live, inner, counters, stacks, added };
            cutter.nodes(&mut node.blocks[0].nodes);
            let added = cutter.added;
            changed |= !added.is_empty();
            node.blocks[0].params.extend(added.iter().map(|(param, _)| *param));
            node.operands.extend(added.iter().map(|(_, stack)| *stack));
            node.op = Loop { sliced: op.sliced + added.len(), ..op }.into();
            nodes.append(&mut b.current().nodes);
            *function = b.function;
        }
        if !matches!(node.op, Op::Rule(_)) {
            for block in &mut node.blocks {
                changed |= expose(function, &mut block.nodes, live);
            }
        }
        nodes.push(node);
    }
    changed
}

/// A stack, the axis that is cut, and where the first turn cuts.
type Stack = (Value, usize, Dim, i64);

struct Cutter<'a> {
    b: &'a mut Builder,
    op: &'a Loop,
    live: &'a HashSet<Value>,
    /// What the loop defines so far.
    inner: HashSet<Value>,
    /// Counters of loops inside.
    counters: Vec<Symbol>,
    /// The parameter that holds the part of a stack.
    stacks: HashMap<Stack, Value>,
    /// New parameters and their operands.
    added: Vec<(Value, Value)>,
}

impl Cutter<'_> {
    /// Looks for cuts in a body and what is inside of it.
    fn nodes(&mut self, nodes: &mut Vec<Node>) {
        for mut node in std::mem::take(nodes) {
            if let Op::Loop(op) = &node.op {
                self.counters.push(op.counter.clone());
            }
            for block in &mut node.blocks {
                self.inner.extend(&block.params);
                self.nodes(&mut block.nodes);
            }
            if let Some((axis, stack)) = self.cut_of(&node) {
                nodes.push(self.part(&mut node, axis, stack));
            }
            self.inner.extend(&node.results);
            nodes.push(node);
        }
    }

    /// The axis along which a slice takes one element per turn, if its operand is from outside.
    fn cut_of(&self, node: &Node) -> Option<(usize, Stack)> {
        let Op::Slice(slice) = &node.op else { return None };
        let value = node.operands[0];
        if self.inner.contains(&value) || !self.live.contains(&value) {
            return None;
        }
        (0..slice.starts.len()).find_map(|axis| {
            let (slope, first) = slice.starts[axis].linear_in(&self.op.counter)?;
            let step = slope.as_constant().filter(|step| step.abs() == 1)?;
            let known =
                slice.sizes[axis].is_one() && !self.counters.iter().any(|inner| first.mentions(inner));
            known.then_some((axis, (value, axis, first, step)))
        })
    }

    /// Makes `node` read the part of this turn; returns the node that gives it its shape.
    fn part(&mut self, node: &mut Node, axis: usize, stack: Stack) -> Node {
        let mut shape = self.b.ty(stack.0).shape.clone();
        shape[axis] = Dim::one();
        let param = match self.stacks.get(&stack) {
            Some(param) => *param,
            None => self.stack(stack),
        };
        let ty = self.b.ty(param).with_shape(shape.clone());
        let part = self.b.function.fresh(ty);
        node.operands = vec![part];
        if let Op::Slice(slice) = &mut node.op {
            slice.starts[axis] = Dim::zero();
            slice.steps[axis] = 1;
        }
        let op = Reshape { shape }.into();
        Node { op, operands: vec![param], results: vec![part], blocks: Vec::new(), span: node.span }
    }

    /// Adds a sliced operand: what the turns cut, the cut axis first.
    fn stack(&mut self, stack: Stack) -> Value {
        let (value, axis, first, step) = stack.clone();
        let mut sizes = self.b.ty(value).shape.clone();
        let rank = sizes.len();
        let whole = first.is_zero() && step == 1 && sizes[axis] == self.op.count;
        let (mut starts, mut steps) = (vec![Dim::zero(); rank], vec![1; rank]);
        (starts[axis], sizes[axis], steps[axis]) = (first, self.op.count.clone(), step);
        let taken = if whole { value } else { self.b.apply(Slice { starts, sizes, steps }, &[value]) };
        let order = std::iter::once(axis).chain((0..rank).filter(|other| *other != axis)).collect();
        let turned = self.b.permute(taken, order);
        let ty = self.b.ty(turned);
        let ty = ty.with_shape(ty.shape[1..].to_vec());
        let param = self.b.function.fresh(ty);
        self.added.push((param, turned));
        self.stacks.insert(stack, param);
        param
    }
}
