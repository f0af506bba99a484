//! Checks of the tensor IR. The laws:
//!
//! 1. *Scope*: a value is defined once, before its uses, in the same block or an enclosing one.
//! 2. *Types*: the shape rule of every operation reproduces the stored types; loops and branches are typed by theirs.
//! 3. *Symbols*: every symbol is a stated size or the counter of an enclosing loop; names are words, ranges not empty.
//! 4. *Ports*: an entry's parameters and results have ports of their types; a slot has one new value at most.
//! 5. *Names*: entries, slots and sizes have names of their own.
//! 6. *Patterns*: a pattern fits the axes of its type.

use crate::graph::{Block, Entry, Function, Module, Node, Port, Size, Slot, Value};
use crate::ops::{Op, infer, shape::alike};
use crate::text::lexer::is_word;
use crate::{DType, Dim, Pattern, Symbol, Type};
use nnc_base::Span;
use std::collections::BTreeSet;
use std::fmt;

/// What a broken module breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Law {
    /// Values are defined once, before their uses.
    Scope,
    /// Stored types are what the shape rules say.
    Types,
    /// Symbols are known and ranged.
    Symbols,
    /// Entries fit their ports.
    Ports,
    /// Names are not used twice.
    Names,
    /// Patterns fit their types.
    Patterns,
}

/// One finding.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyError {
    /// The law that is broken.
    pub law: Law,
    /// How, in one sentence.
    pub message: String,
    /// Where in the source the node comes from.
    pub span: Span,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.law, self.message)
    }
}

impl std::error::Error for VerifyError {}

/// Checks a whole module.
pub fn verify(module: &Module) -> Result<(), Vec<VerifyError>> {
    let symbols: Vec<Symbol> = module.sizes.iter().map(|size| size.symbol.clone()).collect();
    let mut check = Check::new(&symbols);
    module.sizes.iter().for_each(|size| check.size(size));
    module.slots.iter().for_each(|slot| check.slot(slot));
    check.distinct("size", symbols.iter().map(|symbol| &*symbol.0));
    check.distinct("slot", module.slots.iter().map(|slot| slot.path.as_str()));
    check.distinct("entry", module.entries.iter().map(|entry| entry.name.as_str()));
    for entry in &module.entries {
        let before = check.errors.len();
        check.function(&entry.function);
        if check.errors.len() == before {
            check.entry(entry, &module.slots);
        }
        let name = &entry.name;
        check.errors[before..].iter_mut().for_each(|e| e.message = format!("entry `{name}`: {}", e.message));
    }
    check.finish()
}

/// Checks a function on its own, with these symbols known.
pub fn verify_function(function: &Function, symbols: &[Symbol]) -> Result<(), Vec<VerifyError>> {
    let mut check = Check::new(symbols);
    check.function(function);
    check.finish()
}

#[derive(Default)]
struct Check {
    symbols: BTreeSet<Symbol>,
    defined: BTreeSet<Value>,
    visible: BTreeSet<Value>,
    span: Span,
    errors: Vec<VerifyError>,
}

impl Check {
    fn new(symbols: &[Symbol]) -> Check {
        Check { symbols: symbols.iter().cloned().collect(), ..Check::default() }
    }

    fn finish(self) -> Result<(), Vec<VerifyError>> {
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }

    fn report(&mut self, law: Law, message: impl Into<String>) {
        self.errors.push(VerifyError { law, message: message.into(), span: self.span });
    }

