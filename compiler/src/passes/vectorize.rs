//! Turns loops whose turns do not depend on each other into operations on stacked tensors: an optimizer's update of the
//! weights of all layers is one elementwise expression.
//!
//! A loop qualifies if it carries nothing and its body consists of scalar functions, views, folds and sorts. Products,
//! look-ups and inner loops keep it as it is: their turns are large enough to stand alone.

use super::cost::lowered;
use super::{Findings, Pass, rebuild};
use nnc_ir::graph::{Block, Module, Node, Value};
use nnc_ir::ops::{self, Loop, Lowered, Op};
use nnc_ir::{Builder, DType, Dim, Type};
use std::collections::HashMap;

/// See the module.
pub const VECTORIZE_LOOPS: Pass =
    Pass { name: "vectorize-loops", about: "replace independent elementwise turns by whole tensors", run };

fn run(mut module: Module) -> Result<Module, Findings> {
    let ranges = module.ranges();
    for entry in &mut module.entries {
        rebuild(&mut entry.function, |b, body| {
            let mut vectorize = Vectorize { b, names: HashMap::new(), ranges: ranges.clone() };
            vectorize.nodes(body.nodes);
            vectorize.all(&body.results)
        });
    }
    Ok(module)
}

struct Vectorize<'a> {
    b: &'a mut Builder,
    names: HashMap<Value, Value>,
    ranges: nnc_ir::Ranges,
}

impl Vectorize<'_> {
    fn all(&self, values: &[Value]) -> Vec<Value> {
        values.iter().map(|value| self.names.get(value).copied().unwrap_or(*value)).collect()
    }

    fn nodes(&mut self, nodes: Vec<Node>) {
        for mut node in nodes {
            node.operands = self.all(&node.operands);
            if let Op::Loop(op) = &node.op {
                self.ranges.counter(&op.counter, &op.count);
            }
            let blocks = std::mem::take(&mut node.blocks);
            node.blocks = blocks.into_iter().map(|block| self.block(block)).collect();
            if !self.stack(&node) {
                self.b.current().nodes.push(node);
            }
        }
    }

    fn block(&mut self, block: Block) -> Block {
        self.b.open();
        self.b.current().params = block.params;
        self.nodes(block.nodes);
        let results = self.all(&block.results);
        self.b.close(results)
    }

    /// Adds the stacked form of a loop, if it has one.
    fn stack(&mut self, node: &Node) -> bool {
        let Op::Loop(op) = &node.op else { return false };
        let body = &node.blocks[0];
        if op.carried > 0 || !body.nodes.iter().all(|inner| self.fits(inner, op)) {
            return false;
        }
        let before = self.b.current().nodes.len();
        let stacked = body.params.iter().copied().zip(node.operands.iter().copied()).collect();
        let mut turns = Turns { b: self.b, op, stacked, repeated: HashMap::new() };
        let made = body.nodes.iter().try_for_each(|inner| turns.node(inner));
        if made.is_none() {
            self.b.current().nodes.truncate(before);
            return false;
        }
        let results: Vec<Value> = body.results.iter().map(|value| turns.whole(*value)).collect();
        self.names.extend(node.results.iter().copied().zip(results));
        true
    }

    /// Whether a node can be one of a whole tensor.
    fn fits(&self, node: &Node, op: &Loop) -> bool {
        let sizes = node.results.iter().flat_map(|result| &self.b.ty(*result).shape);
        let even = !sizes.into_iter().any(|size| size.mentions(&op.counter));
        let known = matches!(
            node.op,
            Op::Reduce(_) | Op::Scan(_) | Op::Sort(_) | Op::TopK(_) | Op::FoldWindow(_) | Op::Table(_)
        );
        let fails = matches!(node.op, Op::Slice(_) | Op::TopK(_));
        let lowered = lowered(&self.b.function, node);
        let known = known || matches!(lowered, Lowered::Map(_) | Lowered::View { .. } | Lowered::Source(_));
        even && known && (!fails || op.count.is_at_least(1, &self.ranges))
    }
}

