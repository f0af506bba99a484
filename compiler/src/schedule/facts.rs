//! What it costs to compute one element of a value in place, down to what must be in memory. Decides between keeping a
//! value and computing it again.

use super::expand::{Class, Expander, is_index_map, summed};
use super::graph::Def;
use nnc_ir::graph::{Block, Node};
use nnc_ir::kernel::Scalar;
use nnc_ir::ops::{Lowered, Op, Wanted};
use nnc_ir::{Dim, Ranges, Type, Value};
use std::collections::{BTreeSet, HashMap, HashSet};

/// What one element needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Fact {
    /// Arithmetic, in additions.
    pub weight: f64,
    /// Elements loaded.
    pub loads: f64,
    /// Expressions, counted as a tree.
    pub size: f64,
    /// What must be in memory, at most.
    pub leaves: BTreeSet<Value>,
    /// A fold or product lies below: not to be computed twice.
    pub heavy: bool,
}

/// Facts of all values of a function.
#[derive(Default)]
pub(super) struct Facts {
    of: HashMap<Value, Fact>,
    inside: HashMap<Value, BTreeSet<Value>>,
    /// Values that must be in memory, so that no kernel needs too many buffers.
    pub forced: HashSet<Value>,
}

impl Facts {
    /// Facts of everything in `block`, whose kernels may touch `limit` buffers.
    pub fn new(expander: Expander, block: &Block, limit: usize) -> Facts {
        let mut facts = Facts::default();
        facts.block(expander, block, limit);
        facts
    }

    /// The facts of `value`; those of a value in memory, if it has none of its own.
    pub fn of(&self, value: Value) -> Fact {
        self.of.get(&value).cloned().unwrap_or_else(|| leaf(value))
    }

    /// Whether nothing is loaded.
    pub fn is_free(&self, value: Value) -> bool {
        self.of(value).loads == 0.0
    }

    /// Whether an element costs about as much as a load.
    pub fn is_cheap(&self, value: Value) -> bool {
        let fact = self.of(value);
        !fact.heavy && fact.weight <= 4.0 && fact.loads <= 2.0
    }

    fn block(&mut self, expander: Expander, block: &Block, limit: usize) {
        for param in &block.params {
            if let Def::Slice(operand, _) = expander.graph.def(*param) {
                let fact = if self.is_free(operand) { self.of(operand) } else { leaf(*param) };
                self.of.insert(*param, fact);
            }
        }
        let mut own: HashSet<Value> = block.params.iter().copied().collect();
        for node in &block.nodes {
            if expander.class(node.results[0]) == Class::Product {
                node.operands.iter().for_each(|operand| self.keep_outer(expander, *operand, &own));
            }
            self.fit(node, limit);
            let fact = self.node(expander, node);
            if expander.class(node.results[0]) == Class::Product {
                self.inside.insert(node.results[0], self.union(&node.operands));
            }
            self.of.insert(node.results[0], fact);
            own.extend(&node.results);
            node.blocks.iter().for_each(|block| self.block(expander, block, limit));
        }
    }

    /// A matrix operand lies in memory. One of an enclosing block that is made of nothing in memory would be computed
    /// where it is used: it is kept there instead.
    fn keep_outer(&mut self, expander: Expander, operand: Value, own: &HashSet<Value>) {
        if !self.is_free(operand) {
            return;
        }
        if !own.contains(&operand) {
            self.forced.insert(operand);
            self.inside.insert(operand, BTreeSet::new());
            self.of.insert(operand, leaf(operand));
        } else if let Def::Node(node, _) = expander.graph.def(operand)
            && is_index_map(&node.op)
        {
            self.keep_outer(expander, node.operands[0], own);
        }
    }

    /// Puts operands in memory until the node needs few enough buffers.
    fn fit(&mut self, node: &Node, limit: usize) {
        let most = limit.saturating_sub(2).max(2);
        loop {
            let leaves = self.union(&node.operands);
            if leaves.len() <= most {
                return;
            }
            let widest =
                node.operands.iter().copied().max_by_key(|value| (self.of(*value).leaves.len(), *value));
            let Some(widest) = widest.filter(|value| self.of(*value).leaves.len() > 1) else { return };
            self.forced.insert(widest);
            self.inside.insert(widest, self.of(widest).leaves);
            self.of.insert(widest, leaf(widest));
        }
    }