    fn distinct<'a>(&mut self, what: &str, names: impl Iterator<Item = &'a str>) {
        let mut seen = BTreeSet::new();
        for name in names {
            if !seen.insert(name) {
                self.report(Law::Names, format!("two of {what} are called `{name}`"));
            }
        }
    }

    fn size(&mut self, size: &Size) {
        let Size { symbol, min, max, multiple } = size;
        if !is_word(&symbol.0) {
            self.report(Law::Symbols, format!("`{symbol}` is no name for a size"));
        }
        if *min < 0 || *multiple < 1 || max.is_some_and(|max| max < *min) {
            self.report(Law::Symbols, format!("the range of `{symbol}` is empty or negative"));
        }
    }

    fn slot(&mut self, slot: &Slot) {
        self.ty(&slot.ty);
        let segments = crate::graph::segments(&slot.path).len();
        if slot.copies.len() > slot.ty.rank() || slot.copies.iter().any(|place| *place >= segments) {
            let message = format!(
                "slot `{}` has copies of its segments {:?} and {} axes",
                slot.path,
                slot.copies,
                slot.ty.rank()
            );
            self.report(Law::Ports, message);
        }
    }

    fn ty(&mut self, ty: &Type) {
        ty.shape.iter().for_each(|size| self.dim(size));
        if let Err(message) = check_pattern(ty) {
            self.report(Law::Patterns, format!("{ty}: {message}"));
        }
    }

    fn dim(&mut self, dim: &Dim) {
        for symbol in dim.symbols() {
            if !self.symbols.contains(&symbol) {
                self.report(Law::Symbols, format!("`{symbol}` in `{dim}` is not known here"));
            }
        }
        if dim.is_poisoned() {
            self.report(Law::Symbols, format!("`{dim}` overflows"));
        }
    }

    fn function(&mut self, function: &Function) {
        self.defined.clear();
        self.visible.clear();
        self.block(function, &function.body);
    }

    fn define(&mut self, function: &Function, value: Value) {
        if value.0 as usize >= function.values.len() {
            self.report(Law::Scope, format!("%{} has no type", value.0));
            return;
        }
        if !self.defined.insert(value) {
            self.report(Law::Scope, format!("%{} is defined twice", value.0));
        }
        self.visible.insert(value);
        self.ty(function.ty(value));
    }

    /// Whether all are visible; reports those that are not.
    fn uses(&mut self, values: &[Value]) -> bool {
        let unseen: Vec<Value> =
            values.iter().filter(|value| !self.visible.contains(value)).copied().collect();
        unseen.iter().for_each(|value| self.report(Law::Scope, format!("%{} is used out of scope", value.0)));
        unseen.is_empty()
    }

    /// Checks a body. What it defines is visible in it only.
    fn block(&mut self, function: &Function, block: &Block) -> bool {
        let outer = self.visible.clone();
        let before = self.errors.len();
        block.params.iter().for_each(|param| self.define(function, *param));
        block.nodes.iter().for_each(|node| self.node(function, node));
        self.uses(&block.results);
        self.visible = outer;
        self.errors.len() == before
    }

    fn node(&mut self, function: &Function, node: &Node) {
        self.span = node.span;
        let before = self.errors.len();
        let sound = self.uses(&node.operands) & self.bodies(function, node);
        node.op.visit_dims(&mut |dim| self.dim(dim));
        if sound {
            self.infer(function, node);
        }
        node.results.iter().for_each(|result| self.define(function, *result));
        let name = node.op.name();
        self.errors[before..].iter_mut().for_each(|error| {
            if error.span == node.span && !error.message.starts_with('`') {
                error.message = format!("`{name}`: {}", error.message);
            }
        });
    }

    fn bodies(&mut self, function: &Function, node: &Node) -> bool {
        let counter = match &node.op {
            Op::Loop(op) => Some(op.counter.clone()),
            _ => None,
        };
        let taken = |counter: &&Symbol| !is_word(&counter.0) || !self.symbols.insert((*counter).clone());
        if let Some(counter) = counter.as_ref().filter(taken) {
            self.report(Law::Symbols, format!("the counter `{counter}` is no name, or is taken"));
            return false;
        }
        // Not lazy: every body is looked at.
        let sound = node.blocks.iter().filter(|block| !self.block(function, block)).count() == 0;
        self.span = node.span;
        counter.iter().for_each(|counter| {
            self.symbols.remove(counter);
        });
        sound
    }

    fn infer(&mut self, function: &Function, node: &Node) {
        let structured = matches!(node.op, Op::Loop(_) | Op::If(_) | Op::Rule(_));
        if !structured && !node.blocks.is_empty() {
            return self.report(Law::Types, "has bodies, but takes none");
        }
        let types: Vec<Type> = node.operands.iter().map(|value| function.ty(*value).clone()).collect();
        let inferred = match infer(&node.op, &types, &node.blocks, function) {
            Ok(types) => types,
            Err(error) => return self.report(Law::Types, error.message),
        };
        if inferred.len() != node.results.len() {
            let (wanted, found) = (inferred.len(), node.results.len());
            return self.report(Law::Types, format!("gives {wanted} results, {found} are stored"));
        }
        for (ty, result) in inferred.iter().zip(&node.results) {
            let Some(stored) = function.values.get(result.0 as usize) else { continue };
            if !alike(ty, &stored.ty) {
                self.report(Law::Types, format!("gives {ty}, stored is {}", stored.ty));
            }
        }
    }

    fn entry(&mut self, entry: &Entry, slots: &[Slot]) {
        let body = &entry.function.body;
        self.ports(&entry.function, "inputs", &entry.inputs, &body.params, slots);
        self.ports(&entry.function, "outputs", &entry.outputs, &body.results, slots);
    }

    fn ports(&mut self, function: &Function, what: &str, ports: &[Port], values: &[Value], slots: &[Slot]) {
        if ports.len() != values.len() {
            let message = format!("has {} {what} for {} values", ports.len(), values.len());
            return self.report(Law::Ports, message);
        }
        let mut seen = BTreeSet::new();
        for (port, value) in ports.iter().zip(values) {
            let ty = function.ty(*value);
            let (label, wanted) = match port {
                Port::Named(name) => (format!("`{name}`"), well_known(name).filter(|_| what == "inputs")),
                Port::Slot(slot) => match slots.get(*slot) {
                    Some(slot) => (format!("slot `{}`", slot.path), Some(slot.ty.clone())),
                    None => {
                        return self
                            .report(Law::Ports, format!("{what} name slot {slot}, which does not exist"));
                    }
                },
            };
            if let Some(wanted) = wanted.filter(|wanted| !alike(wanted, ty)) {
                self.report(Law::Ports, format!("{label} is {wanted}, its value {ty}"));
            }
            if !seen.insert(label.clone()) {
                self.report(Law::Ports, format!("{label} occurs twice among the {what}"));
            }
        }
    }
}

