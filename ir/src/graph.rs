//! The tensor IR: typed SSA over whole tensors, with bodies for loops, branches and custom gradients.
//!
//! Everything is pure. An entry maps inputs and slots to outputs and new slot values; a value may be moved, hoisted
//! or recomputed at will. Values of an enclosing block may be used inside a body: [`Block::captures`] lists them.

use crate::ops::Op;
use crate::{Dim, Symbol, Type};
use nnc_base::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Names one value of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Value(pub u32);

/// A whole program: symbols, slots, and the entries a runtime may call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Module {
    /// Run-time sizes with their ranges.
    pub sizes: Vec<Size>,
    /// Named tensors that outlive a call.
    pub slots: Vec<Slot>,
    /// What can be called.
    pub entries: Vec<Entry>,
}

/// A run-time size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Its name.
    pub symbol: Symbol,
    /// Smallest value.
    pub min: i64,
    /// Largest value, where one is stated.
    pub max: Option<i64>,
    /// It is a multiple of this.
    pub multiple: i64,
}

/// What becomes of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SlotKind {
    /// Trained.
    Weight,
    /// Kept in checkpoints, never differentiated.
    State,
    /// Dropped at the end of a session.
    Cache,
}

/// A named tensor that a module owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Logical key, as in checkpoints: `layer.mlp.up.w`. A slot of a rolled stack has the depth as first axis.
    pub path: String,
    /// What becomes of it.
    pub kind: SlotKind,
    /// Its type.
    pub ty: Type,
    /// For each leading axis that a rolled loop makes, the segment of the path it copies: checkpoints store
    /// `layer[3].mlp.up.w` for each copy of segment 0.
    pub copies: Vec<usize>,
    /// The path it had in older files, with copies at the same segments.
    pub was: Option<String>,
}

impl Slot {
    /// The logical key of one copy; `index` has one number per leading axis that a loop makes.
    pub fn key(&self, index: &[usize]) -> String {
        self.key_of(&self.path, index)
    }

    /// The key one copy had in older files.
    pub fn old_key(&self, index: &[usize]) -> Option<String> {
        self.was.as_ref().map(|was| self.key_of(was, index))
    }

    fn key_of(&self, path: &str, index: &[usize]) -> String {
        let mut key = String::new();
        for (place, segment) in segments(path).into_iter().enumerate() {
            if place > 0 {
                key.push('.');
            }
            // The layers of a cut stack count on: the first copy of `layer[4..8]` is `layer[4]`.
            let (name, mut first) =
                copied_range(segment).map_or((segment, 0), |(name, range)| (name, range.start));
            key.push_str(name);
            for (_, number) in self.copies.iter().zip(index).filter(|(copied, _)| **copied == place) {
                key.push_str(&format!("[{}]", first + number));
                first = 0;
            }
        }
        key
    }
}

/// The names of a path; dots in brackets cut nothing.
pub fn segments(path: &str) -> Vec<&str> {
    let mut inside = false;
    path.split(|sign| {
        inside = sign == '[' || inside && sign != ']';
        sign == '.' && !inside
    })
    .collect()
}

/// A segment of a path that stands for some copies: `layer[4..8]` as its name and the range.
pub fn copied_range(segment: &str) -> Option<(&str, std::ops::Range<usize>)> {
    let (name, rest) = segment.split_once('[')?;
    let (start, end) = rest.strip_suffix(']')?.split_once("..")?;
    Some((name, start.parse().ok()?..end.parse().ok()?))
}

/// Something a runtime calls: `forward`, `step`, `init`, ...
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What each parameter of the function is bound to.
    pub inputs: Vec<Port>,
    /// What each result of the function is.
    pub outputs: Vec<Port>,
    /// What it computes.
    pub function: Function,
}

/// Where a parameter comes from, or where a result goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Port {
    /// A tensor of the caller, by name. Well-known names: `seed` (u32[]); `step`, `steps` and `draw`, the number of
    /// the micro-batch (i32[]).
    Named(String),
    /// A slot, by index into [`Module::slots`].
    Slot(usize),
}

/// A function of values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// Types (and names, where the source gave one) of all values.
    pub values: Vec<ValueInfo>,
    /// Parameters, nodes, results.
    pub body: Block,
}

