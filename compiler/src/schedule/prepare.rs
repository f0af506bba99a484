//! Rewrites of the tensor IR before scheduling, all of them exact but for the order of sums:
//!
//! * rules become their forward bodies, `stop` disappears;
//! * a permuted product is computed in the order it is wanted in;
//! * products of bf16 and f16 are computed in f32 where the micro-kernel wants that;
//! * overlapping windows of a product are added up by a product over windows;
//! * large folds with few results are cut in two, so that several threads share them. The cut depends on shapes only.

mod windows;

use super::sizes::Guess;
use super::target::Target;
use nnc_ir::graph::{Block, Function, Node};
use nnc_ir::ops::{self, Fold, Op, Reduce};
use nnc_ir::{Builder, Dim, Type, Value};
use std::collections::HashMap;

/// Elements from which on a fold is worth cutting.
const LARGE: f64 = 32768.0;
/// Parts of a cut fold on the CPU.
const PARTS: i64 = 16;
/// Parts of a cut fold where an instance is one thread of many.
const THREADS: i64 = 256;

/// `function`, ready for scheduling.
pub(super) fn prepare(function: &Function, target: &Target, guess: &Guess) -> Function {
    let mut function = function.clone();
    let body = std::mem::take(&mut function.body);
    let uses = uses(&body);
    let mut task = Prepare { function, alias: HashMap::new(), uses, target, guess: guess.clone() };
    let body = task.block(body);
    Function { body, ..task.function }
}

/// How often each value is used.
fn uses(block: &Block) -> HashMap<Value, usize> {
    let mut found: HashMap<Value, usize> = HashMap::new();
    block.results.iter().for_each(|value| *found.entry(*value).or_default() += 1);
    block.visit(&mut |node| {
        let inner = node.blocks.iter().flat_map(|block| &block.results);
        node.operands.iter().chain(inner).for_each(|value| *found.entry(*value).or_default() += 1);
    });
    found
}

struct Prepare<'p> {
    function: Function,
    alias: HashMap<Value, Value>,
    uses: HashMap<Value, usize>,
    target: &'p Target,
    guess: Guess,
}

impl Prepare<'_> {
    fn resolve(&self, value: Value) -> Value {
        self.alias.get(&value).copied().unwrap_or(value)
    }

    fn rename(&mut self, from: Value, to: Value) {
        let name = self.function.values[from.0 as usize].name.clone();
        let target = &mut self.function.values[to.0 as usize].name;
        *target = target.take().or(name);
        self.alias.insert(from, to);
    }

    fn block(&mut self, block: Block) -> Block {
        let mut nodes = Vec::new();
        block.nodes.into_iter().for_each(|node| self.node(node, &mut nodes));
        let results = block.results.iter().map(|value| self.resolve(*value)).collect();
        Block { params: block.params, nodes, results }
    }

    fn node(&mut self, mut node: Node, out: &mut Vec<Node>) {
        node.operands.iter_mut().for_each(|value| *value = self.alias.get(value).copied().unwrap_or(*value));
        match node.op.clone() {
            Op::Rule(_) => self.inline(node, out),
            Op::Stop(_) => self.rename(node.results[0], node.operands[0]),
            Op::Reduce(op) => self.reduce(op, node, out),
            Op::Contract(op) => self.contract(op, node, out),
            Op::Permute(op) => self.permute(op, node, out),
            Op::FoldWindow(op) => self.fold_window(op, node, out),
            op => {
                if let Op::Loop(op) = &op {
                    self.guess.counter(&op.counter, &op.count);
                }
                node.blocks = std::mem::take(&mut node.blocks).into_iter().map(|b| self.block(b)).collect();
                out.push(node);
            }
        }
    }

    fn inline(&mut self, mut node: Node, out: &mut Vec<Node>) {
        let forward = node.blocks.swap_remove(0);
        self.alias.extend(forward.params.iter().copied().zip(node.operands.iter().copied()));
        forward.nodes.into_iter().for_each(|inner| self.node(inner, out));
        for (result, inner) in node.results.iter().zip(&forward.results) {
            let inner = self.resolve(*inner);
            self.alias.insert(*result, inner);
        }
    }

    /// Adds nodes in place of `node`, whose result is what `build` returns.
    fn replace(
        &mut self,
        node: &Node,
        out: &mut Vec<Node>,
        build: impl FnOnce(&mut Builder, &[Value]) -> Value,
    ) {
        let mut builder = Builder::resume(std::mem::take(&mut self.function));
        builder.span = node.span;
        let value = build(&mut builder, &node.operands);
        out.append(&mut builder.current().nodes);
        self.function = builder.function;
        self.rename(node.results[0], value);
    }

    fn contract(&mut self, op: ops::Contract, node: Node, out: &mut Vec<Node>) {
        let dtype = self.function.ty(node.results[0]).dtype;
        let accumulator = Fold::Add.accumulator(dtype);
        if !self.target.gemm || accumulator == dtype {
            return out.push(node);
        }
        self.replace(&node, out, |b, operands| {
            let wide: Vec<Value> = operands.iter().map(|value| b.cast(*value, accumulator)).collect();
            let product = b.apply(op, &wide);
            b.cast(product, dtype)
        });
    }

    /// A permutation that alone reads a product is made by it.
    fn permute(&mut self, op: ops::Permute, node: Node, out: &mut Vec<Node>) {
        let operand = node.operands[0];
        let made = out.iter_mut().find(|made| made.results.contains(&operand));
        let Some(Node { op: Op::Contract(product), results, .. }) =
            made.filter(|_| self.uses.get(&operand) == Some(&1))
        else {
            return out.push(node);
        };
        product.out = op.axes.iter().map(|axis| product.out[*axis]).collect();
        *results = node.results;
    }

    fn reduce(&mut self, op: Reduce, node: Node, out: &mut Vec<Node>) {
        let ty = self.function.ty(node.operands[0]).clone();
        match self.cut(&op, &ty) {
            Some(cut) => self.replace(&node, out, |b, operands| cut.build(b, &op, operands[0])),
            None => out.push(node),
        }
    }

    /// How to cut a fold, if that pays.
    fn cut(&self, op: &Reduce, ty: &Type) -> Option<Cut> {
        let size =
            |axes: &mut dyn Iterator<Item = usize>| axes.map(|axis| self.guess.of(&ty.shape[axis])).product();
        let is_kept = |axis: &usize| !op.axes.contains(axis);
        let reduced: f64 = size(&mut op.axes.iter().copied());
        let kept: f64 = size(&mut (0..ty.rank()).filter(is_kept));
        let (parts, wanted) = if self.target.vector { (PARTS, 8.0) } else { (THREADS, 1024.0) };
        let last = (0..ty.rank()).rev().find(|axis| !ty.shape[*axis].is_one())?;
        let along = if self.target.vector && is_kept(&last) { self.guess.of(&ty.shape[last]) } else { 1.0 };
        let parallel = kept / along.max(1.0) * (along / 256.0).ceil();
        if reduced * kept < LARGE || parallel >= wanted || reduced < 8.0 * parts as f64 {
            return None;
        }
        let mut axes = op.axes.clone();
        axes.sort();
        let first = self.guess.of(&ty.shape[axes[0]]);
        if axes.len() > 1 && first >= wanted / 2.0 && first <= 4096.0 && reduced / first >= 8.0 {
            return Some(Cut { axis: axes[0], parts: None });
        }
        let longest = axes.iter().copied().max_by(|a, b| {
            let length = |axis: usize| self.guess.of(&ty.shape[axis]);
            length(*a).total_cmp(&length(*b)).then(b.cmp(a))
        })?;
        (self.guess.of(&ty.shape[longest]) >= 4.0 * parts as f64)
            .then_some(Cut { axis: longest, parts: Some(parts) })
    }
}

