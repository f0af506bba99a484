//! A call: arguments are checked, memory is settled, kernels are made ready, and only then the steps run.

use super::memory::{Memory, Spot, find, natural, value};
use super::{CallError, Device, Held, HostBytes, Output, Session, Sizes};
use crate::graph::{Port, SlotKind};
use crate::kernel::Kernel;
use crate::plan::{EntryPlan, PlaceClass, PlaceId, Plan, Step};
use crate::{DType, Dim};
use std::borrow::Cow;

impl<D: Device> Session<D> {
    /// Runs an entry and returns its named results.
    pub fn call(
        &mut self,
        entry: &str,
        inputs: &[(&str, HostBytes)],
        sizes: &Sizes,
    ) -> Result<Vec<Output>, CallError<D::Error>> {
        let found = self.plan.entries.iter().position(|e| e.name == entry);
        let number = found.ok_or_else(|| CallError::NoEntry(entry.to_string()))?;
        check_sizes(&self.plan, sizes)?;
        let plan = std::mem::take(&mut self.plan);
        let result = self.run_entry(&plan, number, inputs, sizes);
        self.plan = plan;
        result
    }

    fn run_entry(
        &mut self,
        plan: &Plan,
        number: usize,
        inputs: &[(&str, HostBytes)],
        sizes: &Sizes,
    ) -> Result<Vec<Output>, CallError<D::Error>> {
        let entry = &plan.entries[number];
        check_guards(entry, sizes)?;
        let bound = bind_inputs(entry, inputs, sizes)?;
        self.settle(plan, number, sizes)?;
        self.prepare(plan, number, &entry.steps)?;
        for (place, tensor) in bound {
            let buffer = find(&self.memory[&number], &self.slots, place)?;
            self.device.write(buffer, tensor.dtype, &tensor.bytes)?;
        }
        let mut run = Run { plan, number, entry, sizes: sizes.clone() };
        self.steps(&mut run, &entry.steps)?;
        self.outputs(number, entry, sizes)
    }

    /// Memory for every place of the entry at these sizes.
    fn settle(&mut self, plan: &Plan, number: usize, sizes: &Sizes) -> Result<(), CallError<D::Error>> {
        for place in &plan.entries[number].places {
            if let PlaceClass::Slot(slot) = place.class {
                self.settle_slot(plan, slot, sizes)?;
            }
        }
        if self.memory.get(&number).is_none_or(|memory| memory.sizes != *sizes) {
            // What the last sizes needed is freed before the new memory is asked for.
            self.memory.remove(&number);
            let memory = Memory::new(&mut self.device, &plan.entries[number], sizes)?;
            self.memory.insert(number, memory);
        }
        Ok(())
    }

    fn settle_slot(&mut self, plan: &Plan, slot: usize, sizes: &Sizes) -> Result<(), CallError<D::Error>> {
        let declared = plan.slots.get(slot).ok_or(CallError::NoSlot(slot))?;
        let expected = natural(&declared.ty.size(), sizes)?;
        let held = self.slots[slot].as_ref().map(|held| held.elements);
        match held {
            Some(found) if found == expected => return Ok(()),
            Some(found) if declared.kind != SlotKind::Cache => {
                return Err(CallError::SlotSize { path: declared.path.clone(), expected, found });
            }
            _ => {}
        }
        self.slots[slot] = None;
        self.slots[slot] = Some(Held::new(&mut self.device, declared.ty.dtype, expected)?);
        Ok(())
    }

    /// Makes all kernels of the steps ready, as their buffers alias.
    fn prepare(&mut self, plan: &Plan, number: usize, steps: &[Step]) -> Result<(), CallError<D::Error>> {
        for step in steps {
            match step {
                Step::Launch { kernel, bind } => {
                    let key = (*kernel, self.aliases(number, bind)?);
                    if !self.programs.contains_key(&key) {
                        let program = self.device.prepare(kernel_of(plan, *kernel)?, &key.1)?;
                        self.programs.insert(key, program);
                    }
                }
                Step::Loop { body, .. } => self.prepare(plan, number, body)?,
                Step::If { then, otherwise, .. } => {
                    self.prepare(plan, number, then)?;
                    self.prepare(plan, number, otherwise)?;
                }
                Step::Copy { .. } => {}
            }
        }
        Ok(())
    }

