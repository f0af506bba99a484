//! From loops to a kernel: nests are collapsed where the offsets allow it, outer loops become the grid, long inner loops
//! are cut into pieces, names become canonical so that equal kernels are equal.

use super::borders;
use super::cost;
use super::index::tidy;
use super::sizes::Guess;
use super::strips;
use super::visit::{self, Dims, Rename};
use super::writer::{FIRST_TILE, Writer};
use nnc_ir::kernel::{Buffer, BufferId, Kernel, LoopKind, Statement, Var};
use nnc_ir::plan::{Place, PlaceId};
use nnc_ir::{Dim, Symbol};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Additions that one instance of a pointwise kernel should do at least.
const PIECE: f64 = 16384.0;

/// How the loops of a kernel are spread over its grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    /// This many outer loops are the grid.
    Outer(usize),
    /// Every loop of the nest may be the grid; vectors want long inner loops.
    Pointwise,
    /// As `Outer`, and loops must stay as they are.
    Fixed(usize),
}

/// The finished kernel, and the places its buffers are bound to.
pub(super) fn finish(
    writer: &mut Writer,
    places: &[Place],
    guess: &Guess,
    name: &str,
    spread: Spread,
) -> (Kernel, Vec<PlaceId>) {
    let mut body = writer.take_body();
    let vector = writer.expander.target.vector;
    let count = match spread {
        Spread::Outer(count) | Spread::Fixed(count) => count,
        Spread::Pointwise => usize::MAX,
    };
    let counters = nest(&body, count);
    if !matches!(spread, Spread::Fixed(_)) {
        body = collapse_all(body);
    }
    let mut grid = Vec::new();
    match spread {
        Spread::Pointwise if vector => cut(&mut body, &mut grid, &counters, guess),
        _ => peel(&mut body, &mut grid, &|counter| counters.contains(counter)),
    }
    let mut ranges = writer.ranges.clone();
    grid.iter().for_each(|(counter, extent)| ranges.counter(counter, extent));
    visit::rename(&mut body, &mut Dims(&|dim| tidy(dim, &ranges)));
    let on_vectors = vector && writer.expander.target.tiles;
    if on_vectors {
        body = borders::cut(body, writer);
    }
    // A border may leave scalars that nothing reads.
    prune(&mut body);
    if on_vectors {
        let mut guess = guess.clone();
        grid.iter().for_each(|(counter, extent)| guess.counter(counter, extent));
        body = strips::cut(body, writer, &guess);
    }
    let buffers = writer.buffers.iter().map(|(id, access)| {
        let place = &places[id.0 as usize];
        Buffer { name: place.name.clone(), dtype: place.dtype, size: place.size(), access: *access }
    });
    let mut kernel = Kernel {
        name: identifier(name),
        sizes: Vec::new(),
        buffers: buffers.collect(),
        tiles: std::mem::take(&mut writer.tiles),
        grid,
        body,
        scalars: std::mem::take(&mut writer.scalars),
        cost: 0.0,
    };
    canonical(&mut kernel);
    kernel.cost = cost::instance(&kernel, guess, vector);
    (kernel, writer.buffers.iter().map(|(place, _)| *place).collect())
}

/// The counters of the first `count` loops of a nest.
fn nest(body: &[Statement], count: usize) -> Vec<Symbol> {
    let mut counters = Vec::new();
    let mut body = body;
    while counters.len() < count {
        let Some(Statement::For { counter, body: inner, .. }) = body.last() else { break };
        counters.push(counter.clone());
        body = inner;
    }
    counters
}

/// Whether a statement may be moved into every instance.
fn is_pure(statement: &Statement) -> bool {
    matches!(statement, Statement::Let(..) | Statement::Index { .. })
}

/// Moves outer loops to the grid.
fn peel(body: &mut Vec<Statement>, grid: &mut Vec<(Symbol, Dim)>, is_grid: &dyn Fn(&Symbol) -> bool) {
    while let Some((Statement::For { counter, .. }, before)) = body.split_last() {
        if !is_grid(counter) || !before.iter().all(is_pure) {
            return;
        }
        let Some(Statement::For { counter, extent, body: inner, .. }) = body.pop() else { return };
        grid.push((counter, extent));
        body.extend(inner);
    }
}

fn collapse_all(body: Vec<Statement>) -> Vec<Statement> {
    body.into_iter().map(collapse).collect()
}

