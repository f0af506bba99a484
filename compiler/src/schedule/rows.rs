//! Groups without a product: pointwise kernels, and kernels that fold rows or columns and use the folds' results.
//!
//! A split group walks its inner counters in sweeps. The folds of one sweep depend on folds of earlier sweeps only; a
//! value that two sweeps need and that is dear stays in a tile. A fold over columns keeps its running values in a tile,
//! one per inner element.

use super::chain::{Link, Panel};
use super::depths::Depths;
use super::expand::{Point, Sweep};
use super::facts::Facts;
use super::home::Home;
use super::sizes::Guess;
use super::units::{Group, Root};
use super::writer::{Stash, Writer};
use nnc_base::Diagnostic;
use nnc_ir::kernel::{BufferId, Expr, Statement, Var};
use nnc_ir::{Dim, Symbol};
use std::collections::{HashMap, HashSet};

/// Columns that one instance folds.
const COLUMNS: i64 = 256;
/// Additions from which on a value is kept rather than computed in the next sweep.
const DEAR: f64 = 8.0;
/// Elements a tile may have.
const LARGEST_TILE: f64 = 16384.0;

/// What a group's kernel needs to know.
pub(super) struct Around<'a> {
    pub facts: &'a Facts,
    pub guess: &'a Guess,
}

/// A root with the home it is stored in.
pub(super) type Stored = (Root, Home);

/// Writes the kernel of a group; returns how many of its outermost loops are the grid.
pub(super) fn write(
    writer: &mut Writer,
    around: &Around,
    group: &Group,
    roots: &[Stored],
) -> Result<usize, Diagnostic> {
    match &group.split {
        None => pointwise(writer, group, roots),
        Some(_) => Rows::new(writer, around, group, roots).write(),
    }
}

/// Writes a group of a chain for one panel of rows; batch loops are open.
pub(super) fn write_panel(
    writer: &mut Writer,
    around: &Around,
    link: &Link,
    roots: &[Stored],
    panel: &Panel,
) -> Result<(), Diagnostic> {
    let place = &panel.start() + &Dim::from(&link.row);
    let put = |symbol: &Symbol| (*symbol == link.row).then(|| place.clone());
    let mut roots = roots.to_vec();
    for (root, _) in &mut roots {
        root.at.iter_mut().for_each(|dim| *dim = dim.substitute(&put));
    }
    let mut group = link.group.clone();
    group.counters.retain(|(counter, _)| !panel.batch.contains(counter));
    let own = group.counters.iter_mut().filter(|(counter, _)| *counter == link.row);
    own.for_each(|(_, extent)| *extent = panel.size.clone());
    write(writer, around, &group, &roots).map(|_| ())
}

fn pointwise(writer: &mut Writer, group: &Group, roots: &[Stored]) -> Result<usize, Diagnostic> {
    writer.open_all(&group.counters);
    store_all(writer, roots)?;
    writer.close_all(&group.counters);
    Ok(group.counters.len())
}

/// Computes all roots, then stores them: what is read is read before it is overwritten.
pub(super) fn store_all(writer: &mut Writer, roots: &[Stored]) -> Result<(), Diagnostic> {
    let values = roots.iter().map(|(root, _)| writer.emit(root.value, &root.at));
    let values = values.collect::<Result<Vec<_>, _>>()?;
    for ((root, home), value) in roots.iter().zip(values) {
        writer.store_at(home, &root.at, value);
    }
    Ok(())
}

/// A fold of the group.
struct Folded {
    point: Point,
    sweep: Sweep,
    /// Sweeps that must come before.
    depth: usize,
    /// One running value per inner element.
    is_column: bool,
}

/// One walk over the inner elements.
#[derive(Default)]
struct Walk {
    domain: Vec<(Symbol, Dim)>,
    folds: Vec<usize>,
    roots: Vec<usize>,
    is_column: bool,
}

struct Rows<'r, 'w> {
    writer: &'r mut Writer<'w>,
    around: &'r Around<'r>,
    outer: Vec<(Symbol, Dim)>,
    inner: Vec<(Symbol, Dim)>,
    roots: Vec<Stored>,
    folds: Vec<Folded>,
    depths: HashMap<Point, usize>,
}

