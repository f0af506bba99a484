//! The step loop: micro-batches, evaluation, early stop, log, checkpoints, resume.

use super::broken::broken;
use super::clock::Clock;
use super::{Trainer, number};
use crate::call::{self, RunError};
use crate::checkpoint::{Meta, Store, TensorView, latest, write_tensors};
use crate::data::{Dataset, Facts, Feeding, Loader, Position};
use crate::report::{Curve, Log, Progress, Record, Show, peak_bytes};
use crate::weights;
use nnc_ir::session::{Device, HostBytes};
use nnc_ir::training::{Fit, Training};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Steps completed.
    pub steps: u64,
    /// Last training loss.
    pub loss: Option<f64>,
    /// Last evaluation: `loss` and the program's metrics.
    pub evaluation: BTreeMap<String, f64>,
    /// Samples per second over the whole fit, evaluations not counted.
    pub samples_per_second: f64,
}

/// The data of one fit, and how they are handed out.
pub type Fed = (Arc<dyn Dataset>, Feeding);

/// Checkpoints that a run keeps.
const KEPT: NonZeroUsize = NonZeroUsize::new(3).expect("3 is not 0");
/// Where checkpoints keep [`Stand`].
const STAND: &str = "fit";

/// Where a run stands among its fits, as checkpoints remember it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Stand {
    /// The fit under way.
    fit: usize,
    /// Its completed steps.
    step: u64,
    /// Whether it was stopped before its end.
    stopped: bool,
    /// Bits of the lowest validation loss of this fit.
    best: Option<u64>,
    /// Evaluations since then.
    worse: i64,
}

/// What a run holds besides its slots.
#[derive(Default)]
struct Run {
    /// Steps completed, over all fits.
    step: u64,
    stand: Stand,
    position: Position,
    store: Option<Store>,
    log: Option<Log>,
    /// What a resumed run remembers of its data.
    facts: Option<Facts>,
    train: Vec<(u64, f64)>,
    validation: Vec<(u64, f64)>,
}

impl Run {
    fn curve(&mut self, record: &Record) {
        self.train.extend(record.loss.map(|loss| (record.step, loss)));
        self.validation.extend(record.val_loss.map(|loss| (record.step, loss)));
    }

    /// Counts an evaluation; whether it is the best of its fit.
    fn judge(&mut self, loss: f64) -> bool {
        let better = self.stand.best.is_none_or(|best| loss < f64::from_bits(best));
        if better {
            self.stand.best = Some(loss.to_bits());
        }
        self.stand.worse = if better { 0 } else { self.stand.worse + 1 };
        better
    }
}

impl<D: Device> Trainer<D> {
    /// Runs a training program to its end; `data` has one entry per fit.
    pub fn train(&mut self, training: &Training, data: &[Fed]) -> Result<Summary, RunError> {
        let mut run = self.start()?;
        agrees(run.facts.as_ref(), data.get(run.stand.fit))?;
        let mut summary = Summary::default();
        for (place, (fit, fed)) in training.fits.iter().zip(data).enumerate().skip(run.stand.fit) {
            if place > run.stand.fit {
                run.stand = Stand { fit: place, ..Stand::default() };
                if fit.data != training.fits[place - 1].data {
                    run.position = Position::default();
                }
            }
            if !run.stand.stopped {
                summary = self.fit(&training.model, fit, fed, &mut run)?;
            }
        }
        summary.steps = run.step;
        if let Some((dataset, _)) = data.get(run.stand.fit) {
            self.finish(&run, &training.model, dataset)?;
        }
        Ok(summary)
    }

    fn start(&mut self) -> Result<Run, RunError> {
        self.initialize()?;
        let mut run = Run::default();
        match &self.options.resume.clone() {
            Some(directory) => self.resume(directory, &mut run)?,
            None => self.refuse_second_run()?,
        }
        if let Some(out) = &self.options.out {
            run.store = Some(Store::open(out, KEPT)?);
            let log = out.join("log.jsonl");
            run.log = Some(if run.step > 0 {
                let (log, kept) = Log::resume(&log, run.step)?;
                kept.iter().for_each(|record| run.curve(record));
                log
            } else {
                Log::create(&log)?
            });
        }
        Ok(run)
    }

    fn resume(&mut self, directory: &Path, run: &mut Run) -> Result<(), RunError> {
        let found = latest(directory)?.ok_or_else(|| {
            let message = format!("`{}` holds no checkpoint", directory.display());
            RunError::new("train::resume", message).help("leave `--resume` out to start anew")
        })?;
        for warning in &found.warnings {
            eprintln!("warning: {warning}");
        }
        let meta = found.checkpoint.meta().clone();
        self.agree(directory, meta.seed)?;
        self.load(found.checkpoint.tensors())?;
        run.step = meta.step;
        run.position = meta.data;
        run.facts = Some(meta.facts);
        let stand = meta.extra.get(STAND).cloned().unwrap_or_default();
        run.stand = serde_json::from_value(stand).map_err(|error| {
            let message = format!("the checkpoint does not say which fit it is of: {error}");
            RunError::new("train::resume", message)
        })?;
        if self.options.out.is_none() {
            self.options.out = Some(directory.to_path_buf());
        }
        Ok(())
    }

