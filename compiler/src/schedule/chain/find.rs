//! Finds chains among the units of a block.

use super::{Chain, Link};
use crate::schedule::expand::At;
use crate::schedule::units::joining::{letters_at, summed_symbol};
use crate::schedule::units::{Group, Kind, Read, Surroundings, Unit, Units, needs};
use nnc_ir::ops::Op;
use nnc_ir::{DType, Dim, Symbol, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Instances that must be left if a chain adds up over its rows, which no two instances may share.
const INSTANCES: f64 = 4.0;

/// Makes chains of the units of a block, where that keeps matrices out of memory.
pub(in crate::schedule) fn merge(around: &Surroundings, units: &mut Units) {
    if !around.expander.target.tiles || !around.expander.target.gemm {
        return;
    }
    for matrices in components(around, units) {
        // Chains found before have changed the numbers of units.
        let candidates = matrices.iter().flat_map(|value| touching(units, *value)).collect();
        let finder = Finder { around, units, matrices: &matrices };
        if let Some((members, chain)) = finder.chain(&candidates) {
            replace(units, &members, chain);
        }
    }
}

/// Matrices of one shape that are connected by units that make or read them.
fn components(around: &Surroundings, units: &Units) -> Vec<BTreeSet<Value>> {
    let mut found: Vec<(BTreeSet<Value>, BTreeSet<usize>)> = Vec::new();
    let mut values: Vec<Value> = units.makers.keys().copied().collect();
    values.sort();
    for value in values.into_iter().filter(|value| is_matrix(around, units, *value)) {
        let (mut matrices, mut around_it) = (BTreeSet::from([value]), touching(units, value));
        let shape = around.expander.graph.shape(value);
        found.retain_mut(|(others, units)| {
            let alike = others.iter().all(|other| around.expander.graph.shape(*other) == shape);
            let joins = alike && !units.is_disjoint(&around_it);
            if joins {
                matrices.append(others);
                around_it.append(units);
            }
            !joins
        });
        found.push((matrices, around_it));
    }
    found.into_iter().map(|(matrices, _)| matrices).collect()
}

fn touching(units: &Units, value: Value) -> BTreeSet<usize> {
    let readers = units.units.iter().enumerate().filter(|(_, unit)| unit.reads.contains_key(&value));
    readers.map(|(number, _)| number).chain(units.makers.get(&value).copied()).collect()
}

/// Whether a value may live in tiles: it has batch axes, rows and columns, and only groups touch it.
fn is_matrix(around: &Surroundings, units: &Units, value: Value) -> bool {
    let ty = around.expander.graph.ty(value);
    let free = !units.destined.contains_key(&value) && !units.placed.contains_key(&value);
    let floats = matches!(ty.dtype, DType::F32 | DType::F64);
    let axes = ty.shape.len() >= 3 && ty.shape[ty.shape.len() - 2..].iter().all(|size| !size.is_one());
    let groups =
        || touching(units, value).into_iter().all(|unit| matches!(units.units[unit].kind, Kind::Group(_)));
    free && floats && axes && groups()
}

struct Finder<'a, 's, 'f> {
    around: &'a Surroundings<'s, 'f>,
    units: &'a Units<'f>,
    matrices: &'a BTreeSet<Value>,
}

