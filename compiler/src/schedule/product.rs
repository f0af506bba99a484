//! Groups that finish a matrix product: panels of the result by the micro-kernel, into their place or into a tile that
//! the rest of the group consumes while it is in cache.
//!
//! Letters of the contraction become four lists: batch, rows, columns, summed. Letters whose strides allow it are merged
//! into one run; the longest run of each list is an axis of the micro-kernel, the others are loops around it. Panel sizes
//! depend on shapes only.

use super::chain::{Link, Panel};
use super::expand::{At, Expansion, internal, summed};
use super::panels::Sizes;
use super::rows::{Around, Stored, store_all};
use super::sizes::Guess;
use super::units::Group;
use super::units::joining::letters_at;
use super::writer::{Stash, Writer};
use nnc_base::Diagnostic;
use nnc_ir::kernel::{Access, BufferId, Expr, Gemm, Matrix, Statement};
use nnc_ir::ops::Op;
use nnc_ir::{Dim, Ranges, Symbol, Value};
use std::collections::HashMap;

/// Steps from which on a sum along contiguous elements pays though others are longer.
const ALONG: f64 = 6.0;
/// Products of one shape below which columns outside the micro-kernel are spread over instances too.
const FEW: f64 = 16.0;
/// Places of an image that a tile holds at most, for every row of a product.
const WIDEST: i64 = 4096;

/// Writes the kernel of a group with a product; returns how many of its outermost loops are the grid.
pub(super) fn write(
    writer: &mut Writer,
    around: &Around,
    group: &Group,
    roots: &[Stored],
) -> Result<usize, Diagnostic> {
    let shape = Shape::new(writer, group)?;
    let shape = match shape.wide_pitch() {
        Some(pitch) => shape.widened(pitch),
        None => shape.towards(writer, roots),
    };
    Product::new(writer, around, shape, roots)?.write()
}

/// Writes a product of a chain for one panel of rows; batch loops are open.
pub(super) fn write_panel(
    writer: &mut Writer,
    around: &Around,
    link: &Link,
    roots: &[Stored],
    panel: &Panel,
) -> Result<(), Diagnostic> {
    Product::of_panel(writer, around, link, roots, panel)?.write().map(|_| ())
}

/// Zeros where a product of a chain adds up over the panels.
pub(super) fn clear(
    writer: &mut Writer,
    around: &Around,
    link: &Link,
    roots: &[Stored],
    panel: &Panel,
) -> Result<(), Diagnostic> {
    let mut product = Product::of_panel(writer, around, link, roots, panel)?;
    let result = product.direct.clone().ok_or_else(|| internal("a sum over panels has no place"))?;
    product.for_others(|product| {
        let columns: Vec<(Symbol, Dim)> = product.other_columns.iter().map(counter).collect();
        product.clear(&result, &columns);
        Ok(())
    })?;
    Ok(())
}

/// One letter that is not of size 1.
#[derive(Clone, Debug)]
struct Letter {
    symbol: Symbol,
    extent: Dim,
}

/// A strided operand or result.
#[derive(Clone, Debug)]
struct Strided {
    buffer: BufferId,
    base: Dim,
    slopes: HashMap<Symbol, Dim>,
}

impl Strided {
    fn slope(&self, symbol: &Symbol) -> Dim {
        self.slopes.get(symbol).cloned().unwrap_or_default()
    }
}

/// The product in terms of letters.
struct Shape {
    value: Value,
    at: At,
    batch: Vec<Letter>,
    rows: Vec<Letter>,
    columns: Vec<Letter>,
    summed: Vec<Letter>,
    lhs: Strided,
    rhs: Strided,
    /// The last two letters of the columns are one axis, on which the first takes so many steps; see
    /// [`Shape::wide_pitch`].
    pitch: Option<i64>,
}