/// A fold in two steps: first everything but `axis` (or but `parts` pieces of it), then the rest.
struct Cut {
    axis: usize,
    parts: Option<i64>,
}

impl Cut {
    fn build(&self, b: &mut Builder, op: &Reduce, x: Value) -> Value {
        let narrow = b.ty(x).dtype;
        let x = b.cast(x, op.fold.accumulator(narrow));
        let (x, inner) = match self.parts {
            None => (x, op.axes.iter().copied().filter(|axis| *axis != self.axis).collect::<Vec<_>>()),
            Some(parts) => {
                let x = self.pieces(b, op, x, parts);
                let moved = |axis: usize| axis + usize::from(axis >= self.axis);
                (x, op.axes.iter().map(|axis| moved(*axis)).collect())
            }
        };
        let place = self.axis - inner.iter().filter(|axis| **axis < self.axis).count();
        let partial = b.apply(Reduce { fold: op.fold, axes: inner }, &[x]);
        let whole = b.apply(Reduce { fold: op.fold, axes: vec![place] }, &[partial]);
        b.cast(whole, narrow)
    }

    /// `axis` as `[parts, piece]`, filled up with the fold's identity.
    fn pieces(&self, b: &mut Builder, op: &Reduce, x: Value, parts: i64) -> Value {
        let ty = b.ty(x).clone();
        let size = &ty.shape[self.axis];
        let divides = |parts: &i64| size.as_constant().is_some_and(|size| size % parts == 0);
        let parts = (parts / 2..=2 * parts).rev().find(divides).unwrap_or(parts);
        let piece = size.ceil_div(&Dim::constant(parts));
        let whole = &piece * &Dim::constant(parts);
        let (mut low, mut high) = (vec![Dim::zero(); ty.rank()], vec![Dim::zero(); ty.rank()]);
        high[self.axis] = &whole - size;
        low[self.axis] = Dim::zero();
        let x = match high[self.axis].is_zero() {
            true => x,
            false => b.apply(ops::Pad { low, high, value: op.fold.identity_of(ty.dtype) }, &[x]),
        };
        let (before, after) = (&ty.shape[..self.axis], &ty.shape[self.axis + 1..]);
        b.reshape(x, [before, &[Dim::constant(parts), piece], after].concat())
    }
}