impl<'r, 'w> Rows<'r, 'w> {
    fn new(
        writer: &'r mut Writer<'w>,
        around: &'r Around<'r>,
        group: &Group,
        roots: &[Stored],
    ) -> Rows<'r, 'w> {
        let is_outer =
            |counter: &Symbol| group.split.as_ref().is_none_or(|split| split.outer.contains(counter));
        let (outer, inner) = group.counters.iter().cloned().partition(|(counter, _)| is_outer(counter));
        let (folds, depths) = (Vec::new(), HashMap::new());
        Rows { writer, around, outer, inner, roots: roots.to_vec(), folds, depths }
    }

    fn write(mut self) -> Result<usize, Diagnostic> {
        self.find_folds()?;
        if self.folds.iter().any(|fold| fold.is_column) {
            self.cut_columns()?;
        }
        self.writer.open_all(&self.outer);
        let walks = self.walks();
        self.stash(&walks)?;
        for walk in &walks {
            match walk.is_column {
                true => self.columns(walk)?,
                false => self.sweep(walk)?,
            }
        }
        let outside: Vec<Stored> =
            self.roots.iter().filter(|(root, _)| !self.is_inner(&root.at)).cloned().collect();
        store_all(self.writer, &outside)?;
        self.writer.close_all(&self.outer);
        Ok(self.outer.len())
    }

    fn is_inner(&self, at: &[Dim]) -> bool {
        at.iter().any(|dim| self.inner.iter().any(|(counter, _)| dim.mentions(counter)))
    }

    fn find_folds(&mut self) -> Result<(), Diagnostic> {
        for counter in self.outer.iter().chain(&self.inner) {
            self.writer.ranges.counter(&counter.0, &counter.1);
        }
        let writer = &*self.writer;
        let is_loaded = |value| writer.is_loaded(value);
        let mut depths = Depths::new(writer.expander, &writer.domains, writer.ranges.clone(), &is_loaded);
        for (root, _) in &self.roots {
            depths.of(&(root.value, root.at.clone()))?;
        }
        let Depths { ranges, known, folds, .. } = depths;
        let fold = |(point, sweep, depth): (Point, Sweep, usize)| {
            let is_column = self.is_inner(&point.1);
            Folded { point, sweep, depth, is_column }
        };
        self.folds = folds.into_iter().map(fold).collect();
        self.depths = known;
        self.writer.ranges = ranges;
        Ok(())
    }

    /// The elements this one is made of.
    fn below(&mut self, point: &Point) -> Result<Vec<Point>, Diagnostic> {
        let writer = &mut *self.writer;
        let expansion = writer.expander.expand(point.0, &point.1, &writer.domains, &mut writer.ranges)?;
        Ok(super::units::points_of(&expansion, &writer.ranges).into_iter().map(|(point, _)| point).collect())
    }

    /// Wide rows of columns are cut into pieces, one per instance.
    fn cut_columns(&mut self) -> Result<(), Diagnostic> {
        let Some((counter, extent)) = self.inner.first().cloned() else { return Ok(()) };
        let width = Dim::constant(COLUMNS);
        if extent.as_constant().is_some_and(|extent| extent <= 2 * COLUMNS) || self.inner.len() > 1 {
            return Ok(());
        }
        let (piece, column) =
            (Symbol::new(&format!("{}/piece", counter.0)), Symbol::new(&format!("{}/column", counter.0)));
        let place = &(&width * &Dim::from(&piece)) + &Dim::from(&column);
        let put = |symbol: &Symbol| (*symbol == counter).then(|| place.clone());
        for (root, _) in &mut self.roots {
            root.at.iter_mut().for_each(|dim| *dim = dim.substitute(&put));
        }
        let left = &extent - &(&width * &Dim::from(&piece));
        let whole = extent.as_constant().is_some_and(|extent| extent % COLUMNS == 0);
        self.outer.push((piece, extent.ceil_div(&width)));
        self.inner = vec![(column, if whole { width } else { width.minimum(&left) })];
        self.find_folds()
    }

