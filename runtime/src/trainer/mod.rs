//! The training driver: batches go in, losses come out; evaluation, early stop, checkpoints, resume.
//!
//! A run is a function of program, data and seed: where it was interrupted and how many threads it has change nothing.

mod broken;
mod clock;
mod fit;

pub use broken::Blame;
pub use fit::{Fed, Summary};

use crate::call::{self, Named, RunError};
use crate::checkpoint::{TensorFile, TensorView};
use crate::data::{Dataset, Feeding, Loader, Position};
use crate::tensor::HostTensor;
use crate::weights::{self, Need, keys};
use nnc_ir::graph::{Port, SlotKind};
use nnc_ir::plan::{EntryPlan, Plan};
use nnc_ir::session::{Device, HostBytes, Session};
use nnc_ir::training::Fit;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// How a run is made.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Seed of initial values, random draws and the order of samples; without one that of the resumed run, or 0.
    pub seed: Option<u64>,
    /// Where checkpoints, weights, log and loss curve go; nothing is written without it.
    pub out: Option<PathBuf>,
    /// Goes on with the latest checkpoint of this directory.
    pub resume: Option<PathBuf>,
    /// One JSON object per measurement on standard output, and no progress bar.
    pub json: bool,
}

/// A plan's session with what training needs to know of it.
pub struct Trainer<D: Device> {
    session: Session<D>,
    plan: Plan,
    options: Options,
    blame: Option<Blame>,
}

impl<D: Device> Trainer<D> {
    /// A trainer whose slots are still zero.
    pub fn new(device: D, plan: Plan, options: Options) -> Trainer<D> {
        Trainer { session: Session::new(device, &plan), plan, options, blame: None }
    }

    /// Asks `blame` when a loss breaks though all weights are finite.
    pub fn with_blame(self, blame: Blame) -> Trainer<D> {
        Trainer { blame: Some(blame), ..self }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.options.seed.unwrap_or(0)
    }

    /// The session, for calls of one's own.
    pub fn session(&mut self) -> &mut Session<D> {
        &mut self.session
    }

    /// Whether the model has caches, and an entry that keeps them.
    pub fn has_session(&self) -> bool {
        let cached = self.plan.slots.iter().any(|slot| slot.kind == SlotKind::Cache);
        cached && self.plan.entries.iter().any(|entry| entry.name == "session")
    }

    /// Calls an entry; run-time sizes are read off the inputs.
    pub fn call(&mut self, entry: &str, inputs: &[(&str, HostBytes)]) -> Result<Vec<Named>, RunError> {
        call::call(&mut self.session, &self.plan, entry, inputs)
    }

    /// Draws the initial values of all slots.
    pub fn initialize(&mut self) -> Result<(), RunError> {
        let seed = self.seed() as u32;
        call::initialize(&mut self.session, &self.plan, seed)
    }

    /// Runs training steps without evaluation, log or files.
    pub fn steps(
        &mut self,
        fit: &Fit,
        dataset: &Arc<dyn Dataset>,
        feeding: &Feeding,
        count: u64,
    ) -> Result<(), RunError> {
        let mut loader = Loader::train(dataset.clone(), feeding, self.seed(), Position::default());
        (0..count).try_for_each(|step| self.micro_batches(fit, &mut loader, step, step).map(drop))
    }

    /// Means over the held-out part.
    pub fn evaluate(
        &mut self,
        fit: &Fit,
        dataset: &Arc<dyn Dataset>,
        batch: usize,
    ) -> Result<BTreeMap<String, f64>, RunError> {
        let mut loader = Loader::validate(dataset.clone(), batch);
        let (mut totals, mut samples) = (BTreeMap::<String, f64>::new(), 0.0);
        while let Some(batch) = loader.next_batch()? {
            let tensors = batch.iter().map(|(name, tensor)| (name, call::view(tensor))).collect();
            let size = batch.size() as f64;
            let inputs = self.inputs(&fit.evaluate_entry, tensors, 0, 0)?;
            for (name, value) in self.call(&fit.evaluate_entry, &inputs)? {
                *totals.entry(name).or_default() += size * number(&value);
            }
            samples += size;
        }
        totals.values_mut().for_each(|total| *total /= samples);
        Ok(totals)
    }

    /// Slots that outlive a session, one tensor per copy: those a trained model needs, or all.
    pub(crate) fn tensors(&mut self, all: bool) -> Result<Vec<(String, HostTensor)>, RunError> {
        let (slots, needed) = (self.plan.slots.clone(), self.needed());
        let mut tensors = Vec::new();
        for (place, slot) in slots.iter().enumerate() {
            if needed.contains(&place) || (all && slot.kind == SlotKind::State) {
                tensors.extend(weights::values(&mut self.session, &slots, place)?);
            }
        }
        Ok(tensors)
    }

    fn needed(&self) -> BTreeSet<usize> {
        let entries = self.plan.entries.iter();
        let ports = |entry: &'_ EntryPlan| -> Vec<Port> {
            entry.inputs.iter().map(|(port, _)| port.clone()).collect()
        };
        let entries: Vec<(&str, Vec<Port>)> =
            entries.map(|entry| (entry.name.as_str(), ports(entry))).collect();
        let entries = entries.iter().map(|(name, ports)| (*name, ports.iter().collect()));
        keys::needed(&self.plan.slots, entries)
    }

    /// Sets every weight and state from tensors of their keys.
    fn load<'t>(&mut self, tensors: impl Iterator<Item = (&'t str, TensorView<'t>)>) -> Result<(), RunError> {
        weights::load(&mut self.session, &self.plan.slots, tensors, Need::All).map(drop)
    }

    /// Initial values, then the weights of a file: of a run, or any safetensors file with the same names. States that
    /// only training reads may be absent.
    pub fn load_weights(&mut self, file: &TensorFile) -> Result<(), RunError> {
        self.initialize()?;
        let needed = self.needed();
        weights::load(&mut self.session, &self.plan.slots, file.iter(), Need::Slots(&needed)).map(drop)
    }
}

/// A scalar result as a number.
fn number(value: &HostTensor) -> f64 {
    value.to_f64().first().copied().unwrap_or(f64::NAN)
}
