//! Moves what is the same in every turn of a loop in front of it.
//!
//! What costs nothing stays, or is repeated outside where something that moves needs it. A scalar function per element
//! moves only if it reads as much as it writes: a larger result would have to be kept in memory instead of being made
//! where it is used. What may fail when there are no turns moves only if there is one.

use super::copy::Copier;
use super::cost::{Cost, bytes, cost};
use super::{Findings, Pass};
use nnc_ir::graph::{Block, Function, Module, Node, Value};
use nnc_ir::ops::{Loop, Op};
use nnc_ir::{Ranges, Symbol};
use std::collections::{BTreeSet, HashMap, HashSet};

/// See the module.
pub const HOIST: Pass =
    Pass { name: "hoist", about: "compute before a loop what its turns have in common", run };

fn run(mut module: Module) -> Result<Module, Findings> {
    let mut ranges = module.ranges();
    for entry in &mut module.entries {
        let nodes = std::mem::take(&mut entry.function.body.nodes);
        entry.function.body.nodes = hoist(&mut entry.function, nodes, &mut ranges);
    }
    Ok(module)
}

fn hoist(function: &mut Function, nodes: Vec<Node>, ranges: &mut Ranges) -> Vec<Node> {
    let mut kept = Vec::new();
    for mut node in nodes {
        if let Op::Loop(op) = &node.op {
            ranges.counter(&op.counter, &op.count);
        }
        for block in &mut node.blocks {
            block.nodes = hoist(function, std::mem::take(&mut block.nodes), ranges);
        }
        if let Op::Loop(op) = node.op.clone() {
            lift(function, &op, &mut node.blocks[0], ranges, &mut kept);
        }
        kept.push(node);
    }
    kept
}

/// Moves what can move from `body` to `kept`.
fn lift(function: &mut Function, op: &Loop, body: &mut Block, ranges: &Ranges, kept: &mut Vec<Node>) {
    let runs = op.count.is_at_least(1, ranges);
    let invariant = invariant(function, op, body, runs);
    let makers: HashMap<Value, usize> = invariant
        .iter()
        .flat_map(|place| body.nodes[*place].results.iter().map(|result| (*result, *place)))
        .collect();
    let moved = worthwhile(function, body, &invariant, &makers);
    let repeated = needed(body, &moved, &makers);
    let mut copier = Copier::new();
    let mut stays = Vec::new();
    for (place, mut node) in std::mem::take(&mut body.nodes).into_iter().enumerate() {
        if repeated.contains(&place) {
            kept.push(copier.node(function, &node));
        }
        if !moved.contains(&place) {
            stays.push(node);
            continue;
        }
        node.operands = copier.all(&node.operands);
        node.blocks.iter_mut().for_each(|block| block.replace_uses(&|value| copier.value(value)));
        kept.push(node);
    }
    body.nodes = stays;
}

/// Numbers of the nodes that do the same in every turn.
fn invariant(function: &Function, op: &Loop, body: &Block, runs: bool) -> BTreeSet<usize> {
    let mut varying: HashSet<Value> = body.params.iter().copied().collect();
    let mut found = BTreeSet::new();
    for (place, node) in body.nodes.iter().enumerate() {
        let same = !node.uses().iter().any(|value| varying.contains(value));
        if same && (runs || is_safe(node)) && !mentions(function, node, &op.counter) {
            found.insert(place);
        } else {
            varying.extend(&node.results);
        }
    }
    found
}

/// Whether a node can be computed although nobody asked.
fn is_safe(node: &Node) -> bool {
    let own = !matches!(node.op, Op::Slice(_) | Op::Gather(_) | Op::Scatter(_) | Op::Insert(_) | Op::TopK(_));
    own && node.blocks.iter().flat_map(|block| &block.nodes).all(is_safe)
}

/// Whether a node, or what it defines, depends on a loop counter.
fn mentions(function: &Function, node: &Node, counter: &Symbol) -> bool {
    let mut found = false;
    node.op.visit_dims(&mut |dim| found |= dim.mentions(counter));
    let sized = |value: &Value| function.ty(*value).shape.iter().any(|size| size.mentions(counter));
    let body = |block: &Block| {
        block.params.iter().any(sized) || block.nodes.iter().any(|node| mentions(function, node, counter))
    };
    found || node.results.iter().any(sized) || node.blocks.iter().any(body)
}

/// Of the nodes that can move, those for which it pays.
fn worthwhile(
    function: &Function,
    body: &Block,
    invariant: &BTreeSet<usize>,
    makers: &HashMap<Value, usize>,
) -> BTreeSet<usize> {
    let pays = |place: &usize| {
        let node = &body.nodes[*place];
        match cost(function, node) {
            Cost::Free => false,
            Cost::Dear => true,
            Cost::Pointwise => {
                let written = bytes(function.ty(node.result()));
                written <= read(function, body, node, makers)
            }
        }
    };
    invariant.iter().copied().filter(pays).collect()
}

/// Bytes of the tensors that `node` reads, through views made in the body.
fn read(function: &Function, body: &Block, node: &Node, makers: &HashMap<Value, usize>) -> u64 {
    let sizes = node.operands.iter().map(|operand| {
        let maker = makers.get(operand).map(|place| &body.nodes[*place]);
        match maker.filter(|maker| cost(function, maker) == Cost::Free) {
            Some(maker) => read(function, body, maker, makers),
            None => bytes(function.ty(*operand)),
        }
    });
    sizes.fold(0, u64::saturating_add)
}

/// What moved nodes need that does not move.
fn needed(body: &Block, moved: &BTreeSet<usize>, makers: &HashMap<Value, usize>) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut open: Vec<usize> = moved.iter().copied().collect();
    while let Some(place) = open.pop() {
        for maker in body.nodes[place].uses().iter().filter_map(|value| makers.get(value)) {
            if !moved.contains(maker) && found.insert(*maker) {
                open.push(*maker);
            }
        }
    }
    found
}