impl Shape {
    fn new(writer: &mut Writer, group: &Group) -> Result<Shape, Diagnostic> {
        let (value, at) = group.anchor.clone().ok_or_else(|| internal("a group has no product"))?;
        let node = writer.expander.graph.node(value).ok_or_else(|| internal("a product has no node"))?;
        let Op::Contract(op) = &node.op else { return Err(internal("a product is no contraction")) };
        let extents = writer.expander.letters(op, &node.operands);
        let mut index = letters_at(op, &at);
        for (letter, place) in &mut index {
            if extents[letter].is_one() && !op.out.contains(letter) {
                *place = Dim::zero();
            }
        }
        let letter = |letter: &u32| {
            let symbol = index[letter].as_symbol()?.clone();
            Some(Letter { symbol, extent: extents[letter].clone() })
        };
        let list =
            |keep: &dyn Fn(&u32) -> bool| op.out.iter().filter(|l| keep(l)).filter_map(letter).collect();
        let (left, right) = (|l: &u32| op.lhs.contains(l), |l: &u32| op.rhs.contains(l));
        let batch: Vec<Letter> = list(&|l| left(l) && right(l));
        let (rows, columns): (Vec<Letter>, Vec<Letter>) =
            (list(&|l| left(l) && !right(l)), list(&|l| !left(l) && right(l)));
        let inner: Vec<Letter> = summed(op).iter().filter_map(letter).collect();
        for letter in batch.iter().chain(&rows).chain(&columns).chain(&inner) {
            writer.ranges.counter(&letter.symbol, &letter.extent);
        }
        let symbols: Vec<Symbol> = batch
            .iter()
            .chain(&rows)
            .chain(&columns)
            .chain(&inner)
            .map(|letter| letter.symbol.clone())
            .collect();
        let side = |letters: &[u32]| -> At { letters.iter().map(|letter| index[letter].clone()).collect() };
        let lhs = strided(writer, node.operands[0], &side(&op.lhs), &symbols)?;
        let rhs = strided(writer, node.operands[1], &side(&op.rhs), &symbols)?;
        Ok(Shape { value, at, batch, rows, columns, summed: inner, lhs, rhs, pitch: None })
    }

    /// The same product, its columns being contiguous where the first root is stored, if either side is.
    fn towards(self, writer: &mut Writer, roots: &[Stored]) -> Shape {
        let Some((root, home)) = roots.first() else { return self };
        let offset = writer.offset(home, &root.at);
        let is_contiguous = |letters: &[Letter]| {
            letters
                .iter()
                .any(|letter| offset.linear_in(&letter.symbol).is_some_and(|(slope, _)| slope.is_one()))
        };
        if !is_contiguous(&self.rows) || is_contiguous(&self.columns) {
            return self;
        }
        self.turned()
    }

    /// The distance of image rows, if the product is a convolution: its two last columns (or rows) are places in an
    /// image whose rows are longer than what is asked of them. Then it pays to compute whole rows, and to drop what
    /// lies between those asked for: places become one contiguous axis.
    fn wide_pitch(&self) -> Option<i64> {
        self.pitch_of(&self.columns, &self.rhs).or_else(|| self.pitch_of(&self.rows, &self.lhs))
    }

    fn pitch_of(&self, letters: &[Letter], matrix: &Strided) -> Option<i64> {
        let [.., row, column] = letters else { return None };
        let windowed = self.summed.iter().filter(|letter| matrix.slope(&letter.symbol).is_one()).count() == 1;
        let (height, width) = (row.extent.as_constant()?, column.extent.as_constant()?);
        let slope = |letter: &Letter| matrix.slope(&letter.symbol).as_constant().filter(|slope| *slope > 0);
        let (down, step) = (slope(row)?, slope(column)?);
        let pitch = down / step;
        let fits = windowed && down % step == 0 && (width..=3 * width).contains(&pitch);
        (fits && (height - 1) * pitch + width <= WIDEST).then_some(pitch)
    }

