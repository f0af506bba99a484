//! The order of a block's units and the homes of its values.
//!
//! A result may be written where an old value lies that others still read: slots and carried values are updated in
//! place. Readers go first; a unit that reads the old value itself may overwrite it only element by element. Where that
//! is not possible the new value goes to a place of its own and is copied at the end.

use super::block::Scheduler;
use super::depths::Depths;
use super::expand::internal;
use super::home::Home;
use super::units::{Dest, Group, Kind, Read, Root, Unit, Units, depends};
use nnc_base::Diagnostic;
use nnc_ir::graph::Node;
use nnc_ir::ops::Op;
use nnc_ir::{Dim, Value};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Where a loop keeps a carried value.
#[derive(Clone, Debug)]
pub(super) struct Carry {
    /// Before the loop.
    pub first: Home,
    /// At the start of a turn.
    pub before: Home,
    /// At the end of a turn.
    pub after: Home,
    /// The collected values that need no writing of their own, as they are where the carried one is.
    pub collected: HashSet<usize>,
}

/// What ordering a block decides.
pub(super) struct Settled {
    /// Units in order.
    pub order: Vec<usize>,
    /// Carried values, by the loop's result.
    pub carries: HashMap<Value, Carry>,
    /// Homes of the block's results, as the units write them.
    pub results: Vec<Home>,
    /// Copies at the end of the block.
    pub copies: Vec<(Home, Home, Value)>,
}

impl<'s> Scheduler<'s> {
    /// Orders units and gives homes to everything they keep in memory.
    pub(super) fn settle(
        &mut self,
        units: &mut Units<'s>,
        results: &[(Value, Home)],
    ) -> Result<Settled, Diagnostic> {
        let mut settled = Settled {
            order: Vec::new(),
            carries: HashMap::new(),
            results: results.iter().map(|(_, home)| home.clone()).collect(),
            copies: Vec::new(),
        };
        for (place, (value, home)) in results.iter().enumerate() {
            let writers = writers(units, *value, place);
            if !writers.is_empty() && !self.may_overwrite(units, &writers, *value, place, home) {
                let own = self.scratch(*value);
                settled.copies.push((own.clone(), home.clone(), *value));
                settled.results[place] = own;
            }
        }
        for (value, place) in &units.destined {
            self.homes.insert(*value, settled.results[*place].clone());
        }
        self.carries(units, &mut settled)?;
        for (value, result) in &units.placed {
            let carry =
                settled.carries.get(result).ok_or_else(|| internal("a carried value has no place"))?;
            self.homes.insert(*value, carry.first.clone());
        }
        let mut kept: Vec<Value> = units.makers.keys().copied().collect();
        kept.sort();
        for value in kept {
            if !self.homes.contains_key(&value) {
                let home = self.scratch(value);
                self.homes.insert(value, home);
            }
        }
        settled.order = order(&units.units)?;
        Ok(settled)
    }

    /// Lets all readers of what lies in a result's home go first, if that is possible.
    fn may_overwrite(
        &self,
        units: &mut Units,
        writers: &[usize],
        value: Value,
        place: usize,
        home: &Home,
    ) -> bool {
        if self.histories.contains(&home.place) {
            return true;
        }
        let old: Vec<Value> = self
            .homes
            .iter()
            .filter(|(_, known)| known.place == home.place)
            .map(|(value, _)| *value)
            .collect();
        let readers: Vec<usize> = (0..units.units.len())
            .filter(|unit| old.iter().any(|value| units.units[*unit].reads.contains_key(value)))
            .collect();
        for reader in &readers {
            for writer in writers {
                let fits = match reader == writer {
                    true => {
                        old.iter().all(|old| self.in_place(&units.units[*writer], *old, value, place, home))
                    }
                    false => !depends(&units.units, *reader, *writer),
                };
                if !fits {
                    return false;
                }
            }
        }
        for writer in writers {
            units.units[*writer].deps.extend(readers.iter().copied().filter(|reader| reader != writer));
        }
        true
    }

    /// Whether a unit that reads `old` may write the new value over it.
    fn in_place(&self, unit: &Unit, old: Value, value: Value, place: usize, home: &Home) -> bool {
        let Some(reads) = unit.reads.get(&old) else { return true };
        match &unit.kind {
            Kind::Node(node) => match &node.op {
                Op::If(_) => true,
                Op::Loop(op) => {
                    let captured = node.blocks.iter().any(|block| block.captures().contains(&old));
                    let carried = node.operands[..op.carried].contains(&old);
                    let collected = node.results[op.carried..].contains(&value);
                    collected && !captured && !carried && self.homes[&old] == *home
                }
                Op::Insert(_) | Op::Scatter(_) => {
                    node.operands[0] == old && !node.operands[1..].contains(&old) && self.homes[&old] == *home
                }
                _ => false,
            },
            Kind::Group(group) => {
                let root = group.roots.iter().find(|root| match root.dest {
                    Dest::Own => root.value == value,
                    Dest::Result(number) => number == place,
                    Dest::Init(result) => result == value,
                });
                let same =
                    |read: &Read| root.is_some_and(|root| Some(&root.at) == read.at.as_ref()) && !read.folded;
                self.is_single_walk(group) && self.homes[&old] == *home && reads.iter().all(same)
            }
            Kind::Chain(_) => false,
        }
    }

