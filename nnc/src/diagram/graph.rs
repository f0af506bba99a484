//! From the tensor IR of the forward entry and its regions to boxes and edges.
//!
//! A block that applies further blocks is an open box; any other block, and every function, is one node. What a body
//! computes by itself becomes a node per run of neighbouring operations on one line of source.

use nnc_base::Span;
use nnc_compiler::elaborate::regions::{Region, RegionKind};
use nnc_compiler::entries::Built;
use nnc_compiler::program::Program;
use nnc_ir::graph::{Block, Entry, Node as Operation, Port, SlotKind};
use nnc_ir::ops::Op;
use nnc_ir::{DType, Type, Value};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};

/// What a node stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An input of the model.
    Input,
    /// An output of the model.
    Output,
    /// A block, applied.
    Block,
    /// A residual branch.
    Branch,
    /// A function, called.
    Function,
    /// A rolled loop.
    Loop,
    /// Operations written in a body.
    Step,
}

/// A box of the drawing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// The box it lies in, by place among the nodes.
    pub parent: Option<usize>,
    /// What it stands for.
    pub kind: Kind,
    /// `Linear`, `gelu`, `h + f(h)`.
    pub title: String,
    /// Where its slots lie.
    pub path: String,
    /// Type of what leaves it.
    pub shape: String,
    /// Parameters inside, all copies counted.
    pub parameters: i64,
    /// Turns of a rolled loop.
    pub count: Option<String>,
    /// Whether other nodes lie inside.
    pub open: bool,
    /// `file:line`.
    pub source: String,
}

/// A value that flows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Edge {
    /// Node it leaves.
    pub from: usize,
    /// Node it enters.
    pub to: usize,
    /// Its type.
    pub shape: String,
}

/// A model as boxes and edges. Nodes are in the order of computation; a box comes before what lies in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Diagram {
    /// Boxes.
    pub nodes: Vec<Node>,
    /// Edges between nodes that are not open boxes.
    pub edges: Vec<Edge>,
}

/// The drawing of the entry `forward`.
pub fn diagram(program: &Program, built: &Built) -> Diagram {
    let Some(entry) = built.module.entry("forward") else { return Diagram::default() };
    let mut walk = Walk::new(program, built, entry);
    walk.ports(entry);
    walk.block(&entry.function.body);
    walk.results(entry);
    walk.finish()
}

struct Walk<'a> {
    program: &'a Program,
    built: &'a Built,
    entry: &'a Entry,
    regions: &'a [Region],
    /// Innermost region of each value.
    home: Vec<Option<usize>>,
    /// Whether a region applies further blocks.
    composite: Vec<bool>,
    /// Nodes made for regions.
    made: HashMap<usize, usize>,
    /// Which node computes a value.
    owner: HashMap<Value, usize>,
    /// Parameters of bodies, and results of loops, stand for other values.
    alias: HashMap<Value, Value>,
    /// The run of operations a body is in: node, source, line, and the text it spans.
    run: Option<(usize, Option<usize>, u32, usize)>,
    spans: HashMap<usize, Span>,
    nodes: Vec<Node>,
    edges: BTreeSet<(usize, usize)>,
    carried: HashMap<(usize, usize), Value>,
}