    /// Columns are places in an image with rows of `pitch`; all other columns are fixed in an instance.
    fn widened(self, pitch: i64) -> Shape {
        let mut shape = if self.pitch_of(&self.columns, &self.rhs).is_some() { self } else { self.turned() };
        let image = shape.columns.split_off(shape.columns.len() - 2);
        shape.batch.append(&mut shape.columns);
        Shape { columns: image, pitch: Some(pitch), ..shape }
    }

    /// Elements between places of neighbouring letters, and places altogether.
    fn wide_run(&self) -> Option<(Run, Dim)> {
        let (pitch, [row, column]) = (self.pitch?, self.columns.as_slice()) else { return None };
        let pitch = Dim::constant(pitch);
        let extent = &(&(&row.extent - &Dim::one()) * &pitch) + &column.extent;
        Some((Run { letters: self.columns.clone(), extent }, pitch))
    }

    /// The same product with rows and columns exchanged.
    fn turned(self) -> Shape {
        Shape { rows: self.columns, columns: self.rows, lhs: self.rhs, rhs: self.lhs, ..self }
    }

    /// The same product, these letters being fixed in it.
    fn with_batch(mut self, symbols: &[Symbol]) -> Shape {
        for letters in [&mut self.rows, &mut self.columns] {
            let is_batch = |letter: &mut Letter| symbols.contains(&letter.symbol);
            self.batch.extend(letters.extract_if(.., is_batch));
        }
        self
    }
}

/// Follows views to memory.
fn strided(writer: &mut Writer, value: Value, at: &[Dim], symbols: &[Symbol]) -> Result<Strided, Diagnostic> {
    if writer.is_loaded(value) {
        let home = writer.homes[&value].clone();
        let offset = writer.offset(&home, at);
        let buffer = writer.buffer(home.place, Access::Read);
        return split(buffer, offset, symbols);
    }
    let domains = writer.domains.clone();
    match writer.expander.expand(value, at, &domains, &mut writer.ranges)? {
        Expansion::View { operand, guards, .. } if guards.is_empty() => {
            strided(writer, operand.0, &operand.1, symbols)
        }
        _ => Err(internal("an operand of a product is not strided memory")),
    }
}

fn split(buffer: BufferId, offset: Dim, symbols: &[Symbol]) -> Result<Strided, Diagnostic> {
    let (mut base, mut slopes) = (offset, HashMap::new());
    for symbol in symbols {
        let (slope, rest) = base
            .linear_in(symbol)
            .ok_or_else(|| internal(format!("`{base}` is not linear in `{symbol}`")))?;
        if !slope.is_zero() {
            slopes.insert(symbol.clone(), slope);
        }
        base = rest;
    }
    Ok(Strided { buffer, base, slopes })
}

/// Letters that are one axis: consecutive, with mergeable strides. The last letter's strides are the run's.
#[derive(Clone, Debug)]
struct Run {
    letters: Vec<Letter>,
    extent: Dim,
}

impl Run {
    fn last(&self) -> &Symbol {
        &self.letters[self.letters.len() - 1].symbol
    }

    /// The letters' indices at place `whole` of the run.
    fn places(&self, whole: &Dim, ranges: &Ranges) -> Vec<(Symbol, Dim)> {
        let mut rest = whole.clone();
        let mut stride = self.extent.clone();
        let mut places = Vec::new();
        for (number, letter) in self.letters.iter().enumerate() {
            if number > 0 {
                rest = rest.modulo_in(&stride, ranges);
            }
            stride =
                self.letters[number + 1..].iter().fold(Dim::one(), |size, letter| &size * &letter.extent);
            places.push((letter.symbol.clone(), rest.floor_div_in(&stride, ranges)));
        }
        places
    }
}

