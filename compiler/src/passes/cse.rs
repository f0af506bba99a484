//! Computes equal things once: nodes of one operation on the same operands become one, if the earlier is in scope.
//!
//! Nodes with bodies are left alone. Inside of a body, what the surroundings computed counts too, unless it costs
//! nothing: it would have to be stored.

use super::cost::{Cost, cost};
use super::{Findings, Pass};
use nnc_ir::graph::{Block, Function, Module, Node, Value};
use nnc_ir::ops::Op;
use nnc_ir::{DType, Type};
use std::collections::HashMap;

/// See the module.
pub const CSE: Pass = Pass { name: "cse", about: "compute equal things once", run };

fn run(mut module: Module) -> Result<Module, Findings> {
    for entry in &mut module.entries {
        let mut body = std::mem::take(&mut entry.function.body);
        let mut known = Known { function: &entry.function, scopes: Vec::new(), names: HashMap::new() };
        known.block(&mut body);
        entry.function.body = body;
    }
    Ok(module)
}

/// What equal nodes have in common, attributes aside: the operation's name, the operands and, without operands, the type.
type Key = (&'static str, Vec<Value>, Option<Type>);

/// What a scope has computed: nodes with their results.
type Scope = HashMap<Key, Vec<(Op, Vec<Value>)>>;

struct Known<'a> {
    function: &'a Function,
    scopes: Vec<Scope>,
    names: HashMap<Value, Value>,
}

impl Known<'_> {
    fn resolve(&self, value: &mut Value) {
        *value = self.names.get(value).copied().unwrap_or(*value);
    }

    fn block(&mut self, block: &mut Block) {
        self.scopes.push(HashMap::new());
        let nodes = std::mem::take(&mut block.nodes);
        block.nodes = nodes.into_iter().filter_map(|node| self.node(node)).collect();
        block.results.iter_mut().for_each(|value| self.resolve(value));
        self.scopes.pop();
    }

    /// The node, unless an equal one is known.
    fn node(&mut self, mut node: Node) -> Option<Node> {
        node.operands.iter_mut().for_each(|value| self.resolve(value));
        if !node.blocks.is_empty() {
            node.blocks.iter_mut().for_each(|block| self.block(block));
            return Some(node);
        }
        let key = self.key(&node);
        if let Some(results) = self.find(&key, &node) {
            self.names.extend(node.results.iter().copied().zip(results));
            return None;
        }
        let scope = self.scopes.last_mut()?;
        scope.entry(key).or_default().push((node.op.clone(), node.results.clone()));
        Some(node)
    }

    fn key(&self, node: &Node) -> Key {
        let mut operands = node.operands.clone();
        if commutes(&node.op) {
            operands.sort();
        }
        let ty = operands.is_empty().then(|| self.function.ty(node.result()).clone());
        (node.op.name(), operands, ty)
    }

    /// The results of an equal node of this scope or, unless the node costs nothing, of an enclosing one.
    fn find(&self, key: &Key, node: &Node) -> Option<Vec<Value>> {
        let scopes = self.scopes.iter().rev().enumerate();
        let mut entries = scopes
            .filter_map(|(distance, scope)| scope.get(key).map(|entries| (distance, entries)))
            .flat_map(|(distance, entries)| entries.iter().map(move |entry| (distance, entry)));
        let (distance, (_, results)) = entries.find(|(_, (known, _))| same(known, &node.op))?;
        let reachable = distance == 0 || cost(self.function, node) != Cost::Free;
        reachable.then(|| results.clone())
    }
}

/// Whether operands may be exchanged, bit for bit.
fn commutes(op: &Op) -> bool {
    matches!(op, Op::Add(_) | Op::Mul(_) | Op::And(_) | Op::Or(_) | Op::Xor(_))
}

/// Equality that tells 0 from -0.
fn same(a: &Op, b: &Op) -> bool {
    match (a, b) {
        (Op::Constant(a), Op::Constant(b)) => {
            let float = |dtype: DType| dtype.is_float();
            a.ty == b.ty
                && (a.value == b.value)
                && (!float(a.ty.dtype) || a.value.to_bits() == b.value.to_bits())
        }
        (Op::Table(a), Op::Table(b)) => {
            a.ty == b.ty && a.values.iter().map(|v| v.to_bits()).eq(b.values.iter().map(|v| v.to_bits()))
        }
        _ => a == b,
    }
}
