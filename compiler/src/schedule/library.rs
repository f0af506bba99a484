//! The kernels of a plan: equal ones are kept once.

use nnc_ir::kernel::Kernel;
use std::collections::{HashMap, HashSet};

/// Kernels without repetition.
#[derive(Default)]
pub(super) struct Library {
    /// All kernels, by number.
    pub kernels: Vec<Kernel>,
    known: HashMap<String, u32>,
    names: HashSet<String>,
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
        kernel.name = self.unused(kernel.name);
        self.names.insert(kernel.name.clone());
        self.kernels.push(kernel);
        number
    }

    /// `name`, numbered if it is taken: files and profiles go by names.
    fn unused(&self, name: String) -> String {
        if !self.names.contains(&name) {
            return name;
        }
        let numbered = |number: u32| format!("{name}_{number}");
        (2..).map(numbered).find(|name| !self.names.contains(name)).expect("numbers do not end")
    }

    /// Takes the kernels from number `first` on back.
    pub fn forget_from(&mut self, first: usize) {
        self.kernels.truncate(first);
        self.known.retain(|_, number| (*number as usize) < first);
        self.names = self.kernels.iter().map(|kernel| kernel.name.clone()).collect();
    }
}