    fn steps(&mut self, run: &mut Run, steps: &[Step]) -> Result<(), CallError<D::Error>> {
        steps.iter().try_for_each(|step| self.step(run, step))
    }

    fn step(&mut self, run: &mut Run, step: &Step) -> Result<(), CallError<D::Error>> {
        match step {
            Step::Launch { kernel, bind } => self.launch(run, *kernel, bind),
            Step::Loop { counter, count, reverse, body } => {
                let count = natural(count, &run.sizes)? as i64;
                let shadowed = run.sizes.get(counter).copied();
                for turn in 0..count {
                    let value = if *reverse { count - 1 - turn } else { turn };
                    run.sizes.insert(counter.clone(), value);
                    self.steps(run, body)?;
                }
                match shadowed {
                    Some(value) => run.sizes.insert(counter.clone(), value),
                    None => run.sizes.remove(counter),
                };
                Ok(())
            }
            Step::If { condition, then, otherwise } => {
                let buffer = find(&self.memory[&run.number], &self.slots, *condition)?;
                let truth = self.device.read(&[(buffer, DType::Bool, 1)])?;
                let holds = truth.first().is_some_and(|bytes| bytes.first().is_some_and(|byte| *byte != 0));
                self.steps(run, if holds { then } else { otherwise })
            }
            Step::Copy { from, to } => self.copy(run, *from, *to),
        }
    }

    fn launch(&mut self, run: &Run, kernel: u32, bind: &[PlaceId]) -> Result<(), CallError<D::Error>> {
        let declared = kernel_of(run.plan, kernel)?;
        let instances = declared.grid.iter().fold(Dim::one(), |product, (_, extent)| &product * extent);
        let instances = natural(&instances, &run.sizes)? as i64;
        if instances == 0 {
            return Ok(());
        }
        let sizes: Vec<i64> =
            declared.sizes.iter().map(|s| value(&Dim::from(s), &run.sizes)).collect::<Result<_, _>>()?;
        let key = (kernel, self.aliases(run.number, bind)?);
        let program = self.programs.get(&key).ok_or(CallError::NoKernel(kernel))?.clone();
        let memory = &self.memory[&run.number];
        let buffers: Vec<&D::Buffer> =
            bind.iter().map(|place| find(memory, &self.slots, *place)).collect::<Result<_, _>>()?;
        Ok(self.device.launch(&program, &buffers, &sizes, instances)?)
    }

    fn copy(&mut self, run: &Run, from: PlaceId, to: PlaceId) -> Result<(), CallError<D::Error>> {
        let memory = &self.memory[&run.number];
        if memory.spot(from)? == memory.spot(to)? {
            return Ok(());
        }
        let place = &run.entry.places[from.0 as usize];
        let elements = natural(&Memory::<D::Buffer>::elements(place), &run.sizes)?;
        let bytes = elements * self.device.stride(place.dtype)?;
        let (from, to) = (find(memory, &self.slots, from)?, find(memory, &self.slots, to)?);
        Ok(self.device.copy(from, to, bytes)?)
    }

    fn outputs(
        &mut self,
        number: usize,
        entry: &EntryPlan,
        sizes: &Sizes,
    ) -> Result<Vec<Output>, CallError<D::Error>> {
        let memory = &self.memory[&number];
        let (mut wanted, mut outputs) = (Vec::new(), Vec::new());
        for (port, id) in &entry.outputs {
            let Port::Named(name) = port else { continue };
            let buffer = find(memory, &self.slots, *id)?;
            let place = &entry.places[id.0 as usize];
            let shape: Vec<usize> =
                place.shape.iter().map(|dim| natural(dim, sizes)).collect::<Result<_, _>>()?;
            wanted.push((buffer, place.dtype, shape.iter().product()));
            outputs.push((name.clone(), HostBytes { dtype: place.dtype, shape, bytes: Cow::default() }));
        }
        let found = self.device.read(&wanted)?;
        for ((_, tensor), bytes) in outputs.iter_mut().zip(found) {
            tensor.bytes = Cow::Owned(bytes);
        }
        self.device.finish()?;
        Ok(outputs)
    }