    /// A run has one seed: another is refused, none takes that of the run.
    fn agree(&mut self, directory: &Path, seed: u64) -> Result<(), RunError> {
        if self.options.seed.is_some_and(|asked| asked != seed) {
            let message = format!("the run in `{}` has the seed {seed}", directory.display());
            return Err(
                RunError::new("train::resume", message).help("leave `--seed` out, or start a new run")
            );
        }
        self.options.seed = Some(seed);
        Ok(())
    }

    /// A folder holds one run: a second would mix its checkpoints with the first one's.
    fn refuse_second_run(&self) -> Result<(), RunError> {
        let Some(out) = &self.options.out else { return Ok(()) };
        if !out.exists() || latest(out)?.is_none() {
            return Ok(());
        }
        let message = format!("`{}` holds the checkpoints of a run already", out.display());
        let help = format!("go on with it: `--resume {}`; or choose another folder", out.display());
        Err(RunError::new("train::out", message).help(help))
    }

    fn fit(&mut self, model: &str, fit: &Fit, fed: &Fed, run: &mut Run) -> Result<Summary, RunError> {
        let (dataset, feeding) = fed;
        let end = fit.steps.max(0) as u64;
        let mut summary = Summary { steps: run.step, ..Summary::default() };
        let feeding = Feeding { shuffle: feeding.shuffle && fit.shuffle, ..feeding.clone() };
        let mut loader = Loader::train(dataset.clone(), &feeding, self.seed(), run.position);
        let show = if self.options.json { Show::Never } else { Show::AtTerminal };
        let mut progress = Progress::start(end, run.stand.step, show);
        let mut clock = Clock::start();
        while run.stand.step < end {
            let (outputs, units) = self.micro_batches(fit, &mut loader, run.stand.step, run.step)?;
            clock.units += units;
            run.step += 1;
            run.stand.step += 1;
            run.position = loader.position();
            let loss = outputs.get("loss").copied().unwrap_or(f64::NAN);
            summary.loss = Some(loss);
            progress.advance(run.stand.step, || format!("loss {loss:.4}"));
            let (last, done) = (run.stand.step == end, run.stand.step);
            let due = |every: i64| every > 0 && done.is_multiple_of(every as u64);
            let (evaluate, log) = (last || due(fit.evaluate_every), last || due(fit.log_every));
            let mut record = Record { step: run.step, loss: Some(loss), ..Record::default() };
            record.more = outputs.into_iter().filter(|(name, _)| name != "loss").collect();
            if evaluate {
                clock.pause();
                summary.evaluation = self.evaluate(fit, dataset, feeding.batch)?;
                record.evaluated(&summary.evaluation);
                let better = record.val_loss.is_some_and(|loss| run.judge(loss));
                if better && fit.patience > 0 {
                    self.write_weights("best.safetensors", dataset, model)?;
                }
                clock.resume();
            }
            if log || evaluate {
                self.record(run, &record, &clock, &progress)?;
            }
            let stop = fit.patience > 0 && run.stand.worse >= fit.patience;
            run.stand.stopped = stop;
            if last || stop || due(fit.checkpoint_every) {
                self.checkpoint(run, dataset)?;
            }
            if stop {
                break;
            }
        }
        summary.samples_per_second = clock.rate();
        Ok(summary)
    }

    /// One step: the micro-batches that only add to the gradients, then the one that updates. Yields the means of the
    /// outputs, and the samples or tokens seen. `step` counts within the fit, `total` over the run.
    pub(super) fn micro_batches(
        &mut self,
        fit: &Fit,
        loader: &mut Loader,
        step: u64,
        total: u64,
    ) -> Result<(BTreeMap<String, f64>, u64), RunError> {
        let count = fit.accumulate.max(1) as u64;
        let (mut means, mut units) = (BTreeMap::<String, f64>::new(), 0);
        for micro in 0..count {
            let batch = loader.next_batch()?;
            let batch = batch.ok_or_else(|| RunError::new("train::data", "the data gave no batch"))?;
            units += match (fit.data.kind.as_str(), batch.get("token")) {
                ("text", Some(tokens)) => tokens.elements() as u64,
                _ => batch.size() as u64,
            };
            let tensors: Vec<(&str, HostBytes)> =
                batch.iter().map(|(name, tensor)| (name, call::view(tensor))).collect();
            let entry = match &fit.accumulate_entry {
                Some(entry) if micro + 1 < count => entry,
                _ => &fit.step_entry,
            };
            let inputs = self.inputs(entry, tensors, step, step * count + micro)?;
            let outputs = self.call(entry, &inputs)?;
            let numbers = outputs.iter().map(|(name, value)| (name, number(value)));
            if let Some((name, bad)) = numbers.into_iter().find(|(_, number)| !number.is_finite()) {
                let place = self.place_of_break(entry, name, &inputs);
                return Err(broken(total + 1, name, bad, place));
            }
            for (name, value) in &outputs {
                // Gradients are complete in the last micro-batch only.
                let share = if name == "grad_norm" { 1.0 } else { 1.0 / count as f64 };
                *means.entry(name.clone()).or_default() += share * number(value);
            }
        }
        Ok((means, units))
    }

