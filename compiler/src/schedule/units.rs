//! What becomes one kernel. A block is walked from its results to its parameters; when a value's turn comes, all its
//! readers are known. It is computed where it is read, or gets memory and a group of its own, or joins a group that
//! reads it at the very index it is written at.
//!
//! A group is an iteration space with roots (values that are stored), an optional product whose result it finishes, and
//! folds whose results it uses. Whatever a group reads from memory is computed by another unit: `deps` stays acyclic.

use super::chain::Chain;
use super::expand::{At, Class, Domains, Expander, Expansion, Point, internal, is_index_map};
use super::facts::Facts;
use super::graph::Def;
use super::home::Home;
use super::index::tidy;
use super::sizes::Guess;
use nnc_base::Diagnostic;
use nnc_ir::graph::Node;
use nnc_ir::ops::Op;
use nnc_ir::plan::PlaceId;
use nnc_ir::{Dim, Ranges, Symbol, Value};
use std::collections::{BTreeSet, HashMap, HashSet};

/// The longest expression that is computed under a guard.
const LONGEST_GUARDED: f64 = 64.0;
/// Elements of an iteration space that one instance may walk alone.
const SERIAL: f64 = 16384.0;

/// Where a root is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dest {
    /// In its own home.
    Own,
    /// In the place of a loop's carried value, before the loop; named by the loop's result.
    Init(Value),
    /// In the home of the block's result with this number.
    Result(usize),
}

/// A value that a group stores.
#[derive(Clone, Debug)]
pub(super) struct Root {
    pub value: Value,
    pub at: At,
    pub dest: Dest,
}

/// Which counters of a group are shared by its folds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Split {
    /// An instance has one value of each.
    pub outer: Vec<Symbol>,
    /// An instance walks these.
    pub inner: Vec<Symbol>,
}

/// One kernel over one iteration space.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// Counters with their extents, outermost first.
    pub counters: Vec<(Symbol, Dim)>,
    /// The index that names each element of the space once.
    pub at: At,
    pub roots: Vec<Root>,
    pub split: Option<Split>,
    /// The product that is finished here.
    pub anchor: Option<Point>,
    pub domains: Domains,
    pub ranges: Ranges,
}

/// What a unit is.
#[derive(Clone, Debug)]
pub(super) enum Kind<'f> {
    Group(Box<Group>),
    /// Groups that share a kernel.
    Chain(Box<Chain>),
    /// A node with a kernel of its own, with a loop or with branches.
    Node(&'f Node),
}

impl Kind<'_> {
    /// The groups it consists of.
    pub fn groups(&self) -> Vec<&Group> {
        match self {
            Kind::Group(group) => vec![group],
            Kind::Chain(chain) => chain.links.iter().map(|link| &link.group).collect(),
            Kind::Node(_) => Vec::new(),
        }
    }
}

/// One step of a block.
#[derive(Clone, Debug)]
pub(super) struct Unit<'f> {
    pub kind: Kind<'f>,
    /// Place in the block's order, for ties.
    pub position: usize,
    /// Units whose results it reads.
    pub deps: BTreeSet<usize>,
    /// What it reads from memory, and where.
    pub reads: HashMap<Value, Vec<Read>>,
}

/// How a unit reads a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Read {
    /// The index; `None`: anywhere.
    pub at: Option<At>,
    /// It is folded.
    pub folded: bool,
}

/// The units of a block.
pub(super) struct Units<'f> {
    pub units: Vec<Unit<'f>>,
    /// The unit that computes each value with a home.
    pub makers: HashMap<Value, usize>,
    /// Values computed directly into a loop's carried place, by the loop's result.
    pub placed: HashMap<Value, Value>,
    /// Values that are block results, with the result's number.
    pub destined: HashMap<Value, usize>,
    /// For people.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Demand {
    unit: usize,
    at: Option<At>,
    matrix: bool,
    guarded: bool,
    folded: bool,
}

impl Demand {
    /// Of an element by a group.
    fn of(unit: usize, at: At) -> Demand {
        Demand { unit, at: Some(at), matrix: false, guarded: false, folded: false }
    }

    /// Of the whole value.
    fn whole(unit: usize) -> Demand {
        Demand { unit, at: None, matrix: false, guarded: false, folded: false }
    }

    fn read(&self) -> Read {
        Read { at: self.at.clone(), folded: self.folded }
    }
}

/// What the planner knows of its surroundings.
pub(super) struct Surroundings<'s, 'f> {
    pub expander: Expander<'f>,
    pub facts: &'s Facts,
    pub guess: &'s Guess,
    pub ranges: &'s Ranges,
    pub homes: &'s HashMap<Value, Home>,
}

