//! The entry `init`: initial values of all slots, cut out of the functions that read them.

use nnc_base::{Diagnostic, Span};
use nnc_ir::graph::{Block, Entry, Function, Module, Node, Port, SlotKind};
use nnc_ir::{Builder, DType, Dim, Symbol, Type, Value, ops};
use std::collections::HashMap;

/// How a slot begins.
#[derive(Clone, Debug)]
pub(crate) enum SlotStart {
    /// One number everywhere.
    Fill(f64),
    /// A value of the entry's function, and the counters of the loops around it.
    Value(Value, Vec<Symbol>, Span),
}

/// Adds the initial values of slots that have none yet.
pub(crate) fn init_entry(
    module: &mut Module,
    entry: &Entry,
    starts: &[(usize, SlotStart)],
) -> Vec<Diagnostic> {
    let (mut b, mut init) = reopen(module);
    let mut cut = Cut {
        entry,
        nodes: definitions(&entry.function),
        slices: slices(&entry.function),
        counters: Vec::new(),
        starts: starts.iter().map(|(slot, start)| (*slot, start.clone())).collect(),
        done: done_slots(&init),
        seed: init.inputs.first().and_then(|_| b.current().params.first().copied()),
        problems: Vec::new(),
    };
    // Caches begin with every session, in zeros; their sizes are known only then.
    for (slot, _) in starts.iter().filter(|(slot, _)| module.slots[*slot].kind != SlotKind::Cache) {
        cut.slot(module, &mut b, *slot);
    }
    init.inputs = cut.seed.iter().map(|_| Port::Named("seed".into())).collect();
    let mut results: Vec<(usize, Value)> = cut.done.iter().map(|(slot, value)| (*slot, *value)).collect();
    results.sort_unstable();
    init.outputs = results.iter().map(|(slot, _)| Port::Slot(*slot)).collect();
    init.function = b.finish(results.into_iter().map(|(_, value)| value).collect());
    module.entries.insert(0, init);
    cut.problems
}

fn reopen(module: &mut Module) -> (Builder, Entry) {
    match module.entries.iter().position(|e| e.name == "init") {
        Some(place) => {
            let mut entry = module.entries.remove(place);
            let function = std::mem::take(&mut entry.function);
            let results = function.body.results.clone();
            let b = Builder::reopen(function);
            entry.function.body.results = results;
            (b, entry)
        }
        None => {
            let entry = Entry {
                name: "init".into(),
                inputs: Vec::new(),
                outputs: Vec::new(),
                function: Function::default(),
            };
            (Builder::new(), entry)
        }
    }
}

fn done_slots(init: &Entry) -> HashMap<usize, Value> {
    let results = init.function.body.results.iter().copied();
    let slots = init.outputs.iter().filter_map(|p| if let Port::Slot(slot) = p { Some(*slot) } else { None });
    slots.zip(results).collect()
}

fn definitions(function: &Function) -> HashMap<Value, Node> {
    let mut nodes = HashMap::new();
    function.body.visit(&mut |node: &Node| {
        for result in &node.results {
            nodes.insert(*result, node.clone());
        }
    });
    nodes
}

/// What loops hand to their bodies slice by slice: the whole value, and the counter that picks.
fn slices(function: &Function) -> HashMap<Value, (Value, Symbol)> {
    let mut found = HashMap::new();
    function.body.visit(&mut |node: &Node| {
        if let ops::Op::Loop(op) = &node.op {
            let params = node.blocks[0].params.iter().zip(&node.operands).skip(op.carried);
            found.extend(params.map(|(param, whole)| (*param, (*whole, op.counter.clone()))));
        }
    });
    found
}

struct Cut<'e> {
    entry: &'e Entry,
    nodes: HashMap<Value, Node>,
    slices: HashMap<Value, (Value, Symbol)>,
    /// Counters of the loops that are open in the initial value.
    counters: Vec<Symbol>,
    starts: HashMap<usize, SlotStart>,
    done: HashMap<usize, Value>,
    seed: Option<Value>,
    problems: Vec<Diagnostic>,
}

