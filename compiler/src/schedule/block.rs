//! From a block of nodes to steps: units are planned, ordered, given homes, and written one by one. Bodies of loops and
//! branches are blocks again.

use super::chain::{self, Chain};
use super::expand::{Expander, internal};
use super::facts::Facts;
use super::finish::{Spread, finish};
use super::graph::Graph;
use super::home::Home;
use super::library::Library;
use super::rows::{self, Around, Stored};
use super::settle::{Carry, Settled};
use super::sizes::Guess;
use super::units::{self, Dest, Group, Kind, Surroundings, Units};
use super::writer::Writer;
use super::{product, special};
use nnc_base::Diagnostic;
use nnc_ir::graph::Node;
use nnc_ir::kernel::{Kernel, verify};
use nnc_ir::ops::{Loop, Op};
use nnc_ir::plan::{Place, PlaceClass, PlaceId, Step};
use nnc_ir::{DType, Dim, Ranges, Value};
use std::collections::{HashMap, HashSet};

/// Schedules one function.
pub(super) struct Scheduler<'s> {
    pub graph: &'s Graph<'s>,
    pub expander: Expander<'s>,
    pub facts: &'s Facts,
    pub guess: Guess,
    pub ranges: Ranges,
    pub homes: HashMap<Value, Home>,
    pub places: Vec<Place>,
    /// Places with one part per turn of a loop: parts never overlap.
    pub histories: HashSet<PlaceId>,
    pub library: &'s mut Library,
    pub notes: Vec<String>,
}

impl<'s> Scheduler<'s> {
    /// A new place of the arena; its lifetime is set at the end.
    pub fn place(&mut self, name: &str, dtype: DType, shape: Vec<Dim>) -> Home {
        let id = PlaceId(self.places.len() as u32);
        let home = Home::whole(id, &shape);
        let class = PlaceClass::Scratch { first: 0, last: 0 };
        self.places.push(Place { name: name.to_string(), dtype, shape, class });
        home
    }

    /// A new place for `value`.
    pub fn scratch(&mut self, value: Value) -> Home {
        let ty = self.graph.ty(value);
        self.place(&self.graph.name(value), ty.dtype, ty.shape.clone())
    }

    /// The steps that compute `results` into their homes.
    pub fn block(&mut self, nodes: &'s [Node], results: &[(Value, Home)]) -> Result<Vec<Step>, Diagnostic> {
        let around = Surroundings {
            expander: self.expander,
            facts: self.facts,
            guess: &self.guess,
            ranges: &self.ranges,
            homes: &self.homes,
        };
        let mut units = units::plan(&around, nodes, results)?;
        chain::merge(&around, &mut units);
        let settled = self.settle(&mut units, results)?;
        let mut steps = Vec::new();
        for number in &settled.order {
            let kind = units.units[*number].kind.clone();
            steps.extend(self.unit(&units, &settled, &kind)?);
        }
        for (from, to, value) in &settled.copies {
            steps.push(self.copy(from, to, *value)?);
        }
        self.notes.append(&mut units.notes);
        Ok(steps)
    }

    fn unit(
        &mut self,
        units: &Units<'s>,
        settled: &Settled,
        kind: &Kind<'s>,
    ) -> Result<Vec<Step>, Diagnostic> {
        match kind {
            Kind::Group(group) => Ok(self.group(units, settled, group)?.into_iter().collect()),
            Kind::Chain(chain) => Ok(vec![self.chain(settled, chain)?]),
            Kind::Node(node) => match &node.op {
                Op::Loop(op) => self.repeat(op, node, settled),
                Op::If(_) => self.branch(node),
                _ => special::steps(self, node).map_err(|error| located(error, node)),
            },
        }
    }

    /// The roots of a group that are not where they should be already.
    fn stored(&self, settled: &Settled, group: &Group) -> Result<Vec<Stored>, Diagnostic> {
        let mut roots: Vec<Stored> = Vec::new();
        for root in &group.roots {
            let home = match root.dest {
                Dest::Own => self.homes.get(&root.value).cloned(),
                Dest::Init(result) => settled.carries.get(&result).map(|carry| carry.first.clone()),
                Dest::Result(place) => settled.results.get(place).cloned(),
            };
            let home = home.ok_or_else(|| internal(format!("%{} has no home", root.value.0)))?;
            let is_there = root.dest != Dest::Own && self.homes.get(&root.value) == Some(&home);
            if !is_there {
                roots.push((root.clone(), home));
            }
        }
        Ok(roots)
    }