/// The runs of `letters`; the letter `alone` makes one of its own.
fn runs(letters: &[Letter], matrices: &[&Strided], alone: Option<&Symbol>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for letter in letters {
        let follows = |run: &Run| {
            if alone.is_some_and(|alone| *alone == letter.symbol || alone == run.last()) {
                return false;
            }
            let slope = |m: &&Strided| m.slope(run.last()) == &m.slope(&letter.symbol) * &letter.extent;
            matrices.iter().all(slope)
        };
        match runs.last_mut().filter(|run| follows(run)) {
            Some(run) => {
                run.extent = &run.extent * &letter.extent;
                run.letters.push(letter.clone());
            }
            None => runs.push(Run { letters: vec![letter.clone()], extent: letter.extent.clone() }),
        }
    }
    runs
}

/// An axis of the micro-kernel: a run, cut into panels.
#[derive(Clone, Debug)]
struct Axis {
    /// The run; `None` for an axis of length 1.
    run: Option<Run>,
    /// Number of the panel, if there are several.
    panel: Option<(Symbol, Dim)>,
    /// Length of a whole panel.
    length: Dim,
    /// Length of the current panel.
    size: Dim,
}

impl Axis {
    fn whole(run: Option<Run>) -> Axis {
        let size = run.as_ref().map_or_else(Dim::one, |run| run.extent.clone());
        Axis { run, panel: None, length: size.clone(), size }
    }

    /// Cut into panels of `length`.
    fn cut(run: Option<Run>, length: i64, name: &str) -> Axis {
        let whole = Axis::whole(run);
        let fits = whole.size.as_constant().is_some_and(|size| size <= length);
        if fits || whole.run.is_none() {
            return whole;
        }
        let width = Dim::constant(length);
        let panel = Symbol::new(name);
        let left = &whole.size - &(&width * &Dim::from(&panel));
        let even = whole.size.as_constant().is_some_and(|size| size % length == 0);
        let size = if even { width.clone() } else { width.minimum(&left) };
        Axis { run: whole.run, panel: Some((panel, whole.size.ceil_div(&width))), length: width, size }
    }

    /// First element of the current panel.
    fn start(&self) -> Dim {
        self.panel.as_ref().map_or_else(Dim::zero, |(panel, _)| &self.length * &Dim::from(panel))
    }

    /// Distance of elements in `matrix`.
    fn slope(&self, matrix: &Strided) -> Dim {
        self.run.as_ref().map_or_else(Dim::zero, |run| matrix.slope(run.last()))
    }
}

struct Product<'p, 'w> {
    writer: &'p mut Writer<'w>,
    shape: Shape,
    roots: Vec<Stored>,
    /// The result, if it goes straight to its place.
    direct: Option<Strided>,
    m: Axis,
    n: Axis,
    k: Axis,
    other_rows: Vec<Run>,
    other_columns: Vec<Run>,
    other_summed: Vec<Run>,
    /// Counters of loops that are open already.
    open: Vec<Symbol>,
    /// It adds to what is there.
    adds: bool,
}

/// The run of the highest rank, and the others.
fn take(mut runs: Vec<Run>, rank: &dyn Fn(&Run) -> f64) -> (Option<Run>, Vec<Run>) {
    let place = (0..runs.len()).rev().max_by(|a, b| rank(&runs[*a]).total_cmp(&rank(&runs[*b])));
    let run = place.map(|place| runs.remove(place));
    (run, runs)
}

/// The axes of a product: a run each for the micro-kernel, and the other runs.
struct Axes {
    m: Option<Run>,
    n: Option<Run>,
    k: Option<Run>,
    other_rows: Vec<Run>,
    other_columns: Vec<Run>,
    other_summed: Vec<Run>,
}

