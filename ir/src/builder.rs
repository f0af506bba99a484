//! Builds functions node by node; every node is typed by its operation's shape rule as it is added.

use crate::graph::{Block, Function, Node, Value};
use crate::ops::{self, Op, TypeError};
use crate::{DType, Dim, Type};
use nnc_base::Span;

/// A function under construction. Nodes go to the innermost open block.
#[derive(Clone, Debug)]
pub struct Builder {
    /// The function so far; its body is empty until [`Builder::finish`].
    pub function: Function,
    open: Vec<Block>,
    /// Given to the nodes that are added.
    pub span: Span,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl Builder {
    /// An empty function.
    pub fn new() -> Builder {
        Builder { function: Function::default(), open: vec![Block::default()], span: Span::default() }
    }

    /// Goes on with values that exist already; their nodes are placed by the caller.
    pub fn resume(function: Function) -> Builder {
        Builder { function, open: vec![Block::default()], span: Span::default() }
    }

    /// Goes on with a finished function: its nodes are kept, its results are given anew.
    pub fn reopen(mut function: Function) -> Builder {
        let mut body = std::mem::take(&mut function.body);
        body.results.clear();
        Builder { function, open: vec![body], span: Span::default() }
    }

    /// A parameter of the innermost open block.
    pub fn param(&mut self, ty: Type) -> Value {
        let value = self.function.fresh(ty);
        self.current().params.push(value);
        value
    }

    /// A parameter of the open block at `depth`; 0 is the function's own.
    pub fn param_at(&mut self, depth: usize, ty: Type) -> Value {
        let value = self.function.fresh(ty);
        self.open[depth].params.push(value);
        value
    }

    /// The function's own parameters.
    pub fn params(&self) -> &[Value] {
        &self.open[0].params
    }

    /// The type of a value.
    pub fn ty(&self, value: Value) -> &Type {
        self.function.ty(value)
    }

    /// The innermost open block.
    pub fn current(&mut self) -> &mut Block {
        self.open.last_mut().expect("one block is always open")
    }

    /// Opens a body: nodes go there until [`Builder::close`].
    pub fn open(&mut self) {
        self.open.push(Block::default());
    }

    /// Closes the innermost body.
    pub fn close(&mut self, results: Vec<Value>) -> Block {
        let mut block = self.open.pop().expect("close follows open");
        block.results = results;
        block
    }

    /// Takes all open bodies away, so that nodes go in front of them; [`Builder::resume_bodies`] puts them back.
    pub fn suspend_bodies(&mut self) -> Vec<Block> {
        self.open.split_off(1)
    }

    /// Puts back what [`Builder::suspend_bodies`] took away.
    pub fn resume_bodies(&mut self, bodies: Vec<Block>) {
        self.open.extend(bodies);
    }

    /// How many bodies are open, the function's own not counted.
    pub fn depth(&self) -> usize {
        self.open.len() - 1
    }

    /// Ends the function.
    pub fn finish(mut self, results: Vec<Value>) -> Function {
        let body = self.close(results);
        assert!(self.open.is_empty(), "every body is closed before the function ends");
        Function { body, ..self.function }
    }

    /// Adds a node that has bodies.
    pub fn try_apply_blocks(
        &mut self,
        op: Op,
        operands: &[Value],
        blocks: Vec<Block>,
    ) -> Result<Vec<Value>, TypeError> {
        let types: Vec<Type> = operands.iter().map(|v| self.ty(*v).clone()).collect();
        let results = ops::infer(&op, &types, &blocks, &self.function)?;
        let results: Vec<Value> = results.into_iter().map(|ty| self.function.fresh(ty)).collect();
        let span = self.span;
        let node = Node { op, operands: operands.to_vec(), results: results.clone(), blocks, span };
        self.current().nodes.push(node);
        Ok(results)
    }

    /// Adds a node.
    pub fn try_apply(&mut self, op: impl Into<Op>, operands: &[Value]) -> Result<Value, TypeError> {
        Ok(self.try_apply_blocks(op.into(), operands, Vec::new())?[0])
    }

    /// Adds a node that is well typed by construction.
    ///
    /// # Panics
    /// If the shape rule refuses it: a bug of the caller.
    pub fn apply(&mut self, op: impl Into<Op>, operands: &[Value]) -> Value {
        let op = op.into();
        let name = op.name();
        match self.try_apply(op, operands) {
            Ok(value) => value,
            Err(error) => {
                let types: Vec<String> = operands.iter().map(|v| self.ty(*v).to_string()).collect();
                panic!("`{name}` of ({}): {}", types.join(", "), error.message)
            }
        }
    }

    /// A constant in every place of a tensor.
    pub fn fill(&mut self, value: f64, ty: Type) -> Value {
        self.apply(ops::Constant { value, ty }, &[])
    }

    /// A constant of the same type as `like`.
    pub fn fill_like(&mut self, value: f64, like: Value) -> Value {
        let ty = Type::new(self.ty(like).dtype, self.ty(like).shape.clone());
        self.fill(value, ty)
    }

    /// A dim as a number.
    pub fn dim(&mut self, dim: Dim, dtype: DType) -> Value {
        self.apply(ops::DimValue { dim, dtype }, &[])
    }

    /// `x` spread over new axes: axis `i` of `x` becomes axis `axes[i]` of `shape`.
    pub fn broadcast(&mut self, x: Value, shape: Vec<Dim>, axes: Vec<usize>) -> Value {
        if self.ty(x).shape == shape {
            return x;
        }
        self.apply(ops::Broadcast { shape, axes }, &[x])
    }

    /// Axes in another order: axis `i` of the result is axis `axes[i]` of `x`.
    pub fn permute(&mut self, x: Value, axes: Vec<usize>) -> Value {
        if axes.iter().enumerate().all(|(place, axis)| place == *axis) {
            return x;
        }
        self.apply(ops::Permute { axes }, &[x])
    }

    /// The same elements in another shape.
    pub fn reshape(&mut self, x: Value, shape: Vec<Dim>) -> Value {
        if self.ty(x).shape == shape {
            return x;
        }
        self.apply(ops::Reshape { shape }, &[x])
    }

    /// Sum over `axes`, which disappear.
    pub fn sum(&mut self, x: Value, axes: Vec<usize>) -> Value {
        if axes.is_empty() {
            return x;
        }
        self.apply(ops::Reduce { fold: ops::Fold::Add, axes }, &[x])
    }

    /// Another element type.
    pub fn cast(&mut self, x: Value, dtype: DType) -> Value {
        if self.ty(x).dtype == dtype {
            return x;
        }
        self.apply(ops::Cast { dtype }, &[x])
    }

    /// Product of two tensors of one type.
    pub fn mul(&mut self, a: Value, b: Value) -> Value {
        self.apply(ops::Mul, &[a, b])
    }

    /// Sum of two tensors of one type.
    pub fn add(&mut self, a: Value, b: Value) -> Value {
        self.apply(ops::Add, &[a, b])
    }

    /// Difference of two tensors of one type.
    pub fn sub(&mut self, a: Value, b: Value) -> Value {
        self.apply(ops::Sub, &[a, b])
    }

    /// Quotient of two tensors of one type.
    pub fn div(&mut self, a: Value, b: Value) -> Value {
        self.apply(ops::Div, &[a, b])
    }

    /// `-x`.
    pub fn neg(&mut self, x: Value) -> Value {
        self.apply(ops::Neg, &[x])
    }

    /// `x * value`.
    pub fn scale(&mut self, x: Value, value: f64) -> Value {
        let factor = self.fill_like(value, x);
        self.mul(x, factor)
    }
}