/// The type of a caller's tensor with a fixed meaning.
fn well_known(name: &str) -> Option<Type> {
    match name {
        "seed" => Some(Type::scalar(DType::U32)),
        "step" | "steps" => Some(Type::scalar(DType::I32)),
        _ => None,
    }
}

fn check_pattern(ty: &Type) -> Result<(), String> {
    let axis_of = |axis: usize| ty.shape.get(axis).ok_or_else(|| format!("has no axis {axis}"));
    let divides = |size: &Dim, by: i64| size.as_constant().is_none_or(|size| by > 0 && size % by == 0);
    match &ty.pattern {
        Pattern::Dense | Pattern::Any => Ok(()),
        Pattern::Slices { axis } => axis_of(*axis).map(drop),
        Pattern::NofM { n, m, axis } => {
            let fits = n <= m && *m > 0 && divides(axis_of(*axis)?, i64::from(*m));
            if fits { Ok(()) } else { Err(format!("groups of {m} do not divide axis {axis}")) }
        }
        Pattern::Block { rows, columns } => match ty.shape.as_slice() {
            [.., r, c] if divides(r, i64::from(*rows)) && divides(c, i64::from(*columns)) => Ok(()),
            _ => Err(format!("blocks of {rows} x {columns} do not divide it")),
        },
    }
}
