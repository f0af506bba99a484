//! Rewrites by equations, each a named rule: `x + 0 = x`. A rule sees one node and what made its operands, and gives a
//! value that takes the node's place. What a rule adds is simplified in turn.
//!
//! Rules are exact, NaN and infinities included, but for the sign of a zero; those that regroup a sum say so.

mod arithmetic;
mod constants;
mod folds;
mod movement;

use super::{Findings, Pass, rebuild};
use nnc_ir::graph::{Block, Module, Node, Value};
use nnc_ir::ops::Op;
use nnc_ir::{Builder, DType, Ranges, Type};
use std::collections::HashMap;
use std::rc::Rc;

/// See the module.
pub const SIMPLIFY: Pass = Pass { name: "simplify", about: "rewrite by a table of equations", run };

/// How often a rule may fire on what a rule has added.
const DEPTH: usize = 24;

/// One equation.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// The equation.
    pub about: &'static str,
    /// A value equal to the node's result, if the rule applies.
    apply: fn(&mut Site) -> Option<Value>,
}

const RULES: &[&[Rule]] = &[constants::RULES, arithmetic::RULES, movement::RULES, folds::RULES];

/// Every rule, in the order in which they are tried.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    RULES.iter().copied().flatten()
}

fn run(mut module: Module) -> Result<Module, Findings> {
    let ranges = module.ranges();
    for entry in &mut module.entries {
        let uses = count_uses(&entry.function.body);
        let ranges = ranges.clone();
        rebuild(&mut entry.function, |b, body| {
            let mut rewriter = Rewriter { b, made: HashMap::new(), names: HashMap::new(), uses, ranges };
            body.nodes.into_iter().for_each(|node| rewriter.node(node, 0));
            rewriter.all(&body.results)
        });
    }
    Ok(module)
}

fn count_uses(body: &Block) -> HashMap<Value, usize> {
    let mut uses = HashMap::new();
    let mut count = |values: &[Value]| values.iter().for_each(|v| *uses.entry(*v).or_insert(0) += 1);
    body.visit(&mut |node| {
        count(&node.operands);
        node.blocks.iter().for_each(|block| count(&block.results));
    });
    count(&body.results);
    uses
}

struct Rewriter<'a> {
    b: &'a mut Builder,
    /// The node that made each value.
    made: HashMap<Value, Rc<Node>>,
    names: HashMap<Value, Value>,
    uses: HashMap<Value, usize>,
    ranges: Ranges,
}

impl Rewriter<'_> {
    fn value(&self, value: Value) -> Value {
        self.names.get(&value).copied().unwrap_or(value)
    }

    fn all(&self, values: &[Value]) -> Vec<Value> {
        values.iter().map(|value| self.value(*value)).collect()
    }

    fn node(&mut self, mut node: Node, depth: usize) {
        node.operands = self.all(&node.operands);
        if !node.blocks.is_empty() {
            return self.with_bodies(node);
        }
        self.b.span = node.span;
        if depth < DEPTH && node.results.len() == 1 && self.rewrite(&node, depth) {
            return;
        }
        if !matches!(node.op, Op::Table(_)) {
            let shared = Rc::new(node.clone());
            node.results.iter().for_each(|result| drop(self.made.insert(*result, shared.clone())));
        }
        self.b.current().nodes.push(node);
    }

    fn with_bodies(&mut self, mut node: Node) {
        if let Op::Loop(op) = &node.op {
            self.ranges.counter(&op.counter, &op.count);
        }
        let blocks = std::mem::take(&mut node.blocks);
        node.blocks = blocks.into_iter().map(|block| self.block(block)).collect();
        self.b.current().nodes.push(node);
    }

    fn block(&mut self, block: Block) -> Block {
        self.b.open();
        self.b.current().params = block.params;
        block.nodes.into_iter().for_each(|node| self.node(node, 0));
        let results = self.all(&block.results);
        self.b.close(results)
    }

    /// Lets the first rule that applies replace `node`.
    fn rewrite(&mut self, node: &Node, depth: usize) -> bool {
        let before = self.b.current().nodes.len();
        for rule in rules() {
            let mut site = Site { b: self.b, node, made: &self.made, uses: &self.uses, ranges: &self.ranges };
            let found = (rule.apply)(&mut site);
            let added = self.b.current().nodes.split_off(before);
            if let Some(value) = found {
                added.into_iter().for_each(|node| self.node(node, depth + 1));
                let value = self.value(value);
                self.keep_name(node.result(), value);
                self.names.insert(node.result(), value);
                return true;
            }
        }
        false
    }

    fn keep_name(&mut self, old: Value, new: Value) {
        let name = self.b.function.values[old.0 as usize].name.clone();
        let info = &mut self.b.function.values[new.0 as usize];
        if info.name.is_none() {
            info.name = name;
        }
    }
}

/// What a rule sees.
struct Site<'a> {
    b: &'a mut Builder,
    node: &'a Node,
    made: &'a HashMap<Value, Rc<Node>>,
    uses: &'a HashMap<Value, usize>,
    ranges: &'a Ranges,
}

impl Site<'_> {
    fn operand(&self, place: usize) -> Value {
        self.node.operands[place]
    }

    /// The type of the node's result.
    fn ty(&self) -> &Type {
        self.b.function.ty(self.node.result())
    }

    fn dtype(&self) -> DType {
        self.ty().dtype
    }

    /// The node that made `value`, where it is known.
    fn maker(&self, value: Value) -> Option<Rc<Node>> {
        self.made.get(&value).cloned()
    }

    /// The number that is in every place of `value`.
    fn constant(&self, value: Value) -> Option<f64> {
        match &self.maker(value)?.op {
            Op::Constant(op) => Some(op.value),
            _ => None,
        }
    }

    fn is(&self, value: Value, number: f64) -> bool {
        self.constant(value) == Some(number)
    }

    /// The operand that is left if the other one of two is `number` everywhere.
    fn beside(&self, number: f64) -> Option<Value> {
        match (self.operand(0), self.operand(1)) {
            (x, other) if self.is(other, number) => Some(x),
            (other, x) if self.is(other, number) => Some(x),
            _ => None,
        }
    }

    /// What was negated to make `value`.
    fn negated(&self, value: Value) -> Option<Value> {
        let maker = self.maker(value)?;
        matches!(maker.op, Op::Neg(_)).then(|| maker.operands[0])
    }

    /// Used at one place only.
    fn single(&self, value: Value) -> bool {
        self.uses.get(&value).copied().unwrap_or(0) == 1
    }
}

/// A rule for one operation: `when!(site, Add)` gives its attributes, or leaves.
macro_rules! when {
    ($site:expr, $op:ident) => {
        match &$site.node.op {
            nnc_ir::ops::Op::$op(op) => op.clone(),
            _ => return None,
        }
    };
}
use when;