impl Axes {
    /// The longest runs, or the letter `chosen` where it is among them.
    fn new(shape: &Shape, direct: &Option<Strided>, guess: &Guess, chosen: Option<&Symbol>) -> Axes {
        let result: Vec<&Strided> = direct.iter().collect();
        let rank = |run: &Run| if Some(run.last()) == chosen { f64::INFINITY } else { guess.of(&run.extent) };
        let longest = |runs: Vec<Run>| take(runs, &rank);
        let (m, other_rows) = longest(runs(&shape.rows, &[&[&shape.lhs][..], &result].concat(), chosen));
        let (n, other_columns) = match shape.wide_run() {
            Some((run, _)) => (Some(run), Vec::new()),
            None => longest(runs(&shape.columns, &[&[&shape.rhs][..], &result].concat(), chosen)),
        };
        let (k, other_summed) = take(summed_runs(shape, chosen), &|run| {
            if Some(run.last()) == chosen {
                return f64::INFINITY;
            }
            // A sum along contiguous elements reads whole cache lines, one across them a line per element.
            let along = [&shape.lhs, &shape.rhs].iter().all(|m| m.slope(run.last()).is_one());
            if along && rank(run) >= ALONG { 9.0 * rank(run) } else { rank(run).min(64.0) }
        });
        Axes { m, n, k, other_rows, other_columns, other_summed }
    }
}

impl<'p, 'w> Product<'p, 'w> {
    fn new(
        writer: &'p mut Writer<'w>,
        around: &Around,
        shape: Shape,
        roots: &[Stored],
    ) -> Result<Product<'p, 'w>, Diagnostic> {
        let mut shape = shape;
        let direct = direct(writer, &shape, roots)?;
        let guess = |run: &Run| around.guess.of(&run.extent);
        let instances = |shape: &Shape| around.guess.product(shape.batch.iter().map(|letter| &letter.extent));
        // Results that several sums are added to must not share cache lines between instances: they are in tiles.
        if direct.is_none() && instances(&shape) < FEW {
            let others = Axes::new(&shape, &direct, around.guess, None).other_columns;
            let letters = others.iter().flat_map(|run| &run.letters).map(|letter| letter.symbol.clone());
            shape = shape.with_batch(&letters.collect::<Vec<_>>());
        }
        let Axes { m, n, k, other_rows, other_columns, other_summed } =
            Axes::new(&shape, &direct, around.guess, None);
        let size = |run: &Option<Run>| run.as_ref().map_or(1.0, guess);
        let all = |runs: &[Run]| runs.iter().map(guess).product::<f64>();
        let batch = instances(&shape) * all(&other_rows);
        let sizes = Sizes {
            instances: batch,
            rows: size(&m),
            columns: size(&n),
            width: size(&n) * all(&other_columns),
            depth: size(&k) * all(&other_summed),
            is_direct: direct.is_some(),
            may_cut_columns: direct.is_some()
                || (other_columns.is_empty() && n.as_ref().is_some_and(|run| run.letters.len() == 1)),
            packs_rows: k.as_ref().is_some_and(|run| !shape.lhs.slope(run.last()).is_one()),
        };
        let (rows, columns) = sizes.panels();
        let m = Axis::cut(m, rows, "row panel");
        let n = match columns {
            Some(columns) => Axis::cut(n, columns, "column panel"),
            None => Axis::whole(n),
        };
        let k = Axis::whole(k);
        let (roots, open, adds) = (roots.to_vec(), Vec::new(), false);
        Ok(Product {
            writer,
            shape,
            roots,
            direct,
            m,
            n,
            k,
            other_rows,
            other_columns,
            other_summed,
            open,
            adds,
        })
    }

