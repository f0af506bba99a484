//! Checks of plans: every index names something, every size has a value, every launch binds memory that is large
//! enough and alive. A plan that passes can be run without further thought; one that comes from a file must pass first.

use super::{EntryPlan, Place, PlaceClass, PlaceId, Plan, Step};
use crate::graph::Port;
use crate::{DType, Dim, Ranges, Symbol};
use std::collections::BTreeSet;

/// Errors are one sentence each.
pub fn verify(plan: &Plan) -> Result<(), Vec<String>> {
    let mut errors = Vec::new();
    unique("sizes", plan.sizes.iter().map(|size| &*size.symbol.0), &mut errors);
    unique("slots", plan.slots.iter().map(|slot| slot.path.as_str()), &mut errors);
    unique("entries", plan.entries.iter().map(|entry| entry.name.as_str()), &mut errors);
    let mut ranges = Ranges::new();
    for size in &plan.sizes {
        let (min, max, multiple) = (size.min, size.max, size.multiple);
        if min < 0 || multiple < 1 || max.is_some_and(|max| max < min) {
            errors.push(format!("size `{}` has no value", size.symbol));
        }
        ranges.state(size.symbol.clone(), Dim::constant(min), max.map(Dim::constant));
    }
    let symbols: BTreeSet<Symbol> = plan.sizes.iter().map(|size| size.symbol.clone()).collect();
    for entry in &plan.entries {
        let mut check = Check {
            plan,
            entry,
            ranges: ranges.clone(),
            symbols: symbols.clone(),
            step: 0,
            errors: Vec::new(),
        };
        check.run();
        errors.extend(check.errors.into_iter().map(|error| format!("entry `{}`: {error}", entry.name)));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn unique<'p>(what: &str, names: impl Iterator<Item = &'p str>, errors: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    errors.extend(
        names.filter(|name| !seen.insert(*name)).map(|name| format!("two {what} are called `{name}`")),
    );
}

struct Check<'p> {
    plan: &'p Plan,
    entry: &'p EntryPlan,
    /// Of the sizes, and of the counters around the current step.
    ranges: Ranges,
    symbols: BTreeSet<Symbol>,
    /// The top-level step that holds the current one.
    step: u32,
    errors: Vec<String>,
}

impl<'p> Check<'p> {
    fn run(&mut self) {
        self.entry.places.iter().for_each(|place| self.place(place));
        self.ports("inputs", &self.entry.inputs);
        self.ports("outputs", &self.entry.outputs);
        self.entry.guards.iter().for_each(|guard| self.dim(&guard.zero));
        for (number, step) in self.entry.steps.iter().enumerate() {
            self.step = number as u32;
            self.step(step);
        }
    }

    fn error(&mut self, message: impl Into<String>) {
        self.errors.push(message.into());
    }

    fn dim(&mut self, dim: &Dim) {
        if let Some(symbol) = dim.symbols().into_iter().find(|symbol| !self.symbols.contains(symbol)) {
            self.error(format!("`{symbol}` in `{dim}` has no value"));
        }
        if dim.is_poisoned() {
            self.error(format!("`{dim}` overflows"));
        }
    }

    fn place(&mut self, place: &Place) {
        place.shape.iter().for_each(|dim| self.dim(dim));
        match place.class {
            PlaceClass::Caller => {}
            PlaceClass::Scratch { first, last } => {
                if first > last || last as usize >= self.entry.steps.len().max(1) {
                    self.error(format!("`{}` lives from step {first} to {last}", place.name));
                }
            }
            PlaceClass::Slot(slot) => match self.plan.slots.get(slot) {
                None => self.error(format!("`{}` lies in slot {slot}, which does not exist", place.name)),
                Some(slot)
                    if slot.ty.dtype != place.dtype || !self.covers(&slot.ty.size(), &place.size()) =>
                {
                    self.error(format!("`{}` is larger than its slot `{}`", place.name, slot.path));
                }
                Some(_) => {}
            },
        }
    }

    /// Whether `least <= size` is proved.
    fn covers(&self, size: &Dim, least: &Dim) -> bool {
        size == least || (size - least).simplify(&self.ranges).is_at_least(0, &self.ranges)
    }