/// Merges a loop with the only loop inside it, where every dim counts through both as one.
fn collapse(statement: Statement) -> Statement {
    let Statement::For { counter, extent, kind, body } = statement else { return statement };
    let mut body = collapse_all(body);
    let mergeable = match body.as_slice() {
        [Statement::For { counter: inner, extent: length, body: nested, .. }] => {
            !length.mentions(&counter) && counts_as_one(nested, &counter, inner, length)
        }
        _ => false,
    };
    if !mergeable {
        return Statement::For { counter, extent, kind, body };
    }
    let Some(Statement::For { counter: inner, extent: length, kind, body: mut nested }) = body.pop() else {
        return Statement::For { counter, extent, kind, body };
    };
    let drop = |symbol: &Symbol| (*symbol == counter).then(Dim::zero);
    visit::rename(&mut nested, &mut Dims(&|dim| dim.substitute(&drop)));
    Statement::For { counter: inner, extent: &extent * &length, kind, body: nested }
}

fn counts_as_one(body: &[Statement], outer: &Symbol, inner: &Symbol, length: &Dim) -> bool {
    let mut fits = true;
    visit::dims(body, &mut |dim| {
        if !fits || !(dim.mentions(outer) || dim.mentions(inner)) {
            return;
        }
        let slopes = dim.linear_in(outer).zip(dim.linear_in(inner));
        fits = slopes.is_some_and(|((a, rest), (b, _))| {
            let clean = !a.mentions(inner) && !b.mentions(outer);
            clean && a == &b * length && rest.linear_in(inner).is_some()
        });
    });
    fits
}

/// Spreads a pointwise nest: the innermost loop stays in the instance, cut if it is long; if it is short, the next one
/// stays too.
fn cut(body: &mut Vec<Statement>, grid: &mut Vec<(Symbol, Dim)>, counters: &[Symbol], guess: &Guess) {
    let loops = loops(body, counters.len());
    let Some((last, extent)) = loops.last().cloned() else { return };
    let work = cost::additions(innermost(body, loops.len()), guess).max(1.0);
    let length = guess.of(&extent).max(1.0);
    let wanted = (PIECE / work).max(64.0);
    let mut stays = vec![last.clone()];
    let cut_at = if length >= wanted / 2.0 || loops.len() == 1 {
        Some((last, extent, wanted))
    } else {
        let (before, extent) = loops[loops.len() - 2].clone();
        stays.push(before.clone());
        Some((before, extent, (wanted / length).max(1.0)))
    };
    if let Some((counter, extent, wanted)) = cut_at {
        let wanted = wanted.log2().ceil().exp2() as i64;
        if extent.as_constant().is_none_or(|extent| extent > 2 * wanted) {
            cut_loop(body, &counter, wanted);
        }
    }
    peel(body, grid, &|counter| !stays.contains(counter));
}

/// The loops of a nest, outermost first.
fn loops(body: &[Statement], count: usize) -> Vec<(Symbol, Dim)> {
    let mut found = Vec::new();
    let mut body = body;
    while let Some(Statement::For { counter, extent, body: inner, .. }) = body.last() {
        if found.len() == count {
            break;
        }
        found.push((counter.clone(), extent.clone()));
        body = inner;
    }
    found
}

fn innermost(body: &[Statement], depth: usize) -> &[Statement] {
    let mut body = body;
    for _ in 0..depth {
        if let Some(Statement::For { body: inner, .. }) = body.last() {
            body = inner;
        }
    }
    body
}

/// `for c in 0..n` becomes `for piece { for c in 0..min(length, rest) }`.
fn cut_loop(body: &mut Vec<Statement>, wanted: &Symbol, length: i64) {
    let Some(Statement::For { counter, extent, kind, body: inner }) = body.last_mut() else { return };
    if counter != wanted {
        return cut_loop(inner, wanted, length);
    }
    let (width, piece) = (Dim::constant(length), Symbol::new(&format!("{counter}/piece")));
    let start = &width * &Dim::from(&piece);
    let even = extent.as_constant().is_some_and(|extent| extent % length == 0);
    let rest = if even { width.clone() } else { width.minimum(&(&*extent - &start)) };
    let count = extent.ceil_div(&width);
    let moved = &start + &Dim::from(&*counter);
    let put = |symbol: &Symbol| (symbol == wanted).then(|| moved.clone());
    let mut inner = std::mem::take(inner);
    visit::rename(&mut inner, &mut Dims(&|dim| dim.substitute(&put)));
    let nested = Statement::For { counter: counter.clone(), extent: rest, kind: *kind, body: inner };
    let outer =
        Statement::For { counter: piece, extent: count, kind: LoopKind::Sequential, body: vec![nested] };
    body.pop();
    body.push(outer);
}