impl Finder<'_, '_, '_> {
    /// A chain of as many of these units as fit, with their numbers.
    fn chain(&self, candidates: &BTreeSet<usize>) -> Option<(Vec<usize>, Chain)> {
        let (columns, rest) = self.shape().split_last()?;
        let (rows, before) = rest.split_last()?;
        let name = |(axis, size): (usize, &Dim)| (Symbol::new(&format!("batch{axis}@chain")), size.clone());
        let batch: Vec<(Symbol, Dim)> =
            before.iter().enumerate().filter(|(_, size)| !size.is_one()).map(name).collect();
        let names = batch.iter().map(|(name, _)| name.clone()).collect();
        let names = Frame { batch: names, row: Symbol::new("row@chain") };
        let many = self.around.guess.product(batch.iter().map(|(_, size)| size)) >= INSTANCES;
        let mut members: Vec<(usize, Link)> = Vec::new();
        for unit in self.in_order(candidates) {
            let link = self.link(unit, &names).filter(|link| many || !link.sums_rows);
            if let Some(link) = link.filter(|_| self.joins(unit, &members, &names)) {
                members.push((unit, link));
            }
        }
        let numbers: Vec<usize> = members.iter().map(|(unit, _)| *unit).collect();
        let inside = |value: &&Value| touching(self.units, **value).iter().all(|unit| numbers.contains(unit));
        let tiled: Vec<Value> = self.matrices.iter().filter(inside).copied().collect();
        let links = members.into_iter().map(|(_, link)| link).collect();
        let (row, width, axes) = ((names.row, rows.clone()), columns.clone(), before.len());
        let chain = Chain { links, batch, row, width, axes, tiled };
        (!chain.tiled.is_empty()).then_some((numbers, chain))
    }

    /// Of all matrices.
    fn shape(&self) -> &[Dim] {
        self.matrices.first().map_or(&[], |value| self.around.expander.graph.shape(*value))
    }

    /// Units, what is read before what reads it.
    fn in_order(&self, candidates: &BTreeSet<usize>) -> Vec<usize> {
        let needs: Vec<(usize, HashSet<usize>)> =
            candidates.iter().map(|unit| (*unit, needs(&self.units.units, *unit))).collect();
        let mut order: Vec<usize> = Vec::new();
        while order.len() < candidates.len() {
            let ready = |(unit, needs): &&(usize, HashSet<usize>)| {
                let done = |other: &usize| order.contains(other) || !needs.contains(other);
                !order.contains(unit) && candidates.iter().all(done)
            };
            let Some((next, _)) = needs.iter().find(ready) else { break };
            order.push(*next);
        }
        order
    }

    /// The group of `unit` with the chain's names, if it works row by row or sums over rows.
    fn link(&self, unit: usize, names: &Frame) -> Option<Link> {
        let unit = &self.units.units[unit];
        let Kind::Group(group) = &unit.kind else { return None };
        let frame = self.frame(unit, group)?;
        let counter = |symbol: &Symbol| group.counters.iter().find(|(counter, _)| counter == symbol);
        let sums_rows = counter(&frame.row).is_none();
        let fits = self.walks_all(group, &frame)
            && match (&group.anchor, &group.split) {
                (Some(_), _) => self.is_batched(group, &frame, sums_rows),
                (None, Some(split)) => frame.symbols().all(|symbol| split.outer.contains(symbol)),
                (None, None) => !sums_rows,
            }
            && (sums_rows
                || group.roots.iter().all(|root| frame.symbols().all(|symbol| holds(&root.at, symbol))));
        let row = if sums_rows { frame.row.clone() } else { names.row.clone() };
        fits.then(|| Link { group: frame.renamed(group, names), row, sums_rows })
    }

    /// Whether the group walks all rows in all batches of the matrices: one that reads a part walks no panels.
    fn walks_all(&self, group: &Group, frame: &Frame) -> bool {
        let sizes = self.shape()[..self.shape().len() - 1].iter().filter(|size| !size.is_one());
        let counter = |symbol: &Symbol| group.counters.iter().find(|(counter, _)| counter == symbol);
        frame.symbols().zip(sizes).all(|(symbol, size)| match counter(symbol) {
            Some((_, extent)) => extent == size,
            None => *symbol == frame.row && self.summed_size(group, symbol).as_ref() == Some(size),
        })
    }

    /// How far a product sums over a letter.
    fn summed_size(&self, group: &Group, symbol: &Symbol) -> Option<Dim> {
        let expander = self.around.expander;
        let node = expander.graph.node(group.anchor.as_ref()?.0)?;
        let Op::Contract(op) = &node.op else { return None };
        let extents = expander.letters(op, &node.operands);
        extents.into_iter().find(|(letter, _)| summed_symbol(*letter) == *symbol).map(|(_, extent)| extent)
    }

    /// The counters of batch and rows, if all matrices are touched at the same.
    fn frame(&self, unit: &Unit, group: &Group) -> Option<Frame> {
        let reads = self.matrices.iter().filter_map(|value| unit.reads.get(value)).flatten();
        let reads = reads.map(|read: &Read| read.at.as_ref());
        let makes = group.roots.iter().filter(|root| self.matrices.contains(&root.value));
        let touches = reads.chain(makes.map(|root| Some(&root.at)));
        let mut frame: Option<Frame> = None;
        for at in touches {
            let found = Frame::of(at?, self.shape())?;
            if *frame.get_or_insert_with(|| found.clone()) != found {
                return None;
            }
        }
        frame
    }

    /// Whether a product has other factors in every batch, as then panels share no operand, but not in every row, as then
    /// a panel is no product. One that sums over rows must go straight to its place.
    fn is_batched(&self, group: &Group, frame: &Frame, sums_rows: bool) -> bool {
        let Some((value, at)) = &group.anchor else { return false };
        let Some(Op::Contract(op)) = self.around.expander.graph.node(*value).map(|node| &node.op) else {
            return false;
        };
        let index = letters_at(op, at);
        let shared = op.lhs.iter().filter(|letter| op.rhs.contains(letter));
        let shared: Vec<&Symbol> = shared.filter_map(|letter| index[letter].as_symbol()).collect();
        let batched = frame.batch.iter().any(|symbol| shared.contains(&symbol));
        let many = sums_rows || !shared.contains(&&frame.row);
        let sums = op.lhs.iter().chain(&op.rhs).any(|letter| summed_symbol(*letter) == frame.row);
        let direct = || match group.roots.as_slice() {
            [root] => root.value == *value && root.at == *at,
            _ => false,
        };
        let kept = || frame.batch.iter().all(|symbol| holds(at, symbol));
        batched && many && sums == sums_rows && (!sums_rows || direct() && kept())
    }

    /// Whether a unit can follow the members: what it reads of theirs is of its own rows, and nothing else must run
    /// in between.
    fn joins(&self, unit: usize, members: &[(usize, Link)], names: &Frame) -> bool {
        let is_member = |number: &usize| members.iter().any(|(member, _)| member == number);
        let Unit { kind: Kind::Group(group), deps, reads, .. } = &self.units.units[unit] else {
            return false;
        };
        let Some(frame) = self.frame(&self.units.units[unit], group) else { return false };
        let between = |dep: &usize| !is_member(dep) && needs(&self.units.units, *dep).iter().any(is_member);
        let own_rows = |(member, other): &(usize, Link)| {
            let made = other.group.roots.iter().filter(|root| reads.contains_key(&root.value));
            let mut pairs = made.flat_map(|root| reads[&root.value].iter().map(move |read| (root, read)));
            let same = |at: &At, read: &Read| {
                read.at.as_ref().is_some_and(|read| names.agree(at, &frame.in_names(read, names)))
            };
            !deps.contains(member) || !other.sums_rows && pairs.all(|(root, read)| same(&root.at, read))
        };
        !deps.iter().any(between) && members.iter().all(own_rows) && self.has_room(unit, members)
    }

    /// Whether the members and one more touch no more memory than a kernel may.
    fn has_room(&self, unit: usize, members: &[(usize, Link)]) -> bool {
        let all = members.iter().map(|(member, _)| *member).chain([unit]).map(|unit| &self.units.units[unit]);
        let touched: HashSet<Value> = all
            .flat_map(|unit| {
                let roots =
                    unit.kind.groups().into_iter().flat_map(|group| &group.roots).map(|root| root.value);
                unit.reads.keys().copied().chain(roots.collect::<Vec<_>>())
            })
            .collect();
        touched.len() <= self.around.expander.target.max_buffers
    }
}