    fn group(&mut self, units: &Units, settled: &Settled, group: &Group) -> Result<Option<Step>, Diagnostic> {
        let roots = self.stored(settled, group)?;
        if roots.is_empty() {
            return Ok(None);
        }
        let name = self.name([group]);
        let (facts, guess) = (self.facts, self.guess.clone());
        let step = self.launch(&name, &|writer| {
            writer.begin(group);
            let around = Around { facts, guess: &guess };
            if group.anchor.is_some() {
                return product::write(writer, &around, group, &roots).map(Spread::Outer);
            }
            let outer = rows::write(writer, &around, group, &roots)?;
            Ok(if group.split.is_none() { Spread::Pointwise } else { Spread::Outer(outer) })
        });
        // Equal kernels are one: the note goes by the name it has in the plan.
        if let Ok(Step::Launch { kernel, .. }) = &step {
            let name = self.library.kernels[*kernel as usize].name.clone();
            self.note(units, group, &name);
        }
        step.map(Some).map_err(|error| self.at_source(error, group))
    }

    fn chain(&mut self, settled: &Settled, chain: &Chain) -> Result<Step, Diagnostic> {
        let panel = chain.panel(&self.guess);
        self.homes.extend(chain.homes(&panel));
        let roots = chain.links.iter().map(|link| self.stored(settled, &link.group));
        let roots = roots.collect::<Result<Vec<_>, _>>()?;
        let name = self.name(chain.links.iter().map(|link| &link.group));
        let (facts, guess) = (self.facts, self.guess.clone());
        let step = self.launch(&name, &|writer| {
            let around = Around { facts, guess: &guess };
            chain::write(writer, &around, chain, &panel, &roots).map(Spread::Outer)
        });
        let tiled: Vec<String> =
            chain.tiled.iter().map(|value| format!("`{}`", self.graph.name(*value))).collect();
        chain.tiled.iter().for_each(|value| {
            self.homes.remove(value);
        });
        if let Ok(Step::Launch { kernel, .. }) = &step {
            let name = &self.library.kernels[*kernel as usize].name;
            let (groups, tiled) = (chain.links.len(), tiled.join(", "));
            self.notes.push(format!("{name}: {groups} groups in panels of rows; {tiled} not in memory"));
        }
        step.map_err(|error| self.at_source(error, &chain.links[0].group))
    }

    /// The error, at the source of a group.
    fn at_source(&self, error: Diagnostic, group: &Group) -> Diagnostic {
        let node = group.anchor.as_ref().and_then(|(value, _)| self.graph.node(*value));
        match node.or_else(|| self.graph.node(group.roots[0].value)) {
            Some(node) => located(error, node),
            None => error,
        }
    }

