//! What printers of C-like languages share: the walk over a kernel. A [`Dialect`] spells the pieces.
//!
//! The walk keeps scopes, types and names; it decides nothing about speed. Every load under a guard sits inside the
//! `if` that tests the guard, so no target reads what the kernel IR would not read.

mod dims;
mod expressions;
pub mod library;
mod names;

pub use library::Library;

use super::{Access, BufferId, Kernel, LoopKind, Statement, Tile, Var};
use crate::ops::Fold;
use crate::{DType, Dim, Ranges};
use names::Scope;
use std::collections::BTreeMap;
use std::fmt;

/// Why a target cannot run a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The kernel.
    pub kernel: String,
    /// One sentence that starts with a verb: "needs 9 storage buffers, the target has 8".
    pub reason: String,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel `{}` {}", self.kernel, self.reason)
    }
}

impl std::error::Error for Unsupported {}

/// A buffer or tile with the name it is printed by.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// A legal identifier, unique in the kernel.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// How a kernel may use it; `None` for a tile.
    pub access: Option<Access>,
}

/// What a declaration introduces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// An index that never changes.
    Index,
    /// A scalar that never changes.
    Scalar(DType),
    /// A scalar that is assigned later.
    Variable(DType),
}

/// The spelling of one language. Operands arrive as text that binds tighter than any operator, results must too.
/// Numbers of type `Bf16` and `F16` are held as floats with a value of that type, `U8` as a word below 256.
pub trait Dialect {
    /// An integer of index arithmetic.
    fn index(&self, value: i64) -> Result<String, String>;
    /// `floor(p / q)` for positive `q`; `natural` if `p` is never negative.
    fn quotient(&self, p: &str, q: &str, natural: bool) -> String;
    /// `p mod q` in `0..q` for positive `q`; `natural` if `p` is never negative.
    fn remainder(&self, p: &str, q: &str, natural: bool) -> String;
    /// The larger of two indices.
    fn larger(&self, p: &str, q: &str) -> String;
    /// The smaller of two indices.
    fn smaller(&self, p: &str, q: &str) -> String;
    /// A declaration, with its semicolon.
    fn declare(&self, binding: Binding, name: &str, value: &str) -> String;
    /// The head of `for counter in 0..extent`, without brace.
    fn count(&self, counter: &str, extent: &str) -> String;
    /// A constant.
    fn constant(&self, value: f64, dtype: DType) -> Result<String, String>;
    /// `function` of operands of type `dtype` (for `Select`, that of the last two), before rounding to the result type.
    fn apply(&self, function: super::Scalar, dtype: DType, operands: &[String]) -> Result<String, String>;
    /// The nearest value of a type narrower than what it is held in, by the functions of the dialect's library.
    fn narrow(&self, dtype: DType, value: &str) -> String {
        match dtype {
            DType::Bf16 => format!("round_bf16({value})"),
            DType::F16 => format!("round_f16({value})"),
            DType::U8 => format!("({value} & 255u)"),
            _ => value.to_string(),
        }
    }
    /// An element.
    fn load(&self, memory: &Memory, offset: &str) -> String;
    /// The assignment of an element, with its semicolon.
    fn store(&self, memory: &Memory, offset: &str, value: &str) -> String;
    /// An index as a number, before rounding to the type.
    fn number(&self, index: &str, dtype: DType) -> Result<String, String>;
    /// A number of an integer type as an index, saturated to the index type.
    fn position(&self, value: &str, dtype: DType) -> Result<String, String>;
    /// See [`super::Expr::Random`]; `seed` and `step` are `U32`, `index` and `salt` indices.
    fn uniform(&self, seed: &str, step: &str, index: &str, salt: &str) -> String;
}

/// A kernel in pieces of text, to be framed by the language's declarations.
#[derive(Clone, Debug, PartialEq)]
pub struct Printed {
    /// Names of the sizes, in the kernel's order.
    pub sizes: Vec<String>,
    /// Names of buffers, then tiles.
    pub memories: Vec<Memory>,
    /// The number of instances, as an index expression over the sizes.
    pub instances: String,
    /// What the instance called `instance` does.
    pub body: String,
}

