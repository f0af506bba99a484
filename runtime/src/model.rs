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
use crate::call::{RunError, bind, entry, takes};
use crate::checkpoint::TensorFile;
use crate::cpu::Cpu;
use crate::tensor::HostTensor;
use crate::weights::{self, Need};
use nnc_ir::graph::SlotKind;
use nnc_ir::plan::Plan;
use nnc_ir::session::{HostBytes, Session};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;

/// A model that is ready to run on this processor. Weights, states and caches live as long as it does.
pub struct Model {
    session: Session<Cpu>,
    plan: Plan,
    interface: Interface,
}

/// A named result.
pub type Named = (String, HostTensor);

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
        let seed = HostTensor::scalar(seed);
        let takes_seed = takes(entry(&self.plan, "init")?, "seed");
        let inputs = [("seed", &seed)];
        self.run("init", if takes_seed { &inputs } else { &[] }).map(|_| ())
    }

    /// Sets weights and states from a file of tensors. Returns the paths of states that it does not have; they keep
    /// their values.
    pub fn set_weights(&mut self, file: &TensorFile, need: Need) -> Result<BTreeSet<String>, RunError> {
        weights::load(&mut self.session, &self.plan.slots, file.iter(), need)
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
            inputs.iter().map(|(name, tensor)| (*name, view(tensor))).collect();
        let sizes = bind(entry(&self.plan, name)?, &inputs)?;
        let outputs = self.session.call(name, &inputs, &sizes);
        let outputs = outputs.map_err(|error| RunError::new("call::run", error.to_string()))?;
        let host = |(name, bytes): (String, HostBytes)| {
            let tensor = HostTensor::from_bytes(bytes.dtype, bytes.shape, &bytes.bytes);
            let broken =
                || RunError::new("call::run", format!("output `{name}` has another size than its shape"));
            Ok((name.clone(), tensor.ok_or_else(broken)?))
        };
        outputs.into_iter().map(host).collect()
    }

    /// Ends what the caches remember: the next call of the entry `session` begins a new session.
    pub fn forget_caches(&mut self) {
        self.session.forget_caches();
    }
}

/// A tensor as an input.
pub(crate) fn view(tensor: &HostTensor) -> HostBytes<'_> {
    HostBytes { dtype: tensor.dtype(), shape: tensor.shape().to_vec(), bytes: Cow::Borrowed(tensor.bytes()) }
}
