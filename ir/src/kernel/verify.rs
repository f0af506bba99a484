//! Checks of kernels: names are bound and typed, every access is proved in bounds, no instance writes where another
//! does. What can be neither proved nor refuted about the last is reported as a note.

use super::proof::{Counter, Facts, injective};
use super::{Access, BufferId, Expr, Gemm, Kernel, LoopKind, Matrix, Scalar, Statement, Var};
use crate::{DType, Dim, Ranges, Symbol};
use std::collections::{BTreeMap, BTreeSet};

/// What could not be proved of a kernel that is otherwise sound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One sentence each.
    pub unproved: Vec<String>,
}

/// Checks `kernel`, given the ranges of the sizes it reads. Errors are one sentence each.
pub fn verify(kernel: &Kernel, ranges: &Ranges) -> Result<Report, Vec<String>> {
    let facts = Facts { ranges: ranges.clone(), guards: Vec::new() };
    let symbols = kernel.sizes.iter().cloned().collect();
    let mut check = Check { kernel, facts, symbols, ..Check::new(kernel) };
    check.memory();
    for (counter, extent) in &kernel.grid {
        check.counter(counter, extent, true);
    }
    check.statements(&kernel.body);
    if check.errors.is_empty() { Ok(check.report) } else { Err(check.errors) }
}

/// What a variable is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Scalar,
    Fold,
}

struct Check<'a> {
    kernel: &'a Kernel,
    facts: Facts,
    symbols: BTreeSet<Symbol>,
    scalars: BTreeMap<Var, Bound>,
    bound_once: BTreeSet<Var>,
    counters: Vec<Counter>,
    in_vector: bool,
    report: Report,
    errors: Vec<String>,
}

impl<'a> Check<'a> {
    fn new(kernel: &'a Kernel) -> Check<'a> {
        Check {
            kernel,
            facts: Facts::default(),
            symbols: BTreeSet::new(),
            scalars: BTreeMap::new(),
            bound_once: BTreeSet::new(),
            counters: Vec::new(),
            in_vector: false,
            report: Report::default(),
            errors: Vec::new(),
        }
    }

    fn error(&mut self, message: impl Into<String>) {
        self.errors.push(message.into());
    }

    fn memory(&mut self) {
        for id in 0..self.kernel.buffers.len() + self.kernel.tiles.len() {
            if let Some(memory) = self.kernel.memory(BufferId(id as u32)) {
                self.dim(&memory.size.clone());
            }
        }
    }

    fn dim(&mut self, dim: &Dim) {
        for symbol in dim.symbols() {
            if !self.symbols.contains(&symbol) {
                self.error(format!("`{symbol}` in `{dim}` is not bound"));
            }
        }
        if dim.is_poisoned() {
            self.error(format!("`{dim}` overflows"));
        }
    }

    fn counter(&mut self, counter: &Symbol, extent: &Dim, is_grid: bool) {
        self.dim(extent);
        if !self.symbols.insert(counter.clone()) {
            self.error(format!("`{counter}` is bound twice"));
        }
        self.facts.ranges.counter(counter, extent);
        self.counters.push(Counter { symbol: counter.clone(), extent: extent.clone(), is_grid });
    }

    /// Runs `inside`, then forgets what it bound.
    fn scoped(&mut self, inside: impl FnOnce(&mut Self)) {
        let saved = (self.facts.clone(), self.symbols.clone(), self.scalars.clone(), self.counters.clone());
        let in_vector = self.in_vector;
        inside(self);
        (self.facts, self.symbols, self.scalars, self.counters) = saved;
        self.in_vector = in_vector;
    }

    fn statements(&mut self, statements: &[Statement]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::For { counter, extent, kind, body } => self.repeat(counter, extent, *kind, body),
            Statement::Let(var, value) => {
                let dtype = self.expr(value);
                self.bind(*var, dtype, Bound::Scalar);
            }
            Statement::Fold { var, .. } => {
                let dtype = self.kernel.scalars.get(var.0 as usize).copied();
                self.bind(*var, dtype, Bound::Fold);
            }
            Statement::Accumulate { var, value } => self.accumulate(*var, value),
            Statement::Index { symbol, value, bound } => self.index(symbol, value, bound),
            Statement::Store { buffer, offset, value } => self.store(*buffer, offset, value),
            Statement::Guard { dim, bound, body } => self.scoped(|check| {
                check.dim(dim);
                check.dim(bound);
                check.facts.guards.push((dim.clone(), bound.clone()));
                check.statements(body);
            }),
            Statement::Map { scalar, buffer, offset, len } => self.map(*scalar, *buffer, offset, len),
            Statement::Gemm(gemm) => self.gemm(gemm),
        }
    }