/// Plans the units of a block.
pub(super) fn plan<'f>(
    around: &Surroundings<'_, 'f>,
    nodes: &'f [Node],
    results: &[(Value, Home)],
) -> Result<Units<'f>, Diagnostic> {
    let mut planner = Planner::new(around, nodes, results);
    planner.results(results)?;
    for (position, node) in nodes.iter().enumerate().rev() {
        planner.position = position;
        planner.node(node)?;
    }
    Ok(planner.done)
}

struct Planner<'s, 'f> {
    around: &'s Surroundings<'s, 'f>,
    local: HashSet<Value>,
    uses: HashMap<Value, usize>,
    demands: HashMap<Value, Vec<Demand>>,
    position: usize,
    done: Units<'f>,
}

impl<'s, 'f> Planner<'s, 'f> {
    fn new(
        around: &'s Surroundings<'s, 'f>,
        nodes: &'f [Node],
        results: &[(Value, Home)],
    ) -> Planner<'s, 'f> {
        let local = nodes.iter().flat_map(|node| node.results.iter().copied()).collect();
        let mut uses: HashMap<Value, usize> = HashMap::new();
        let used = nodes.iter().flat_map(Node::uses).chain(results.iter().map(|(value, _)| *value));
        used.for_each(|value| *uses.entry(value).or_default() += 1);
        let done = Units {
            units: Vec::new(),
            makers: HashMap::new(),
            placed: HashMap::new(),
            destined: HashMap::new(),
            notes: Vec::new(),
        };
        Planner { around, local, uses, demands: HashMap::new(), position: nodes.len(), done }
    }

    fn results(&mut self, results: &[(Value, Home)]) -> Result<(), Diagnostic> {
        for (place, (value, home)) in results.iter().enumerate() {
            let fresh = self.local.contains(value) && !self.done.destined.contains_key(value);
            if fresh {
                self.done.destined.insert(*value, place);
            } else if self.around.homes.get(value) != Some(home) {
                self.copy(*value, Dest::Result(place))?;
            }
        }
        Ok(())
    }

    /// A group that stores `value` elsewhere.
    fn copy(&mut self, value: Value, dest: Dest) -> Result<usize, Diagnostic> {
        let unit = self.group(value, dest);
        let at = self.at(unit);
        self.demand(value, Demand::of(unit, at))?;
        Ok(unit)
    }

    fn unit(&mut self, kind: Kind<'f>) -> usize {
        let unit = Unit { kind, position: self.position, deps: BTreeSet::new(), reads: HashMap::new() };
        self.done.units.push(unit);
        self.done.units.len() - 1
    }

    /// A new group over the elements of `value`.
    fn group(&mut self, value: Value, dest: Dest) -> usize {
        let number = self.done.units.len();
        let mut group = Group { ranges: self.around.ranges.clone(), ..Group::default() };
        for (axis, size) in self.around.expander.graph.shape(value).iter().enumerate() {
            if size.is_one() {
                group.at.push(Dim::zero());
                continue;
            }
            let counter = Symbol::new(&format!("c{axis}@{number}"));
            group.ranges.counter(&counter, size);
            group.at.push(Dim::from(&counter));
            group.counters.push((counter, size.clone()));
        }
        group.roots.push(Root { value, at: group.at.clone(), dest });
        self.unit(Kind::Group(Box::new(group)))
    }

    fn as_group(&self, unit: usize) -> Option<&Group> {
        match &self.done.units[unit].kind {
            Kind::Group(group) => Some(group),
            Kind::Chain(_) | Kind::Node(_) => None,
        }
    }

    fn as_group_mut(&mut self, unit: usize) -> Option<&mut Group> {
        match &mut self.done.units[unit].kind {
            Kind::Group(group) => Some(group),
            Kind::Chain(_) | Kind::Node(_) => None,
        }
    }

    fn at(&self, unit: usize) -> At {
        self.as_group(unit).map(|group| group.at.clone()).unwrap_or_default()
    }

    /// Records that a unit needs elements of `value`.
    fn demand(&mut self, value: Value, demand: Demand) -> Result<(), Diagnostic> {
        if self.around.homes.contains_key(&value) {
            self.read(value, &demand);
            return Ok(());
        }
        if self.local.contains(&value) {
            let demands = self.demands.entry(value).or_default();
            if !demands.contains(&demand) {
                demands.push(demand);
            }
            return Ok(());
        }
        self.spread(value, &demand)
    }