    /// The sweeps, in order.
    fn walks(&mut self) -> Vec<Walk> {
        let last = self.depths.values().copied().max().unwrap_or(0);
        let mut walks = Vec::new();
        for depth in 0..=last {
            let first = walks.len();
            for (number, fold) in self.folds.iter().enumerate().filter(|(_, fold)| fold.depth == depth) {
                let fits =
                    |walk: &&mut Walk| walk.is_column == fold.is_column && walk.domain == fold.sweep.domain;
                match walks[first..].iter_mut().find(fits) {
                    Some(walk) => walk.folds.push(number),
                    None => walks.push(Walk {
                        domain: fold.sweep.domain.clone(),
                        folds: vec![number],
                        is_column: fold.is_column,
                        ..Walk::default()
                    }),
                }
            }
            for (number, (root, _)) in self.roots.iter().enumerate() {
                let due = self.depths.get(&(root.value, root.at.clone())) == Some(&depth);
                if !due || !self.is_inner(&root.at) {
                    continue;
                }
                let fits = |walk: &&mut Walk| !walk.is_column && walk.domain == self.inner;
                match walks[first..].iter_mut().find(fits) {
                    Some(walk) => walk.roots.push(number),
                    None => walks.push(Walk {
                        domain: self.inner.clone(),
                        roots: vec![number],
                        ..Walk::default()
                    }),
                }
            }
        }
        walks
    }

    /// Finds what several sweeps need, and gives it tiles.
    fn stash(&mut self, walks: &[Walk]) -> Result<(), Diagnostic> {
        if !self.writer.expander.target.tiles {
            return Ok(());
        }
        let mut seen: HashMap<Point, usize> = HashMap::new();
        let mut kept: Vec<(Point, usize)> = Vec::new();
        for (number, walk) in walks.iter().enumerate().filter(|(_, walk)| !walk.is_column) {
            let size = self.around.guess.product(walk.domain.iter().map(|(_, extent)| extent));
            if size > LARGEST_TILE {
                continue;
            }
            let mut visited = HashSet::new();
            for point in self.sources(walk) {
                self.visit(point, &mut seen, &mut visited, &mut kept)?;
            }
            visited.into_iter().for_each(|point| {
                seen.entry(point).or_insert(number);
            });
        }
        for (point, number) in kept {
            self.keep(point, &walks[number].domain);
        }
        Ok(())
    }

    fn sources(&self, walk: &Walk) -> Vec<Point> {
        let folded = walk.folds.iter().flat_map(|number| self.folds[*number].sweep.factors.clone());
        let stored =
            walk.roots.iter().map(|number| (self.roots[*number].0.value, self.roots[*number].0.at.clone()));
        folded.chain(stored).collect()
    }

    fn visit(
        &mut self,
        point: Point,
        seen: &mut HashMap<Point, usize>,
        visited: &mut HashSet<Point>,
        kept: &mut Vec<(Point, usize)>,
    ) -> Result<(), Diagnostic> {
        let outside = !point.1.iter().any(|dim| dim.symbols().iter().any(|s| !self.is_outside(s)));
        if self.writer.is_loaded(point.0) || outside || visited.contains(&point) {
            return Ok(());
        }
        let dear = self.around.facts.of(point.0).weight >= DEAR;
        if seen.contains_key(&point) && dear {
            let first = seen[&point];
            if !kept.iter().any(|(known, _)| *known == point) {
                kept.push((point, first));
            }
            return Ok(());
        }
        let below = self.below(&point)?;
        visited.insert(point);
        below.into_iter().try_for_each(|point| self.visit(point, seen, visited, kept))
    }

    fn is_outside(&self, symbol: &Symbol) -> bool {
        let known = |list: &[(Symbol, Dim)]| list.iter().any(|(counter, _)| counter == symbol);
        known(&self.outer)
            || (!known(&self.inner) && !self.folds.iter().any(|fold| known(&fold.sweep.domain)))
    }

    fn keep(&mut self, point: Point, domain: &[(Symbol, Dim)]) {
        let name = self.writer.expander.graph.name(point.0);
        let dtype = self.writer.expander.graph.ty(point.0).dtype;
        let (size, offset) = linear(domain);
        let tile = self.writer.tile(&name, dtype, size);
        self.writer.stash.insert(point, Stash { tile, offset, is_ready: false, is_written: false });
    }