    /// The part of a product that belongs to a panel of a chain.
    fn of_panel(
        writer: &'p mut Writer<'w>,
        around: &Around,
        link: &Link,
        roots: &[Stored],
        panel: &Panel,
    ) -> Result<Product<'p, 'w>, Diagnostic> {
        let mut shape = Shape::new(writer, &link.group)?.with_batch(&panel.batch);
        let is_row = |letter: &Letter| letter.symbol == link.row;
        if shape.columns.iter().any(is_row) {
            shape = shape.turned();
        } else if link.sums_rows {
            shape = shape.towards(writer, roots);
        }
        let direct = direct(writer, &shape, roots)?;
        let Axes { m, n, k, other_rows, other_columns, other_summed } =
            Axes::new(&shape, &direct, around.guess, Some(&link.row));
        let axis = |run: Option<Run>| match &run {
            Some(found) if *found.last() == link.row => Axis {
                run,
                panel: panel.number.clone(),
                length: panel.length.clone(),
                size: panel.size.clone(),
            },
            _ => Axis::whole(run),
        };
        let (m, n, k) = (axis(m), axis(n), axis(k));
        let carries = |axis: &Axis| axis.run.as_ref().is_some_and(|run| *run.last() == link.row);
        if ![&m, &n, &k].into_iter().any(carries) {
            return Err(internal(format!("no axis of a product is `{}`", link.row)));
        }
        let mut open = panel.batch.clone();
        open.extend(panel.number.iter().map(|(number, _)| number.clone()));
        let (roots, adds) = (roots.to_vec(), link.sums_rows && panel.number.is_some());
        Ok(Product {
            writer,
            shape,
            roots,
            direct,
            m,
            n,
            k,
            other_rows,
            other_columns,
            other_summed,
            open,
            adds,
        })
    }

    fn write(mut self) -> Result<usize, Diagnostic> {
        self.for_others(|product| match product.direct.clone() {
            Some(result) => {
                product.multiply(&result);
                Ok(())
            }
            None => product.through_tile(),
        })
    }

    /// Writes in the loops around the micro-kernel that are not open yet; returns how many there are.
    fn for_others(
        &mut self,
        inside: impl FnOnce(&mut Self) -> Result<(), Diagnostic>,
    ) -> Result<usize, Diagnostic> {
        let mut grid: Vec<(Symbol, Dim)> =
            self.shape.batch.iter().map(|letter| (letter.symbol.clone(), letter.extent.clone())).collect();
        grid.extend(self.other_rows.iter().map(counter));
        grid.extend(self.m.panel.iter().chain(&self.n.panel).cloned());
        grid.retain(|(counter, _)| !self.open.contains(counter));
        self.writer.open_all(&grid);
        inside(self)?;
        self.writer.close_all(&grid);
        Ok(grid.len())
    }

    /// Letters that are fixed in an instance, and the starts of panels.
    fn instance(&self) -> Vec<(Symbol, Dim)> {
        let batch = self.shape.batch.iter().map(|letter| (letter.symbol.clone(), Dim::from(&letter.symbol)));
        let rows = self.other_rows.iter().map(|run| (run.last().clone(), Dim::from(&counter(run).0)));
        let panels = [&self.m, &self.n, &self.k]
            .into_iter()
            .filter_map(|axis| Some((axis.run.as_ref()?.last().clone(), axis.start())));
        batch.chain(rows).chain(panels).collect()
    }

    fn matrix(&self, matrix: &Strided, more: &[(Symbol, Dim)], row: &Axis, column: &Axis) -> Matrix {
        let places = self.instance();
        let offset = places
            .iter()
            .chain(more)
            .fold(matrix.base.clone(), |offset, (symbol, place)| &offset + &(&matrix.slope(symbol) * place));
        Matrix { buffer: matrix.buffer, offset, row: row.slope(matrix), column: column.slope(matrix) }
    }

    /// The products of all runs outside the micro-kernel.
    fn multiply(&mut self, result: &Strided) {
        let columns: Vec<(Symbol, Dim)> = self.other_columns.iter().map(counter).collect();
        let summed: Vec<(Symbol, Dim)> = self.other_summed.iter().map(counter).collect();
        if !summed.is_empty() && !self.adds {
            self.clear(result, &columns);
        }
        for (counter, extent) in columns.iter().chain(&summed) {
            self.writer.open(counter, extent, false);
        }
        let place = |run: &Run| (run.last().clone(), Dim::from(&counter(run).0));
        let more: Vec<(Symbol, Dim)> =
            self.other_columns.iter().chain(&self.other_summed).map(place).collect();
        let gemm = Gemm {
            m: self.m.size.clone(),
            n: self.n.size.clone(),
            k: self.k.size.clone(),
            c: self.matrix(result, &more, &self.m, &self.n),
            a: self.matrix(&self.shape.lhs, &more, &self.m, &self.k),
            b: self.matrix(&self.shape.rhs, &more, &self.k, &self.n),
            accumulate: self.adds || !summed.is_empty(),
        };
        if gemm.accumulate {
            self.allow_reading(result.buffer);
        }
        self.writer.push(Statement::Gemm(Box::new(gemm)));
        columns.iter().chain(&summed).for_each(|_| self.writer.close());
    }