    /// A name for the kernel of these groups.
    fn name<'g>(&self, groups: impl IntoIterator<Item = &'g Group>) -> String {
        let mut names: Vec<String> = Vec::new();
        let values = groups.into_iter().flat_map(|group| {
            let anchor = group.anchor.iter().map(|(value, _)| *value);
            anchor.chain(group.roots.iter().rev().map(|root| root.value))
        });
        for name in values.map(|value| self.graph.name(value)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.truncate(3);
        names.join("_")
    }

    fn note(&mut self, units: &Units, group: &Group, name: &str) {
        let mut parts = Vec::new();
        if group.anchor.is_some() {
            parts.push("a matrix product".to_string());
        }
        if let Some(split) = &group.split {
            parts.push(match split.inner.len() {
                0 => "folds with their results".to_string(),
                _ => "rows with the folds over them".to_string(),
            });
        }
        if parts.is_empty() {
            parts.push("elementwise".to_string());
        }
        if group.roots.len() > 1 {
            parts.push(format!("{} results", group.roots.len()));
        }
        let kept = group.roots.iter().filter(|root| {
            let readers = units.units.iter().filter(|unit| unit.reads.contains_key(&root.value)).count();
            root.dest == Dest::Own && readers > 1
        });
        for root in kept {
            parts.push(format!("`{}` is kept for several readers", self.graph.name(root.value)));
        }
        self.notes.push(format!("{name}: {}", parts.join(", ")));
    }

    /// One kernel and its launch. What is not proved in bounds is guarded at a second try.
    pub fn launch(
        &mut self,
        name: &str,
        build: &dyn Fn(&mut Writer) -> Result<Spread, Diagnostic>,
    ) -> Result<Step, Diagnostic> {
        let (kernel, bind, errors) = self.build(name, build, false)?;
        if errors.is_empty() {
            return Ok(Step::Launch { kernel: self.library.add(kernel), bind });
        }
        let (kernel, bind, left) = self.build(name, build, true)?;
        if left.is_empty() {
            let kernel = self.library.add(kernel);
            let name = &self.library.kernels[kernel as usize].name;
            self.notes.push(format!("{name}: guarded, as {}", errors[0]));
            return Ok(Step::Launch { kernel, bind });
        }
        Err(internal(format!("kernel `{name}`: {}\n{kernel}", left.join("; "))))
    }

    fn build(
        &self,
        name: &str,
        build: &dyn Fn(&mut Writer) -> Result<Spread, Diagnostic>,
        wary: bool,
    ) -> Result<(Kernel, Vec<PlaceId>, Vec<String>), Diagnostic> {
        let mut writer = Writer::new(self.expander, &self.homes, &self.places, self.ranges.clone());
        writer.wary = wary;
        let spread = build(&mut writer)?;
        let (kernel, bind) = finish(&mut writer, &self.places, &self.guess, name, spread);
        let errors = verify(&kernel, &self.ranges).err().unwrap_or_default();
        Ok((kernel, bind, errors))
    }

    fn copy(&mut self, from: &Home, to: &Home, value: Value) -> Result<Step, Diagnostic> {
        let whole = |home: &Home| {
            let shape = &self.places[home.place.0 as usize].shape;
            shape == self.graph.shape(value) && *home == Home::whole(home.place, shape)
        };
        if whole(from) && whole(to) {
            return Ok(Step::Copy { from: from.place, to: to.place });
        }
        let shape = self.graph.shape(value).to_vec();
        self.launch("copy", &|writer| {
            let (counters, at) = special::counters("c", &shape);
            writer.open_all(&counters);
            let offset = writer.offset(from, &at);
            let buffer = writer.buffer(from.place, nnc_ir::kernel::Access::Read);
            let element = writer.element(buffer, offset);
            writer.store_at(to, &at, element);
            writer.close_all(&counters);
            Ok(Spread::Pointwise)
        })
    }

    fn repeat(&mut self, op: &Loop, node: &'s Node, settled: &Settled) -> Result<Vec<Step>, Diagnostic> {
        let body = &node.blocks[0];
        self.ranges.counter(&op.counter, &op.count);
        self.guess.counter(&op.counter, &op.count);
        let turn = Dim::from(&op.counter);
        let mut results: Vec<(Value, Home)> = Vec::new();
        let mut collected: HashSet<usize> = HashSet::new();
        for place in 0..op.carried {
            let carry: &Carry = settled
                .carries
                .get(&node.results[place])
                .ok_or_else(|| internal("a carried value has no place"))?;
            self.homes.insert(body.params[place], carry.before.clone());
            results.push((body.results[place], carry.after.clone()));
            collected.extend(&carry.collected);
        }
        for number in (op.carried..body.results.len()).filter(|number| !collected.contains(number)) {
            let stack = self
                .homes
                .get(&node.results[number])
                .ok_or_else(|| internal("a collected value has no place"))?;
            results.push((body.results[number], stack.part(&turn)));
        }
        for place in op.carried..node.operands.len() {
            if let Some(stack) = self.homes.get(&node.operands[place]) {
                let part = stack.part(&turn);
                self.homes.insert(body.params[place], part);
            }
        }
        let steps = self.block(&body.nodes, &results)?;
        let (counter, count) = (op.counter.clone(), op.count.clone());
        Ok(vec![Step::Loop { counter, count, reverse: op.reverse, body: steps }])
    }

    fn branch(&mut self, node: &'s Node) -> Result<Vec<Step>, Diagnostic> {
        let mut steps = Vec::new();
        let condition = node.operands[0];
        let home = self.homes.get(&condition).cloned();
        let whole = home.as_ref().is_some_and(|home| self.places[home.place.0 as usize].shape.is_empty());
        let place = match home.filter(|_| whole) {
            Some(home) => home.place,
            None => {
                let own = self.scratch(condition);
                steps.push(self.launch("condition", &|writer| {
                    let value = writer.emit(condition, &[])?;
                    writer.store_at(&own, &[], value);
                    Ok(Spread::Outer(0))
                })?);
                own.place
            }
        };
        let mut bodies = Vec::new();
        for block in &node.blocks {
            let mut results = Vec::new();
            for (value, result) in block.results.iter().zip(&node.results) {
                let home = self
                    .homes
                    .get(result)
                    .cloned()
                    .ok_or_else(|| internal("a branch's result has no place"))?;
                results.push((*value, home));
            }
            bodies.push(self.block(&block.nodes, &results)?);
        }
        let otherwise = bodies.pop().unwrap_or_default();
        let then = bodies.pop().unwrap_or_default();
        steps.push(Step::If { condition: place, then, otherwise });
        Ok(steps)
    }
}

/// The error, at the node if it has no place yet.
fn located(mut error: Diagnostic, node: &Node) -> Diagnostic {
    for label in &mut error.labels {
        if label.span == nnc_base::Span::default() {
            label.span = node.span;
        }
    }
    error
}
