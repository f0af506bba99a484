//! Writes a kernel. An element is asked for at an index ([`Writer::emit`]); it becomes loads and arithmetic, each bound
//! as a scalar in the outermost loop where all it depends on is known, once.

use super::expand::{Domains, Expander, Expansion, Point, Sweep, internal};
use super::home::Home;
use super::index::tidy;
use super::units::{Dest, Group};
use nnc_base::Diagnostic;
use nnc_ir::kernel::{Access, BufferId, Expr, LoopKind, Scalar, Statement, Tile, Var};
use nnc_ir::ops::Fold;
use nnc_ir::plan::{Place, PlaceId};
use nnc_ir::{DType, Dim, Ranges, Symbol, Value};
use std::collections::{HashMap, HashSet};

/// Tiles are numbered from here until all buffers are known.
pub(super) const FIRST_TILE: u32 = 1 << 20;

/// A value kept in a tile between two sweeps.
pub(super) struct Stash {
    /// The tile.
    pub tile: BufferId,
    /// Where in it.
    pub offset: Dim,
    /// Whether the sweep that fills it is over.
    pub is_ready: bool,
    /// Whether the current sweep fills it.
    pub is_written: bool,
}

/// An open loop or the kernel itself.
#[derive(Default)]
struct Frame {
    counter: Option<(Symbol, Dim, bool)>,
    statements: Vec<Statement>,
    memo: HashMap<Point, Expr>,
    symbols: Vec<Symbol>,
}

/// A kernel under construction.
pub(super) struct Writer<'w> {
    pub expander: Expander<'w>,
    pub homes: &'w HashMap<Value, Home>,
    places: &'w [Place],
    pub domains: Domains,
    pub ranges: Ranges,
    /// Values computed here although they have a home.
    pub own: HashSet<Value>,
    /// Guards every access that is not proved.
    pub wary: bool,
    pub buffers: Vec<(PlaceId, Access)>,
    pub tiles: Vec<Tile>,
    pub scalars: Vec<DType>,
    levels: Vec<usize>,
    frames: Vec<Frame>,
    symbols: HashMap<Symbol, usize>,
    pub stash: HashMap<Point, Stash>,
    pending: Vec<(BufferId, Dim, Expr)>,
    guards: Vec<(Dim, Dim)>,
    inline: usize,
}