    fn allow_reading(&mut self, buffer: BufferId) {
        if let Some((place, _)) = self.writer.buffers.get(buffer.0 as usize).copied() {
            self.writer.buffer(place, Access::Read);
        }
    }

    /// Zeros where several products are added up.
    fn clear(&mut self, result: &Strided, columns: &[(Symbol, Dim)]) {
        let dtype = self.writer.expander.graph.ty(self.shape.value).dtype;
        let (row, column) = (Symbol::new("cleared row"), Symbol::new("cleared column"));
        let place = |run: &Run| (run.last().clone(), Dim::from(&counter(run).0));
        let more: Vec<(Symbol, Dim)> = self.other_columns.iter().map(place).collect();
        let matrix = self.matrix(result, &more, &self.m, &self.n);
        let down = &matrix.row * &Dim::from(&row);
        let offset = &(&matrix.offset + &down) + &(&matrix.column * &Dim::from(&column));
        columns.iter().for_each(|(counter, extent)| self.writer.open(counter, extent, false));
        let loops = [(row, self.m.size.clone()), (column, self.n.size.clone())];
        self.writer.open_all(&loops);
        let value = Expr::Constant(0.0, dtype);
        self.writer.push(Statement::Store { buffer: matrix.buffer, offset, value });
        self.writer.close_all(&loops);
        columns.iter().for_each(|_| self.writer.close());
    }

    /// The letters of the tile's columns with their strides, and the width of the tile.
    fn tile_columns(&self) -> (HashMap<Symbol, Dim>, Dim) {
        if self.n.panel.is_some() {
            let slopes = self.n.run.iter().map(|run| (run.last().clone(), Dim::one())).collect();
            return (slopes, self.n.length.clone());
        }
        if let Some((run, pitch)) = self.shape.wide_run() {
            let letters = run.letters.iter().map(|letter| letter.symbol.clone());
            return (letters.zip([pitch, Dim::one()]).collect(), run.extent);
        }
        let mut slopes = HashMap::new();
        let width = self.shape.columns.iter().rev().fold(Dim::one(), |stride, letter| {
            slopes.insert(letter.symbol.clone(), stride.clone());
            &stride * &letter.extent
        });
        (slopes, width)
    }

    /// Computes a panel into a tile, then everything that is made of it.
    fn through_tile(&mut self) -> Result<(), Diagnostic> {
        let (mut slopes, width) = self.tile_columns();
        let columns = slopes.clone();
        if let Some(run) = &self.m.run {
            slopes.insert(run.last().clone(), width.clone());
        }
        let value = self.shape.value;
        let dtype = self.writer.expander.graph.ty(value).dtype;
        let name = self.writer.expander.graph.name(value);
        let tile = self.writer.tile(&name, dtype, &self.m.length * &width);
        let mut result = Strided { buffer: tile, base: Dim::zero(), slopes };
        // A tile holds the current panel only: it starts at its first row, column and batch.
        for (symbol, place) in self.instance() {
            result.base = &result.base - &(&result.slope(&symbol) * &place);
        }
        self.multiply(&result);
        self.finish(tile, &columns, &width)
    }