    fn carries(&mut self, units: &Units<'s>, settled: &mut Settled) -> Result<(), Diagnostic> {
        let loops: Vec<&'s Node> = units
            .units
            .iter()
            .filter_map(|unit| match unit.kind {
                Kind::Node(node) if matches!(node.op, Op::Loop(_)) => Some(node),
                _ => None,
            })
            .collect();
        for node in loops {
            let Op::Loop(op) = &node.op else { continue };
            for place in 0..op.carried {
                let carry = self.carry(node, place);
                settled.carries.insert(node.results[place], carry);
            }
        }
        Ok(())
    }

    /// One place that is updated, or one place per turn if all turns are collected anyway.
    fn carry(&mut self, node: &Node, place: usize) -> Carry {
        let (result, body) = (node.results[place], &node.blocks[0]);
        let Op::Loop(op) = &node.op else { return self.single(result) };
        let same = |number: &usize| {
            let collected = body.results[*number];
            let free = !self.homes.contains_key(&node.results[*number]);
            free && (collected == body.params[place] || collected == body.results[place])
        };
        let collected: HashSet<usize> = match self.homes.contains_key(&result) {
            true => HashSet::new(),
            false => (op.carried..body.results.len()).filter(same).collect(),
        };
        if collected.is_empty() {
            return self.single(result);
        }
        let shape = [&[&op.count + &Dim::one()], self.graph.shape(result)].concat();
        let history = self.place(&self.graph.name(result), self.graph.ty(result).dtype, shape);
        self.histories.insert(history.place);
        let (turn, next) = (Dim::from(&op.counter), &Dim::from(&op.counter) + &Dim::one());
        let (first, last) =
            if op.reverse { (op.count.clone(), Dim::zero()) } else { (Dim::zero(), op.count.clone()) };
        let (before, after) = if op.reverse { (next, turn) } else { (turn, next) };
        self.homes.insert(result, history.part(&last));
        for number in &collected {
            let is_before = body.results[*number] == body.params[place];
            let shifted = is_before == op.reverse;
            let stride = history.strides.first().cloned().unwrap_or_default();
            let offset = if shifted { &history.offset + &stride } else { history.offset.clone() };
            self.homes.insert(node.results[*number], Home { offset, ..history.clone() });
        }
        let [first, before, after] = [first, before, after].map(|index| history.part(&index));
        Carry { first, before, after, collected }
    }
}

impl Scheduler<'_> {
    /// Whether all roots of a group are stored in one walk, and nothing is read after it.
    fn is_single_walk(&self, group: &Group) -> bool {
        let Some(split) = &group.split else { return true };
        let is_inner =
            |root: &&Root| root.at.iter().any(|dim| split.inner.iter().any(|counter| dim.mentions(counter)));
        let own = |value| group.roots.iter().any(|root| root.value == value && root.dest == Dest::Own);
        let is_loaded = |value| self.homes.contains_key(&value) && !own(value);
        let mut depths = Depths::new(self.expander, &group.domains, group.ranges.clone(), &is_loaded);
        let depth = |root: &Root| depths.of(&(root.value, root.at.clone())).ok();
        let all: Vec<usize> = group.roots.iter().filter(is_inner).filter_map(depth).collect();
        let inner = group.roots.iter().filter(is_inner).count();
        let outer = group.roots.len() - inner;
        let deepest = depths.known.values().copied().max().unwrap_or(0);
        all.len() == inner && all.iter().all(|depth| *depth == deepest) && (inner == 0 || outer == 0)
    }

    /// A carried value with one place.
    fn single(&mut self, result: Value) -> Carry {
        let home = match self.homes.get(&result) {
            Some(home) => home.clone(),
            None => self.scratch(result),
        };
        self.homes.insert(result, home.clone());
        Carry { first: home.clone(), before: home.clone(), after: home, collected: HashSet::new() }
    }
}

/// The units that write a result of the block: the one that makes it, and those that prepare a loop's place.
fn writers(units: &Units, value: Value, place: usize) -> Vec<usize> {
    let mut found = Vec::new();
    for (number, unit) in units.units.iter().enumerate() {
        let writes = match &unit.kind {
            Kind::Node(node) => node.results.contains(&value) && units.destined.get(&value) == Some(&place),
            groups => groups.groups().iter().flat_map(|group| &group.roots).any(|root| match root.dest {
                Dest::Own => root.value == value && units.destined.get(&value) == Some(&place),
                Dest::Init(result) => result == value && units.destined.get(&value) == Some(&place),
                Dest::Result(result) => result == place,
            }),
        };
        if writes {
            found.push(number);
        }
    }
    let prepared = units
        .placed
        .iter()
        .filter(|(_, result)| **result == value && units.destined.get(&value) == Some(&place));
    found.extend(prepared.filter_map(|(operand, _)| units.makers.get(operand)));
    found.sort_unstable();
    found.dedup();
    found
}

/// A topological order that keeps the block's order where it is free.
fn order(units: &[Unit]) -> Result<Vec<usize>, Diagnostic> {
    let mut left: BTreeSet<(usize, usize)> =
        units.iter().enumerate().map(|(number, unit)| (unit.position, number)).collect();
    let mut done: HashSet<usize> = HashSet::new();
    let mut order = Vec::new();
    while !left.is_empty() {
        let ready =
            left.iter().find(|(_, number)| units[*number].deps.iter().all(|dep| done.contains(dep))).copied();
        let Some((position, number)) = ready else {
            return Err(internal("kernels depend on each other in a circle"));
        };
        left.remove(&(position, number));
        done.insert(number);
        order.push(number);
    }
    Ok(order)
}