impl Printed {
    /// The tiles of the kernel that was printed, with the sizes they must have when it is compiled.
    pub fn tiles(&self, kernel: &Kernel) -> Result<Vec<(&Memory, i64)>, String> {
        let mut tiles = Vec::new();
        for (Tile { name, size, .. }, memory) in
            kernel.tiles.iter().zip(&self.memories[kernel.buffers.len()..])
        {
            let known = size.as_constant().filter(|size| *size > 0);
            let unknown = || format!("has a tile `{name}` of size `{size}`, not a constant");
            tiles.push((memory, known.ok_or_else(unknown)?));
        }
        Ok(tiles)
    }
}

/// What stands around a body.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'f> {
    /// The name of the instance number, an index.
    pub instance: &'f str,
    /// How many steps the body is indented.
    pub depth: usize,
    /// For each buffer the first one that is the same memory, whose name it gets; empty if all differ.
    pub aliases: &'f [usize],
}

/// Walks `kernel`.
pub fn print<D: Dialect>(kernel: &Kernel, dialect: &D, frame: Frame) -> Result<Printed, Unsupported> {
    let mut printer = Printer::new(kernel, dialect, frame);
    printer
        .kernel(frame.instance)
        .map(|(sizes, instances)| Printed {
            sizes,
            instances,
            memories: printer.memories,
            body: printer.text,
        })
        .map_err(|reason| Unsupported { kernel: kernel.name.clone(), reason })
}

/// The state of a walk.
struct Printer<'k, D> {
    kernel: &'k Kernel,
    dialect: &'k D,
    memories: Vec<Memory>,
    scope: Scope,
    ranges: Ranges,
    folds: BTreeMap<Var, Fold>,
    temporaries: usize,
    depth: usize,
    text: String,
}