fn holds(at: &At, symbol: &Symbol) -> bool {
    at.iter().any(|dim| dim.as_symbol() == Some(symbol))
}

/// The names of a chain's counters, in a group or in the chain.
#[derive(Clone, Debug, PartialEq)]
struct Frame {
    batch: Vec<Symbol>,
    row: Symbol,
}

impl Frame {
    /// From the index of a matrix of this shape.
    fn of(at: &At, shape: &[Dim]) -> Option<Frame> {
        let (_, rest) = at.split_last()?;
        let (row, before) = rest.split_last()?;
        let batch = before.iter().zip(shape).filter(|(_, size)| !size.is_one());
        let batch = batch.map(|(dim, _)| dim.as_symbol().cloned()).collect::<Option<Vec<_>>>()?;
        let frame = Frame { batch, row: row.as_symbol()?.clone() };
        let distinct: HashSet<&Symbol> = frame.symbols().collect();
        (distinct.len() == frame.batch.len() + 1).then_some(frame)
    }

    fn symbols(&self) -> impl Iterator<Item = &Symbol> {
        self.batch.iter().chain([&self.row])
    }

    fn name<'n>(&self, symbol: &Symbol, names: &'n Frame) -> Option<&'n Symbol> {
        let place = self.symbols().position(|known| known == symbol)?;
        names.symbols().nth(place)
    }

    fn in_names(&self, at: &At, names: &Frame) -> At {
        at.iter().map(|dim| dim.substitute(&|symbol| self.name(symbol, names).map(Dim::from))).collect()
    }

    /// Whether an element read is of the batch and row in which it is written.
    fn agree(&self, written: &At, read: &At) -> bool {
        let named = |dim: &Dim| self.symbols().any(|name| dim.mentions(name));
        written.iter().zip(read).all(|(written, read)| !named(written) || written == read)
    }

    /// `group`, whose counters have the names of `self`, with other names.
    fn renamed(&self, group: &Group, names: &Frame) -> Group {
        let mut group = group.clone();
        let rename = |symbol: &mut Symbol| {
            if let Some(name) = self.name(symbol, names) {
                *symbol = name.clone();
            }
        };
        group.counters.iter_mut().for_each(|(counter, _)| rename(counter));
        if let Some(split) = &mut group.split {
            split.outer.iter_mut().chain(&mut split.inner).for_each(rename);
        }
        group.at = self.in_names(&group.at, names);
        group.roots.iter_mut().for_each(|root| root.at = self.in_names(&root.at, names));
        if let Some((_, at)) = &mut group.anchor {
            *at = self.in_names(at, names);
        }
        group
    }
}

