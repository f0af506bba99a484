//! Makes loops carry, slice and collect less: what is carried unchanged is captured, what is sliced or collected twice is
//! sliced or collected once, and what is the same in every turn is collected by repetition.

use super::dead_code::filter;
use super::{Findings, Pass, rebuild};
use nnc_ir::graph::{Block, Module, Node, Value};
use nnc_ir::ops::{Loop, Op};
use nnc_ir::{Builder, Dim};
use std::collections::{HashMap, HashSet};

/// See the module.
pub const NARROW_LOOPS: Pass =
    Pass { name: "narrow-loops", about: "let loops carry, slice and collect no more than they must", run };

fn run(mut module: Module) -> Result<Module, Findings> {
    for entry in &mut module.entries {
        rebuild(&mut entry.function, |b, body| {
            let mut narrow = Narrow { b, names: HashMap::new() };
            narrow.nodes(body.nodes);
            narrow.all(&body.results)
        });
    }
    Ok(module)
}

struct Narrow<'a> {
    b: &'a mut Builder,
    names: HashMap<Value, Value>,
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
            if let Op::Loop(op) = node.op.clone() {
                self.before(&mut node, op);
            }
            let blocks = std::mem::take(&mut node.blocks);
            node.blocks = blocks.into_iter().map(|block| self.block(block)).collect();
            match node.op.clone() {
                Op::Loop(op) => self.after(node, op),
                _ => self.b.current().nodes.push(node),
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

    /// Unchanged carried values and repeated slices, gone before the body is visited.
    fn before(&mut self, node: &mut Node, op: Loop) {
        let body = &mut node.blocks[0];
        let mut keep = vec![true; node.operands.len()];
        for place in 0..op.carried {
            if body.results[place] == body.params[place] {
                keep[place] = false;
                self.names.insert(body.params[place], node.operands[place]);
                self.names.insert(node.results[place], node.operands[place]);
            }
        }
        let mut slices: HashMap<Value, Value> = HashMap::new();
        for place in op.carried..node.operands.len() {
            let (operand, param) = (node.operands[place], body.params[place]);
            match slices.get(&operand) {
                Some(known) => {
                    keep[place] = false;
                    self.names.insert(param, *known);
                }
                None => drop(slices.insert(operand, param)),
            }
        }
        let carried = keep[..op.carried].iter().filter(|keep| **keep).count();
        let sliced = keep[op.carried..].iter().filter(|keep| **keep).count();
        filter(&mut node.operands, &keep);
        filter(&mut body.params, &keep);
        keep.truncate(op.carried);
        filter(&mut body.results, &keep);
        filter(&mut node.results, &keep);
        node.op = Loop { carried, sliced, ..op }.into();
    }

    /// Adds the loop, without results that repeat or never change.
    fn after(&mut self, mut node: Node, op: Loop) {
        let body = &mut node.blocks[0];
        let own = defined(body);
        let mut keep = vec![true; node.results.len()];
        let (mut first, mut constant): (HashMap<Value, Value>, Vec<(Value, Value)>) = Default::default();
        for place in op.carried..node.results.len() {
            let (inner, outer) = (body.results[place], node.results[place]);
            if !own.contains(&inner) {
                constant.push((inner, outer));
                keep[place] = false;
            } else if let Some(known) = first.get(&inner) {
                self.names.insert(outer, *known);
                keep[place] = false;
            } else {
                first.insert(inner, outer);
            }
        }
        filter(&mut body.results, &keep);
        filter(&mut node.results, &keep);
        let (span, count) = (node.span, op.count);
        if !node.results.is_empty() {
            self.b.current().nodes.push(node);
        }
        self.b.span = span;
        for (inner, outer) in constant {
            let stacked = self.repeat(inner, &count);
            self.names.insert(outer, stacked);
        }
    }

    fn repeat(&mut self, value: Value, count: &Dim) -> Value {
        let shape = &self.b.ty(value).shape;
        let axes = (1..=shape.len()).collect();
        let shape = [std::slice::from_ref(count), &shape[..]].concat();
        self.b.broadcast(value, shape, axes)
    }
}

/// What a body itself defines.
fn defined(body: &Block) -> HashSet<Value> {
    let results = body.nodes.iter().flat_map(|node| &node.results);
    body.params.iter().chain(results).copied().collect()
}