    /// What an entry of a fit takes: a batch, and the numbers it asks for.
    pub(super) fn inputs<'b>(
        &self,
        entry: &str,
        batch: Vec<(&'b str, HostBytes<'b>)>,
        step: u64,
        draw: u64,
    ) -> Result<Vec<(&'b str, HostBytes<'b>)>, RunError> {
        let plan = call::entry(&self.plan, entry)?;
        let mut inputs: Vec<(&str, HostBytes)> =
            batch.into_iter().filter(|(name, _)| call::takes(plan, name)).collect();
        let numbers = [
            ("seed", call::scalar(self.seed() as u32)),
            ("step", call::scalar(step as i32)),
            ("draw", call::scalar(draw as i32)),
        ];
        inputs.extend(numbers.into_iter().filter(|(name, _)| call::takes(plan, name)));
        Ok(inputs)
    }

    fn record(
        &mut self,
        run: &mut Run,
        record: &Record,
        clock: &Clock,
        progress: &Progress,
    ) -> Result<(), RunError> {
        run.curve(record);
        // The log is the same however fast the machine is; what was measured goes to the caller only.
        if let Some(log) = &mut run.log {
            log.write(record)?;
        }
        if self.options.json {
            let rate = Some(clock.rate());
            let measured =
                Record { tokens_or_samples_per_second: rate, peak_bytes: peak_bytes(), ..record.clone() };
            println!("{}", measured.to_line());
        } else if record.val_loss.is_some() {
            let line = record.to_text();
            if progress.is_visible() { progress.note(&line) } else { eprintln!("{line}") }
        }
        Ok(())
    }

    fn checkpoint(&mut self, run: &Run, dataset: &Arc<dyn Dataset>) -> Result<(), RunError> {
        let Some(store) = &run.store else { return Ok(()) };
        let tensors = self.tensors(true)?;
        let stand = serde_json::to_value(run.stand);
        let stand = stand.map_err(|error| RunError::new("train::facts", error.to_string()))?;
        let meta = Meta {
            step: run.step,
            seed: self.seed(),
            data: run.position,
            facts: dataset.facts(),
            extra: BTreeMap::from([(STAND.to_string(), stand)]),
        };
        let views = tensors.iter().map(|(name, tensor)| (name.as_str(), TensorView::from(tensor)));
        store.save(&meta, views)?;
        Ok(())
    }

    /// Writes what a trained model needs into the run's folder.
    fn write_weights(&mut self, name: &str, dataset: &Arc<dyn Dataset>, model: &str) -> Result<(), RunError> {
        let Some(out) = self.options.out.clone() else { return Ok(()) };
        let tensors = self.tensors(false)?;
        let facts = serde_json::to_string(&dataset.facts());
        let facts = facts.map_err(|error| RunError::new("train::facts", error.to_string()))?;
        let metadata = [(weights::MODEL, model.to_string()), (weights::FACTS, facts)];
        let metadata = metadata.map(|(name, text)| (name.to_string(), text)).into();
        let views = tensors.iter().map(|(name, tensor)| (name.as_str(), TensorView::from(tensor)));
        Ok(write_tensors(&out.join(name), &metadata, views)?)
    }

    fn finish(&mut self, run: &Run, model: &str, dataset: &Arc<dyn Dataset>) -> Result<(), RunError> {
        let Some(out) = self.options.out.clone() else { return Ok(()) };
        self.write_weights(weights::FILE, dataset, model)?;
        let curve = Curve {
            title: format!("loss of {model}"),
            train: run.train.clone(),
            validation: run.validation.clone(),
        };
        Ok(curve.write(&out.join("loss.svg"))?)
    }
}

/// A resumed run goes on with its data: tokens and scaled columns must mean what they meant.
fn agrees(facts: Option<&Facts>, fed: Option<&Fed>) -> Result<(), RunError> {
    match facts.zip(fed) {
        Some((facts, (dataset, _))) if *facts != dataset.facts() => {
            let message = "the run was made with other data: their characters, classes or scales differ";
            Err(RunError::new("train::resume", message).help("give the data of the run, or start a new one"))
        }
        _ => Ok(()),
    }
}
