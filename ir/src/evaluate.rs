//! The reference interpreter of the tensor IR: float64, one node at a time. It is the judge of everything else.
//!
//! A value is dropped after its last use. A function is verified before it runs, so evaluation cannot go astray.

use crate::array::Array;
use crate::graph::{Block, Function, Node, Value};
use crate::ops::{Evaluation, Loop, Op};
use crate::verify::verify_function;
use crate::{Dim, Symbol, Type};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

mod broken;

pub use broken::{Broken, first_broken};

/// The most elements that may be alive at once.
pub const LIMIT: usize = 1 << 28;

/// The results of `function` for these parameters, with these values of its size symbols.
pub fn evaluate(
    function: &Function,
    params: &[Array],
    symbols: &BTreeMap<Symbol, i64>,
) -> Result<Vec<Array>, String> {
    let results = Run::new(function, params, symbols)?.results()?;
    Ok(results.into_iter().map(Rc::unwrap_or_clone).collect())
}

fn join(errors: &[crate::verify::VerifyError]) -> String {
    errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; ")
}

/// What dies after each node of a block, and the same for its bodies.
struct Deaths {
    nodes: Vec<(Vec<Value>, Vec<Deaths>)>,
}

impl Deaths {
    fn of(block: &Block) -> Deaths {
        let mut own: BTreeSet<Value> = block.params.iter().copied().collect();
        own.extend(block.nodes.iter().flat_map(|node| node.results.iter().copied()));
        block.results.iter().for_each(|result| {
            own.remove(result);
        });
        let mut nodes: Vec<(Vec<Value>, Vec<Deaths>)> = Vec::new();
        for node in block.nodes.iter().rev() {
            let mut last = node.uses();
            last.extend(&node.results);
            last.retain(|value| own.remove(value));
            nodes.push((last, node.blocks.iter().map(Deaths::of).collect()));
        }
        nodes.reverse();
        Deaths { nodes }
    }
}

struct Run<'a> {
    function: &'a Function,
    values: Vec<Option<Rc<Array>>>,
    symbols: BTreeMap<Symbol, i64>,
    alive: usize,
    /// Looks at the results of every operation, the operands beside them; an error ends the run.
    watch: Option<&'a mut Watch<'a>>,
}

/// See [`Run::watch`].
type Watch<'a> =
    dyn FnMut(&Node, &BTreeMap<Symbol, i64>, &[Rc<Array>], &mut [Rc<Array>]) -> Result<(), String> + 'a;