    /// For each buffer of a launch, the first one that is the same memory.
    fn aliases(&self, number: usize, bind: &[PlaceId]) -> Result<Vec<usize>, CallError<D::Error>> {
        let memory = &self.memory[&number];
        let spots: Vec<Spot> = bind.iter().map(|place| memory.spot(*place)).collect::<Result<_, _>>()?;
        Ok(spots.iter().map(|spot| spots.iter().position(|other| other == spot).unwrap_or(0)).collect())
    }
}

/// A call under way.
struct Run<'p> {
    plan: &'p Plan,
    number: usize,
    entry: &'p EntryPlan,
    /// Run-time sizes and counters of the loops around the current step.
    sizes: Sizes,
}

fn kernel_of<E: std::error::Error>(plan: &Plan, kernel: u32) -> Result<&Kernel, CallError<E>> {
    plan.kernels.get(kernel as usize).ok_or(CallError::NoKernel(kernel))
}

fn check_sizes<E: std::error::Error>(plan: &Plan, sizes: &Sizes) -> Result<(), CallError<E>> {
    for size in &plan.sizes {
        let Some(found) = sizes.get(&size.symbol).copied() else { continue };
        let fits = found >= size.min && size.max.is_none_or(|max| found <= max);
        if !fits || (size.multiple > 1 && found % size.multiple != 0) {
            return Err(CallError::SizeRange { size: size.clone(), found });
        }
    }
    Ok(())
}

fn check_guards<E: std::error::Error>(entry: &EntryPlan, sizes: &Sizes) -> Result<(), CallError<E>> {
    match entry.guards.iter().map(|guard| Ok((value(&guard.zero, sizes)?, guard))).find_map(broken) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn broken<E: std::error::Error>(
    checked: Result<(i64, &crate::plan::Guard), CallError<E>>,
) -> Option<CallError<E>> {
    match checked {
        Ok((0, _)) => None,
        Ok((_, guard)) => Some(CallError::Guard(guard.message.clone())),
        Err(error) => Some(error),
    }
}

/// The place of every named input, once names, types, shapes and byte counts agree.
fn bind_inputs<'i, E: std::error::Error>(
    entry: &EntryPlan,
    inputs: &'i [(&str, HostBytes)],
    sizes: &Sizes,
) -> Result<Vec<(PlaceId, &'i HostBytes<'i>)>, CallError<E>> {
    let mut bound = Vec::new();
    for (port, id) in &entry.inputs {
        let Port::Named(name) = port else { continue };
        let tensor = inputs.iter().find(|(given, _)| given == name).map(|(_, tensor)| tensor);
        let tensor = tensor.ok_or_else(|| CallError::MissingInput(name.clone()))?;
        check_input(entry, name, *id, tensor, sizes)?;
        bound.push((*id, tensor));
    }
    let known = |name: &str| entry.inputs.iter().any(|(port, _)| matches!(port, Port::Named(n) if n == name));
    match inputs.iter().find(|(name, _)| !known(name)) {
        Some((name, _)) => Err(CallError::UnknownInput(name.to_string())),
        None => Ok(bound),
    }
}

fn check_input<E: std::error::Error>(
    entry: &EntryPlan,
    name: &str,
    id: PlaceId,
    tensor: &HostBytes,
    sizes: &Sizes,
) -> Result<(), CallError<E>> {
    let place = entry.places.get(id.0 as usize).ok_or(CallError::NoPlace(id))?;
    let shape: Vec<usize> = place.shape.iter().map(|dim| natural(dim, sizes)).collect::<Result<_, _>>()?;
    if place.dtype != tensor.dtype || shape != tensor.shape {
        let expected = format!("{}{shape:?}", place.dtype);
        let found = format!("{}{:?}", tensor.dtype, tensor.shape);
        return Err(CallError::InputType { name: name.to_string(), expected, found });
    }
    let expected = shape.iter().product::<usize>() * place.dtype.size();
    if tensor.bytes.len() != expected {
        return Err(CallError::InputBytes { name: name.to_string(), expected, found: tensor.bytes.len() });
    }
    Ok(())
}
