//! Groups that finish a matrix product: panels of the result by the micro-kernel, into their place or into a tile that
//! the rest of the group consumes while it is in cache.
//!
//! Letters of the contraction become four lists: batch, rows, columns, summed. Letters whose strides allow it are merged
//! into one run; the longest run of each list is an axis of the micro-kernel, the others are loops around it. Panel sizes
//! depend on shapes only.

mod runs;
mod shape;

use super::chain::{Link, Panel};
use super::expand::{At, internal};
use super::panels::Sizes;
use super::rows::{Around, Stored, store_all};
use super::units::Group;
use super::writer::{Stash, Writer};
use nnc_base::Diagnostic;
use nnc_ir::kernel::{Access, BufferId, Expr, Gemm, Matrix, Statement};
use nnc_ir::{Dim, Symbol};
use runs::{Axes, Axis, Others, Run, counter};
use shape::{Letter, Shape, Strided, direct};
use std::collections::HashMap;

/// Products of one shape below which columns outside the micro-kernel are spread over instances too.
const FEW: f64 = 16.0;
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
        let columns: Vec<(Symbol, Dim)> = product.others.columns.iter().map(counter).collect();
        product.clear(&result, &columns);
        Ok(())
    })?;
    Ok(())
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
    others: Others,
    /// Counters of loops that are open already.
    open: Vec<Symbol>,
    /// It adds to what is there.
    adds: bool,
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
            let others = Axes::new(&shape, &direct, around.guess, None).others.columns;
            let letters = others.iter().flat_map(|run| &run.letters).map(|letter| letter.symbol.clone());
            shape = shape.with_batch(&letters.collect::<Vec<_>>());
        }
        let Axes { m, n, k, others } = Axes::new(&shape, &direct, around.guess, None);
        let size = |run: &Option<Run>| run.as_ref().map_or(1.0, guess);
        let all = |runs: &[Run]| runs.iter().map(guess).product::<f64>();
        let batch = instances(&shape) * all(&others.rows);
        let sizes = Sizes {
            instances: batch,
            rows: size(&m),
            columns: size(&n),
            width: size(&n) * all(&others.columns),
            depth: size(&k) * all(&others.summed),
            is_direct: direct.is_some(),
            may_cut_columns: direct.is_some()
                || (others.columns.is_empty() && n.as_ref().is_some_and(|run| run.letters.len() == 1)),
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
        Ok(Product { writer, shape, roots, direct, m, n, k, others, open, adds })
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
        let Axes { m, n, k, others } = Axes::new(&shape, &direct, around.guess, Some(&link.row));
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
        Ok(Product { writer, shape, roots, direct, m, n, k, others, open, adds })
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
        grid.extend(self.others.rows.iter().map(counter));
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
        let rows = self.others.rows.iter().map(|run| (run.last().clone(), Dim::from(&counter(run).0)));
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
        let columns: Vec<(Symbol, Dim)> = self.others.columns.iter().map(counter).collect();
        let summed: Vec<(Symbol, Dim)> = self.others.summed.iter().map(counter).collect();
        if !summed.is_empty() && !self.adds {
            self.clear(result, &columns);
        }
        for (counter, extent) in columns.iter().chain(&summed) {
            self.writer.open(counter, extent, false);
        }
        let place = |run: &Run| (run.last().clone(), Dim::from(&counter(run).0));
        let more: Vec<(Symbol, Dim)> =
            self.others.columns.iter().chain(&self.others.summed).map(place).collect();
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
        let more: Vec<(Symbol, Dim)> = self.others.columns.iter().map(place).collect();
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
        for run in &self.others.rows {
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
