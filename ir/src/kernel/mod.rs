//! The kernel IR: loops over scalars and buffers, printed by the back ends.
//!
//! Indices are [`Dim`]s over run-time sizes and loop counters, so every access can be proved in bounds. A kernel is
//! a grid of independent instances: instances write disjoint places, results never depend on how many run at once.

pub mod cfamily;
pub mod half;
mod interpret;
mod proof;
pub mod scalar;
pub mod special;
pub mod text;
mod typing;
mod verify;

pub use interpret::interpret;
pub use scalar::{Compare, Scalar};
pub use typing::MemoryInfo;
pub use verify::{Report, verify};

use crate::ops::Fold;
use crate::{DType, Dim, Symbol};
use serde::{Deserialize, Serialize};

/// Names a scalar of a kernel: bound once by `Let` or `Fold`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Var(pub u32);

/// Names a buffer or tile of a kernel, by place: buffers first, then tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BufferId(pub u32);

/// One kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    /// What it does, in the user's names where possible: a legal identifier.
    pub name: String,
    /// Run-time integers it reads, in the order they are passed: sizes, and counters of enclosing plan loops.
    pub sizes: Vec<Symbol>,
    /// Memory it is given.
    pub buffers: Vec<Buffer>,
    /// Scratch memory of one instance.
    pub tiles: Vec<Tile>,
    /// Counters and extents of the grid, outermost first. One instance per combination.
    pub grid: Vec<(Symbol, Dim)>,
    /// What an instance does.
    pub body: Vec<Statement>,
    /// Scalars bound in the body: their element types, by `Var`.
    pub scalars: Vec<DType>,
    /// Rough cost of one instance in nanoseconds on the CPU, for cutting the grid into chunks.
    pub cost: f64,
}

/// Memory a kernel is given. Offsets are in elements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Buffer {
    /// For people.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Number of elements.
    pub size: Dim,
    /// What the kernel does with it.
    pub access: Access,
}

/// What a kernel does with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Access {
    /// Reads only.
    Read,
    /// Writes only.
    Write,
    /// Both: in place.
    ReadWrite,
}

/// Scratch memory of one instance, uninitialized on entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tile {
    /// For people.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Number of elements.
    pub size: Dim,
}

/// How a loop runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LoopKind {
    /// In order.
    Sequential,
    /// Iterations are independent but for folds, whose order is the target's fixed vector order. Back ends
    /// without vectors run it in order. Contains no other loop.
    Vector,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Statement {
    /// `for counter in 0..extent`.
    For {
        /// Bound in the body.
        counter: Symbol,
        /// Number of iterations.
        extent: Dim,
        /// How it runs.
        kind: LoopKind,
        /// What an iteration does.
        body: Vec<Statement>,
    },
    /// Binds a scalar.
    Let(Var, Expr),
    /// Declares a running fold with its identity (or `start`); `Accumulate` adds to it in loops below, and its value
    /// may be read after those loops.
    Fold {
        /// The running value.
        var: Var,
        /// How.
        fold: Fold,
    },
    /// Adds to a running fold.
    Accumulate {
        /// The fold.
        var: Var,
        /// What is folded in.
        value: Expr,
    },
    /// Binds an integer symbol to an element of an integer buffer, clamped to `0..bound`: an index that is data.
    Index {
        /// Bound here.
        symbol: Symbol,
        /// The position.
        value: Expr,
        /// Exclusive upper bound; out-of-range positions are clamped.
        bound: Dim,
    },
    /// Writes one element.
    Store {
        /// Where.
        buffer: BufferId,
        /// Element offset.
        offset: Dim,
        /// What, in the buffer's element type.
        value: Expr,
    },
    /// Runs `body` if `0 <= dim < bound`.
    Guard {
        /// Tested.
        dim: Dim,
        /// Exclusive bound.
        bound: Dim,
        /// What then.
        body: Vec<Statement>,
    },
    /// Replaces consecutive elements by a function of each, by the target's routine for whole strips.
    Map {
        /// A function of one number.
        scalar: Scalar,
        /// Where.
        buffer: BufferId,
        /// The first element.
        offset: Dim,
        /// How many elements.
        len: Dim,
    },
    /// A matrix product `c (+)= alpha a b` by the target's micro-kernel.
    Gemm(Box<Gemm>),
}

/// A matrix product of strided operands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gemm {
    /// Rows of `c`.
    pub m: Dim,
    /// Columns of `c`.
    pub n: Dim,
    /// Contracted length.
    pub k: Dim,
    /// Result.
    pub c: Matrix,
    /// Left factor, m x k.
    pub a: Matrix,
    /// Right factor, k x n.
    pub b: Matrix,
    /// Adds to `c` instead of overwriting it.
    pub accumulate: bool,
}

/// A strided matrix in a buffer or tile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// Where.
    pub buffer: BufferId,
    /// Offset of element (0, 0).
    pub offset: Dim,
    /// Distance of rows.
    pub row: Dim,
    /// Distance of columns.
    pub column: Dim,
}

/// A scalar expression. Types are explicit: leaves say theirs, operators keep that of their operands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Expr {
    /// A constant.
    Constant(f64, DType),
    /// A bound scalar.
    Var(Var),
    /// An operand by place; only inside [`crate::ops::Lowered::Source`], replaced during lowering.
    Operand(usize, DType),
    /// An element of a buffer or tile.
    Load(BufferId, Dim),
    /// An integer expression as a number.
    Dim(Dim, DType),
    /// A scalar function.
    Apply(Scalar, Vec<Expr>),
    /// `value` where `0 <= dim < bound` for all guards, else `otherwise`; loads in `value` only happen then.
    Guarded {
        /// Conditions.
        guards: Vec<(Dim, Dim)>,
        /// Then.
        value: Box<Expr>,
        /// Else.
        otherwise: f64,
    },
    /// A uniform number in [0, 1) in f32: Threefry-2x32-20 of key (seed, step) and counter (index, salt), upper 24 bits of
    /// the first word.
    Random {
        /// Seed, u32.
        seed: Box<Expr>,
        /// Step, u32.
        step: Box<Expr>,
        /// Which element.
        index: Dim,
        /// Which site (and loop iteration).
        salt: Dim,
    },
}
