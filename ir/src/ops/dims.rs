//! The sizes and positions an operation's attributes mention: what hoisting and loop reasoning ask for.

use super::Op;
use crate::{Dim, Symbol, Type};

impl Op {
    /// Every dim among the attributes.
    pub fn dims(&self) -> Vec<&Dim> {
        fn of(ty: &Type) -> Vec<&Dim> {
            ty.shape.iter().collect()
        }
        match self {
            Op::Constant(op) => of(&op.ty),
            Op::Table(op) => of(&op.ty),
            Op::Iota(op) => of(&op.ty),
            Op::DimValue(op) => vec![&op.dim],
            Op::Random(op) => op.shape.iter().chain([&op.salt]).collect(),
            Op::Reshape(op) => op.shape.iter().collect(),
            Op::Broadcast(op) => op.shape.iter().collect(),
            Op::Slice(op) => op.starts.iter().chain(&op.sizes).collect(),
            Op::Pad(op) => op.low.iter().chain(&op.high).collect(),
            Op::Insert(op) => op.starts.iter().collect(),
            Op::Window(op) => vec![&op.size],
            Op::FoldWindow(op) => vec![&op.length],
            Op::TopK(op) => vec![&op.k],
            Op::Loop(op) => vec![&op.count],
            _ => Vec::new(),
        }
    }

    /// Every symbol among the attributes.
    pub fn symbols(&self) -> Vec<Symbol> {
        self.dims().into_iter().flat_map(Dim::symbols).collect()
    }
}