    fn read(&mut self, value: Value, demand: &Demand) {
        let reads = self.done.units[demand.unit].reads.entry(value).or_default();
        if !reads.contains(&demand.read()) {
            reads.push(demand.read());
        }
    }

    /// Passes a demand on to what `value` is made of.
    fn spread(&mut self, value: Value, demand: &Demand) -> Result<(), Diagnostic> {
        let expander = self.around.expander;
        let Some(at) = &demand.at else {
            let below = match expander.graph.def(value) {
                Def::Node(node, _) => node.uses(),
                Def::Slice(operand, _) => vec![operand],
                Def::Given => return Err(internal(format!("%{} is read, but has no home", value.0))),
            };
            return below.into_iter().try_for_each(|operand| self.demand(operand, demand.clone()));
        };
        let group = self.as_group_mut(demand.unit).ok_or_else(|| internal("only groups read elements"))?;
        let (domains, mut ranges) = (group.domains.clone(), std::mem::take(&mut group.ranges));
        let expansion = expander.expand(value, at, &domains, &mut ranges)?;
        let points = points_of(&expansion, &ranges);
        if let Some(group) = self.as_group_mut(demand.unit) {
            group.ranges = ranges;
        }
        let folds = match &expansion {
            Expansion::Opaque => return Err(internal(format!("%{} cannot be computed in place", value.0))),
            Expansion::Fold(sweep) => !sweep.unrolled,
            _ => false,
        };
        for ((operand, at), guarded) in points {
            let (guarded, folded) = (guarded || demand.guarded, folds || demand.folded);
            self.demand(operand, Demand { at: Some(at), guarded, folded, ..demand.clone() })?;
        }
        Ok(())
    }

    fn node(&mut self, node: &'f Node) -> Result<(), Diagnostic> {
        match self.around.expander.class(node.results[0]) {
            Class::Given => Ok(()),
            Class::Special | Class::Structure => self.whole(node),
            class => self.decide(node.results[0], class),
        }
    }

    fn is_wanted(&self, value: Value) -> bool {
        self.demands.contains_key(&value)
            || self.done.destined.contains_key(&value)
            || self.done.placed.contains_key(&value)
    }

    /// A node that is a unit of its own.
    fn whole(&mut self, node: &'f Node) -> Result<(), Diagnostic> {
        if !node.results.iter().any(|result| self.is_wanted(*result)) {
            return Ok(());
        }
        let unit = self.unit(Kind::Node(node));
        for result in &node.results {
            let demands = self.demands.remove(result).unwrap_or_default();
            self.publish(*result, unit, &demands);
        }
        let anywhere = Demand::whole(unit);
        let carried = match &node.op {
            Op::Loop(op) => op.carried,
            _ => 0,
        };
        for (place, operand) in node.operands.iter().enumerate() {
            if place < carried {
                self.carry(*operand, node.results[place], unit)?;
            } else {
                self.demand(*operand, anywhere.clone())?;
            }
        }
        let captures: BTreeSet<Value> = node.blocks.iter().flat_map(|block| block.captures()).collect();
        captures.into_iter().try_for_each(|value| self.demand(value, anywhere.clone()))
    }

    /// Brings the first value of a carried value to its place.
    fn carry(&mut self, operand: Value, result: Value, unit: usize) -> Result<(), Diagnostic> {
        let alone = self.local.contains(&operand) && self.uses.get(&operand) == Some(&1);
        if alone && !self.done.placed.contains_key(&operand) {
            self.done.placed.insert(operand, result);
            return self.demand(operand, Demand::whole(unit));
        }
        let copy = self.copy(operand, Dest::Init(result))?;
        self.done.units[unit].deps.insert(copy);
        Ok(())
    }

    /// `unit` keeps `value` in memory; all others read it there.
    fn publish(&mut self, value: Value, unit: usize, demands: &[Demand]) {
        self.done.makers.insert(value, unit);
        for demand in demands.iter().filter(|demand| demand.unit != unit) {
            self.done.units[demand.unit].deps.insert(unit);
            self.read(value, demand);
        }
    }

