//! The training driver: batches go in, losses come out; evaluation, early stop, checkpoints, resume.
//!
//! A run is a function of program, data and seed: where it was interrupted and how many threads it has change nothing.

use crate::checkpoint::{Meta, Store, TensorFile, TensorView, latest, write_tensors};
use crate::data::{Dataset, Feeding, Loader, Position};
use crate::report::{Curve, Log, Progress, Record, Show, peak_bytes};
use crate::tensor::HostTensor;
use nnc_ir::graph::{Port, SlotKind};
use nnc_ir::plan::{EntryPlan, Plan};
use nnc_ir::session::{Device, HostBytes, Output, Session, Sizes};
use nnc_ir::training::{Fit, Training};
use nnc_ir::{DType, Symbol};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

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

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Steps completed.
    pub steps: u64,
    /// Last training loss.
    pub loss: Option<f64>,
    /// Last evaluation: `loss` and the program's metrics.
    pub evaluation: BTreeMap<String, f64>,
    /// Samples per second over the whole run, evaluations not counted.
    pub samples_per_second: f64,
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

    /// Runs a training program to its end.
    pub fn train(
        &mut self,
        training: &Training,
        dataset: &Arc<dyn Dataset>,
        feeding: &Feeding,
    ) -> Result<Summary, TrainError> {
        let mut run = self.start()?;
        let mut summary = Summary::default();
        let mut before = 0;
        for fit in &training.fits {
            summary = self.fit(fit, dataset, feeding, &mut run, before)?;
            before += fit.steps.max(0) as u64;
        }
        self.finish(&run, &training.model, dataset)?;
        Ok(summary)
    }

    fn start(&mut self) -> Result<Run, TrainError> {
        self.initialize()?;
        let mut run = Run::default();
        if let Some(directory) = &self.options.resume.clone() {
            let found = latest(directory).map_err(file)?;
            let found = found.ok_or_else(|| {
                let message = format!("`{}` holds no checkpoint", directory.display());
                TrainError {
                    help: Some("leave `--resume` out to start anew".into()),
                    ..fail("train::resume", message)
                }
            })?;
            for warning in &found.warnings {
                eprintln!("warning: {warning}");
            }
            let meta = found.checkpoint.meta().clone();
            self.options.seed = meta.seed;
            self.load(found.checkpoint.tensors(), true)?;
            run.step = meta.step;
            run.position = meta.data;
            if self.options.out.is_none() {
                self.options.out = Some(directory.clone());
            }
        }
        if let Some(out) = &self.options.out {
            let keep = NonZeroUsize::new(3).unwrap_or(NonZeroUsize::MIN);
            run.store = Some(Store::open(out, keep).map_err(file)?);
            let log = out.join("log.jsonl");
            run.log = Some(if run.step > 0 {
                let (log, kept) = Log::resume(&log, run.step).map_err(file)?;
                kept.iter().for_each(|record| run.curve(record));
                log
            } else {
                Log::create(&log).map_err(file)?
            });
        }
        Ok(run)
    }

    fn fit(
        &mut self,
        fit: &Fit,
        dataset: &Arc<dyn Dataset>,
        feeding: &Feeding,
        run: &mut Run,
        before: u64,
    ) -> Result<Summary, TrainError> {
        let end = before + fit.steps.max(0) as u64;
        let mut summary = Summary { steps: run.step, ..Summary::default() };
        if run.step >= end {
            return Ok(summary);
        }
        let feeding = Feeding { shuffle: feeding.shuffle && fit.shuffle, ..feeding.clone() };
        let mut loader = Loader::train(dataset.clone(), &feeding, self.options.seed, run.position);
        let show = if self.options.json { Show::Never } else { Show::AtTerminal };
        let mut progress = Progress::start(end - before, run.step - before, show);
        let text = fit.data.kind == "text";
        let mut clock = Clock::start();
        let (mut best, mut worse) = (f64::INFINITY, 0);
        while run.step < end {
            let batch = loader.next_batch().map_err(file)?;
            let batch = batch.ok_or_else(|| fail("train::data", "the data gave no batch"))?;
            let units = match (text, batch.get("token")) {
                (true, Some(tokens)) => tokens.elements(),
                _ => batch.size(),
            };
            let tensors: Vec<(&str, HostBytes)> =
                batch.iter().map(|(name, tensor)| (name, view(tensor))).collect();
            let outputs = self.step(&fit.step_entry, tensors, run.step - before)?;
            clock.units += units as u64;
            run.step += 1;
            run.position = loader.position();
            let loss = named(&outputs, "loss").unwrap_or(f64::NAN);
            summary.loss = Some(loss);
            if !loss.is_finite() {
                return Err(self.broken(run.step, loss));
            }
            progress.advance(run.step - before, || format!("loss {loss:.4}"));
            let last = run.step == end;
            let done = run.step - before;
            let due = |every: i64| every > 0 && done.is_multiple_of(every as u64);
            let (evaluate, log) = (last || due(fit.evaluate_every), last || due(fit.log_every));
            let mut record = Record { step: run.step, loss: Some(loss), ..Record::default() };
            if log || evaluate {
                record.tokens_or_samples_per_second = Some(clock.rate());
                record.peak_bytes = peak_bytes();
            }
            if evaluate {
                clock.pause();
                summary.evaluation = self.evaluate(fit, dataset, feeding.batch)?;
                clock.resume();
                record.val_loss = summary.evaluation.get("loss").copied();
                record.val_accuracy = summary.evaluation.get("accuracy").copied();
                match record.val_loss {
                    Some(found) if found < best => (best, worse) = (found, 0),
                    Some(_) => worse += 1,
                    None => {}
                }
            }
            if log || evaluate {
                self.record(run, &record, &summary, evaluate, &progress)?;
            }
            let stop = fit.patience > 0 && worse >= fit.patience;
            if last || stop || due(fit.checkpoint_every) {
                self.checkpoint(run, dataset)?;
            }
            if stop {
                break;
            }
        }
        summary.steps = run.step;
        summary.samples_per_second = clock.rate();
        Ok(summary)
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
        for step in 0..count {
            let batch = loader.next_batch().map_err(file)?;
            let batch = batch.ok_or_else(|| fail("train::data", "the data gave no batch"))?;
            let tensors: Vec<(&str, HostBytes)> =
                batch.iter().map(|(name, tensor)| (name, view(tensor))).collect();
            self.step(&fit.step_entry, tensors, step)?;
        }
        Ok(())
    }

    fn step(
        &mut self,
        entry: &str,
        batch: Vec<(&str, HostBytes)>,
        step: u64,
    ) -> Result<Vec<Output>, TrainError> {
        let plan = self.plan.entries.iter().find(|e| e.name == entry);
        let plan = plan.ok_or_else(|| fail("train::entry", format!("there is no entry `{entry}`")))?;
        let mut inputs: Vec<(&str, HostBytes)> =
            batch.into_iter().filter(|(name, _)| takes(plan, name)).collect();
        if takes(plan, "seed") {
            inputs.push(("seed", scalar(self.options.seed as u32)));
        }
        if takes(plan, "step") {
            inputs.push(("step", scalar(step as i32)));
        }
        self.call(entry, &inputs)
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
            for (name, value) in self.step(&fit.evaluate_entry, tensors, 0)? {
                *totals.entry(name).or_default() += size * number(&value);
            }
            samples += size;
        }
        totals.values_mut().for_each(|total| *total /= samples);
        Ok(totals)
    }

    fn record(
        &mut self,
        run: &mut Run,
        record: &Record,
        summary: &Summary,
        evaluated: bool,
        progress: &Progress,
    ) -> Result<(), TrainError> {
        run.curve(record);
        if let Some(log) = &mut run.log {
            log.write(record).map_err(file)?;
        }
        if self.options.json {
            println!("{}", record.to_line());
        } else if evaluated {
            let parts: Vec<String> =
                summary.evaluation.iter().map(|(name, value)| format!("val_{name} {value:.4}")).collect();
            let line = format!(
                "step {}  loss {:.4}  {}",
                record.step,
                record.loss.unwrap_or(f64::NAN),
                parts.join("  ")
            );
            if progress.is_visible() { progress.note(&line) } else { eprintln!("{line}") }
        }
        Ok(())
    }

    /// Names the first slot that holds a bad value.
    fn broken(&mut self, step: u64, loss: f64) -> TrainError {
        let message = match self.first_bad_slot() {
            Some(path) => format!("the loss is {loss} at step {step}; the first bad value is in `{path}`"),
            None => format!("the loss is {loss} at step {step}; all weights are finite"),
        };
        TrainError {
            help: Some("lower the learning rate, or set `clip`".into()),
            ..fail("train::nan", message)
        }
    }

    fn first_bad_slot(&mut self) -> Option<String> {
        let slots = self.plan.slots.clone();
        slots.iter().enumerate().filter(|(_, slot)| slot.ty.dtype == DType::F32).find_map(|(place, slot)| {
            let bytes = self.session.get_slot(place).ok()?;
            let bad =
                bytes.chunks_exact(4).any(|b| !f32::from_le_bytes([b[0], b[1], b[2], b[3]]).is_finite());
            bad.then(|| slot.path.clone())
        })
    }

    /// Slots of the kinds that outlive a session, by path.
    fn tensors(&mut self, state: bool) -> Result<Vec<(String, HostTensor)>, TrainError> {
        let slots = self.plan.slots.clone();
        let mut tensors = Vec::new();
        for (place, slot) in slots.iter().enumerate() {
            if slot.kind == SlotKind::Weight || (state && slot.kind == SlotKind::State) {
                let shape: Option<Vec<usize>> = slot
                    .ty
                    .shape
                    .iter()
                    .map(|d| d.as_constant().and_then(|n| usize::try_from(n).ok()))
                    .collect();
                let bytes = self.session.get_slot(place).map_err(|e| fail("train::slot", e.to_string()))?;
                let tensor = shape.and_then(|shape| HostTensor::from_bytes(slot.ty.dtype, shape, &bytes));
                let tensor = tensor
                    .ok_or_else(|| fail("train::slot", format!("`{}` has no fixed size", slot.path)))?;
                tensors.push((slot.path.clone(), tensor));
            }
        }
        Ok(tensors)
    }

    /// Sets slots from tensors of their paths. `all`: a weight or state that is missing is an error.
    fn load<'t>(
        &mut self,
        tensors: impl Iterator<Item = (&'t str, TensorView<'t>)>,
        all: bool,
    ) -> Result<(), TrainError> {
        let found: BTreeMap<&str, TensorView> = tensors.collect();
        let slots = self.plan.slots.clone();
        for (place, slot) in slots.iter().enumerate() {
            let wanted = slot.kind == SlotKind::Weight || (all && slot.kind == SlotKind::State);
            match found.get(slot.path.as_str()).map(|view| view.to_host()) {
                Some(Some(tensor)) => {
                    let shape: Vec<i64> = tensor.shape().iter().map(|n| *n as i64).collect();
                    let own: Vec<i64> = slot.ty.shape.iter().map(|d| d.as_constant().unwrap_or(-1)).collect();
                    if shape != own || tensor.dtype() != slot.ty.dtype {
                        let message = format!(
                            "`{}` is {}{shape:?} in the file, {} here",
                            slot.path,
                            tensor.dtype(),
                            slot.ty
                        );
                        return Err(fail("weights::shape", message));
                    }
                    self.session
                        .set_slot(place, tensor.bytes())
                        .map_err(|e| fail("train::slot", e.to_string()))?;
                }
                _ if wanted => {
                    let message = format!("the file has no `{}`", slot.path);
                    return Err(fail("weights::missing", message));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Initial values, then the weights of a file.
    pub fn load_weights(&mut self, path: &Path) -> Result<(), TrainError> {
        let weights = TensorFile::open(path).map_err(file)?;
        self.initialize()?;
        self.load(weights.iter(), false)
    }

    fn checkpoint(&mut self, run: &Run, dataset: &Arc<dyn Dataset>) -> Result<(), TrainError> {
        let Some(store) = &run.store else { return Ok(()) };
        let tensors = self.tensors(true)?;
        let meta = Meta {
            step: run.step,
            seed: self.options.seed,
            data: run.position,
            facts: dataset.facts(),
            ..Meta::default()
        };
        let views = tensors.iter().map(|(name, tensor)| (name.as_str(), TensorView::from(tensor)));
        store.save(&meta, views).map(|_| ()).map_err(file)
    }

    fn finish(&mut self, run: &Run, model: &str, dataset: &Arc<dyn Dataset>) -> Result<(), TrainError> {
        let Some(out) = self.options.out.clone() else { return Ok(()) };
        let tensors = self.tensors(false)?;
        let facts =
            serde_json::to_string(&dataset.facts()).map_err(|e| fail("train::facts", e.to_string()))?;
        let metadata =
            BTreeMap::from([("nnc.model".to_string(), model.to_string()), ("nnc.facts".to_string(), facts)]);
        let views = tensors.iter().map(|(name, tensor)| (name.as_str(), TensorView::from(tensor)));
        write_tensors(&out.join("weights.safetensors"), &metadata, views).map_err(file)?;
        let curve = Curve {
            title: format!("loss of {model}"),
            train: run.train.clone(),
            validation: run.validation.clone(),
        };
        curve.write(&out.join("loss.svg")).map_err(file)
    }
}

/// What a run holds besides its slots.
#[derive(Default)]
struct Run {
    step: u64,
    position: Position,
    store: Option<Store>,
    log: Option<Log>,
    train: Vec<(u64, f64)>,
    validation: Vec<(u64, f64)>,
}

impl Run {
    fn curve(&mut self, record: &Record) {
        self.train.extend(record.loss.map(|loss| (record.step, loss)));
        self.validation.extend(record.val_loss.map(|loss| (record.step, loss)));
    }
}

/// Work per second, evaluations not counted.
struct Clock {
    since: Instant,
    seconds: f64,
    units: u64,
}

impl Clock {
    fn start() -> Clock {
        Clock { since: Instant::now(), seconds: 0.0, units: 0 }
    }

    fn pause(&mut self) {
        self.seconds += self.since.elapsed().as_secs_f64();
    }

    fn resume(&mut self) {
        self.since = Instant::now();
    }

    fn rate(&self) -> f64 {
        self.units as f64 / (self.seconds + self.since.elapsed().as_secs_f64()).max(1e-9)
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

fn named(outputs: &[Output], name: &str) -> Option<f64> {
    outputs.iter().find(|(known, _)| known == name).map(|(_, value)| number(value))
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