/// Removes scalars that nothing reads.
fn prune(body: &mut Vec<Statement>) {
    loop {
        let mut read = HashSet::new();
        reads(body, &mut read);
        if !remove(body, &read) {
            return;
        }
    }
}

fn reads(body: &[Statement], found: &mut HashSet<Var>) {
    for statement in body {
        match statement {
            Statement::For { body, .. } | Statement::Guard { body, .. } => reads(body, found),
            other => visit::reads_of(other, &mut |var| {
                found.insert(var);
            }),
        }
    }
}

fn remove(body: &mut Vec<Statement>, read: &HashSet<Var>) -> bool {
    let before = body.len();
    body.retain(|statement| !matches!(statement, Statement::Let(var, _) if !read.contains(var)));
    let mut changed = body.len() != before;
    for statement in body {
        if let Statement::For { body, .. } | Statement::Guard { body, .. } = statement {
            changed |= remove(body, read);
        }
    }
    changed
}

/// Canonical names, and the sizes that are left free.
fn canonical(kernel: &mut Kernel) {
    let mut bound: BTreeSet<Symbol> = kernel.grid.iter().map(|(counter, _)| counter.clone()).collect();
    bound_in(&kernel.body, &mut bound);
    let mut mentioned = BTreeSet::new();
    visit::dims(&kernel.body, &mut |dim| mentioned.extend(dim.symbols()));
    kernel.grid.iter().for_each(|(_, extent)| mentioned.extend(extent.symbols()));
    kernel.buffers.iter().for_each(|buffer| mentioned.extend(buffer.size.symbols()));
    kernel.tiles.iter().for_each(|tile| mentioned.extend(tile.size.symbols()));
    kernel.sizes = mentioned.into_iter().filter(|symbol| !bound.contains(symbol)).collect();
    let mut names = Names {
        taken: kernel.sizes.iter().cloned().collect(),
        symbols: HashMap::new(),
        count: 0,
        vars: HashMap::new(),
        buffers: kernel.buffers.len() as u32,
    };
    for (counter, extent) in &mut kernel.grid {
        names.dim(extent);
        names.bind(counter);
    }
    visit::rename(&mut kernel.body, &mut names);
    let mut scalars = vec![None; names.vars.len()];
    names
        .vars
        .iter()
        .for_each(|(old, new)| scalars[new.0 as usize] = kernel.scalars.get(old.0 as usize).copied());
    kernel.scalars = scalars.into_iter().flatten().collect();
}

fn bound_in(body: &[Statement], bound: &mut BTreeSet<Symbol>) {
    for statement in body {
        match statement {
            Statement::For { counter, body, .. } => {
                bound.insert(counter.clone());
                bound_in(body, bound);
            }
            Statement::Guard { body, .. } => bound_in(body, bound),
            Statement::Index { symbol, .. } => {
                bound.insert(symbol.clone());
            }
            _ => {}
        }
    }
}

struct Names {
    taken: HashSet<Symbol>,
    symbols: HashMap<Symbol, Symbol>,
    count: usize,
    vars: HashMap<Var, Var>,
    buffers: u32,
}

impl Rename for Names {
    fn dim(&mut self, dim: &mut Dim) {
        *dim = dim.substitute(&|symbol| self.symbols.get(symbol).map(Dim::from));
    }

    fn bind(&mut self, symbol: &mut Symbol) {
        let fresh = loop {
            let name = Symbol::new(&format!("i{}", self.count));
            self.count += 1;
            if !self.taken.contains(&name) {
                break name;
            }
        };
        self.symbols.insert(symbol.clone(), fresh.clone());
        *symbol = fresh;
    }

    fn buffer(&mut self, buffer: &mut BufferId) {
        if let Some(tile) = buffer.0.checked_sub(FIRST_TILE) {
            *buffer = BufferId(self.buffers + tile);
        }
    }

    fn var(&mut self, var: &mut Var) {
        let next = Var(self.vars.len() as u32);
        *var = *self.vars.entry(*var).or_insert(next);
    }
}

/// A legal identifier.
fn identifier(name: &str) -> String {
    let clean: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let clean = clean.trim_matches('_');
    match clean.chars().next() {
        Some(first) if first.is_ascii_alphabetic() => clean.to_string(),
        _ => format!("k_{clean}"),
    }
}