/// Puts a chain in the place of its groups.
fn replace(units: &mut Units, members: &[usize], chain: Chain) {
    let number = units.units.len();
    let inside = |unit: &usize| members.contains(unit);
    let mut deps = BTreeSet::new();
    let mut reads: HashMap<Value, Vec<Read>> = HashMap::new();
    let mut position = 0;
    for unit in members.iter().map(|unit| &units.units[*unit]) {
        deps.extend(unit.deps.iter().copied().filter(|dep| !inside(dep)));
        position = position.max(unit.position);
        for (value, found) in unit.reads.iter().filter(|(value, _)| !chain.tiled.contains(value)) {
            reads.entry(*value).or_default().extend(found.iter().cloned());
        }
    }
    units.makers.retain(|value, _| !chain.tiled.contains(value));
    units.units.push(Unit { kind: Kind::Chain(Box::new(chain)), position, deps, reads });
    let kept: Vec<usize> = (0..=number).filter(|unit| !inside(unit)).collect();
    let places: BTreeMap<usize, usize> = kept.iter().enumerate().map(|(new, old)| (*old, new)).collect();
    let place = |unit: &usize| places.get(unit).copied().unwrap_or(places[&number]);
    let mut old = std::mem::take(&mut units.units).into_iter().enumerate();
    units.units = old.by_ref().filter(|(unit, _)| !inside(unit)).map(|(_, unit)| unit).collect();
    for unit in &mut units.units {
        unit.deps = unit.deps.iter().map(place).collect();
    }
    units.makers.values_mut().for_each(|unit| *unit = place(unit));
}