    /// What a kernel that stores all of `roots` reads, at most.
    pub fn read_by<'v>(&self, roots: impl IntoIterator<Item = &'v Value>) -> BTreeSet<Value> {
        let inside = |root: &Value| self.inside.get(root).cloned().unwrap_or_else(|| self.of(*root).leaves);
        roots.into_iter().flat_map(inside).collect()
    }

    /// What several values need together.
    pub fn union<'v>(&self, values: impl IntoIterator<Item = &'v Value>) -> BTreeSet<Value> {
        values.into_iter().flat_map(|value| self.of(*value).leaves).collect()
    }

    fn node(&self, expander: Expander, node: &Node) -> Fact {
        let result = node.results[0];
        match expander.class(result) {
            Class::Given | Class::Special | Class::Structure => leaf(result),
            Class::Product => Fact { heavy: true, ..leaf(result) },
            Class::Fold => {
                // Its result is read where it is not folded in the same kernel.
                let leaves = self.union(&node.operands).into_iter().chain([result]).collect();
                Fact { heavy: true, leaves, ..leaf(result) }
            }
            Class::Light => self.light(expander, node),
        }
    }

    fn sum(&self, values: &[Value], times: f64, weight: f64) -> Fact {
        let facts: Vec<Fact> = values.iter().map(|value| self.of(*value)).collect();
        let total = |part: &dyn Fn(&Fact) -> f64| (times * facts.iter().map(part).sum::<f64>()).min(1e9);
        Fact {
            weight: total(&|fact| fact.weight) + weight,
            loads: total(&|fact| fact.loads),
            size: total(&|fact| fact.size) + times,
            leaves: self.union(values),
            heavy: facts.iter().any(|fact| fact.heavy),
        }
    }

    fn light(&self, expander: Expander, node: &Node) -> Fact {
        let shape = |value: Value| expander.graph.shape(value);
        let product =
            |sizes: &[Dim]| sizes.iter().map(|size| size.as_constant().unwrap_or(1) as f64).product::<f64>();
        match &node.op {
            Op::Reduce(op) => {
                let sizes: Vec<Dim> =
                    op.axes.iter().map(|axis| shape(node.operands[0])[*axis].clone()).collect();
                let times = product(&sizes);
                self.sum(&node.operands, times, times)
            }
            Op::FoldWindow(op) => {
                let times = product(&shape(node.operands[0])[op.axis + 1..op.axis + 2]);
                self.sum(&node.operands, times, 3.0 * times)
            }
            Op::Contract(op) => {
                let letters = expander.letters(op, &node.operands);
                let sizes: Vec<Dim> = summed(op).iter().map(|letter| letters[letter].clone()).collect();
                let times = product(&sizes);
                self.sum(&node.operands, times, 2.0 * times)
            }
            Op::Gather(_) => self.sum(&node.operands, 1.0, 3.0),
            Op::Random(_) => self.sum(&node.operands, 1.0, 30.0),
            op => self.sum(&node.operands, 1.0, lowered_weight(expander, op, node)),
        }
    }
}

fn lowered_weight(expander: Expander, op: &Op, node: &Node) -> f64 {
    let types: Vec<Type> = node.operands.iter().map(|value| expander.graph.ty(*value).clone()).collect();
    let results: Vec<Type> = node.results.iter().map(|value| expander.graph.ty(*value).clone()).collect();
    let at = vec![Dim::zero(); results[0].rank()];
    match op.lower(&Wanted { operands: &types, results: &results, at: &at, ranges: &Ranges::new() }) {
        Lowered::Map(scalar) => weight(scalar),
        _ => 0.0,
    }
}

/// What a scalar function costs, in additions.
pub(super) fn weight(scalar: Scalar) -> f64 {
    match scalar {
        Scalar::Exp | Scalar::Log | Scalar::Sin | Scalar::Cos | Scalar::Tanh | Scalar::Erf => 10.0,
        Scalar::Pow | Scalar::Expm1 | Scalar::Log1p => 20.0,
        Scalar::Lgamma | Scalar::Digamma => 50.0,
        Scalar::Sqrt | Scalar::Div | Scalar::Rem => 3.0,
        _ => 1.0,
    }
}

/// A value in memory.
fn leaf(value: Value) -> Fact {
    Fact { loads: 1.0, size: 1.0, leaves: BTreeSet::from([value]), ..Fact::default() }
}