impl<'w> Writer<'w> {
    /// An empty kernel.
    pub fn new(
        expander: Expander<'w>,
        homes: &'w HashMap<Value, Home>,
        places: &'w [Place],
        ranges: Ranges,
    ) -> Writer<'w> {
        Writer {
            expander,
            homes,
            places,
            domains: Domains::default(),
            ranges,
            own: HashSet::new(),
            wary: false,
            buffers: Vec::new(),
            tiles: Vec::new(),
            scalars: Vec::new(),
            levels: Vec::new(),
            frames: vec![Frame::default()],
            symbols: HashMap::new(),
            stash: HashMap::new(),
            pending: Vec::new(),
            guards: Vec::new(),
            inline: 0,
        }
    }

    /// The statements, once all loops are closed.
    pub fn take_body(&mut self) -> Vec<Statement> {
        self.frames.last_mut().map(|frame| std::mem::take(&mut frame.statements)).unwrap_or_default()
    }

    /// Opens a loop.
    pub fn open(&mut self, counter: &Symbol, extent: &Dim, vector: bool) {
        self.ranges.counter(counter, extent);
        self.symbols.insert(counter.clone(), self.frames.len());
        let counter = Some((counter.clone(), extent.clone(), vector));
        self.frames.push(Frame { counter, ..Frame::default() });
    }

    /// Closes the innermost loop.
    pub fn close(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        frame.symbols.iter().for_each(|symbol| {
            self.symbols.remove(symbol);
        });
        let Some((counter, extent, vector)) = frame.counter else { return };
        self.symbols.remove(&counter);
        let kind = if vector && frame.statements.iter().all(is_flat) {
            LoopKind::Vector
        } else {
            LoopKind::Sequential
        };
        self.push(Statement::For { counter, extent, kind, body: frame.statements });
    }

    /// Opens loops, outermost first; the last one may run on vectors.
    pub fn open_all(&mut self, counters: &[(Symbol, Dim)]) {
        for (place, (counter, extent)) in counters.iter().enumerate() {
            self.open(counter, extent, place + 1 == counters.len());
        }
    }

    /// Closes as many loops.
    pub fn close_all(&mut self, counters: &[(Symbol, Dim)]) {
        counters.iter().for_each(|_| self.close());
    }

    /// Adds a statement to the innermost loop.
    pub fn push(&mut self, statement: Statement) {
        if let Some(frame) = self.frames.last_mut() {
            frame.statements.push(statement);
        }
    }

    /// A new scalar, bound in the frame at `level`.
    fn scalar(&mut self, dtype: DType, level: usize) -> Var {
        self.scalars.push(dtype);
        self.levels.push(level);
        Var(self.scalars.len() as u32 - 1)
    }

    /// A new tile.
    pub fn tile(&mut self, name: &str, dtype: DType, size: Dim) -> BufferId {
        self.tiles.push(Tile { name: name.to_string(), dtype, size });
        BufferId(FIRST_TILE + self.tiles.len() as u32 - 1)
    }

    /// Turns to the elements of another group.
    pub fn begin(&mut self, group: &Group) {
        self.domains = group.domains.clone();
        let own = group.roots.iter().filter(|root| root.dest == Dest::Own);
        self.own = own.map(|root| root.value).collect();
        self.stash.clear();
    }

    /// The buffer that stands for a place; places from [`FIRST_TILE`] on are tiles.
    pub fn buffer(&mut self, place: PlaceId, access: Access) -> BufferId {
        if place.0 >= FIRST_TILE {
            return BufferId(place.0);
        }
        let known = self.buffers.iter().position(|(known, _)| *known == place);
        let number = known.unwrap_or_else(|| {
            self.buffers.push((place, access));
            self.buffers.len() - 1
        });
        if self.buffers[number].1 != access {
            self.buffers[number].1 = Access::ReadWrite;
        }
        BufferId(number as u32)
    }

    /// The element type of an expression.
    pub fn dtype(&self, expr: &Expr) -> DType {
        match expr {
            Expr::Constant(_, dtype) | Expr::Operand(_, dtype) | Expr::Dim(_, dtype) => *dtype,
            Expr::Var(var) => self.scalars[var.0 as usize],
            Expr::Load(buffer, _) => self.memory(*buffer).0,
            Expr::Apply(scalar, operands) => {
                scalar.result(operands.last().map_or(DType::F32, |e| self.dtype(e)))
            }
            Expr::Guarded { value, .. } => self.dtype(value),
            Expr::Random { .. } => DType::F32,
        }
    }

    fn memory(&self, buffer: BufferId) -> (DType, Dim) {
        match buffer.0.checked_sub(FIRST_TILE) {
            Some(tile) => (self.tiles[tile as usize].dtype, self.tiles[tile as usize].size.clone()),
            None => {
                let place = &self.places[self.buffers[buffer.0 as usize].0.0 as usize];
                (place.dtype, place.size())
            }
        }
    }

    /// An element of memory; guarded if `wary` and not proved inside.
    pub fn element(&mut self, buffer: BufferId, offset: Dim) -> Expr {
        let (dtype, size) = self.memory(buffer);
        let load = Expr::Load(buffer, offset.clone());
        if !self.wary || offset.is_within(&size, &self.ranges) {
            return load;
        }
        let _ = dtype;
        Expr::Guarded { guards: vec![(offset, size)], value: Box::new(load), otherwise: 0.0 }
    }

    /// A store; guarded if `wary` and not proved inside.
    pub fn store(&mut self, buffer: BufferId, offset: Dim, value: Expr) {
        let (_, size) = self.memory(buffer);
        let store = Statement::Store { buffer, offset: offset.clone(), value };
        if !self.wary || offset.is_within(&size, &self.ranges) {
            return self.push(store);
        }
        self.push(Statement::Guard { dim: offset, bound: size, body: vec![store] });
    }

    /// Where an element of a value with a home lies.
    pub fn offset(&self, home: &Home, at: &[Dim]) -> Dim {
        tidy(&home.at(at), &self.ranges)
    }

    /// Stores an element of a value at its home.
    pub fn store_at(&mut self, home: &Home, at: &[Dim], value: Expr) {
        let offset = self.offset(home, at);
        let buffer = self.buffer(home.place, Access::Write);
        self.store(buffer, offset, value);
    }

    /// Whether `value` is read from memory.
    pub fn is_loaded(&self, value: Value) -> bool {
        self.homes.contains_key(&value) && !self.own.contains(&value)
    }

    /// An element, bound in the outermost loop that allows it.
    pub fn emit(&mut self, value: Value, at: &[Dim]) -> Result<Expr, Diagnostic> {
        let point = (value, at.to_vec());
        if let Some(known) = self.frames.iter().rev().find_map(|frame| frame.memo.get(&point)) {
            return Ok(known.clone());
        }
        let expr = match self.stash.get(&point).filter(|stash| stash.is_ready) {
            Some(stash) => Expr::Load(stash.tile, stash.offset.clone()),
            None if self.is_loaded(value) => self.load(value, at),
            None => self.make(value, at)?,
        };
        if self.inline > 0 {
            return Ok(expr);
        }
        let expr = self.bind(expr);
        self.put_aside(&point, &expr);
        self.remember(point, expr.clone());
        Ok(expr)
    }

    fn put_aside(&mut self, point: &Point, expr: &Expr) {
        let Some(stash) = self.stash.get_mut(point).filter(|stash| !stash.is_ready && !stash.is_written)
        else {
            return;
        };
        stash.is_written = true;
        let (tile, offset) = (stash.tile, stash.offset.clone());
        self.pending.push((tile, offset, expr.clone()));
    }

    /// Stores what later sweeps need; called at the end of a sweep's innermost loop.
    pub fn store_pending(&mut self) {
        for (tile, offset, value) in std::mem::take(&mut self.pending) {
            self.push(Statement::Store { buffer: tile, offset, value });
        }
    }

    /// What the last sweep stored may be read.
    pub fn settle(&mut self) {
        self.stash.values_mut().for_each(|stash| stash.is_ready |= stash.is_written);
    }

    /// Uses `expr` for this element wherever it is known.
    pub fn remember(&mut self, point: Point, expr: Expr) {
        let level = self.level(&expr);
        self.frames[level].memo.insert(point, expr);
    }

    fn load(&mut self, value: Value, at: &[Dim]) -> Expr {
        let home = self.homes[&value].clone();
        let offset = self.offset(&home, at);
        let buffer = self.buffer(home.place, Access::Read);
        self.element(buffer, offset)
    }

    /// Binds an expression that is worth a name, as far out as possible.
    pub fn bind(&mut self, expr: Expr) -> Expr {
        if matches!(expr, Expr::Constant(..) | Expr::Var(_) | Expr::Dim(..)) || self.inline > 0 {
            return expr;
        }
        let level = self.level(&expr);
        let var = self.scalar(self.dtype(&expr), level);
        self.frames[level].statements.push(Statement::Let(var, expr));
        Expr::Var(var)
    }

    fn dim_level(&self, dim: &Dim) -> usize {
        dim.symbols().iter().filter_map(|symbol| self.symbols.get(symbol)).copied().max().unwrap_or(0)
    }

    /// The frame in which an expression is known.
    fn level(&self, expr: &Expr) -> usize {
        let mut level = 0;
        super::visit::expr_dims(expr, &mut |dim| level = level.max(self.dim_level(dim)));
        super::visit::vars(expr, &mut |var| level = level.max(self.levels[var.0 as usize]));
        level.min(self.frames.len() - 1)
    }

    fn make(&mut self, value: Value, at: &[Dim]) -> Result<Expr, Diagnostic> {
        let domains = self.domains.clone();
        match self.expander.expand(value, at, &domains, &mut self.ranges)? {
            Expansion::Map(scalar, operands) => {
                let operands = operands.iter().map(|(value, at)| self.emit(*value, at));
                Ok(Expr::Apply(scalar, operands.collect::<Result<_, _>>()?))
            }
            Expansion::View { operand, guards, otherwise } => self.view(value, &operand, guards, otherwise),
            Expansion::Source(expr, operands) => self.source(expr, &operands),
            Expansion::Gather { symbol, position, bound, table } => {
                self.gather(symbol, &position, bound, &table)
            }
            Expansion::Fold(sweep) if sweep.unrolled => self.unroll(value, &sweep),
            Expansion::Fold(sweep) => self.fold(value, at, &sweep),
            Expansion::Opaque => Err(internal(format!(
                "`{}` (%{}) is read, but neither in memory nor computable in place",
                self.expander.graph.name(value),
                value.0
            ))),
        }
    }

    fn view(
        &mut self,
        value: Value,
        operand: &Point,
        guards: Vec<(Dim, Dim)>,
        otherwise: f64,
    ) -> Result<Expr, Diagnostic> {
        let dtype = self.expander.graph.ty(value).dtype;
        let guards: Vec<(Dim, Dim)> =
            guards.into_iter().filter(|(dim, bound)| !dim.is_within(bound, &self.ranges)).collect();
        if guards.is_empty() {
            return self.emit(operand.0, &operand.1);
        }
        if guards.iter().any(|(dim, bound)| never(dim, bound)) {
            return Ok(Expr::Constant(otherwise, dtype));
        }
        let value = Box::new(self.guarded(&guards, |writer| writer.emit(operand.0, &operand.1))?);
        Ok(Expr::Guarded { guards, value, otherwise })
    }

    /// Runs `inside` where only expressions may be written, and `guards` hold.
    fn guarded<T>(
        &mut self,
        guards: &[(Dim, Dim)],
        inside: impl FnOnce(&mut Self) -> Result<T, Diagnostic>,
    ) -> Result<T, Diagnostic> {
        self.inline += 1;
        self.guards.extend(guards.iter().cloned());
        let result = inside(self);
        self.guards.truncate(self.guards.len() - guards.len());
        self.inline -= 1;
        result
    }

    fn source(&mut self, expr: Expr, operands: &[Value]) -> Result<Expr, Diagnostic> {
        Ok(match expr {
            Expr::Operand(place, _) => self.emit(operands[place], &[])?,
            Expr::Random { seed, step, index, salt } => Expr::Random {
                seed: Box::new(self.source(*seed, operands)?),
                step: Box::new(self.source(*step, operands)?),
                index: tidy(&index, &self.ranges),
                salt: tidy(&salt, &self.ranges),
            },
            Expr::Dim(dim, dtype) => Expr::Dim(tidy(&dim, &self.ranges), dtype),
            Expr::Apply(scalar, parts) => Expr::Apply(
                scalar,
                parts.into_iter().map(|part| self.source(part, operands)).collect::<Result<_, _>>()?,
            ),
            other => other,
        })
    }

    fn gather(
        &mut self,
        symbol: Symbol,
        position: &Point,
        bound: Dim,
        table: &Point,
    ) -> Result<Expr, Diagnostic> {
        let mut at = table.1.clone();
        let mut name = symbol.clone();
        if !self.guards.is_empty() {
            let text: Vec<String> = self.guards.iter().map(|(dim, bound)| format!("{dim}<{bound}")).collect();
            name = Symbol::new(&format!("{symbol} if {}", text.join(",")));
            self.ranges.counter(&name, &bound);
            let with = |s: &Symbol| (*s == symbol).then(|| Dim::from(&name));
            at.iter_mut().for_each(|dim| *dim = dim.substitute(&with));
        }
        if !self.symbols.contains_key(&name) {
            let mut value = self.emit(position.0, &position.1)?;
            if !self.guards.is_empty() {
                value = Expr::Guarded { guards: self.guards.clone(), value: Box::new(value), otherwise: 0.0 };
            }
            let level = self.level(&value);
            self.symbols.insert(name.clone(), level);
            let frame = &mut self.frames[level];
            frame.symbols.push(name.clone());
            frame.statements.push(Statement::Index { symbol: name, value, bound });
        }
        self.emit(table.0, &at)
    }

    /// The element type a fold runs in.
    pub fn wide(&self, value: Value, fold: Fold) -> DType {
        fold.accumulator(self.expander.graph.ty(value).dtype)
    }

    /// `expr` as another element type.
    pub fn cast(&self, expr: Expr, dtype: DType) -> Expr {
        if self.dtype(&expr) == dtype { expr } else { Expr::Apply(Scalar::Cast(dtype), vec![expr]) }
    }

    fn product(&mut self, factors: &[Point], dtype: DType) -> Result<Expr, Diagnostic> {
        let mut product: Option<Expr> = None;
        for (value, at) in factors {
            let factor = self.emit(*value, at)?;
            let factor = self.cast(factor, dtype);
            product = Some(match product {
                None => factor,
                Some(product) => Expr::Apply(Scalar::Mul, vec![product, factor]),
            });
        }
        product.ok_or_else(|| internal("a fold of nothing"))
    }

    /// One term of a fold.
    pub fn term(&mut self, sweep: &Sweep, dtype: DType) -> Result<Expr, Diagnostic> {
        self.guarded_product(&sweep.guards, &sweep.factors, sweep.fold, dtype)
    }

    fn guarded_product(
        &mut self,
        guards: &[(Dim, Dim)],
        factors: &[Point],
        fold: Fold,
        dtype: DType,
    ) -> Result<Expr, Diagnostic> {
        let guards: Vec<(Dim, Dim)> =
            guards.iter().filter(|(dim, bound)| !dim.is_within(bound, &self.ranges)).cloned().collect();
        if guards.is_empty() {
            let product = self.product(factors, dtype)?;
            return Ok(self.bind(product));
        }
        let value = Box::new(self.guarded(&guards, |writer| writer.product(factors, dtype))?);
        let otherwise = fold.identity_of(dtype);
        Ok(self.bind(Expr::Guarded { guards, value, otherwise }))
    }

    fn unroll(&mut self, value: Value, sweep: &Sweep) -> Result<Expr, Diagnostic> {
        let (dtype, fold) = (self.wide(value, sweep.fold), sweep.fold);
        let mut total: Option<Expr> = None;
        for (guards, factors) in sweep.terms(&self.ranges) {
            if guards.iter().any(|(dim, bound)| never(dim, bound)) {
                continue;
            }
            let term = self.guarded_product(&guards, &factors, fold, dtype)?;
            total = Some(match total {
                None => term,
                Some(total) => Expr::Apply(fold.function(), vec![total, term]),
            });
        }
        let total = total.unwrap_or(Expr::Constant(fold.identity_of(dtype), dtype));
        let narrow = self.expander.graph.ty(value).dtype;
        Ok(self.cast(total, narrow))
    }

    /// A fold with a loop of its own, in the outermost loop that allows it.
    fn fold(&mut self, value: Value, at: &[Dim], sweep: &Sweep) -> Result<Expr, Diagnostic> {
        if self.inline > 0 {
            return Err(internal(format!("`{}` folds under a guard", self.expander.graph.name(value))));
        }
        let level = at.iter().map(|dim| self.dim_level(dim)).max().unwrap_or(0);
        let inner = self.frames.split_off(level + 1);
        let var = self.declare(value, sweep.fold);
        self.open_all(&sweep.domain);
        let term = self.term(sweep, self.scalars[var.0 as usize])?;
        self.push(Statement::Accumulate { var, value: term });
        self.close_all(&sweep.domain);
        let result = self.cast(Expr::Var(var), self.expander.graph.ty(value).dtype);
        let result = self.bind(result);
        self.frames.extend(inner);
        Ok(result)
    }

    /// Binds an index that is data in the innermost loop.
    pub fn position(&mut self, symbol: &Symbol, value: Expr, bound: &Dim) {
        self.ranges.counter(symbol, bound);
        self.symbols.insert(symbol.clone(), self.frames.len() - 1);
        if let Some(frame) = self.frames.last_mut() {
            frame.symbols.push(symbol.clone());
            frame.statements.push(Statement::Index { symbol: symbol.clone(), value, bound: bound.clone() });
        }
    }

    /// Declares a running fold of `dtype` in the innermost loop.
    pub fn running(&mut self, dtype: DType, fold: Fold) -> Var {
        let var = self.scalar(dtype, self.frames.len() - 1);
        self.push(Statement::Fold { var, fold });
        var
    }

    /// Declares a running fold in the innermost loop.
    pub fn declare(&mut self, value: Value, fold: Fold) -> Var {
        let var = self.scalar(self.wide(value, fold), self.frames.len() - 1);
        self.push(Statement::Fold { var, fold });
        var
    }
}

/// Whether a loop over this statement can run on vectors.
fn is_flat(statement: &Statement) -> bool {
    match statement {
        Statement::For { .. } | Statement::Fold { .. } | Statement::Map { .. } | Statement::Gemm(_) => false,
        Statement::Guard { body, .. } => body.iter().all(is_flat),
        _ => true,
    }
}

/// Whether a guard is known to fail.
fn never(dim: &Dim, bound: &Dim) -> bool {
    match (dim.as_constant(), bound.as_constant()) {
        (Some(dim), Some(bound)) => dim < 0 || dim >= bound,
        (Some(dim), None) => dim < 0,
        _ => false,
    }
}
