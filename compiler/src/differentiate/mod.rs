//! Gradients as a transformation of the graph.
//!
//! [`pullback`] appends to the open block of a builder the nodes that turn cotangents of some values into cotangents of
//! others. What it appends consists of ordinary nodes, so it may be differentiated again. Only what lies on a path from
//! the sources to the outputs is differentiated; loops stay loops: their forward side hands over what the backward side
//! needs, as `saving` decides. [`partition`] cuts a joint function into the two sides.

mod branches;
mod cut;
mod flow;
mod loops;
mod partition;
mod reverse;
mod saving;
mod slices;
mod strips;

pub use flow::Place;
pub use partition::{Partition, partition};

use crate::passes::dead_code::prune;
use flow::Flow;
use nnc_ir::Builder;
use nnc_ir::graph::Value;
use reverse::Reverse;

/// What backward bodies of loops compute again instead of receiving it. Gradients are the same, bit for bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Recompute {
    /// Nothing but constants, random numbers and index maps.
    Off,
    /// Scalar functions per element too, and products much larger than their operands (the scores of attention): other
    /// products, folds and carried values are saved.
    #[default]
    Cheap,
    /// Everything: only carried values are saved.
    Always,
    /// Loops longer than this run in blocks of as many turns. Carried values are saved once per block, and the turns of
    /// a block are replayed when its gradient is due.
    Every(i64),
}

/// A value without gradient: all of its paths to the outputs are cut, or there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The value.
    pub value: Value,
    /// Where its paths are cut. Empty if the outputs do not depend on it.
    pub places: Vec<Place>,
}

/// Cotangents, and which of them are zero because no path leads there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pullback {
    /// One per source, of the source's type.
    pub cotangents: Vec<Value>,
    /// The sources that no gradient reaches.
    pub cuts: Vec<Cut>,
}

/// Appends the cotangents of `wrt` for these `outputs` and their cotangents; refuses if some value of `wrt` has none.
///
/// See [`pullback_with`].
pub fn pullback(b: &mut Builder, outputs: &[(Value, Value)], wrt: &[Value]) -> Result<Vec<Value>, Vec<Cut>> {
    let Pullback { cotangents, cuts } = pullback_with(b, outputs, wrt, Recompute::default());
    if cuts.is_empty() { Ok(cotangents) } else { Err(cuts) }
}

/// Appends to the open block of `b` the cotangents of `wrt` for these `outputs` and their cotangents.
///
/// Differentiated are the nodes that the open block holds so far; values of enclosing blocks are constants unless they
/// are in `wrt`. Loops of the open block may gain results that their backward sides read.
pub fn pullback_with(
    b: &mut Builder,
    outputs: &[(Value, Value)],
    wrt: &[Value],
    recompute: Recompute,
) -> Pullback {
    let mut nodes = std::mem::take(&mut b.current().nodes);
    let span = b.span;
    let targets: Vec<Value> = outputs.iter().map(|(value, _)| *value).collect();
    let mut live = Flow::of(&b.function, &nodes).live(wrt, &targets);
    if slices::expose(&mut b.function, &mut nodes, &live) {
        live = Flow::of(&b.function, &nodes).live(wrt, &targets);
    }
    let blocks = strips::mine(&mut b.function, &mut nodes, &live, recompute);
    if !blocks.is_empty() {
        live = Flow::of(&b.function, &nodes).live(wrt, &targets);
    }
    let mut reverse = Reverse::new(b, live, recompute, blocks);
    outputs.iter().for_each(|(value, cotangent)| reverse.accumulate(*value, *cotangent));
    reverse.walk(&mut nodes);
    let found: Vec<Option<Value>> = wrt.iter().map(|value| reverse.cotangent(*value)).collect();
    let blocked = reverse.blocked;
    let cuts = Flow::of(&b.function, &nodes).cuts(wrt, &targets, &blocked);
    b.span = span;
    let lost = |value: &Value| cuts.iter().any(|cut| cut.value == *value);
    let known = wrt.iter().zip(found);
    let cotangents: Vec<Value> = known
        .map(|(value, found)| found.filter(|_| !lost(value)).unwrap_or_else(|| b.fill_like(0.0, *value)))
        .collect();
    let mut backward = std::mem::take(&mut b.current().nodes);
    prune(&mut backward, &cotangents);
    nodes.extend(backward);
    b.current().nodes = nodes;
    Pullback { cotangents, cuts }
}