impl<'a> Run<'a> {
    fn new(
        function: &'a Function,
        params: &[Array],
        symbols: &BTreeMap<Symbol, i64>,
    ) -> Result<Run<'a>, String> {
        let known: Vec<Symbol> = symbols.keys().cloned().collect();
        verify_function(function, &known).map_err(|errors| join(&errors))?;
        if params.len() != function.body.params.len() {
            let (wanted, found) = (function.body.params.len(), params.len());
            return Err(format!("takes {wanted} parameters, receives {found}"));
        }
        let values = vec![None; function.values.len()];
        let mut run = Run { function, values, symbols: symbols.clone(), alive: 0, watch: None };
        for (value, array) in function.body.params.iter().zip(params) {
            run.bind(*value, array.clone())?;
        }
        Ok(run)
    }

    fn results(&mut self) -> Result<Vec<Rc<Array>>, String> {
        let function = self.function;
        self.block(&function.body, &Deaths::of(&function.body))
    }

    fn dim(&self, dim: &Dim) -> Result<usize, String> {
        let value = dim.evaluate(&|symbol| self.symbols.get(symbol).copied());
        let value = value.ok_or_else(|| format!("`{dim}` has no value here"))?;
        usize::try_from(value).map_err(|_| format!("`{dim}` is negative: {value}"))
    }

    fn shape(&self, ty: &Type) -> Result<Vec<usize>, String> {
        ty.shape.iter().map(|dim| self.dim(dim)).collect()
    }

    /// Refuses tensors that would not fit beside what is alive.
    fn admit(&self, ty: &Type) -> Result<(), String> {
        let size = self.shape(ty)?.iter().try_fold(1usize, |size, n| size.checked_mul(*n));
        match size.and_then(|size| size.checked_add(self.alive)) {
            Some(total) if total <= LIMIT => Ok(()),
            _ => Err(format!("{ty} does not fit: the reference interpreter holds {LIMIT} elements at most")),
        }
    }

    fn bind(&mut self, value: Value, array: Array) -> Result<(), String> {
        let ty = self.function.ty(value);
        let shape = self.shape(ty)?;
        if array.shape != shape || array.data.len() != shape.iter().product::<usize>() {
            return Err(format!("a value of type {ty} cannot hold a tensor of shape {:?}", array.shape));
        }
        self.set(value, Rc::new(array));
        Ok(())
    }

    fn set(&mut self, value: Value, array: Rc<Array>) {
        self.drop(value);
        self.alive += array.data.len();
        self.values[value.0 as usize] = Some(array);
    }

    fn drop(&mut self, value: Value) {
        if let Some(array) = self.values[value.0 as usize].take() {
            self.alive -= array.data.len();
        }
    }

    fn get(&self, value: Value) -> Result<Rc<Array>, String> {
        self.values[value.0 as usize].clone().ok_or_else(|| format!("%{} has no value yet", value.0))
    }

    fn block(&mut self, block: &Block, deaths: &Deaths) -> Result<Vec<Rc<Array>>, String> {
        for (node, (last, inner)) in block.nodes.iter().zip(&deaths.nodes) {
            self.node(node, inner).map_err(|message| format!("{}: {message}", node.op.name()))?;
            last.iter().for_each(|value| self.drop(*value));
        }
        block.results.iter().map(|result| self.get(*result)).collect()
    }

    fn node(&mut self, node: &Node, inner: &[Deaths]) -> Result<(), String> {
        node.results.iter().try_for_each(|result| self.admit(self.function.ty(*result)))?;
        let results = match &node.op {
            Op::Loop(op) => self.repeat(op, node, &inner[0])?,
            Op::If(_) => {
                let place = usize::from(self.get(node.operands[0])?.data[0] == 0.0);
                self.block(&node.blocks[place], &inner[place])?
            }
            Op::Rule(_) => {
                for (param, operand) in node.blocks[0].params.iter().zip(&node.operands) {
                    let operand = self.get(*operand)?;
                    self.set(*param, operand);
                }
                self.block(&node.blocks[0], &inner[0])?
            }
            op => self.apply(op, node)?,
        };
        node.results.iter().zip(results).for_each(|(value, array)| self.set(*value, array));
        Ok(())
    }

    fn apply(&mut self, op: &Op, node: &Node) -> Result<Vec<Rc<Array>>, String> {
        let mut results = self.computed(op, node)?;
        if let Some(watch) = &mut self.watch {
            let operands = node.operands.iter().filter_map(|v| self.values[v.0 as usize].clone());
            watch(node, &self.symbols, &operands.collect::<Vec<_>>(), &mut results)?;
        }
        Ok(results)
    }

    fn computed(&self, op: &Op, node: &Node) -> Result<Vec<Rc<Array>>, String> {
        let types =
            |values: &[Value]| values.iter().map(|v| self.function.ty(*v).clone()).collect::<Vec<_>>();
        let operands = node.operands.iter().map(|v| self.get(*v).map(Rc::unwrap_or_clone));
        let operands = operands.collect::<Result<Vec<_>, _>>()?;
        let (types, results) = (types(&node.operands), types(&node.results));
        let symbols = |symbol: &Symbol| self.symbols.get(symbol).copied();
        let evaluation =
            Evaluation { operands: &operands, types: &types, results: &results, symbols: &symbols };
        Ok(op.evaluate(&evaluation)?.into_iter().map(Rc::new).collect())
    }

    fn repeat(&mut self, op: &Loop, node: &Node, deaths: &Deaths) -> Result<Vec<Rc<Array>>, String> {
        let (body, count) = (&node.blocks[0], self.dim(&op.count)?);
        let operands = node.operands.iter().map(|v| self.get(*v)).collect::<Result<Vec<_>, _>>()?;
        let (first, stacked) = operands.split_at(op.carried);
        let mut carried = first.to_vec();
        let collected = &node.results[op.carried..];
        let shapes =
            collected.iter().map(|v| self.shape(self.function.ty(*v))).collect::<Result<Vec<_>, _>>()?;
        let mut collected: Vec<Array> = shapes.into_iter().map(|shape| Array::filled(shape, 0.0)).collect();
        for turn in 0..count {
            let turn = if op.reverse { count - 1 - turn } else { turn };
            self.symbols.insert(op.counter.clone(), turn as i64);
            let slices = stacked.iter().map(|array| Rc::new(slice(array, turn)));
            let given: Vec<Rc<Array>> = carried.into_iter().chain(slices).collect();
            body.params.iter().zip(given).for_each(|(param, array)| self.set(*param, array));
            carried = self.block(body, deaths)?;
            let parts = carried.split_off(op.carried);
            collected.iter_mut().zip(parts).for_each(|(whole, part)| place(whole, turn, &part));
            body.results.iter().for_each(|result| self.forget(body, *result));
        }
        self.symbols.remove(&op.counter);
        Ok(carried.into_iter().chain(collected.into_iter().map(Rc::new)).collect())
    }

    /// Drops a result of a body that the body itself defines.
    fn forget(&mut self, body: &Block, result: Value) {
        let own =
            body.params.contains(&result) || body.nodes.iter().any(|node| node.results.contains(&result));
        if own {
            self.drop(result);
        }
    }
}

/// Part `turn` along the first axis.
fn slice(array: &Array, turn: usize) -> Array {
    let shape = array.shape[1..].to_vec();
    let size: usize = shape.iter().product();
    Array { shape, data: array.data[turn * size..(turn + 1) * size].to_vec() }
}

/// Writes part `turn` along the first axis.
fn place(whole: &mut Array, turn: usize, part: &Array) {
    let size = part.data.len();
    whole.data[turn * size..(turn + 1) * size].copy_from_slice(&part.data);
}