/// The body of a loop, all turns at once.
struct Turns<'a> {
    b: &'a mut Builder,
    op: &'a Loop,
    /// Values that differ from turn to turn, stacked along a new first axis.
    stacked: HashMap<Value, Value>,
    /// Values that do not, repeated along that axis.
    repeated: HashMap<Value, Value>,
}

impl Turns<'_> {
    /// Adds a node for all turns; `None` if it has no such form.
    fn node(&mut self, node: &Node) -> Option<()> {
        self.b.span = node.span;
        let varies = node.operands.iter().any(|operand| self.stacked.contains_key(operand));
        if let Op::DimValue(size) = &node.op
            && size.dim.mentions(&self.op.counter)
        {
            let values = self.counted(&size.dim, size.dtype)?;
            self.stacked.insert(node.result(), values);
            return Some(());
        }
        let mut mentioned = false;
        node.op.visit_dims(&mut |dim| mentioned |= dim.mentions(&self.op.counter));
        if mentioned {
            return None;
        }
        if !varies {
            self.b.current().nodes.push(node.clone());
            return Some(());
        }
        let op = self.shifted(&node.op);
        let operands: Vec<Value> = node.operands.iter().map(|operand| self.whole(*operand)).collect();
        let results = self.b.try_apply_blocks(op, &operands, Vec::new()).ok()?;
        self.stacked.extend(node.results.iter().copied().zip(results));
        Some(())
    }

    /// A value of all turns: the same for each, if it does not vary.
    fn whole(&mut self, value: Value) -> Value {
        if let Some(whole) = self.stacked.get(&value).or_else(|| self.repeated.get(&value)) {
            return *whole;
        }
        let shape = &self.b.ty(value).shape;
        let axes = (1..=shape.len()).collect();
        let shape = [std::slice::from_ref(&self.op.count), &shape[..]].concat();
        let whole = self.b.apply(ops::Broadcast { shape, axes }, &[value]);
        self.repeated.insert(value, whole);
        whole
    }

    /// The operation with a new first axis.
    fn shifted(&self, op: &Op) -> Op {
        let mut op = op.clone();
        let later = |axes: &[usize]| axes.iter().map(|axis| axis + 1).collect::<Vec<_>>();
        let (count, none) = (self.op.count.clone(), Dim::zero());
        match &mut op {
            Op::Broadcast(op) => {
                op.axes = [&[0], &later(&op.axes)[..]].concat();
                op.shape.insert(0, count);
            }
            Op::Reshape(op) => op.shape.insert(0, count),
            Op::Permute(op) => op.axes = [&[0], &later(&op.axes)[..]].concat(),
            Op::Slice(op) => {
                op.starts.insert(0, none);
                op.sizes.insert(0, count);
                op.steps.insert(0, 1);
            }
            Op::Pad(op) => {
                op.low.insert(0, none.clone());
                op.high.insert(0, none);
            }
            Op::Window(op) => op.axis += 1,
            Op::FoldWindow(op) => op.axis += 1,
            Op::Reduce(op) => op.axes = later(&op.axes),
            Op::Scan(op) => op.axis += 1,
            Op::Sort(op) => op.axis += 1,
            Op::TopK(op) => op.axis += 1,
            _ => {}
        }
        op
    }

    /// A size that grows evenly with the turns, as a tensor of all of them.
    fn counted(&mut self, dim: &Dim, dtype: DType) -> Option<Value> {
        let (slope, rest) = dim.linear_in(&self.op.counter)?;
        let shape = vec![self.op.count.clone()];
        let count = self.b.apply(ops::Iota { ty: Type::new(dtype, shape.clone()), axis: 0 }, &[]);
        let [slope, rest] = [slope, rest].map(|part| {
            let part = self.b.dim(part, dtype);
            self.b.broadcast(part, shape.clone(), Vec::new())
        });
        let scaled = self.b.mul(count, slope);
        Some(self.b.add(scaled, rest))
    }
}
