//! The training driver: batches go in, losses come out; evaluation, early stop, checkpoints, resume.
//!
//! A run is a function of program, data and seed: where it was interrupted and how many threads it has change nothing.

mod fit;

pub use fit::{Fed, Summary};

use crate::checkpoint::TensorView;
use crate::data::{Dataset, Feeding, Loader, Position};
use crate::tensor::HostTensor;
use crate::weights::{self, Need, keys};
use nnc_ir::graph::{Port, SlotKind};
use nnc_ir::plan::{EntryPlan, Plan};
use nnc_ir::session::{Device, HostBytes, Output, Session, Sizes};
use nnc_ir::training::Fit;
use nnc_ir::{DType, Symbol};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a run is made.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Seed of initial values, random draws and the order of samples.
    pub seed: u64,
    /// Where checkpoints, weights, log and loss curve go; nothing is written without it.
    pub out: Option<PathBuf>,
    /// Goes on with the latest checkpoint of this directory.
    pub resume: Option<PathBuf>,
    /// One JSON object per measurement on standard output, and no progress bar.
    pub json: bool,
}

/// Why training stopped before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainError {
    /// `family::name`.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// What would work.
    pub help: Option<String>,
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.code, self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for TrainError {}

impl From<crate::RunError> for TrainError {
    fn from(error: crate::RunError) -> TrainError {
        TrainError { code: error.code, message: error.message, help: error.help }
    }
}

fn fail(code: &'static str, message: impl Into<String>) -> TrainError {
    TrainError { code, message: message.into(), help: None }
}

fn file(error: crate::file::FileError) -> TrainError {
    fail("train::file", error.to_string())
}

/// A plan's session with what training needs to know of it.
pub struct Trainer<D: Device> {
    session: Session<D>,
    plan: Plan,
    options: Options,
}

impl<D: Device> Trainer<D> {
    /// A trainer whose slots are still zero.
    pub fn new(device: D, plan: Plan, options: Options) -> Trainer<D> {
        Trainer { session: Session::new(device, &plan), plan, options }
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
    pub fn call(&mut self, entry: &str, inputs: &[(&str, HostBytes)]) -> Result<Vec<Output>, TrainError> {
        let plan = self.plan.entries.iter().find(|e| e.name == entry);
        let plan = plan.ok_or_else(|| fail("train::entry", format!("there is no entry `{entry}`")))?;
        let sizes = sizes_of(plan, inputs)?;
        self.session.call(entry, inputs, &sizes).map_err(|error| fail("train::call", error.to_string()))
    }

    /// Draws the initial values of all slots.
    pub fn initialize(&mut self) -> Result<(), TrainError> {
        let seed = scalar(self.options.seed as u32);
        let takes_seed = self.plan.entries.iter().any(|e| e.name == "init" && takes(e, "seed"));
        let inputs = if takes_seed { vec![("seed", seed)] } else { Vec::new() };
        self.call("init", &inputs).map(|_| ())
    }

    /// Runs training steps without evaluation, log or files.
    pub fn steps(
        &mut self,
        fit: &Fit,
        dataset: &Arc<dyn Dataset>,
        feeding: &Feeding,
        count: u64,
    ) -> Result<(), TrainError> {
        let mut loader = Loader::train(dataset.clone(), feeding, self.options.seed, Position::default());
        (0..count).try_for_each(|step| self.micro_batches(fit, &mut loader, step, step).map(drop))
    }

    /// Means over the held-out part.
    pub fn evaluate(
        &mut self,
        fit: &Fit,
        dataset: &Arc<dyn Dataset>,
        batch: usize,
    ) -> Result<BTreeMap<String, f64>, TrainError> {
        let mut loader = Loader::validate(dataset.clone(), batch);
        let (mut totals, mut samples) = (BTreeMap::<String, f64>::new(), 0.0);
        while let Some(batch) = loader.next_batch().map_err(file)? {
            let tensors = batch.iter().map(|(name, tensor)| (name, view(tensor))).collect();
            let size = batch.size() as f64;
            for (name, value) in self.step(&fit.evaluate_entry, tensors, 0, 0)? {
                *totals.entry(name).or_default() += size * number(&value);
            }
            samples += size;
        }
        totals.values_mut().for_each(|total| *total /= samples);
        Ok(totals)
    }

    /// Slots that outlive a session, one tensor per copy: those a trained model needs, or all.
    pub(crate) fn tensors(&mut self, all: bool) -> Result<Vec<(String, HostTensor)>, TrainError> {
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
    fn load<'t>(
        &mut self,
        tensors: impl Iterator<Item = (&'t str, TensorView<'t>)>,
    ) -> Result<(), TrainError> {
        weights::load(&mut self.session, &self.plan.slots, tensors, Need::All)
            .map(drop)
            .map_err(TrainError::from)
    }

    /// Initial values, then the weights of a file: of a run, or any safetensors file with the same names.
    pub fn load_weights(&mut self, path: &Path) -> Result<(), TrainError> {
        let weights = weights::open(path)?;
        self.initialize()?;
        let tensors: keys::Tensors = weights.iter().collect();
        keys::demand(&self.plan.slots, &self.needed(), &tensors)?;
        weights::load(&mut self.session, &self.plan.slots, weights.iter(), Need::Weights)?;
        Ok(())
    }
}

/// A scalar input.
pub fn scalar<T: crate::tensor::Element>(value: T) -> HostBytes<'static> {
    let tensor = HostTensor::scalar(value);
    HostBytes { dtype: tensor.dtype(), shape: Vec::new(), bytes: Cow::Owned(tensor.bytes().to_vec()) }
}

/// A tensor as an input.
pub fn view(tensor: &HostTensor) -> HostBytes<'_> {
    HostBytes { dtype: tensor.dtype(), shape: tensor.shape().to_vec(), bytes: Cow::Borrowed(tensor.bytes()) }
}

fn takes(entry: &EntryPlan, name: &str) -> bool {
    entry.inputs.iter().any(|(port, _)| matches!(port, Port::Named(known) if known == name))
}

/// An f32 scalar as a number.
fn number(value: &HostBytes) -> f64 {
    match (value.dtype, value.bytes.first_chunk::<4>()) {
        (DType::F32, Some(bytes)) => f64::from(f32::from_le_bytes(*bytes)),
        (DType::I32, Some(bytes)) => f64::from(i32::from_le_bytes(*bytes)),
        _ => f64::NAN,
    }
}

/// Run-time sizes, read off the shapes of inputs.
pub fn sizes_of(entry: &EntryPlan, inputs: &[(&str, HostBytes)]) -> Result<Sizes, TrainError> {
    let mut sizes: BTreeMap<Symbol, i64> = BTreeMap::new();
    let mut origin: BTreeMap<Symbol, String> = BTreeMap::new();
    for (name, tensor) in inputs {
        let bound = entry.inputs.iter().find(|(port, _)| matches!(port, Port::Named(known) if known == name));
        let Some((_, place)) = bound else { continue };
        for (axis, (dim, size)) in entry.places[place.0 as usize].shape.iter().zip(&tensor.shape).enumerate()
        {
            let Some(symbol) = dim.as_symbol() else { continue };
            let here = format!("axis {axis} of `{name}`");
            match sizes.insert(symbol.clone(), *size as i64) {
                Some(known) if known != *size as i64 => {
                    let first = origin.get(symbol).cloned().unwrap_or_default();
                    return Err(fail(
                        "call::size",
                        format!("`{symbol}` is {known} by {first} and {size} by {here}"),
                    ));
                }
                _ => origin.insert(symbol.clone(), here),
            };
        }
    }
    Ok(sizes)
}