impl<'a> Walk<'a> {
    fn new(program: &'a Program, built: &'a Built, entry: &'a Entry) -> Walk<'a> {
        let regions = built.regions.get(&entry.name).map_or(&[][..], Vec::as_slice);
        let mut home = vec![None; entry.function.values.len()];
        let mut composite = vec![false; regions.len()];
        for (place, region) in regions.iter().enumerate() {
            for value in region.values.clone() {
                if let Some(home) = home.get_mut(value as usize) {
                    *home = Some(place);
                }
            }
            let mut around =
                region.parent.filter(|_| matches!(region.kind, RegionKind::Block | RegionKind::Branch));
            while let Some(outer) = around {
                composite[outer] = regions[outer].kind != RegionKind::Function;
                around = regions[outer].parent;
            }
        }
        Walk {
            program,
            built,
            entry,
            regions,
            home,
            composite,
            made: HashMap::new(),
            owner: HashMap::new(),
            alias: HashMap::new(),
            run: None,
            spans: HashMap::new(),
            nodes: Vec::new(),
            edges: BTreeSet::new(),
            carried: HashMap::new(),
        }
    }

    fn ty(&self, value: Value) -> &Type {
        self.entry.function.ty(value)
    }

    fn add(&mut self, kind: Kind, title: String, parent: Option<usize>, span: Span) -> usize {
        self.nodes.push(Node {
            parent,
            kind,
            title,
            path: String::new(),
            shape: String::new(),
            parameters: 0,
            count: None,
            open: false,
            source: self.program.line(span).map(|(file, line)| format!("{file}:{line}")).unwrap_or_default(),
        });
        self.nodes.len() - 1
    }

    fn ports(&mut self, entry: &Entry) {
        for (port, value) in entry.inputs.iter().zip(&entry.function.body.params) {
            // Seed and step number serve random draws; they are not the model's.
            if let Port::Named(name) = port
                && self.built.inputs.contains(name)
            {
                let node = self.add(Kind::Input, name.clone(), None, Span::default());
                self.nodes[node].shape = shape_text(self.ty(*value));
                self.nodes[node].source.clear();
                self.owner.insert(*value, node);
            }
        }
    }

    fn results(&mut self, entry: &Entry) {
        for (port, value) in entry.outputs.iter().zip(&entry.function.body.results) {
            if let Port::Named(name) = port {
                let node = self.add(Kind::Output, name.clone(), None, Span::default());
                self.nodes[node].shape = shape_text(self.ty(*value));
                self.nodes[node].source.clear();
                self.connect(*value, node);
            }
        }
    }

    fn block(&mut self, block: &Block) {
        for operation in &block.nodes {
            match &operation.op {
                Op::Loop(_) | Op::Rule(_) => self.body(operation),
                Op::If(_) => {
                    self.operation(operation);
                    operation.blocks.iter().for_each(|block| self.block(block));
                }
                _ => self.operation(operation),
            }
        }
    }

    /// A body whose parameters are the operands, and whose results are the node's.
    fn body(&mut self, operation: &Operation) {
        let Some(block) = operation.blocks.first() else { return };
        for (param, operand) in block.params.iter().zip(&operation.operands) {
            self.alias.insert(*param, *operand);
        }
        self.block(block);
        for (result, inside) in operation.results.iter().zip(&block.results) {
            self.alias.insert(*result, *inside);
        }
    }

    fn resolve(&self, mut value: Value) -> Value {
        while let Some(next) = self.alias.get(&value) {
            value = *next;
        }
        value
    }

    fn operation(&mut self, operation: &Operation) {
        let Some(result) = operation.results.first() else { return };
        let node = self.node_of(*result, operation.span);
        for value in operation.operands.iter().chain(operation.blocks.iter().flat_map(|b| &b.results)) {
            self.connect(*value, node);
        }
        for value in &operation.results {
            self.owner.insert(*value, node);
        }
        let shape = shape_text(self.ty(*result));
        let mut told = Some(node);
        while let Some(node) = told {
            self.nodes[node].shape = shape.clone();
            told = self.nodes[node].parent;
        }
    }

    fn connect(&mut self, value: Value, to: usize) {
        let value = self.resolve(value);
        if let Some(from) = self.owner.get(&value).copied().filter(|from| *from != to) {
            self.edges.insert((from, to));
            self.carried.insert((from, to), value);
        }
    }

    /// The node that a value belongs to: that of the outermost closed region around it, or a step.
    fn node_of(&mut self, value: Value, span: Span) -> usize {
        let mut chain = Vec::new();
        let mut at = self.home[value.0 as usize];
        while let Some(region) = at {
            chain.push(region);
            at = self.regions[region].parent;
        }
        let mut parent = None;
        for region in chain.into_iter().rev() {
            let node = self.region(region, parent);
            if !self.composite[region] {
                self.run = None;
                return node;
            }
            parent = Some(node);
        }
        self.step(parent, span)
    }

    fn region(&mut self, place: usize, parent: Option<usize>) -> usize {
        if let Some(node) = self.made.get(&place) {
            return *node;
        }
        let region = &self.regions[place];
        let (kind, count) = match &region.kind {
            RegionKind::Block => (Kind::Block, None),
            RegionKind::Branch => (Kind::Branch, None),
            RegionKind::Function => (Kind::Function, None),
            RegionKind::Loop(count) => (Kind::Loop, Some(count.to_string())),
        };
        let node = self.add(kind, region.title.clone(), parent, region.span);
        self.nodes[node].path = region.path.clone();
        self.nodes[node].count = count;
        self.nodes[node].open = self.composite[place];
        self.nodes[node].parameters = self.parameters(&region.path);
        self.made.insert(place, node);
        node
    }

    fn step(&mut self, parent: Option<usize>, span: Span) -> usize {
        let line = self.program.line(span).map_or(0, |(_, line)| line);
        let node = match self.run {
            Some((node, within, source, known))
                if (within, source, known) == (parent, span.source.0, line) =>
            {
                node
            }
            _ => {
                let node = self.add(Kind::Step, String::new(), parent, span);
                self.run = Some((node, parent, span.source.0, line));
                node
            }
        };
        let whole = self.spans.get(&node).map_or(span, |known| known.to(span));
        self.spans.insert(node, whole);
        node
    }

    /// Parameters of the slots at or below a path.
    fn parameters(&self, path: &str) -> i64 {
        if path.is_empty() {
            return 0;
        }
        let below =
            |slot: &str| slot.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let weights = self.built.module.slots.iter().filter(|s| s.kind == SlotKind::Weight && below(&s.path));
        weights.filter_map(|slot| slot.ty.size().as_constant()).sum()
    }

    fn text(&self, span: Span) -> String {
        let source = self.program.sources.get(span.source.0 as usize);
        let text = source.and_then(|source| source.text.get(span.range())).unwrap_or("");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.chars().count() <= 44 { text } else { text.chars().take(43).chain(['…']).collect() }
    }

    /// Drops what no input reaches or no output needs, and numbers the rest anew.
    fn finish(mut self) -> Diagram {
        for (node, span) in self.spans.clone() {
            self.nodes[node].title = self.text(span);
        }
        let reached = self.closure(Kind::Input, |(from, to)| (from, to));
        let needed = self.closure(Kind::Output, |(from, to)| (to, from));
        let mut kept: BTreeSet<usize> = reached.intersection(&needed).copied().collect();
        for node in kept.clone() {
            let mut around = self.nodes[node].parent;
            while let Some(outer) = around {
                kept.insert(outer);
                around = self.nodes[outer].parent;
            }
        }
        let numbers: HashMap<usize, usize> = kept.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        let edges = self.edges.iter().filter_map(|(from, to)| {
            let shape = shape_text(self.ty(self.carried[&(*from, *to)]));
            Some(Edge { from: *numbers.get(from)?, to: *numbers.get(to)?, shape })
        });
        let edges = edges.collect();
        let renumbered = |node: &Node| Node { parent: node.parent.map(|p| numbers[&p]), ..node.clone() };
        Diagram { nodes: kept.iter().map(|old| renumbered(&self.nodes[*old])).collect(), edges }
    }

    fn closure(&self, start: Kind, turn: impl Fn((usize, usize)) -> (usize, usize)) -> BTreeSet<usize> {
        let mut next: HashMap<usize, Vec<usize>> = HashMap::new();
        for edge in &self.edges {
            let (from, to) = turn(*edge);
            next.entry(from).or_default().push(to);
        }
        let mut open: Vec<usize> = (0..self.nodes.len()).filter(|n| self.nodes[*n].kind == start).collect();
        let mut found: BTreeSet<usize> = open.iter().copied().collect();
        while let Some(node) = open.pop() {
            for to in next.get(&node).into_iter().flatten() {
                if found.insert(*to) {
                    open.push(*to);
                }
            }
        }
        found
    }
}

/// `[B, T, 128]`; other element types than f32 are named.
fn shape_text(ty: &Type) -> String {
    let sizes: Vec<String> = ty.shape.iter().map(ToString::to_string).collect();
    let sizes = sizes.join(", ");
    if ty.dtype == DType::F32 { format!("[{sizes}]") } else { format!("{}[{sizes}]", ty.dtype) }
}