    fn repeat(&mut self, counter: &Symbol, extent: &Dim, kind: LoopKind, body: &[Statement]) {
        if self.in_vector {
            self.error(format!("loop `{counter}` lies inside a vector loop"));
        }
        self.scoped(|check| {
            check.counter(counter, extent, false);
            check.in_vector = kind == LoopKind::Vector;
            check.statements(body);
        });
    }

    fn bind(&mut self, var: Var, dtype: Option<DType>, bound: Bound) {
        if !self.bound_once.insert(var) {
            self.error(format!("v{} is bound twice", var.0));
        }
        self.scalars.insert(var, bound);
        match self.kernel.scalars.get(var.0 as usize) {
            None => self.error(format!("v{} has no type", var.0)),
            Some(stated) => {
                if let Some(found) = dtype.filter(|found| found != stated) {
                    self.error(format!("v{} is {stated}, its value {found}", var.0));
                }
            }
        }
    }

    fn accumulate(&mut self, var: Var, value: &Expr) {
        let dtype = self.expr(value);
        if self.scalars.get(&var) != Some(&Bound::Fold) {
            return self.error(format!("v{} is accumulated, but no fold in scope", var.0));
        }
        let stated = self.kernel.scalars.get(var.0 as usize).copied();
        if dtype.is_some() && stated != dtype {
            self.error(format!("v{} accumulates another element type", var.0));
        }
    }

    fn index(&mut self, symbol: &Symbol, value: &Expr, bound: &Dim) {
        let dtype = self.expr(value);
        self.dim(bound);
        if dtype.is_some_and(|dtype| !dtype.is_int()) {
            self.error(format!("index `{symbol}` is no integer"));
        }
        if !self.symbols.insert(symbol.clone()) {
            self.error(format!("`{symbol}` is bound twice"));
        }
        self.facts.ranges.counter(symbol, bound);
    }

    fn store(&mut self, buffer: BufferId, offset: &Dim, value: &Expr) {
        let found = self.expr(value);
        let Some(dtype) = self.access(buffer, Access::Write) else { return };
        if found.is_some_and(|found| found != dtype) {
            self.error(format!("b{} stores {dtype}, its value has another type", buffer.0));
        }
        self.inside(buffer, offset);
        self.disjoint(buffer, offset, &[]);
    }

    /// The element type, if the memory exists and allows this.
    fn access(&mut self, buffer: BufferId, access: Access) -> Option<DType> {
        let Some(memory) = self.kernel.memory(buffer) else {
            self.error(format!("b{} does not exist", buffer.0));
            return None;
        };
        if memory.access != access && memory.access != Access::ReadWrite {
            let verb = if access == Access::Read { "read" } else { "written" };
            self.error(format!("b{} `{}` is {verb}, but not for that", buffer.0, memory.name));
        }
        Some(memory.dtype)
    }

    fn inside(&mut self, buffer: BufferId, offset: &Dim) {
        self.dim(offset);
        let Some(memory) = self.kernel.memory(buffer) else { return };
        if !self.facts.within(offset, memory.size) {
            let (name, size) = (memory.name.to_string(), memory.size.clone());
            self.error(format!("element `{offset}` of b{} `{name}` is not proved within `{size}`", buffer.0));
        }
    }

    fn disjoint(&mut self, buffer: BufferId, offset: &Dim, inner: &[Counter]) {
        if self.kernel.memory(buffer).is_none_or(|memory| memory.is_tile) {
            return;
        }
        let counters = [&self.counters[..], inner].concat();
        // What never runs writes nothing.
        let idle = counters.iter().any(|counter| counter.extent.is_zero());
        if idle || injective(offset, &counters, &self.facts.ranges) {
            return;
        }
        let mentioned = |symbol: &Symbol| {
            offset.mentions(symbol) || self.facts.guards.iter().any(|(dim, _)| dim.mentions(symbol))
        };
        let indexed = offset.symbols().iter().any(|s| !self.is_counted(s));
        let shared = counters.iter().find(|c| c.is_grid && !c.extent.is_one() && !mentioned(&c.symbol));
        let message = format!("instances may write the same `{offset}` of b{}", buffer.0);
        match shared {
            Some(shared) if !indexed => {
                self.error(format!("{message}: `{}` makes no difference", shared.symbol))
            }
            _ => self.report.unproved.push(message),
        }
    }

    /// Whether a symbol is a size or a counter: not an index that is data.
    fn is_counted(&self, symbol: &Symbol) -> bool {
        self.kernel.sizes.contains(symbol) || self.counters.iter().any(|counter| counter.symbol == *symbol)
    }

