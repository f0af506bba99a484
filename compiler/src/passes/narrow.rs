//! Makes loops carry, slice and collect less: what is carried unchanged is captured, what is sliced or collected twice is
//! sliced or collected once, slices that are all the same are captured, and what is the same in every turn is collected by
//! repetition.

use super::dead_code::filter;
use super::{Findings, Pass, rebuild};
use nnc_ir::graph::{Block, Module, Node, Value};
use nnc_ir::ops::{Broadcast, Constant, Loop, Op};
use nnc_ir::{Builder, Dim};
use std::collections::{HashMap, HashSet};

/// See the module.
pub const NARROW_LOOPS: Pass =
    Pass { name: "narrow-loops", about: "let loops carry, slice and collect no more than they must", run };

fn run(mut module: Module) -> Result<Module, Findings> {
    for entry in &mut module.entries {
        rebuild(&mut entry.function, |b, body| {
            let mut narrow = Narrow { b, names: HashMap::new(), even: HashMap::new() };
            narrow.nodes(body.nodes);
            narrow.all(&body.results)
        });
    }
    Ok(module)
}

struct Narrow<'a> {
    b: &'a mut Builder,
    names: HashMap<Value, Value>,
    /// What makes stacks of equal slices: the operation that makes a slice, and of what.
    even: HashMap<Value, (Op, Vec<Value>)>,
}

impl Narrow<'_> {
    fn value(&self, value: Value) -> Value {
        self.names.get(&value).copied().unwrap_or(value)
    }

    fn all(&self, values: &[Value]) -> Vec<Value> {
        values.iter().map(|value| self.value(*value)).collect()
    }

    fn nodes(&mut self, nodes: Vec<Node>) {
        for mut node in nodes {
            node.operands = self.all(&node.operands);
            if let Some(slice) = slice_of(&node.op) {
                self.even.insert(node.result(), (slice, node.operands.clone()));
            }
            let mut first = Vec::new();
            if let Op::Loop(op) = node.op.clone() {
                first = self.before(&mut node, op);
            }
            let blocks = std::mem::take(&mut node.blocks);
            node.blocks = blocks.into_iter().map(|block| self.block(&mut first, block)).collect();
            match node.op.clone() {
                Op::Loop(op) => self.after(node, op),
                _ => self.b.current().nodes.push(node),
            }
        }
    }

    /// The body, with other nodes `first`.
    fn block(&mut self, first: &mut Vec<Node>, block: Block) -> Block {
        self.b.open();
        self.b.current().params = block.params;
        self.b.current().nodes.append(first);
        self.nodes(block.nodes);
        let results = self.all(&block.results);
        self.b.close(results)
    }

    /// Takes out unchanged carried values and repeated or equal slices, before the body is visited. Returns nodes that
    /// make equal slices.
    fn before(&mut self, node: &mut Node, op: Loop) -> Vec<Node> {
        let mut keep = self.changing(node, &op);
        let (keep_slices, first) = self.slices(node, &op);
        let body = &mut node.blocks[0];
        filter(&mut body.results, &keep);
        filter(&mut node.results, &keep);
        let kept = |keep: &[bool]| keep.iter().filter(|keep| **keep).count();
        node.op = Loop { carried: kept(&keep), sliced: kept(&keep_slices), ..op }.into();
        keep.extend(keep_slices);
        filter(&mut node.operands, &keep);
        filter(&mut body.params, &keep);
        first
    }

    /// Which carried values change; the others are captured.
    fn changing(&mut self, node: &Node, op: &Loop) -> Vec<bool> {
        let body = &node.blocks[0];
        let carried = body.results.iter().zip(&body.params).take(op.carried).enumerate();
        let changes = |(place, (result, param)): (usize, (&Value, &Value))| {
            if result == param {
                self.names.insert(*param, node.operands[place]);
                self.names.insert(node.results[place], node.operands[place]);
            }
            result != param
        };
        carried.map(changes).collect()
    }

    /// Which slices are needed, and nodes that make others.
    fn slices(&mut self, node: &Node, op: &Loop) -> (Vec<bool>, Vec<Node>) {
        let (mut known, mut first): (HashMap<Value, Value>, Vec<Node>) = Default::default();
        let slices = node.operands.iter().zip(&node.blocks[0].params).skip(op.carried);
        let needed = |(operand, param): (&Value, &Value)| {
            if let Some((op, operands)) = self.even.get(operand).cloned() {
                first.push(Node { op, operands, results: vec![*param], blocks: Vec::new(), span: node.span });
                return false;
            }
            let taken = known.get(operand).copied();
            match taken {
                Some(taken) => self.names.insert(*param, taken),
                None => known.insert(*operand, *param),
            };
            taken.is_none()
        };
        let keep = slices.map(needed).collect();
        (keep, first)
    }

    /// Adds the loop, without results that repeat or never change.
    fn after(&mut self, mut node: Node, op: Loop) {
        let (keep, constant) = self.results(&node, &op);
        filter(&mut node.blocks[0].results, &keep);
        filter(&mut node.results, &keep);
        self.b.span = node.span;
        if !node.results.is_empty() {
            self.b.current().nodes.push(node);
        }
        for (inner, outer) in constant {
            let stacked = self.repeat(inner, &op.count);
            self.names.insert(outer, stacked);
        }
    }

    /// Which results are needed, and which of the others are the same in every turn.
    fn results(&mut self, node: &Node, op: &Loop) -> (Vec<bool>, Vec<(Value, Value)>) {
        let own = defined(&node.blocks[0]);
        let (mut first, mut constant): (HashMap<Value, Value>, Vec<(Value, Value)>) = Default::default();
        let mut keep = vec![true; op.carried];
        for (inner, outer) in node.blocks[0].results.iter().zip(&node.results).skip(op.carried) {
            let known = first.get(inner).copied();
            keep.push(own.contains(inner) && known.is_none());
            match known {
                Some(known) => {
                    self.names.insert(*outer, known);
                }
                None if own.contains(inner) => {
                    first.insert(*inner, *outer);
                }
                None => constant.push((*inner, *outer)),
            }
        }
        (keep, constant)
    }

    fn repeat(&mut self, value: Value, count: &Dim) -> Value {
        let shape = &self.b.ty(value).shape;
        let axes = (1..=shape.len()).collect();
        let shape = [std::slice::from_ref(count), &shape[..]].concat();
        self.b.broadcast(value, shape, axes)
    }
}

/// The operation that makes a slice along the first axis, if all slices are equal.
fn slice_of(op: &Op) -> Option<Op> {
    match op {
        Op::Constant(op) if op.ty.rank() > 0 => {
            let ty = nnc_ir::Type::new(op.ty.dtype, op.ty.shape[1..].to_vec());
            Some(Constant { value: op.value, ty }.into())
        }
        Op::Broadcast(op) if !op.axes.contains(&0) => {
            let axes = op.axes.iter().map(|axis| axis - 1).collect();
            Some(Broadcast { shape: op.shape[1..].to_vec(), axes }.into())
        }
        _ => None,
    }
}

/// What a body itself defines.
fn defined(body: &Block) -> HashSet<Value> {
    let results = body.nodes.iter().flat_map(|node| &node.results);
    body.params.iter().chain(results).copied().collect()
}
