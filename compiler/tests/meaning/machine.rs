//! A program whose entries run in the reference interpreter, with its slots.

use nnc_base::Diagnostic;
use nnc_compiler::entries::{Built, Overrides, build};
use nnc_compiler::program;
use nnc_compiler::world::Nothing;
use nnc_ir::graph::{Port, Slot};
use nnc_ir::{Array, Symbol, evaluate};
use std::collections::BTreeMap;

/// Named tensors.
pub type Named = BTreeMap<String, Array>;

/// A built program and what its slots hold.
pub struct Machine {
    pub built: Built,
    slots: Vec<Array>,
}

/// Builds a program, or says what is wrong.
pub fn try_build(text: &str) -> Result<Built, Vec<Diagnostic>> {
    build(&program::load("test.nn", text, &Nothing), &Overrides::default(), &Nothing)
}

/// Codes and messages of a program that is refused.
pub fn refused(text: &str) -> Vec<String> {
    let found = try_build(text).err().unwrap_or_default();
    found.iter().map(|d| format!("{}: {}", d.code, d.message)).collect()
}

impl Machine {
    /// A program with its initial values.
    pub fn new(text: &str) -> Machine {
        let built = try_build(text).unwrap_or_else(|found| panic!("{found:#?}"));
        let empty = |slot: &Slot| Array::filled(slot.ty.shape.iter().map(size).collect(), 0.0);
        let slots = built.module.slots.iter().map(empty).collect();
        let mut machine = Machine { built, slots };
        machine.call("init", &[("seed", Array::scalar(1.0))]);
        machine
    }

    /// Calls an entry. Inputs that it does not take are left out, those that are not given are zero.
    pub fn call(&mut self, entry: &str, inputs: &[(&str, Array)]) -> Named {
        let entry = self.built.module.entry(entry).unwrap_or_else(|| panic!("there is `{entry}`"));
        let ports = || entry.inputs.iter().zip(&entry.function.body.params);
        let given = |port: &Port| match port {
            Port::Slot(slot) => Some(self.slots[*slot].clone()),
            Port::Named(name) => {
                inputs.iter().find(|(given, _)| given == name).map(|(_, array)| array.clone())
            }
        };
        let mut sizes = BTreeMap::<Symbol, i64>::new();
        for (port, value) in ports() {
            for (dim, size) in
                entry.function.ty(*value).shape.iter().zip(given(port).iter().flat_map(|a| &a.shape))
            {
                if let Some(symbol) = dim.as_symbol() {
                    sizes.insert(symbol.clone(), *size as i64);
                }
            }
        }
        let known =
            |dim: &nnc_ir::Dim| dim.evaluate(&|symbol| sizes.get(symbol).copied()).expect("a known size");
        let zero = |value: &nnc_ir::Value| {
            Array::filled(
                entry.function.ty(*value).shape.iter().map(|dim| known(dim) as usize).collect(),
                0.0,
            )
        };
        let params: Vec<Array> =
            ports().map(|(port, value)| given(port).unwrap_or_else(|| zero(value))).collect();
        let results = evaluate(&entry.function, &params, &sizes).expect("the entry runs");
        let mut named = Named::new();
        for (port, result) in entry.outputs.clone().into_iter().zip(results) {
            match port {
                Port::Slot(slot) => self.slots[slot] = result,
                Port::Named(name) => drop(named.insert(name, result)),
            }
        }
        named
    }

    /// Calls an entry and leaves all slots as they are.
    pub fn try_call(&mut self, entry: &str, inputs: &[(&str, Array)]) -> Named {
        let slots = self.slots.clone();
        let found = self.call(entry, inputs);
        self.slots = slots;
        found
    }

    /// What a slot holds.
    pub fn slot(&self, path: &str) -> &Array {
        let known = || self.built.module.slots.iter().map(|s| s.path.clone()).collect::<Vec<_>>();
        let place =
            self.built.module.slot(path).unwrap_or_else(|| panic!("`{path}` is one of {:?}", known()));
        &self.slots[place]
    }

    /// Changes a slot.
    pub fn set(&mut self, path: &str, array: Array) {
        let place = self.built.module.slot(path).expect("the slot is there");
        assert_eq!(self.slots[place].shape, array.shape);
        self.slots[place] = array;
    }

    /// All weights and states.
    pub fn kept(&self) -> Vec<(String, Array)> {
        let slots = self.built.module.slots.iter().zip(&self.slots);
        let kept = slots.filter(|(slot, _)| slot.kind != nnc_ir::graph::SlotKind::Cache);
        kept.map(|(slot, array)| (slot.path.clone(), array.clone())).collect()
    }
}

fn size(dim: &nnc_ir::Dim) -> usize {
    dim.as_constant().map_or(0, |n| n as usize)
}

/// Numbers in -1..1 that look random.
pub fn noise(seed: u64, shape: &[usize]) -> Array {
    let mut state = seed;
    Array::from_index(shape.to_vec(), |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1u64 << 30) as f64 - 1.0
    })
}

/// Refuses arrays that differ.
pub fn assert_close(a: &Array, b: &Array, tolerance: f64, what: &str) {
    assert_eq!(a.shape, b.shape, "{what}");
    for (x, y) in a.data.iter().zip(&b.data) {
        assert!((x - y).abs() <= tolerance * (1.0 + x.abs()), "{what}: {x} and {y}");
    }
}
