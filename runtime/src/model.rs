//! A compiled model in a Rust program: opened from an artifact, or made of a plan and its code.
//!
//! ```no_run
//! use nnc_runtime::{HostTensor, Model};
//!
//! let mut model = Model::open("digits.nnb")?;
//! // The model says what it takes: `image: f32[B, H: 28, W: 28]`. The size of the batch is the caller's.
//! let image = HostTensor::zeros(nnc_runtime::DType::F32, vec![3, 28, 28]);
//! let outputs = model.run("forward", &[("image", &image)])?;
//! let (name, logits) = &outputs[0];
//! println!("{name}: {:?}, {:?}", logits.shape(), logits.values::<f32>());
//! # Ok::<(), nnc_runtime::RunError>(())
//! ```

use crate::artifact::{Artifact, Interface};
use crate::call::{self, Named, RunError};
use crate::checkpoint::{TensorFile, TensorView};
use crate::cpu::Cpu;
use crate::file::error::nearest;
use crate::tensor::HostTensor;
use crate::weights::{self, Need};
use nnc_ir::graph::SlotKind;
use nnc_ir::plan::Plan;
use nnc_ir::session::{HostBytes, Session};
use std::collections::BTreeSet;
use std::path::Path;

/// A model that is ready to run on this processor. Weights, states and caches live as long as it does.
pub struct Model {
    session: Session<Cpu>,
    plan: Plan,
    interface: Interface,
}

impl Model {
    /// Opens an artifact: checks it, maps its code, loads its weights. An artifact is a program; open only what you
    /// would run.
    pub fn open(path: impl AsRef<Path>) -> Result<Model, RunError> {
        Model::from_artifact(&Artifact::open(path.as_ref())?, None)
    }

    /// The model of an opened artifact, on so many threads; on all cores without a number.
    pub fn from_artifact(artifact: &Artifact, threads: Option<usize>) -> Result<Model, RunError> {
        let level = artifact.level()?;
        let plan = artifact.plan()?;
        let code = artifact.code(&plan, level)?;
        let mut model = Model::new(plan, &code, threads)?;
        model.set_weights(&artifact.weights()?, Need::All)?;
        Ok(model)
    }

    /// A model of kernels compiled just now, `code[k]` for kernel `k`. All slots are zero.
    pub fn new(plan: Plan, code: &[Vec<u8>], threads: Option<usize>) -> Result<Model, RunError> {
        let cpu = Cpu::new(&plan.kernels, code, threads);
        let cpu = cpu.map_err(|error| RunError::new("call::device", error.message))?;
        Ok(Model { session: Session::new(cpu, &plan), interface: Interface::of(&plan), plan })
    }

    /// What can be called with what.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// Draws the initial values of all slots; the entry `init` must be there.
    pub fn initialize(&mut self, seed: u32) -> Result<(), RunError> {
        call::initialize(&mut self.session, &self.plan, seed)
    }

    /// Sets weights and states from a file of tensors. Returns the paths of states that it does not have; they keep
    /// their values.
    pub fn set_weights(&mut self, file: &TensorFile, need: Need) -> Result<BTreeSet<String>, RunError> {
        weights::load(&mut self.session, &self.plan.slots, file.iter(), need)
    }

    /// Sets one weight or state by the path of its slot: the copies of a stack together, one behind the other.
    pub fn set_weight(&mut self, path: &str, value: &HostTensor) -> Result<(), RunError> {
        let slots = &self.plan.slots;
        let Some(place) = slots.iter().position(|slot| slot.path == path && slot.kind != SlotKind::Cache)
        else {
            let error = RunError::new("weights::missing", format!("the model has no weight `{path}`"));
            return Err(match nearest(path, slots.iter().map(|slot| slot.path.as_str())) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error,
            });
        };
        weights::set(&mut self.session, place, &slots[place], &TensorView::from(value))
    }

    /// Every weight and state by key: one tensor per copy of a stack.
    pub fn weights(&mut self) -> Result<Vec<Named>, RunError> {
        let slots = &self.plan.slots;
        let mut found = Vec::new();
        for place in (0..slots.len()).filter(|place| slots[*place].kind != SlotKind::Cache) {
            found.extend(weights::values(&mut self.session, slots, place)?);
        }
        Ok(found)
    }

    /// Runs an entry. The sizes of the batch are read off the inputs; results come in the order of the interface.
    pub fn run(&mut self, name: &str, inputs: &[(&str, &HostTensor)]) -> Result<Vec<Named>, RunError> {
        let inputs: Vec<(&str, HostBytes)> =
            inputs.iter().map(|(name, tensor)| (*name, call::view(tensor))).collect();
        call::call(&mut self.session, &self.plan, name, &inputs)
    }

    /// Ends what the caches remember: the next call of the entry `session` begins a new session.
    pub fn forget_caches(&mut self) {
        self.session.forget_caches();
    }
}
