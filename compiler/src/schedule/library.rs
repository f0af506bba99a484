//! The kernels of a plan: equal ones are kept once.

use nnc_ir::kernel::Kernel;
use std::collections::HashMap;

/// Kernels without repetition.
#[derive(Default)]
pub(super) struct Library {
    /// All kernels, by number.
    pub kernels: Vec<Kernel>,
    known: HashMap<String, u32>,
    names: HashMap<String, u32>,
}

impl Library {
    /// The number of `kernel`, or of one that differs in names for people only.
    pub fn add(&mut self, mut kernel: Kernel) -> u32 {
        let mut anonymous = kernel.clone();
        anonymous.name.clear();
        anonymous.buffers.iter_mut().for_each(|buffer| buffer.name.clear());
        anonymous.tiles.iter_mut().for_each(|tile| tile.name.clear());
        let text = format!("{anonymous:?}");
        if let Some(number) = self.known.get(&text) {
            return *number;
        }
        let number = self.kernels.len() as u32;
        self.known.insert(text, number);
        // Names are unique: files and profiles go by them.
        let uses = self.names.entry(kernel.name.clone()).or_insert(0);
        *uses += 1;
        if *uses > 1 {
            kernel.name = format!("{}_{uses}", kernel.name);
        }
        self.kernels.push(kernel);
        number
    }

    /// Takes the kernels from number `first` on back.
    pub fn forget_from(&mut self, first: usize) {
        self.kernels.truncate(first);
        self.known.retain(|_, number| (*number as usize) < first);
    }
}