    fn decide(&mut self, value: Value, class: Class) -> Result<(), Diagnostic> {
        if !self.is_wanted(value) {
            return Ok(());
        }
        let mut demands = self.demands.remove(&value).unwrap_or_default();
        let required = self.done.destined.contains_key(&value) || self.done.placed.contains_key(&value);
        if class == Class::Light {
            demands = self.pass_matrices(value, demands)?;
            if demands.is_empty() && !required {
                return Ok(());
            }
        }
        let stored = required || self.must_be_stored(value, class, &demands);
        let repeated =
            demands.iter().any(|demand| (demand.unit, &demand.at) != (demands[0].unit, &demands[0].at));
        match class {
            Class::Light if !stored && (!repeated || self.is_view(value) || self.is_repeatable(value)) => {
                self.pass(value, &demands)
            }
            Class::Fold if !stored && !repeated && self.admits_fold(value, &demands[0]) => {
                self.state_fold(value, &demands[0]);
                self.pass(value, &demands)
            }
            Class::Product if !stored && !repeated && self.admits_product(value, &demands[0]) => {
                let at = demands[0].at.clone().unwrap_or_default();
                self.anchor(value, demands[0].unit, at)
            }
            _ => self.store(value, class, demands),
        }
    }

    fn is_repeatable(&self, value: Value) -> bool {
        self.around.facts.is_free(value) || self.around.facts.is_cheap(value)
    }

    /// Whether `value` is nothing but another one at other indices: keeping that one is enough.
    fn is_view(&self, value: Value) -> bool {
        match self.around.expander.graph.def(value) {
            Def::Node(node, _) => is_index_map(&node.op),
            Def::Slice(..) => true,
            Def::Given => false,
        }
    }

    fn pass(&mut self, value: Value, demands: &[Demand]) -> Result<(), Diagnostic> {
        demands.iter().try_for_each(|demand| self.spread(value, demand))
    }

    fn must_be_stored(&self, value: Value, class: Class, demands: &[Demand]) -> bool {
        let facts = self.around.facts;
        let free = class == Class::Light && facts.is_free(value);
        let long = class != Class::Light || facts.of(value).size > LONGEST_GUARDED;
        facts.forced.contains(&value)
            || demands.iter().any(|d| d.matrix || (d.at.is_none() && !free) || (d.guarded && long))
    }

    /// Matrix operands that are regular views of something else are read there. What is left needs `value` itself.
    fn pass_matrices(&mut self, value: Value, demands: Vec<Demand>) -> Result<Vec<Demand>, Diagnostic> {
        let mut left = Vec::new();
        for demand in demands {
            if demand.matrix
                && !self.around.facts.forced.contains(&value)
                && self.is_regular(value, &demand)?
            {
                self.spread(value, &demand)?;
            } else {
                left.push(demand);
            }
        }
        Ok(left)
    }

    /// Whether the element is one of another value, at an offset that is linear in the counters.
    fn is_regular(&mut self, value: Value, demand: &Demand) -> Result<bool, Diagnostic> {
        let (Some(at), Some(group)) = (&demand.at, self.as_group(demand.unit)) else { return Ok(false) };
        let mut ranges = group.ranges.clone();
        let expander = self.around.expander;
        let expansion = expander.expand(value, at, &group.domains, &mut ranges)?;
        let Expansion::View { operand: (below, index), guards, .. } = expansion else { return Ok(false) };
        let home = self.around.homes.get(&below).cloned();
        let home = home.unwrap_or_else(|| Home::whole(PlaceId(0), expander.graph.shape(below)));
        let offset = tidy(&home.at(&index), &ranges);
        let counters: Vec<Symbol> = at.iter().flat_map(Dim::symbols).collect();
        let linear = counters.iter().all(|counter| is_linear(&offset, counter, &counters));
        Ok(guards.is_empty() && linear)
    }

