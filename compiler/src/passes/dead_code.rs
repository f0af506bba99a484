//! Removes what no result needs: nodes, and of loops and branches also single results, carried values and slices.
//!
//! Liveness is one walk over the dependencies of single values, across bodies, so a value that a loop carries only for
//! itself is dead. The order of what stays is kept.

use super::{Findings, Pass};
use nnc_ir::graph::{Block, Module, Node, Value};
use nnc_ir::ops::Op;
use std::collections::{HashMap, HashSet};

/// See the module.
pub const DEAD_CODE: Pass = Pass {
    name: "dead-code",
    about: "remove nodes, results, carried values and slices that nothing needs",
    run,
};

fn run(mut module: Module) -> Result<Module, Findings> {
    for entry in &mut module.entries {
        let results = entry.function.body.results.clone();
        prune(&mut entry.function.body.nodes, &results);
    }
    Ok(module)
}

/// Removes from `nodes` what none of `roots` depends on.
pub(crate) fn prune(nodes: &mut Vec<Node>, roots: &[Value]) {
    let mut needs = Needs::default();
    nodes.iter().for_each(|node| needs.node(node));
    trim(nodes, &needs.reached_from(roots));
}

/// What each value needs.
#[derive(Default)]
struct Needs {
    of: HashMap<Value, Vec<Value>>,
}

impl Needs {
    fn add(&mut self, value: Value, needed: impl IntoIterator<Item = Value>) {
        self.of.entry(value).or_default().extend(needed);
    }

    fn node(&mut self, node: &Node) {
        match &node.op {
            Op::Loop(op) => self.repeat(node, op.carried),
            Op::If(_) => self.branch(node),
            _ => node.results.iter().for_each(|result| {
                self.add(*result, node.operands.iter().copied());
                self.add(*result, node.blocks.iter().flat_map(|block| block.results.iter().copied()));
            }),
        }
        node.blocks.iter().flat_map(|block| &block.nodes).for_each(|inner| self.node(inner));
    }

    fn repeat(&mut self, node: &Node, carried: usize) {
        let body = &node.blocks[0];
        for (place, param) in body.params.iter().enumerate() {
            self.add(*param, [node.operands[place]]);
            if place < carried {
                self.add(*param, [body.results[place]]);
            }
        }
        for (place, result) in node.results.iter().enumerate() {
            self.add(*result, [body.results[place]]);
            if place < carried {
                self.add(*result, [node.operands[place]]);
            }
        }
    }

    fn branch(&mut self, node: &Node) {
        for (place, result) in node.results.iter().enumerate() {
            self.add(*result, node.operands.iter().copied());
            self.add(*result, node.blocks.iter().map(|block| block.results[place]));
        }
    }

    fn reached_from(&self, roots: &[Value]) -> HashSet<Value> {
        let mut live: HashSet<Value> = roots.iter().copied().collect();
        let mut open: Vec<Value> = live.iter().copied().collect();
        while let Some(value) = open.pop() {
            for needed in self.of.get(&value).into_iter().flatten() {
                if live.insert(*needed) {
                    open.push(*needed);
                }
            }
        }
        live
    }
}

fn trim(nodes: &mut Vec<Node>, live: &HashSet<Value>) {
    nodes.retain(|node| node.results.iter().any(|result| live.contains(result)));
    for node in nodes {
        match node.op {
            Op::Loop(_) => trim_loop(node, live),
            Op::If(_) => trim_branch(node, live),
            _ => {}
        }
        node.blocks.iter_mut().for_each(|block| trim(&mut block.nodes, live));
    }
}

fn trim_loop(node: &mut Node, live: &HashSet<Value>) {
    let Op::Loop(op) = &mut node.op else { return };
    let body = &mut node.blocks[0];
    let carried = op.carried;
    let keep_operand: Vec<bool> = (0..node.operands.len())
        .map(|place| {
            let serves = place < carried && live.contains(&node.results[place]);
            serves || live.contains(&body.params[place])
        })
        .collect();
    let keep_result: Vec<bool> = (0..node.results.len())
        .map(|place| if place < carried { keep_operand[place] } else { live.contains(&node.results[place]) })
        .collect();
    op.carried = keep_operand[..carried].iter().filter(|keep| **keep).count();
    op.sliced = keep_operand[carried..].iter().filter(|keep| **keep).count();
    [&mut node.operands, &mut body.params].into_iter().for_each(|list| filter(list, &keep_operand));
    [&mut node.results, &mut body.results].into_iter().for_each(|list| filter(list, &keep_result));
}

fn trim_branch(node: &mut Node, live: &HashSet<Value>) {
    let keep: Vec<bool> = node.results.iter().map(|result| live.contains(result)).collect();
    node.blocks.iter_mut().for_each(|block: &mut Block| filter(&mut block.results, &keep));
    filter(&mut node.results, &keep);
}

/// Keeps the elements whose place says so.
pub(crate) fn filter<T>(list: &mut Vec<T>, keep: &[bool]) {
    let mut places = keep.iter();
    list.retain(|_| places.next().copied().unwrap_or(true));
}
