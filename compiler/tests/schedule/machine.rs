//! Executes plans in float64 with the kernel interpreter. Memory is NaN outside its lifetime, so a plan that reads too
//! late or too early shows it.

use nnc_ir::graph::Port;
use nnc_ir::kernel::interpret;
use nnc_ir::plan::{EntryPlan, PlaceClass, PlaceId, Plan, Step};
use nnc_ir::{Array, Dim, Symbol};
use std::collections::BTreeMap;

pub type Sizes = BTreeMap<Symbol, i64>;

/// A plan with the memory of its slots.
pub struct Machine<'p> {
    pub plan: &'p Plan,
    pub slots: BTreeMap<usize, Vec<f64>>,
    memory: Vec<Vec<f64>>,
    sizes: Sizes,
    /// Launches and copies of the last call.
    pub launches: usize,
    pub copies: usize,
}

fn value(dim: &Dim, sizes: &Sizes) -> usize {
    let value = dim.evaluate(&|symbol| sizes.get(symbol).copied());
    usize::try_from(value.unwrap_or_else(|| panic!("`{dim}` has no value"))).expect("sizes are natural")
}

impl<'p> Machine<'p> {
    pub fn new(plan: &'p Plan) -> Machine<'p> {
        let (slots, memory) = (BTreeMap::new(), Vec::new());
        Machine { plan, slots, memory, sizes: Sizes::new(), launches: 0, copies: 0 }
    }

    /// Runs an entry; the named results in order.
    pub fn call(&mut self, name: &str, inputs: &[(&str, Array)], sizes: &Sizes) -> Vec<(String, Array)> {
        let entry = self.plan.entries.iter().find(|entry| entry.name == name).expect("the entry exists");
        self.sizes = sizes.clone();
        (self.launches, self.copies) = (0, 0);
        self.settle(entry);
        for (port, place) in &entry.inputs {
            if let Port::Named(name) = port {
                let (_, array) =
                    inputs.iter().find(|(given, _)| given == name).expect("every input is given");
                assert_eq!(array.data.len(), self.memory[place.0 as usize].len(), "input `{name}`");
                self.memory[place.0 as usize] = array.data.clone();
            }
        }
        for (number, step) in entry.steps.iter().enumerate() {
            self.poison(entry, |first, _| first as usize == number);
            self.step(step);
            self.poison(entry, |_, last| last as usize == number);
        }
        self.finish(entry)
    }

    fn settle(&mut self, entry: &EntryPlan) {
        self.memory = Vec::new();
        for place in &entry.places {
            let size: usize = place.shape.iter().map(|size| value(size, &self.sizes)).product();
            let fresh = vec![f64::NAN; size];
            self.memory.push(match place.class {
                PlaceClass::Slot(slot) => self.slots.remove(&slot).unwrap_or(fresh),
                _ => fresh,
            });
            assert_eq!(self.memory[self.memory.len() - 1].len(), size, "place `{}`", place.name);
        }
    }

    fn poison(&mut self, entry: &EntryPlan, due: impl Fn(u32, u32) -> bool) {
        for (place, memory) in entry.places.iter().zip(&mut self.memory) {
            if let PlaceClass::Scratch { first, last } = place.class
                && due(first, last)
            {
                memory.fill(f64::NAN);
            }
        }
    }

    fn finish(&mut self, entry: &EntryPlan) -> Vec<(String, Array)> {
        let mut results = Vec::new();
        for (port, id) in &entry.outputs {
            let place = &entry.places[id.0 as usize];
            let shape: Vec<usize> = place.shape.iter().map(|size| value(size, &self.sizes)).collect();
            if let Port::Named(name) = port {
                results.push((name.clone(), Array::new(shape, self.memory[id.0 as usize].clone())));
            }
        }
        for (place, memory) in entry.places.iter().zip(std::mem::take(&mut self.memory)) {
            if let PlaceClass::Slot(slot) = place.class {
                self.slots.insert(slot, memory);
            }
        }
        results
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Launch { kernel, bind } => self.launch(*kernel, bind),
            Step::Loop { counter, count, reverse, body } => {
                let count = value(count, &self.sizes) as i64;
                for turn in 0..count {
                    let turn = if *reverse { count - 1 - turn } else { turn };
                    self.sizes.insert(counter.clone(), turn);
                    body.iter().for_each(|step| self.step(step));
                }
                self.sizes.remove(counter);
            }
            Step::If { condition, then, otherwise } => {
                let truth = self.memory[condition.0 as usize][0];
                assert!(truth == 0.0 || truth == 1.0, "a condition is 0 or 1, not {truth}");
                let body = if truth != 0.0 { then } else { otherwise };
                body.iter().for_each(|step| self.step(step));
            }
            Step::Copy { from, to } => {
                self.copies += 1;
                assert_eq!(self.memory[from.0 as usize].len(), self.memory[to.0 as usize].len());
                self.memory[to.0 as usize] = self.memory[from.0 as usize].clone();
            }
        }
    }

    fn launch(&mut self, kernel: u32, bind: &[PlaceId]) {
        self.launches += 1;
        let kernel = &self.plan.kernels[kernel as usize];
        let mut distinct = bind.to_vec();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), bind.len(), "a kernel is bound to distinct places");
        let mut buffers: Vec<Vec<f64>> =
            bind.iter().map(|place| std::mem::take(&mut self.memory[place.0 as usize])).collect();
        interpret(kernel, &self.sizes, &mut buffers).unwrap_or_else(|error| panic!("{error}\n{kernel}"));
        for (place, buffer) in bind.iter().zip(buffers) {
            self.memory[place.0 as usize] = buffer;
        }
    }
}