    fn sweep(&mut self, walk: &Walk) -> Result<(), Diagnostic> {
        let mut folds: Vec<(usize, Var)> = Vec::new();
        for number in &walk.folds {
            let fold = &self.folds[*number];
            let var = self.writer.declare(fold.point.0, fold.sweep.fold);
            folds.push((*number, var));
        }
        self.writer.open_all(&walk.domain);
        let mut terms = Vec::new();
        for (number, var) in &folds {
            let fold = &self.folds[*number];
            terms.push((*var, self.writer.term(&fold.sweep, self.writer.scalars[var.0 as usize])?));
        }
        let roots: Vec<Stored> = walk.roots.iter().map(|number| self.roots[*number].clone()).collect();
        store_all(self.writer, &roots)?;
        terms.into_iter().for_each(|(var, value)| self.writer.push(Statement::Accumulate { var, value }));
        self.writer.store_pending();
        self.writer.close_all(&walk.domain);
        self.writer.settle();
        for (number, var) in folds {
            let point = self.folds[number].point.clone();
            let narrow = self.writer.expander.graph.ty(point.0).dtype;
            let result = self.writer.cast(Expr::Var(var), narrow);
            let result = self.writer.bind(result);
            self.writer.remember(point, result);
        }
        Ok(())
    }

    /// Folds columns: running values in tiles, what is folded in order outside.
    fn columns(&mut self, walk: &Walk) -> Result<(), Diagnostic> {
        let (size, offset) = linear(&self.inner);
        let mut tiles: Vec<(usize, BufferId)> = Vec::new();
        for number in &walk.folds {
            let (value, fold) = (self.folds[*number].point.0, self.folds[*number].sweep.fold);
            let dtype = self.writer.wide(value, fold);
            let size = self.inner_bound(&size);
            let tile = self.writer.tile(&self.writer.expander.graph.name(value), dtype, size);
            tiles.push((*number, tile));
        }
        let inner = self.inner.clone();
        self.writer.open_all(&inner);
        for (number, tile) in &tiles {
            let (value, fold) = (self.folds[*number].point.0, self.folds[*number].sweep.fold);
            let dtype = self.writer.wide(value, fold);
            let identity = Expr::Constant(fold.identity_of(dtype), dtype);
            self.writer.push(Statement::Store { buffer: *tile, offset: offset.clone(), value: identity });
        }
        self.writer.close_all(&inner);
        walk.domain.iter().for_each(|(counter, extent)| self.writer.open(counter, extent, false));
        self.writer.open_all(&inner);
        for (number, tile) in &tiles {
            let fold = &self.folds[*number];
            let dtype = self.writer.wide(fold.point.0, fold.sweep.fold);
            let term = self.writer.term(&fold.sweep, dtype)?;
            let running = Expr::Load(*tile, offset.clone());
            let value = Expr::Apply(fold.sweep.fold.function(), vec![running, term]);
            self.writer.push(Statement::Store { buffer: *tile, offset: offset.clone(), value });
        }
        self.writer.close_all(&inner);
        walk.domain.iter().for_each(|_| self.writer.close());
        for (number, tile) in tiles {
            let point = self.folds[number].point.clone();
            let offset = offset.clone();
            self.writer.stash.insert(point, Stash { tile, offset, is_ready: true, is_written: true });
        }
        Ok(())
    }

    /// The tile of a piece of columns is as large as the largest piece.
    fn inner_bound(&self, size: &Dim) -> Dim {
        match self.outer.last() {
            Some((piece, _)) if size.mentions(piece) => Dim::constant(COLUMNS),
            _ => size.clone(),
        }
    }
}

/// The number of elements of a domain, and the row-major place of the current one.
pub(super) fn linear(domain: &[(Symbol, Dim)]) -> (Dim, Dim) {
    domain.iter().fold((Dim::one(), Dim::zero()), |(size, place), (counter, extent)| {
        (&size * extent, &(&place * extent) + &Dim::from(counter))
    })
}
