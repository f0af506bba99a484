//! A call: arguments are checked, memory is settled, kernels are made ready, and only then the steps run.

use super::bind::{Binder, Bound, Scope};
use super::memory::{Buffers, Memory, find, natural, value};
use super::{CallError, Device, Held, HostBytes, Output, Session, Sizes};
use crate::DType;
use crate::graph::{Port, SlotKind};
use crate::kernel::Kernel;
use crate::plan::{EntryPlan, PlaceClass, PlaceId, Plan};
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
        self.bind(plan, number, sizes)?;
        for (place, tensor) in bound {
            let buffer = find(&self.memory[&number], &self.slots, place)?;
            self.device.write(buffer, tensor.dtype, &tensor.bytes)?;
        }
        let Session { device, slots, memory, counters, .. } = self;
        let Some(Memory { buffers, steps: Some(steps), .. }) = memory.get_mut(&number) else {
            return Err(CallError::NoEntry(entry.name.clone()));
        };
        let mut scope = Scope { sizes, counters };
        let buffers = Buffers { own: buffers, slots, spots: &[] };
        steps.iter_mut().try_for_each(|step| run(device, buffers, &mut scope, step))?;
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

    /// Looks up what the steps of an entry need, once for these sizes.
    fn bind(&mut self, plan: &Plan, number: usize, sizes: &Sizes) -> Result<(), CallError<D::Error>> {
        let Some(memory) = self.memory.get(&number).filter(|memory| memory.steps.is_none()) else {
            return Ok(());
        };
        let (entry, spots) = (&plan.entries[number], memory.spots.clone());
        let mut binder = Binder { session: self, plan, entry, spots: &spots, sizes, counters: Vec::new() };
        let steps = binder.steps(&entry.steps)?;
        if let Some(memory) = self.memory.get_mut(&number) {
            memory.steps = Some(steps);
        }
        Ok(())
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
}

/// Runs one step.
fn run<D: Device>(
    device: &mut D,
    buffers: Buffers<'_, D::Buffer>,
    scope: &mut Scope,
    step: &mut Bound<D::Program>,
) -> Result<(), CallError<D::Error>> {
    match step {
        Bound::Launch(launch) => {
            let instances = scope.count(&launch.instances)?;
            for (place, counter) in &launch.counters {
                launch.sizes[*place] = scope.counters[*counter].1;
            }
            if instances > 0 {
                let buffers = buffers.of(&launch.buffers);
                device.launch(&launch.program, buffers, &launch.sizes, instances)?;
            }
            Ok(())
        }
        Bound::Loop { counter, count, reverse, body } => {
            let count = scope.count(count)?;
            for turn in 0..count {
                let value = if *reverse { count - 1 - turn } else { turn };
                scope.counters.push((counter.clone(), value));
                let done = body.iter_mut().try_for_each(|step| run(device, buffers, scope, step));
                scope.counters.pop();
                done?;
            }
            Ok(())
        }
        Bound::If { condition, then, otherwise } => {
            let truth = device.read(&[(buffers.at(*condition)?, DType::Bool, 1)])?;
            let holds = truth.first().is_some_and(|bytes| bytes.first().is_some_and(|byte| *byte != 0));
            let body = if holds { then } else { otherwise };
            body.iter_mut().try_for_each(|step| run(device, buffers, scope, step))
        }
        Bound::Copy { from, to, .. } if from == to => Ok(()),
        Bound::Copy { from, to, elements, dtype } => {
            let bytes = scope.count(elements)? as usize * device.stride(*dtype)?;
            Ok(device.copy(buffers.at(*from)?, buffers.at(*to)?, bytes)?)
        }
    }
}

pub(super) fn kernel_of<E: std::error::Error>(plan: &Plan, kernel: u32) -> Result<&Kernel, CallError<E>> {
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
