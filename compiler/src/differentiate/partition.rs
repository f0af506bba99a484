//! Cuts a joint function into a forward side that saves and a backward side that reads what was saved.

use super::Recompute;
use super::saving::{Body, Saving};
use crate::passes::copy::Copier;
use crate::passes::dead_code::prune;
use nnc_ir::Value;
use nnc_ir::graph::{Block, Function, Node};
use std::collections::HashSet;

/// The two sides of a joint function.
#[derive(Clone, Debug, PartialEq)]
pub struct Partition {
    /// From the inputs to the outputs, then the saved values.
    pub forward: Function,
    /// From the inputs, the saved values and the cotangents to the gradients.
    pub backward: Function,
    /// How many values are saved.
    pub saved: usize,
}

/// Cuts `joint`, whose last `cotangents` parameters are cotangents and whose first `outputs` results are the forward
/// ones. Refuses if an output depends on a cotangent.
pub fn partition(
    joint: &Function,
    outputs: usize,
    cotangents: usize,
    recompute: Recompute,
) -> Result<Partition, String> {
    let body = &joint.body;
    let given = body.params.len().checked_sub(cotangents);
    let (Some(inputs), true) = (given, outputs <= body.results.len()) else {
        return Err("there are fewer parameters or results than stated".into());
    };
    let (inputs, seeds) = body.params.split_at(inputs);
    let (first, gradients) = body.results.split_at(outputs);
    let (forward, backward, late) = sides(&body.nodes, seeds);
    if let Some(place) = first.iter().position(|value| late.contains(value)) {
        return Err(format!("output {place} depends on a cotangent"));
    }
    let mut backward = Block { params: seeds.to_vec(), nodes: backward, results: gradients.to_vec() };
    let region = Body { function: joint, nodes: &forward, given: &[], free: inputs, counter: None };
    let crossing = region.crossing(&backward.captures(), Saving::of(recompute, false));
    let (mut there, mut back) = (joint.clone(), joint.clone());
    let results = [first, &crossing.saved].concat();
    let mut copier = Copier::new();
    let replayed: Vec<Node> = crossing.replayed.iter().map(|place| forward[*place].clone()).collect();
    there.body = Block { params: inputs.to_vec(), nodes: forward, results };
    prune(&mut there.body.nodes, &there.body.results);
    let saved = crossing.saved.iter().map(|value| copier.define(&mut back, *value)).collect::<Vec<_>>();
    let mut nodes = copier.nodes(&mut back, &replayed);
    backward.replace_uses(&|value| copier.value(value));
    nodes.append(&mut backward.nodes);
    prune(&mut nodes, &backward.results);
    back.body = Block { params: [inputs, &saved, seeds].concat(), nodes, results: backward.results };
    Ok(Partition { forward: there, backward: back, saved: saved.len() })
}

/// Nodes that depend on none of `seeds`, those that do, and the values that do.
fn sides(nodes: &[Node], seeds: &[Value]) -> (Vec<Node>, Vec<Node>, HashSet<Value>) {
    let mut late: HashSet<Value> = seeds.iter().copied().collect();
    let (mut forward, mut backward) = (Vec::new(), Vec::new());
    for node in nodes {
        if node.uses().iter().any(|value| late.contains(value)) {
            late.extend(&node.results);
            backward.push(node.clone());
        } else {
            forward.push(node.clone());
        }
    }
    (forward, backward, late)
}