impl Cut<'_> {
    fn slot(&mut self, module: &Module, b: &mut Builder, slot: usize) -> Option<Value> {
        if let Some(known) = self.done.get(&slot) {
            return Some(*known);
        }
        let info = module.slots[slot].clone();
        let dense = Type::new(info.ty.dtype, info.ty.shape.clone());
        // The start of another slot may be asked for inside a loop; it is made once, in front.
        let (bodies, outer) = (b.suspend_bodies(), std::mem::take(&mut self.counters));
        let value = match self.starts.get(&slot).cloned() {
            Some(SlotStart::Fill(number)) => Some(b.fill(number, dense)),
            Some(SlotStart::Value(value, counters, span)) => {
                self.computed(module, b, &info, value, &counters, span)
            }
            None => None,
        };
        b.resume_bodies(bodies);
        self.counters = outer;
        self.done.insert(slot, value?);
        value
    }

    fn computed(
        &mut self,
        module: &Module,
        b: &mut Builder,
        info: &nnc_ir::graph::Slot,
        value: Value,
        counters: &[Symbol],
        span: Span,
    ) -> Option<Value> {
        let counts: Vec<Dim> = info.ty.shape[..counters.len()].to_vec();
        let rolled: Vec<usize> = (0..counters.len()).filter(|k| self.depends(value, &counters[*k])).collect();
        if rolled.is_empty() {
            let one = self.copy(module, b, value, &mut HashMap::new(), span)?;
            let rank = b.ty(one).rank();
            let axes = (counters.len()..counters.len() + rank).collect();
            return Some(b.broadcast(one, info.ty.shape.clone(), axes));
        }
        counters.iter().for_each(|_| b.open());
        self.counters = counters.to_vec();
        let mut result = self.copy(module, b, value, &mut HashMap::new(), span);
        for (counter, count) in counters.iter().zip(&counts).rev() {
            let block = b.close(result.into_iter().collect());
            let counter = counter.clone();
            let op = ops::Loop { counter, count: count.clone(), reverse: false, carried: 0, sliced: 0 };
            result = match result {
                Some(_) => b.try_apply_blocks(op.into(), &[], vec![block]).ok().map(|values| values[0]),
                None => None,
            };
        }
        result
    }

    /// Whether a value changes with a loop counter.
    fn depends(&self, value: Value, counter: &Symbol) -> bool {
        let mut open = vec![value];
        let mut seen = std::collections::HashSet::new();
        while let Some(value) = open.pop() {
            if let Some((whole, picks)) = self.slices.get(&value) {
                if picks == counter {
                    return true;
                }
                open.push(*whole);
            }
            let Some(node) = self.nodes.get(&value) else { continue };
            if !seen.insert(value) {
                continue;
            }
            if node.op.symbols().contains(counter) {
                return true;
            }
            open.extend(node.uses());
        }
        false
    }

    fn copy(
        &mut self,
        module: &Module,
        b: &mut Builder,
        value: Value,
        memo: &mut HashMap<Value, Value>,
        span: Span,
    ) -> Option<Value> {
        if let Some(known) = memo.get(&value) {
            return Some(*known);
        }
        let Some(node) = self.nodes.get(&value).cloned() else {
            let found = match self.slices.get(&value).cloned() {
                Some((whole, counter)) if self.counters.contains(&counter) => {
                    let whole = self.copy(module, b, whole, memo, span)?;
                    slice_at(b, whole, &counter)
                }
                _ => self.parameter(module, b, value, span)?,
            };
            memo.insert(value, found);
            return Some(found);
        };
        let mut operands = Vec::new();
        for operand in &node.operands {
            operands.push(self.copy(module, b, *operand, memo, span)?);
        }
        let mut blocks = Vec::new();
        for block in &node.blocks {
            for captured in block.captures() {
                self.copy(module, b, captured, memo, span)?;
            }
            blocks.push(self.copy_block(b, block, memo));
        }
        let results = b.try_apply_blocks(node.op.clone(), &operands, blocks).ok()?;
        for (old, new) in node.results.iter().zip(&results) {
            memo.insert(*old, *new);
        }
        memo.get(&value).copied()
    }

    fn copy_block(&mut self, b: &mut Builder, block: &Block, memo: &mut HashMap<Value, Value>) -> Block {
        b.open();
        for param in &block.params {
            let ty = self.entry.function.ty(*param).clone();
            let new = b.param(ty);
            memo.insert(*param, new);
        }
        for node in &block.nodes {
            let operands: Vec<Value> =
                node.operands.iter().map(|v| memo.get(v).copied().unwrap_or(*v)).collect();
            let blocks = node.blocks.iter().map(|inner| self.copy_block(b, inner, memo)).collect();
            if let Ok(results) = b.try_apply_blocks(node.op.clone(), &operands, blocks) {
                memo.extend(node.results.iter().copied().zip(results));
            }
        }
        let results = block.results.iter().map(|v| memo.get(v).copied().unwrap_or(*v)).collect();
        b.close(results)
    }

    /// A parameter of the entry: the seed, step 0, or another slot's start.
    fn parameter(&mut self, module: &Module, b: &mut Builder, value: Value, span: Span) -> Option<Value> {
        let place = self.entry.function.body.params.iter().position(|p| *p == value);
        match place.map(|place| self.entry.inputs[place].clone()) {
            Some(Port::Slot(slot)) => self.slot(module, b, slot),
            Some(Port::Named(name)) if name == "seed" => {
                if self.seed.is_none() {
                    self.seed = Some(b.param_at(0, Type::scalar(DType::U32)));
                }
                self.seed
            }
            Some(Port::Named(name)) if name == "step" || name == "draw" => {
                Some(b.fill(0.0, Type::scalar(DType::I32)))
            }
            Some(Port::Named(name)) => {
                let message = format!("an initial value reads the input `{name}`");
                self.problems
                    .push(Diagnostic::error("rate::init", span, message).help("compute it in the body"));
                None
            }
            None => {
                let message = "an initial value reads what changes in a loop";
                self.problems
                    .push(Diagnostic::error("rate::init", span, message).help("compute it in the body"));
                None
            }
        }
    }
}

/// Part `counter` along the first axis.
fn slice_at(b: &mut Builder, whole: Value, counter: &Symbol) -> Value {
    let shape = b.ty(whole).shape.clone();
    let mut starts = vec![Dim::zero(); shape.len()];
    starts[0] = Dim::from(counter);
    let sizes = std::iter::once(Dim::one()).chain(shape[1..].iter().cloned()).collect();
    let steps = vec![1; shape.len()];
    let part = b.apply(ops::Slice { starts, sizes, steps }, &[whole]);
    b.reshape(part, shape[1..].to_vec())
}