    fn map(&mut self, scalar: Scalar, buffer: BufferId, offset: &Dim, len: &Dim) {
        self.access(buffer, Access::Read);
        let Some(dtype) = self.access(buffer, Access::Write) else { return };
        if scalar.arity() != 1 || !scalar.accepts(dtype) || scalar.result(dtype) != dtype {
            self.error(format!("`{}` is no function from {dtype} to {dtype}", scalar.name()));
        }
        self.dim(len);
        let counter = Symbol::new("element of strip");
        let place = offset + &Dim::from(&counter);
        self.scoped(|check| {
            check.symbols.insert(counter.clone());
            check.facts.ranges.counter(&counter, len);
            check.inside(buffer, &place);
        });
        let inner = [Counter { symbol: counter, extent: len.clone(), is_grid: false }];
        self.disjoint(buffer, &place, &inner);
    }

    fn gemm(&mut self, gemm: &Gemm) {
        [&gemm.m, &gemm.n, &gemm.k].into_iter().for_each(|dim| self.dim(dim));
        self.matrix(&gemm.a, Access::Read, &gemm.m, &gemm.k);
        self.matrix(&gemm.b, Access::Read, &gemm.k, &gemm.n);
        self.matrix(&gemm.c, Access::Write, &gemm.m, &gemm.n);
        if gemm.accumulate {
            self.access(gemm.c.buffer, Access::Read);
        }
        let inner = [("row", &gemm.m, &gemm.c.row), ("column", &gemm.n, &gemm.c.column)];
        let mut offset = gemm.c.offset.clone();
        let counters = inner.map(|(name, extent, stride)| {
            let symbol = Symbol::new(&format!("{name} of c"));
            offset = &offset + &(stride * &Dim::from(&symbol));
            Counter { symbol, extent: extent.clone(), is_grid: false }
        });
        self.disjoint(gemm.c.buffer, &offset, &counters);
    }

    fn matrix(&mut self, matrix: &Matrix, access: Access, rows: &Dim, columns: &Dim) {
        self.access(matrix.buffer, access);
        let (i, j) = (Symbol::new("row of matrix"), Symbol::new("column of matrix"));
        self.dim(&matrix.row);
        self.dim(&matrix.column);
        self.scoped(|check| {
            check.symbols.extend([i.clone(), j.clone()]);
            check.facts.ranges.counter(&i, rows);
            check.facts.ranges.counter(&j, columns);
            let (down, across) = (&matrix.row * &Dim::from(&i), &matrix.column * &Dim::from(&j));
            check.inside(matrix.buffer, &(&(&matrix.offset + &down) + &across));
        });
    }

    /// Checks an expression; its element type, if that is known.
    fn expr(&mut self, expr: &Expr) -> Option<DType> {
        match expr {
            Expr::Constant(..) => {}
            Expr::Var(var) => {
                if !self.scalars.contains_key(var) {
                    self.error(format!("v{} is not bound", var.0));
                }
            }
            Expr::Operand(place, _) => self.error(format!("operand {place} was left in a kernel")),
            Expr::Load(buffer, offset) => {
                self.access(*buffer, Access::Read)?;
                self.inside(*buffer, offset);
            }
            Expr::Dim(dim, _) => self.dim(dim),
            Expr::Apply(scalar, operands) => self.apply(*scalar, operands),
            Expr::Guarded { guards, value, .. } => self.scoped(|check| {
                for (dim, bound) in guards {
                    check.dim(dim);
                    check.dim(bound);
                }
                check.facts.guards.extend(guards.iter().cloned());
                check.expr(value);
            }),
            Expr::Random { seed, step, index, salt } => {
                for key in [seed, step] {
                    if self.expr(key).is_some_and(|dtype| dtype != DType::U32) {
                        self.error("a random key is u32");
                    }
                }
                self.dim(index);
                self.dim(salt);
            }
        }
        self.kernel.dtype_of(expr)
    }

    fn apply(&mut self, scalar: Scalar, operands: &[Expr]) {
        let types: Vec<Option<DType>> = operands.iter().map(|operand| self.expr(operand)).collect();
        let Some(types) = types.into_iter().collect::<Option<Vec<DType>>>() else { return };
        if types.len() != scalar.arity() {
            let (wanted, found) = (scalar.arity(), types.len());
            return self.error(format!("`{}` takes {wanted} operands, receives {found}", scalar.name()));
        }
        let mask = usize::from(scalar == Scalar::Select);
        let alike = types[mask..].windows(2).all(|pair| pair[0] == pair[1]);
        let masked = mask == 0 || types[0] == DType::Bool;
        if !alike || !masked || !types.last().is_none_or(|dtype| scalar.accepts(*dtype)) {
            let types: Vec<&str> = types.iter().map(|dtype| dtype.name()).collect();
            self.error(format!("`{}` does not take ({})", scalar.name(), types.join(", ")));
        }
    }
}