    /// Whether a unit reads `value` at one index only, without guards.
    fn only_point<'d>(&self, unit: usize, demands: &'d [Demand]) -> Option<&'d At> {
        let mut own = demands.iter().filter(|demand| demand.unit == unit);
        let first = own.next()?;
        let plain = |demand: &Demand| !demand.guarded && !demand.matrix && demand.at == first.at;
        (plain(first) && own.all(plain)).then_some(first.at.as_ref()).flatten()
    }

    /// The counters of a group that `at` consists of, if it is made of distinct counters (and zeros) only.
    fn plain(&self, unit: usize, at: &At) -> Option<Vec<Symbol>> {
        let group = self.as_group(unit)?;
        let mut found: Vec<Symbol> = Vec::new();
        for dim in at.iter().filter(|dim| !dim.is_zero()) {
            let symbol = dim
                .as_symbol()
                .filter(|symbol| group.counters.iter().any(|(counter, _)| counter == *symbol))?;
            if found.contains(symbol) {
                return None;
            }
            found.push(symbol.clone());
        }
        Some(found)
    }

    /// Whether `symbols` are all counters of a group.
    fn is_full(&self, unit: usize, symbols: &[Symbol]) -> bool {
        self.as_group(unit).is_some_and(|group| group.counters.len() == symbols.len())
    }

    /// Whether `unit` may make a value for all these readers.
    fn serves(&self, unit: usize, demands: &[Demand]) -> bool {
        demands.iter().all(|demand| demand.unit == unit || !depends(&self.done.units, unit, demand.unit))
    }

    /// Whether `unit` may make a value for all these readers at one index: it reads the value nowhere else itself.
    fn serves_at(&self, unit: usize, at: &At, demands: &[Demand]) -> bool {
        let here = |demand: &Demand| demand.at.as_ref() == Some(at) && !demand.guarded && !demand.matrix;
        self.serves(unit, demands) && demands.iter().all(|demand| demand.unit != unit || here(demand))
    }

    /// Whether another root leaves the group with few enough buffers.
    fn has_room(&self, unit: usize, value: Value) -> bool {
        let Some(group) = self.as_group(unit) else { return false };
        let roots: BTreeSet<Value> = group.roots.iter().map(|root| root.value).chain([value]).collect();
        let reads = self.around.facts.read_by(&roots);
        reads.union(&roots).count() <= self.around.expander.target.max_buffers
    }

    /// Gives `value` memory, and a group that computes it.
    fn store(&mut self, value: Value, class: Class, demands: Vec<Demand>) -> Result<(), Diagnostic> {
        let readers: BTreeSet<usize> = demands.iter().map(|demand| demand.unit).collect();
        let host = readers.into_iter().rev().find_map(|unit| self.host(unit, value, class, &demands));
        let host = host.or_else(|| self.sibling(value, class, &demands));
        let (unit, at) = match host {
            Some((unit, at)) => {
                self.open_rows(unit, &at);
                let root = Root { value, at: at.clone(), dest: Dest::Own };
                if let Some(group) = self.as_group_mut(unit) {
                    group.roots.push(root);
                }
                (unit, at)
            }
            None => {
                let unit = self.group(value, Dest::Own);
                (unit, self.at(unit))
            }
        };
        self.publish(value, unit, &demands);
        let demand = Demand::of(unit, at);
        match class {
            Class::Product => self.anchor(value, unit, demand.at.unwrap_or_default()),
            Class::Fold => {
                self.admits_fold(value, &demand);
                self.state_fold(value, &demand);
                self.spread(value, &demand)
            }
            _ => self.spread(value, &demand),
        }
    }
}

pub(super) mod joining;

/// All units that `unit` needs, directly or not.
pub(super) fn needs(units: &[Unit], unit: usize) -> HashSet<usize> {
    let (mut open, mut seen) = (vec![unit], HashSet::new());
    while let Some(next) = open.pop() {
        open.extend(units[next].deps.iter().copied().filter(|dep| seen.insert(*dep)));
    }
    seen
}

/// Whether `unit` is `other` or needs it.
pub(super) fn depends(units: &[Unit], unit: usize, other: usize) -> bool {
    unit == other || needs(units, unit).contains(&other)
}

/// The elements an expansion reads, and whether under a guard of its own.
pub(super) fn points_of(expansion: &Expansion, ranges: &Ranges) -> Vec<(Point, bool)> {
    match expansion {
        Expansion::Map(_, operands) => operands.iter().cloned().map(|point| (point, false)).collect(),
        Expansion::View { operand, guards, .. } => {
            let guarded = guards.iter().any(|(dim, bound)| !dim.is_within(bound, ranges));
            vec![(operand.clone(), guarded)]
        }
        Expansion::Source(_, operands) => {
            operands.iter().map(|value| ((*value, Vec::new()), false)).collect()
        }
        Expansion::Gather { position, table, .. } => vec![(position.clone(), false), (table.clone(), false)],
        Expansion::Fold(sweep) if sweep.unrolled => sweep
            .terms(ranges)
            .into_iter()
            .flat_map(|(guards, factors)| factors.into_iter().map(move |point| (point, !guards.is_empty())))
            .collect(),
        Expansion::Fold(sweep) => {
            let guarded = !sweep.guards.is_empty();
            sweep.factors.iter().cloned().map(|point| (point, guarded)).collect()
        }
        Expansion::Opaque => Vec::new(),
    }
}

/// Whether `dim` is `slope * counter + rest` with a slope free of counters.
fn is_linear(dim: &Dim, counter: &Symbol, counters: &[Symbol]) -> bool {
    dim.linear_in(counter).is_some_and(|(slope, _)| counters.iter().all(|other| !slope.mentions(other)))
}