    /// The epilogue: rows of the tile, then its columns.
    fn finish(
        &mut self,
        tile: BufferId,
        columns: &HashMap<Symbol, Dim>,
        width: &Dim,
    ) -> Result<(), Diagnostic> {
        let row = Symbol::new("row of tile");
        let mut places: Vec<(Symbol, Dim)> = Vec::new();
        let mut offset = Dim::zero();
        let has_rows = self.m.run.is_some();
        if has_rows {
            self.writer.open(&row, &self.m.size.clone(), false);
            offset = &Dim::from(&row) * width;
        }
        if let Some(run) = &self.m.run {
            let whole = &self.m.start() + &Dim::from(&row);
            places.extend(run.places(&whole, &self.writer.ranges));
        }
        for run in &self.other_rows {
            places.extend(run.places(&Dim::from(&counter(run).0), &self.writer.ranges));
        }
        let mut loops: Vec<(Symbol, Dim)> = Vec::new();
        if let (Some(_), Some(run)) = (&self.n.panel, &self.n.run) {
            let column = Symbol::new("column of tile");
            loops.push((column.clone(), self.n.size.clone()));
            places.push((run.last().clone(), &self.n.start() + &Dim::from(&column)));
            offset = &offset + &Dim::from(&column);
        } else {
            for letter in &self.shape.columns {
                loops.push((letter.symbol.clone(), letter.extent.clone()));
                offset = &offset + &(&columns[&letter.symbol] * &Dim::from(&letter.symbol));
            }
        }
        let put = |symbol: &Symbol| {
            places.iter().find(|(known, _)| known == symbol).map(|(_, place)| place.clone())
        };
        let placed = |at: &[Dim]| -> At { at.iter().map(|dim| dim.substitute(&put)).collect() };
        let point = (self.shape.value, placed(&self.shape.at));
        let roots: Vec<Stored> = self
            .roots
            .iter()
            .map(|(root, home)| {
                let mut root = root.clone();
                root.at = placed(&root.at);
                (root, home.clone())
            })
            .collect();
        self.writer.stash.insert(point, Stash { tile, offset, is_ready: true, is_written: true });
        self.writer.open_all(&loops);
        store_all(self.writer, &roots)?;
        self.writer.close_all(&loops);
        if has_rows {
            self.writer.close();
        }
        Ok(())
    }
}

/// The place of the result, if the product can be written there as it is.
fn direct(writer: &mut Writer, shape: &Shape, roots: &[Stored]) -> Result<Option<Strided>, Diagnostic> {
    let [(root, home)] = roots else { return Ok(None) };
    if shape.pitch.is_some() || root.value != shape.value || root.at != shape.at {
        return Ok(None);
    }
    let offset = writer.offset(home, &root.at);
    let buffer = writer.buffer(home.place, Access::Write);
    let symbols: Vec<Symbol> = shape
        .batch
        .iter()
        .chain(&shape.rows)
        .chain(&shape.columns)
        .map(|letter| letter.symbol.clone())
        .collect();
    split(buffer, offset, &symbols).map(Some)
}

/// Runs of summed letters, in the order that gives fewer.
fn summed_runs(shape: &Shape, alone: Option<&Symbol>) -> Vec<Run> {
    let matrices = [&shape.lhs, &shape.rhs];
    let first = runs(&shape.summed, &matrices, alone);
    let by_slope = |matrix: &Strided| {
        let mut letters = shape.summed.clone();
        letters.sort_by_key(|letter| {
            let slope = matrix.slope(&letter.symbol);
            std::cmp::Reverse(slope.evaluate(&|_| Some(61)).unwrap_or(0))
        });
        runs(&letters, &matrices, alone)
    };
    let mut best = first;
    for other in [by_slope(&shape.rhs), by_slope(&shape.lhs)] {
        if other.len() < best.len() {
            best = other;
        }
    }
    best
}

/// A loop over a run outside the micro-kernel.
fn counter(run: &Run) -> (Symbol, Dim) {
    (Symbol::new(&format!("{}/run", run.last())), run.extent.clone())
}
