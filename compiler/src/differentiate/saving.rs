//! Which values of a forward body the backward body receives, and which it computes again.
//!
//! Everything is pure, so a replayed value is the saved one, bit for bit. What is saved is a minimum cut: of all ways to
//! replay what is needed by nodes that may be replayed, the one that saves the fewest bytes; of equals, the one that
//! replays least.

use super::Recompute;
use super::cut::{Network, UNBOUNDED};
use crate::passes::cost::{Cost, bytes, cost, expands};
use nnc_ir::Symbol;
use nnc_ir::graph::{Function, Node, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What may be computed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saving {
    /// What costs nothing: constants, random numbers, index maps.
    Values,
    /// Also scalar functions per element, and products much larger than their operands.
    Anchors,
    /// Everything.
    Carries,
}

impl Saving {
    /// How a loop saves. `blocked` says that its turns are blocks of turns of the loop that was written.
    pub fn of(recompute: Recompute, blocked: bool) -> Saving {
        match recompute {
            Recompute::Off => Saving::Values,
            Recompute::Cheap => Saving::Anchors,
            Recompute::Always => Saving::Carries,
            Recompute::Every(_) if blocked => Saving::Carries,
            Recompute::Every(_) => Saving::Anchors,
        }
    }

    fn replays(self, function: &Function, node: &Node) -> bool {
        match self {
            Saving::Values => cost(function, node) == Cost::Free,
            Saving::Anchors => cost(function, node) <= Cost::Pointwise || expands(function, node),
            Saving::Carries => true,
        }
    }
}

/// A body whose values are wanted elsewhere.
pub(super) struct Body<'a> {
    /// Types of all values.
    pub function: &'a Function,
    /// What it computes.
    pub nodes: &'a [Node],
    /// What it is given, and cannot compute.
    pub given: &'a [Value],
    /// What is at hand on the other side as well.
    pub free: &'a [Value],
    /// A symbol that the other side's storage cannot depend on.
    pub counter: Option<&'a Symbol>,
}

/// How values get to the other side. Values of `given`, `free` and `nodes` only.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Crossing {
    /// Handed over.
    pub saved: Vec<Value>,
    /// At hand, and used.
    pub free: Vec<Value>,
    /// Computed again: numbers of nodes, in order.
    pub replayed: Vec<usize>,
}

impl Body<'_> {
    /// How `needed` gets to the other side. Values that the body does not define are ignored.
    pub fn crossing(&self, needed: &[Value], saving: Saving) -> Crossing {
        let makers = Makers::of(self, saving);
        let wanted: Vec<Value> = needed.iter().copied().filter(|value| makers.knows(*value)).collect();
        let saved = makers.cheapest(&wanted, self);
        makers.walk(&wanted, saved)
    }
}

/// How each value of a body can be had.
enum Maker {
    /// It is at hand.
    Free,
    /// It has to be saved.
    Saved,
    /// By this node, from these values of the body.
    Replay(usize, Vec<Value>),
}

struct Makers {
    of: HashMap<Value, Maker>,
    free_nodes: HashSet<Value>,
}

impl Makers {
    fn of(body: &Body, saving: Saving) -> Makers {
        let mut makers = Makers { of: HashMap::new(), free_nodes: HashSet::new() };
        body.given.iter().for_each(|value| drop(makers.of.insert(*value, Maker::Saved)));
        body.free.iter().for_each(|value| drop(makers.of.insert(*value, Maker::Free)));
        for (place, node) in body.nodes.iter().enumerate() {
            let uses: Vec<Value> = node.uses().into_iter().filter(|value| makers.knows(*value)).collect();
            let free = cost(body.function, node) == Cost::Free;
            let replays = saving.replays(body.function, node);
            for result in &node.results {
                let maker = match replays || !body.storable(*result) {
                    true => Maker::Replay(place, uses.clone()),
                    false => Maker::Saved,
                };
                makers.of.insert(*result, maker);
                if free {
                    makers.free_nodes.insert(*result);
                }
            }
        }
        makers
    }

    fn knows(&self, value: Value) -> bool {
        self.of.contains_key(&value)
    }

    /// Every value that may have a part in making `wanted`.
    fn closure(&self, wanted: &[Value]) -> BTreeMap<Value, usize> {
        let mut found: BTreeMap<Value, usize> = BTreeMap::new();
        let mut open = wanted.to_vec();
        while let Some(value) = open.pop() {
            let next = found.len();
            if matches!(self.of[&value], Maker::Free) || found.contains_key(&value) {
                continue;
            }
            found.insert(value, next);
            if let Maker::Replay(_, uses) = &self.of[&value] {
                open.extend(uses);
            }
        }
        found
    }

    fn cheapest(&self, wanted: &[Value], body: &Body) -> HashSet<Value> {
        let places = self.closure(wanted);
        let vertex = |value: &Value| 2 + 2 * places[value];
        let mut network = Network::new(2 + 2 * places.len());
        for value in places.keys() {
            let input = vertex(value);
            network.arc(input, input + 1, self.price(*value, body));
            match &self.of[value] {
                Maker::Replay(_, uses) => {
                    let uses = uses.iter().filter(|value| places.contains_key(value));
                    uses.for_each(|used| network.arc(vertex(used) + 1, input, UNBOUNDED));
                }
                _ => network.arc(Network::SOURCE, input, UNBOUNDED),
            }
        }
        let wanted = wanted.iter().filter(|value| places.contains_key(value));
        wanted.for_each(|value| network.arc(vertex(value) + 1, Network::SINK, UNBOUNDED));
        let side = network.sink_side();
        places.keys().filter(|value| !side[vertex(value)] && side[vertex(value) + 1]).copied().collect()
    }

    /// Bytes; of equally many, what an index map is made of is saved, not the result of the map.
    fn price(&self, value: Value, body: &Body) -> u64 {
        if !body.storable(value) {
            return UNBOUNDED;
        }
        let bytes = bytes(body.function.ty(value)).min(UNBOUNDED / (1 << 20));
        2 * bytes + u64::from(self.free_nodes.contains(&value))
    }

    fn walk(&self, wanted: &[Value], saved: HashSet<Value>) -> Crossing {
        let (mut free, mut used, mut replayed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut seen: HashSet<Value> = HashSet::new();
        let mut open = wanted.to_vec();
        while let Some(value) = open.pop() {
            if !seen.insert(value) {
                continue;
            }
            match &self.of[&value] {
                Maker::Free => drop(free.insert(value)),
                Maker::Replay(place, uses) if !saved.contains(&value) => {
                    replayed.insert(*place);
                    open.extend(uses);
                }
                _ => drop(used.insert(value)),
            }
        }
        let list = |set: BTreeSet<Value>| set.into_iter().collect();
        Crossing { saved: list(used), free: list(free), replayed: replayed.into_iter().collect() }
    }
}

impl Body<'_> {
    /// Whether a value's storage has a size that the other side knows.
    fn storable(&self, value: Value) -> bool {
        let Some(counter) = self.counter else { return true };
        !self.function.ty(value).shape.iter().any(|size| size.mentions(counter))
    }
}
