//! From text to modules. The result is well formed, not necessarily well typed: the verifier judges that.

use super::{Field, ParseError, Reader};
use crate::graph::{Block, Entry, Function, Module, Node, Port, Size, Slot, SlotKind, Value};
use crate::ops::Op;
use crate::{Symbol, Type};
use std::collections::BTreeMap;

/// Reads a module.
pub fn parse(text: &str) -> Result<Module, ParseError> {
    let mut reader = Reader::new(text)?;
    let mut module = Module::default();
    while !reader.is_done() {
        if reader.accept_word("size") {
            module.sizes.push(size(&mut reader)?);
        } else if reader.accept_word("slot") {
            module.slots.push(slot(&mut reader)?);
        } else if reader.accept_word("entry") {
            module.entries.push(entry(&mut reader)?);
        } else {
            return Err(reader.error("expected `size`, `slot` or `entry`"));
        }
    }
    Ok(module)
}

fn size(reader: &mut Reader) -> Result<Size, ParseError> {
    let symbol = Symbol::new(&reader.word()?);
    reader.expect_word("in")?;
    let min = i64::read(reader)?;
    reader.expect("..")?;
    let max = if reader.sees_word("step") { None } else { Some(i64::read(reader)?) };
    reader.expect_word("step")?;
    Ok(Size { symbol, min, max, multiple: i64::read(reader)? })
}

fn slot(reader: &mut Reader) -> Result<Slot, ParseError> {
    let kind = SlotKind::ALL.into_iter().find(|kind| reader.accept_word(kind.name()));
    let kind = kind.ok_or_else(|| reader.error("expected `weight`, `state` or `cache`"))?;
    let path = reader.text()?;
    reader.expect(":")?;
    let ty = Type::read(reader)?;
    reader.expect_word("copies")?;
    let copies = reader.list("[", "]", Reader::number)?;
    let was = if reader.accept_word("was") { Some(reader.text()?) } else { None };
    Ok(Slot { path, kind, ty, copies, was })
}

fn entry(reader: &mut Reader) -> Result<Entry, ParseError> {
    let name = reader.text()?;
    reader.expect_word("inputs")?;
    let inputs = reader.list("(", ")", port)?;
    reader.expect_word("outputs")?;
    let outputs = reader.list("(", ")", port)?;
    let mut parser = Parser { reader, function: Function::default(), names: BTreeMap::new() };
    let body = parser.block()?;
    Ok(Entry { name, inputs, outputs, function: Function { body, ..parser.function } })
}

fn port(reader: &mut Reader) -> Result<Port, ParseError> {
    if reader.accept_word("slot") {
        Ok(Port::Slot(reader.number()?))
    } else {
        Ok(Port::Named(reader.text()?))
    }
}

struct Parser<'a> {
    reader: &'a mut Reader,
    function: Function,
    /// Values by their number in the text.
    names: BTreeMap<u32, Value>,
}

impl Parser<'_> {
    /// `%0 "name": type`
    fn define(&mut self) -> Result<Value, ParseError> {
        let number = self.reader.value()?;
        let name = self.reader.accept_text();
        self.reader.expect(":")?;
        let value = self.function.fresh(Type::read(self.reader)?);
        self.function.values[value.0 as usize].name = name;
        match self.names.insert(number, value) {
            None => Ok(value),
            Some(_) => Err(self.reader.error(format!("%{number} is defined twice"))),
        }
    }

    fn uses(&mut self) -> Result<Vec<Value>, ParseError> {
        let mut values = Vec::new();
        while self.reader.sees_use() {
            let number = self.reader.value()?;
            let value = self.names.get(&number).copied();
            values.push(
                value.ok_or_else(|| self.reader.error_before(format!("%{number} is not defined before")))?,
            );
            if !self.reader.accept(",") {
                break;
            }
        }
        Ok(values)
    }

    fn block(&mut self) -> Result<Block, ParseError> {
        let mut params = Vec::new();
        self.reader.expect("(")?;
        while !self.reader.accept(")") {
            if !params.is_empty() {
                self.reader.expect(",")?;
            }
            params.push(self.define()?);
        }
        self.reader.expect("{")?;
        let mut nodes = Vec::new();
        while !self.reader.accept_word("yield") {
            nodes.push(self.node()?);
        }
        let results = self.uses()?;
        self.reader.expect("}")?;
        Ok(Block { params, nodes, results })
    }

    fn node(&mut self) -> Result<Node, ParseError> {
        let mut results = Vec::new();
        while self.reader.sees_value() {
            results.push(self.define()?);
            if !self.reader.accept(",") {
                break;
            }
        }
        self.reader.expect("=")?;
        let name = self.reader.word()?;
        let op = Op::read_fields(&name, self.reader)?;
        self.reader.expect("(")?;
        let operands = self.uses()?;
        self.reader.expect(")")?;
        let mut blocks = Vec::new();
        while self.reader.sees("(") {
            blocks.push(self.nested_block()?);
        }
        Ok(Node { op, operands, results, blocks, span: Default::default() })
    }

    fn nested_block(&mut self) -> Result<Block, ParseError> {
        self.reader.enter()?;
        let block = self.block();
        self.reader.leave();
        block
    }
}