/// What is known of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueInfo {
    /// Its type.
    pub ty: Type,
    /// Its name in the source, for people.
    pub name: Option<String>,
}

/// A sequence of nodes with parameters and results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Values bound on entry.
    pub params: Vec<Value>,
    /// Operations in order.
    pub nodes: Vec<Node>,
    /// Values handed back.
    pub results: Vec<Value>,
}

/// One operation applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// What is applied.
    pub op: Op,
    /// To what.
    pub operands: Vec<Value>,
    /// What comes out.
    pub results: Vec<Value>,
    /// Bodies, for operations that have some.
    pub blocks: Vec<Block>,
    /// Where in the source it comes from.
    #[serde(skip)]
    pub span: Span,
}

impl Function {
    /// The type of `value`.
    pub fn ty(&self, value: Value) -> &Type {
        &self.values[value.0 as usize].ty
    }

    /// A new value.
    pub fn fresh(&mut self, ty: Type) -> Value {
        self.values.push(ValueInfo { ty, name: None });
        Value(self.values.len() as u32 - 1)
    }
}

impl Node {
    /// The only result.
    pub fn result(&self) -> Value {
        self.results[0]
    }

    /// Operands, and what the bodies capture.
    pub fn uses(&self) -> Vec<Value> {
        let mut uses = self.operands.clone();
        uses.extend(self.blocks.iter().flat_map(Block::captures));
        uses
    }
}

impl Block {
    /// Values of enclosing blocks that are used here or in nested bodies, in ascending order.
    pub fn captures(&self) -> Vec<Value> {
        let mut defined: BTreeSet<Value> = self.params.iter().copied().collect();
        let mut used = BTreeSet::new();
        for node in &self.nodes {
            used.extend(node.uses());
            defined.extend(node.results.iter().copied());
        }
        used.extend(self.results.iter().copied());
        used.difference(&defined).copied().collect()
    }

    /// Calls `visit` on every node, those of nested bodies included, outer before inner.
    pub fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a Node)) {
        for node in &self.nodes {
            visit(node);
            for block in &node.blocks {
                block.visit(visit);
            }
        }
    }

    /// Replaces every use of a value.
    pub fn replace_uses(&mut self, with: &dyn Fn(Value) -> Value) {
        for node in &mut self.nodes {
            node.operands.iter_mut().for_each(|v| *v = with(*v));
            node.blocks.iter_mut().for_each(|block| block.replace_uses(with));
        }
        self.results.iter_mut().for_each(|v| *v = with(*v));
    }
}

impl Module {
    /// The entry called `name`.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The slot with this logical key.
    pub fn slot(&self, path: &str) -> Option<usize> {
        self.slots.iter().position(|slot| slot.path == path)
    }

    /// The module of the entries that `wanted` names, with the slots they use.
    pub fn only(&self, wanted: &[&str]) -> Module {
        let kept = self.entries.iter().filter(|entry| wanted.contains(&entry.name.as_str()));
        let mut entries: Vec<Entry> = kept.cloned().collect();
        let ports = |entry: &Entry| entry.inputs.iter().chain(&entry.outputs).cloned().collect::<Vec<_>>();
        let used: BTreeSet<usize> = entries
            .iter()
            .flat_map(ports)
            .filter_map(|port| if let Port::Slot(slot) = port { Some(slot) } else { None })
            .collect();
        let order: Vec<usize> = used.into_iter().filter(|slot| *slot < self.slots.len()).collect();
        for port in entries.iter_mut().flat_map(|entry| entry.inputs.iter_mut().chain(&mut entry.outputs)) {
            if let Port::Slot(slot) = port
                && let Ok(place) = order.binary_search(slot)
            {
                *slot = place;
            }
        }
        let slots = order.iter().map(|slot| self.slots[*slot].clone()).collect();
        Module { sizes: self.sizes.clone(), slots, entries }
    }

    /// What is known of the run-time sizes.
    pub fn ranges(&self) -> crate::Ranges {
        let mut ranges = crate::Ranges::new();
        for size in &self.sizes {
            ranges.state(size.symbol.clone(), Dim::constant(size.min), size.max.map(Dim::constant));
        }
        ranges
    }
}