    fn ports(&mut self, what: &str, ports: &'p [(Port, PlaceId)]) {
        let named = ports.iter().filter_map(|(port, _)| match port {
            Port::Named(name) => Some(name.as_str()),
            Port::Slot(_) => None,
        });
        unique(what, named, &mut self.errors);
        for (port, id) in ports {
            let Some(place) = self.find(*id) else { continue };
            match (port, &place.class) {
                (Port::Slot(slot), class) if *class != PlaceClass::Slot(*slot) => {
                    self.error(format!("slot {slot} does not lie in its own memory"));
                }
                (Port::Named(name), PlaceClass::Slot(slot)) if what == "inputs" => {
                    self.error(format!("input `{name}` would overwrite slot {slot}"));
                }
                _ => {}
            }
        }
    }

    fn find(&mut self, id: PlaceId) -> Option<&'p Place> {
        let found = self.entry.places.get(id.0 as usize);
        if found.is_none() {
            self.error(format!("there is no place {}", id.0));
        }
        found
    }

    /// A place that a step touches.
    fn touched(&mut self, id: PlaceId) -> Option<&'p Place> {
        let place = self.find(id)?;
        if let PlaceClass::Scratch { first, last } = place.class
            && !(first..=last).contains(&self.step)
        {
            self.error(format!(
                "step {} touches `{}`, which lives from {first} to {last}",
                self.step, place.name
            ));
        }
        Some(place)
    }

    fn step(&mut self, step: &'p Step) {
        match step {
            Step::Launch { kernel, bind } => self.launch(*kernel, bind),
            Step::Loop { counter, count, body, .. } => {
                self.dim(count);
                let saved = (self.ranges.clone(), self.symbols.clone());
                if !self.symbols.insert(counter.clone()) {
                    self.error(format!("`{counter}` counts a loop and is known already"));
                }
                self.ranges.counter(counter, count);
                body.iter().for_each(|step| self.step(step));
                (self.ranges, self.symbols) = saved;
            }
            Step::If { condition, then, otherwise } => {
                if self
                    .touched(*condition)
                    .is_some_and(|place| place.dtype != DType::Bool || !place.size().is_one())
                {
                    self.error("a condition is no truth value");
                }
                then.iter().chain(otherwise).for_each(|step| self.step(step));
            }
            Step::Copy { from, to } => {
                let (from, to) = (self.touched(*from), self.touched(*to));
                if let (Some(from), Some(to)) = (from, to)
                    && (from.dtype != to.dtype || !self.covers(&to.size(), &from.size()))
                {
                    self.error(format!("`{}` does not fit into `{}`", from.name, to.name));
                }
            }
        }
    }

    fn launch(&mut self, kernel: u32, bind: &'p [PlaceId]) {
        let Some(kernel) = self.plan.kernels.get(kernel as usize) else {
            return self.error(format!("there is no kernel {kernel}"));
        };
        if let Some(symbol) = kernel.sizes.iter().find(|symbol| !self.symbols.contains(symbol)) {
            self.error(format!("kernel `{}` reads `{symbol}`, which has no value", kernel.name));
        }
        let known = |symbol: &Symbol| kernel.sizes.contains(symbol);
        let dims =
            kernel.grid.iter().map(|(_, extent)| extent).chain(kernel.tiles.iter().map(|tile| &tile.size));
        if let Some(dim) =
            dims.chain(kernel.buffers.iter().map(|b| &b.size)).find(|d| !d.symbols().iter().all(known))
        {
            self.error(format!("kernel `{}` does not read what `{dim}` needs", kernel.name));
        }
        if bind.len() != kernel.buffers.len() {
            let (found, wanted) = (bind.len(), kernel.buffers.len());
            return self.error(format!("kernel `{}` is given {found} buffers of {wanted}", kernel.name));
        }
        for (buffer, id) in kernel.buffers.iter().zip(bind) {
            let Some(place) = self.touched(*id) else { continue };
            if place.dtype != buffer.dtype || !self.covers(&place.size(), &buffer.size) {
                let (name, wanted) = (&kernel.name, format!("{}[{}]", buffer.dtype, buffer.size));
                let found = format!("{}[{}]", place.dtype, place.size());
                self.error(format!(
                    "kernel `{name}` needs {wanted} as `{}`, `{}` is {found}",
                    buffer.name, place.name
                ));
            }
        }
    }
}