impl<'k, D: Dialect> Printer<'k, D> {
    fn new(kernel: &'k Kernel, dialect: &'k D, frame: Frame) -> Printer<'k, D> {
        Printer {
            kernel,
            dialect,
            memories: memories(kernel, frame.aliases),
            scope: Scope::default(),
            ranges: Ranges::new(),
            folds: BTreeMap::new(),
            temporaries: 0,
            depth: frame.depth,
            text: String::new(),
        }
    }

    fn kernel(&mut self, instance: &str) -> Result<(Vec<String>, String), String> {
        let kernel = self.kernel;
        let sizes = kernel.sizes.iter().map(|size| self.scope.bind(size, "n")).collect();
        let extents = kernel.grid.iter().map(|(_, extent)| extent);
        let instances = self.dim(&extents.fold(Dim::one(), |product, extent| &product * extent))?;
        self.grid(instance)?;
        self.statements(&kernel.body)?;
        Ok((sizes, instances))
    }

    /// Splits the instance number into the counters of the grid, innermost fastest.
    fn grid(&mut self, instance: &str) -> Result<(), String> {
        let kernel = self.kernel;
        let mut rest = instance.to_string();
        for (place, (counter, extent)) in kernel.grid.iter().enumerate().rev() {
            let size = self.dim(extent)?;
            let name = self.scope.bind(counter, "i");
            self.ranges.counter(counter, extent);
            let value = if place == 0 { rest.clone() } else { self.dialect.remainder(&rest, &size, true) };
            self.declare(Binding::Index, &name, &value);
            if place > 0 {
                let above = self.temporary();
                self.declare(Binding::Index, &above, &self.dialect.quotient(&rest, &size, true));
                rest = above;
            }
        }
        Ok(())
    }

    fn statements(&mut self, statements: &[Statement]) -> Result<(), String> {
        statements.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), String> {
        match statement {
            Statement::For { counter, extent, kind: LoopKind::Sequential | LoopKind::Vector, body } => {
                let extent_text = self.dim(extent)?;
                let mark = self.scope.mark();
                let name = self.scope.bind(counter, "i");
                self.ranges.counter(counter, extent);
                self.block(&self.dialect.count(&name, &extent_text), |p| p.statements(body))?;
                self.scope.release(mark);
            }
            Statement::Guard { dim, bound, body } => {
                let condition = self.within(dim, bound)?;
                let mark = self.scope.mark();
                self.block(&format!("if ({condition})"), |p| p.statements(body))?;
                self.scope.release(mark);
            }
            Statement::Let(var, value) => {
                let (value, dtype) = self.expr(value)?;
                self.same(self.scalar(*var)?, dtype, || format!("scalar {}", var.0))?;
                self.declare(Binding::Scalar(dtype), &variable(*var), &value);
            }
            Statement::Fold { var, fold } => {
                let dtype = self.scalar(*var)?;
                let identity = self.dialect.constant(fold.identity(), dtype)?;
                self.folds.insert(*var, *fold);
                self.declare(Binding::Variable(dtype), &variable(*var), &identity);
            }
            Statement::Accumulate { var, value } => self.accumulate(*var, value)?,
            Statement::Index { symbol, value, bound } => self.position(symbol, value, bound)?,
            Statement::Store { buffer, offset, value } => self.store(*buffer, offset, value)?,
            Statement::Map { .. } | Statement::Gemm(_) => {
                return Err("calls a micro-kernel, which only the CPU has".to_string());
            }
        }
        Ok(())
    }

    fn accumulate(&mut self, var: Var, value: &super::Expr) -> Result<(), String> {
        let fold = *self.folds.get(&var).ok_or_else(|| format!("adds to {}, which is no fold", var.0))?;
        let (value, dtype) = self.expr(value)?;
        self.same(self.scalar(var)?, dtype, || format!("fold {}", var.0))?;
        let sum = self.typed(fold.function(), dtype, dtype, &[variable(var), value])?;
        self.line(&format!("{} = {};", variable(var), sum));
        Ok(())
    }

    fn position(&mut self, symbol: &crate::Symbol, value: &super::Expr, bound: &Dim) -> Result<(), String> {
        let (value, dtype) = self.expr(value)?;
        let value = self.dialect.position(&value, dtype)?;
        let last = self.dim(&(bound - &Dim::one()))?;
        let zero = self.dialect.index(0)?;
        let clamped = self.dialect.larger(&self.dialect.smaller(&value, &last), &zero);
        let name = self.scope.bind(symbol, "i");
        self.ranges.counter(symbol, bound);
        self.declare(Binding::Index, &name, &clamped);
        Ok(())
    }

    fn store(&mut self, buffer: BufferId, offset: &Dim, value: &super::Expr) -> Result<(), String> {
        let memory = self.memory(buffer)?.clone();
        let (value, dtype) = self.expr(value)?;
        self.same(memory.dtype, dtype, || format!("`{}`", memory.name))?;
        let offset = self.dim(offset)?;
        self.line(&self.dialect.store(&memory, &offset, &value));
        Ok(())
    }

    /// A block with its head; declarations inside are not seen outside.
    fn block(
        &mut self,
        head: &str,
        body: impl FnOnce(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        self.line(&format!("{head} {{"));
        self.depth += 1;
        body(self)?;
        self.depth -= 1;
        self.line("}");
        Ok(())
    }

    fn declare(&mut self, binding: Binding, name: &str, value: &str) {
        self.line(&self.dialect.declare(binding, name, value));
    }

    fn line(&mut self, line: &str) {
        for _ in 0..self.depth {
            self.text.push_str("    ");
        }
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn temporary(&mut self) -> String {
        self.temporaries += 1;
        format!("t{}", self.temporaries)
    }

    fn scalar(&self, var: Var) -> Result<DType, String> {
        let dtype = self.kernel.scalars.get(var.0 as usize).copied();
        dtype.ok_or_else(|| format!("uses scalar {}, but has {}", var.0, self.kernel.scalars.len()))
    }

    fn memory(&self, buffer: BufferId) -> Result<&Memory, String> {
        let found = self.memories.get(buffer.0 as usize);
        found.ok_or_else(|| format!("uses buffer {}, but has {}", buffer.0, self.memories.len()))
    }

    fn same(&self, wanted: DType, found: DType, what: impl Fn() -> String) -> Result<(), String> {
        if wanted == found {
            return Ok(());
        }
        Err(format!("gives {} of type {wanted} a value of type {found}", what()))
    }
}

fn variable(var: Var) -> String {
    format!("v{}", var.0)
}

fn memories(kernel: &Kernel, aliases: &[usize]) -> Vec<Memory> {
    let buffers = kernel.buffers.iter().map(|b| (&b.name, b.dtype, Some(b.access)));
    let tiles = kernel.tiles.iter().map(|t| (&t.name, t.dtype, None));
    let mut memories: Vec<Memory> = buffers
        .chain(tiles)
        .enumerate()
        .map(|(place, (name, dtype, access))| Memory {
            name: format!("{}_{place}", names::identifier(name)),
            dtype,
            access,
        })
        .collect();
    for (place, first) in aliases.iter().enumerate().take(kernel.buffers.len()) {
        memories[place].name = memories[*first].name.clone();
    }
    memories
}
