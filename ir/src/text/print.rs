//! From modules to text.

use super::lexer::quote;
use crate::graph::{Block, Entry, Function, Module, Node, Port, Size, Slot, SlotKind, Value};
use std::collections::BTreeMap;

/// The text of a module.
pub fn print(module: &Module) -> String {
    let mut out = String::new();
    module.sizes.iter().for_each(|size| print_size(size, &mut out));
    module.slots.iter().for_each(|slot| print_slot(slot, &mut out));
    module.entries.iter().for_each(|entry| print_entry(entry, &mut out));
    out
}

impl SlotKind {
    /// Every kind.
    pub const ALL: [SlotKind; 3] = [SlotKind::Weight, SlotKind::State, SlotKind::Cache];

    /// Its name in the IR text.
    pub fn name(self) -> &'static str {
        match self {
            SlotKind::Weight => "weight",
            SlotKind::State => "state",
            SlotKind::Cache => "cache",
        }
    }
}

fn print_size(size: &Size, out: &mut String) {
    let max = size.max.map(|max| max.to_string()).unwrap_or_default();
    *out += &format!("size {} in {}..{max} step {}\n", size.symbol, size.min, size.multiple);
}

fn print_slot(slot: &Slot, out: &mut String) {
    let (kind, path) = (slot.kind.name(), quote(&slot.path));
    let was = slot.was.as_ref().map(|was| format!(" was {}", quote(was))).unwrap_or_default();
    *out += &format!("slot {kind} {path}: {} copies {:?}{was}\n", slot.ty, slot.copies);
}

fn print_entry(entry: &Entry, out: &mut String) {
    let ports = |ports: &[Port]| ports.iter().map(port).collect::<Vec<_>>().join(", ");
    let (inputs, outputs) = (ports(&entry.inputs), ports(&entry.outputs));
    *out += &format!("entry {} inputs({inputs}) outputs({outputs}) ", quote(&entry.name));
    Printer { function: &entry.function, numbers: BTreeMap::new(), out, margin: 0 }
        .block(&entry.function.body);
    *out += "\n";
}

fn port(port: &Port) -> String {
    match port {
        Port::Named(name) => quote(name),
        Port::Slot(slot) => format!("slot {slot}"),
    }
}

struct Printer<'a> {
    function: &'a Function,
    numbers: BTreeMap<Value, usize>,
    out: &'a mut String,
    margin: usize,
}

impl Printer<'_> {
    fn line(&mut self) {
        *self.out += "\n";
        *self.out += &"  ".repeat(self.margin);
    }

    /// `%0 "name": type`, and so on
    fn define(&mut self, values: &[Value]) {
        for (place, value) in values.iter().enumerate() {
            let number = self.numbers.len();
            let number = *self.numbers.entry(*value).or_insert(number);
            let info = &self.function.values[value.0 as usize];
            let name = info.name.as_ref().map(|name| format!(" {}", quote(name))).unwrap_or_default();
            let comma = if place > 0 { ", " } else { "" };
            *self.out += &format!("{comma}%{number}{name}: {}", info.ty);
        }
    }

    fn uses(&mut self, values: &[Value]) {
        for (place, value) in values.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            // A value that is not in scope prints beyond all others: the parser refuses it as the verifier does.
            let number = self.numbers.get(value).copied().unwrap_or(u32::MAX as usize);
            *self.out += &format!("{comma}%{number}");
        }
    }

    fn block(&mut self, block: &Block) {
        *self.out += "(";
        self.define(&block.params);
        *self.out += ") {";
        self.margin += 1;
        block.nodes.iter().for_each(|node| self.node(node));
        self.line();
        *self.out += "yield ";
        self.uses(&block.results);
        self.margin -= 1;
        self.line();
        *self.out += "}";
    }

    fn node(&mut self, node: &Node) {
        self.line();
        let mut head = String::new();
        head += node.op.name();
        node.op.write_fields(&mut head);
        let results = self.results(&node.results);
        *self.out += &format!("{results} = {head}(");
        self.uses(&node.operands);
        *self.out += ")";
        for block in &node.blocks {
            *self.out += " ";
            self.block(block);
        }
    }

    fn results(&mut self, values: &[Value]) -> String {
        let mut text = String::new();
        std::mem::swap(&mut text, self.out);
        self.define(values);
        std::mem::swap(&mut text, self.out);
        text
    }
}
