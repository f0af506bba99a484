//! Where gradients can flow: edges between values, bodies included, and which of them carry a cotangent.
//!
//! An edge goes from what is used to what comes of it. Loops close cycles (a carried result is the next turn's
//! parameter), so reachability over edges needs no repetition of bodies.

use super::Cut;
use nnc_base::Span;
use nnc_ir::graph::{Function, Node, Value};
use nnc_ir::ops::{Loop, Op};
use std::collections::{HashMap, HashSet};

/// Why an edge carries no cotangent.
const STOPPED: &str = "the gradient is stopped here";
const DISCRETE: &str = "whole numbers and truth values carry no gradient";
const CONDITION: &str = "a condition carries no gradient";
const BEHIND_RULE: &str = "a custom gradient gives none to what its body captures";

/// One dependency.
#[derive(Clone, Copy, Debug)]
struct Edge {
    from: Value,
    to: Value,
    place: Place,
    carries: bool,
}

/// A node at which a gradient ends, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where in the source it comes from.
    pub span: Span,
    /// Why it ends, as half a sentence.
    pub reason: &'static str,
    /// The operation's name.
    pub op: &'static str,
}

/// All dependencies among some nodes.
pub(super) struct Flow<'a> {
    function: &'a Function,
    edges: Vec<Edge>,
    after: HashMap<Value, Vec<usize>>,
    before: HashMap<Value, Vec<usize>>,
}

impl<'a> Flow<'a> {
    /// The dependencies of `nodes` and their bodies.
    pub fn of(function: &'a Function, nodes: &[Node]) -> Flow<'a> {
        let mut flow = Flow { function, edges: Vec::new(), after: HashMap::new(), before: HashMap::new() };
        nodes.iter().for_each(|node| flow.node(node));
        flow
    }

    fn node(&mut self, node: &Node) {
        match &node.op {
            Op::Loop(op) => self.repeat(node, op),
            Op::If(_) => self.branch(node),
            Op::Rule(_) => self.rule(node),
            Op::Stop(_) => self.all(node, &node.operands, Some(STOPPED)),
            _ => self.all(node, &node.operands, None),
        }
    }

    fn inside(&mut self, node: &Node) {
        node.blocks.iter().flat_map(|block| &block.nodes).for_each(|inner| self.node(inner));
    }

    fn all(&mut self, node: &Node, from: &[Value], blocked: Option<&'static str>) {
        for value in from {
            node.results.iter().for_each(|result| self.edge(node, *value, *result, blocked));
        }
    }

    fn edge(&mut self, node: &Node, from: Value, to: Value, blocked: Option<&'static str>) {
        let float = |value| self.function.ty(value).dtype.is_float();
        let carries = blocked.is_none() && float(from) && float(to);
        let place = Place { span: node.span, reason: blocked.unwrap_or(DISCRETE), op: node.op.name() };
        let number = self.edges.len();
        self.edges.push(Edge { from, to, place, carries });
        self.after.entry(from).or_default().push(number);
        self.before.entry(to).or_default().push(number);
    }

    fn repeat(&mut self, node: &Node, op: &Loop) {
        let body = &node.blocks[0];
        for (place, (operand, param)) in node.operands.iter().zip(&body.params).enumerate() {
            self.edge(node, *operand, *param, None);
            if place < op.carried {
                self.edge(node, body.results[place], *param, None);
                self.edge(node, *operand, node.results[place], None);
            }
        }
        for (inner, outer) in body.results.iter().zip(&node.results) {
            self.edge(node, *inner, *outer, None);
        }
        self.inside(node);
    }

    fn branch(&mut self, node: &Node) {
        self.all(node, &node.operands, Some(CONDITION));
        for block in &node.blocks {
            let pairs = block.results.iter().zip(&node.results);
            pairs.for_each(|(inner, outer)| self.edge(node, *inner, *outer, None));
        }
        self.inside(node);
    }

    fn rule(&mut self, node: &Node) {
        self.all(node, &node.operands, None);
        self.all(node, &node.blocks[0].captures(), Some(BEHIND_RULE));
    }

    /// What lies on a path from `sources` to `targets` that carries cotangents.
    pub fn live(&self, sources: &[Value], targets: &[Value]) -> HashSet<Value> {
        let down = self.reach(sources, &self.after, |edge| edge.carries.then_some(edge.to));
        let up = self.reach(targets, &self.before, |edge| edge.carries.then_some(edge.from));
        let float = |value: &Value| self.function.ty(*value).dtype.is_float();
        down.intersection(&up).copied().filter(float).collect()
    }

    fn reach(
        &self,
        from: &[Value],
        edges: &HashMap<Value, Vec<usize>>,
        step: impl Fn(&Edge) -> Option<Value>,
    ) -> HashSet<Value> {
        let mut found: HashSet<Value> = from.iter().copied().collect();
        let mut open: Vec<Value> = from.to_vec();
        while let Some(value) = open.pop() {
            let numbers = edges.get(&value).into_iter().flatten();
            for next in numbers.filter_map(|number| step(&self.edges[*number])) {
                if found.insert(next) {
                    open.push(next);
                }
            }
        }
        found
    }

    /// The `sources` that no cotangent of `targets` reaches, and where their paths are cut. `blocked` names results of
    /// operations that refused to give a gradient.
    pub fn cuts(
        &self,
        sources: &[Value],
        targets: &[Value],
        blocked: &HashMap<Value, &'static str>,
    ) -> Vec<Cut> {
        let passes = |edge: &Edge| edge.carries && !blocked.contains_key(&edge.to);
        let fed = self.reach(targets, &self.before, |edge| passes(edge).then_some(edge.from));
        let float = |value: &Value| self.function.ty(*value).dtype.is_float();
        let lost = sources.iter().filter(|source| !fed.contains(source) || !float(source));
        let serving = self.reach(targets, &self.before, |edge| Some(edge.from));
        lost.map(|source| {
            let reached = self.reach(&[*source], &self.after, |edge| passes(edge).then_some(edge.to));
            let ends =
                |edge: &&Edge| reached.contains(&edge.from) && serving.contains(&edge.to) && !passes(edge);
            let mut places: Vec<Place> = Vec::new();
            for edge in self.edges.iter().filter(ends) {
                let refused = blocked.get(&edge.to).filter(|_| edge.carries);
                let place = Place { reason: refused.copied().unwrap_or(edge.place.reason), ..edge.place };
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            Cut { value: *source, places }
        })
        .collect()
    }
}
