//! Commands that run a program: `train`, `eval`, `generate`.

mod bench;
mod blame;

use crate::account;
use crate::files::Files;
use crate::pipeline::{self, Compiled, refuse};
use crate::report;
use crate::target::{Target, on_device};
use nnc_ir::DType;
use nnc_ir::session::{Device, HostBytes};
use nnc_ir::training::{Fit, Plain, Training};
use nnc_kernels::random::threefry2x32;
use nnc_runtime::data::Facts;
use nnc_runtime::trainer::{Fed, Options, Trainer};
use nnc_runtime::{HostTensor, weights};
use std::borrow::Cow;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

pub use bench::{Bench, bench};

use blame::Graph;

/// A number of threads from the command line.
pub fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least one thread is needed".into()),
        Ok(count) => Ok(count),
        Err(_) => Err("this is no number of threads".into()),
    }
}

fn temperature(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0);
    number.ok_or_else(|| "a number from 0 is needed".into())
}

/// What every running command takes.
#[derive(clap::Args)]
pub struct Common {
    /// The program.
    file: PathBuf,
    /// Data from the command line, `field=PATH`; `data=PATH` replaces the source.
    #[arg(long = "data", num_args = 1..)]
    data: Vec<String>,
    /// Settings of the model, `name=value`.
    #[arg(long = "param", num_args = 1..)]
    params: Vec<String>,
    /// Threads of the processor; all cores without it.
    #[arg(long, value_parser = threads)]
    threads: Option<usize>,
    /// One JSON object per line on standard output.
    #[arg(long)]
    json: bool,
}

/// Where it runs; `nnc bench` knows the processor alone.
#[derive(clap::Args)]
struct Where {
    /// Where the program runs; `nnc doctor` lists the devices.
    #[arg(long, value_enum, default_value_t)]
    target: Target,
}

/// `nnc train`
#[derive(clap::Args)]
pub struct Train {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    place: Where,
    /// Training steps, instead of the program's.
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(0..))]
    steps: Option<i64>,
    /// Seed of the run, 0 without it; a resumed run keeps its own.
    #[arg(long)]
    seed: Option<u64>,
    /// Folder for checkpoints, weights, log and loss curve.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Folder of the run to go on with.
    #[arg(long)]
    resume: Option<PathBuf>,
}

/// `nnc eval`
#[derive(clap::Args)]
pub struct Eval {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    place: Where,
    /// Weights of a run.
    #[arg(long)]
    weights: PathBuf,
}

/// `nnc generate`
#[derive(clap::Args)]
pub struct Generate {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    place: Where,
    /// Weights of a run.
    #[arg(long)]
    weights: PathBuf,
    /// Text to go on from.
    #[arg(long, default_value = "\n")]
    prompt: String,
    /// Characters to write.
    #[arg(long, default_value_t = 300)]
    length: usize,
    /// 0 takes the likeliest character, 1 samples as the model says.
    #[arg(long, default_value_t = 0.8, allow_negative_numbers = true, value_parser = temperature)]
    temperature: f64,
    /// Samples among so many likeliest characters; 0 among all.
    #[arg(long, default_value_t = 0)]
    top_k: usize,
    /// Seed of the samples.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// A program that is compiled, and its training part.
struct Ready {
    files: Files,
    compiled: Compiled,
    training: Training,
    graph: Rc<Graph>,
}

fn prepare(common: &Common, target: Target, steps: Option<i64>) -> Result<Ready, ExitCode> {
    let files = Files::beside(&common.file).with_data(&common.data).map_err(refuse)?;
    let (program, built) = pipeline::build(&common.file, &common.params, steps, &files, common.json)?;
    let (module, regions) = (built.module.clone(), built.regions.clone());
    let mut compiled = pipeline::compile(&program, built, target)?;
    if target == Target::Cpu {
        account::fits_memory(&compiled.plan, compiled.training.as_ref()).map_err(refuse)?;
    }
    let training = compiled.training.take().ok_or_else(|| refuse("this file has no `train` program"))?;
    let graph = Rc::new(Graph { module, regions, program, plan: compiled.plan.clone() });
    Ok(Ready { files, compiled, training, graph })
}

/// Compiles, opens the target's device, and calls a function with a trainer on it.
macro_rules! with_trainer {
    ($arguments:expr, $steps:expr, $options:expr, $run:ident) => {{
        let target = $arguments.place.target;
        let run = |ready: Ready| {
            let threads = $arguments.common.threads;
            on_device!(target, ready.compiled, threads, |device| {
                $run($arguments, &ready, Trainer::new(device, ready.compiled.plan.clone(), $options))
            })
            .unwrap_or_else(|missing| Err(report::plainly(&missing)))
        };
        prepare(&$arguments.common, target, $steps)
            .and_then(run)
            .map_or_else(|code| code, |()| ExitCode::SUCCESS)
    }};
}

/// The data of a fit, read as those with `facts` were.
fn open(files: &Files, fit: &Fit, facts: &Facts) -> Result<Fed, ExitCode> {
    let feeding = files.spec(&fit.data, fit.held_out).feeding().map_err(refuse)?;
    let dataset = files.open(&fit.data, fit.held_out, facts).map_err(refuse)?;
    Ok((Arc::from(dataset), feeding))
}

/// The data of every fit; fits that name the same data share them.
fn open_all(files: &Files, training: &Training) -> Result<Vec<Fed>, ExitCode> {
    let mut opened: Vec<Fed> = Vec::new();
    for (place, fit) in training.fits.iter().enumerate() {
        let same = |other: &&Fit| other.data == fit.data && other.held_out == fit.held_out;
        match training.fits[..place].iter().position(|other| same(&other)) {
            Some(known) => opened.push(opened[known].clone()),
            None => opened.push(open(files, fit, &Facts::default())?),
        }
    }
    Ok(opened)
}

/// The first fit.
fn first(training: &Training) -> Result<&Fit, ExitCode> {
    training.fits.first().ok_or_else(|| refuse("this program trains nothing"))
}

/// Trains.
pub fn train(arguments: &Train) -> ExitCode {
    let options = Options {
        seed: arguments.seed,
        out: arguments.out.clone(),
        resume: arguments.resume.clone(),
        json: arguments.common.json,
    };
    with_trainer!(arguments, arguments.steps, options, train_on)
}

fn train_on<D: Device>(arguments: &Train, ready: &Ready, trainer: Trainer<D>) -> Result<(), ExitCode> {
    let Ready { files, training, graph, .. } = ready;
    let data = open_all(files, training)?;
    let summary = trainer.with_blame(Graph::blame(graph)).train(training, &data).map_err(refuse)?;
    if !arguments.common.json {
        println!("{} steps, {:.0} samples or tokens per second", summary.steps, summary.samples_per_second);
        summary.evaluation.iter().for_each(|(name, value)| println!("val_{name} {value:.4}"));
    }
    Ok(())
}

/// Evaluates weights.
pub fn eval(arguments: &Eval) -> ExitCode {
    with_trainer!(arguments, None, Options::default(), eval_on)
}

fn eval_on<D: Device>(arguments: &Eval, ready: &Ready, mut trainer: Trainer<D>) -> Result<(), ExitCode> {
    let Ready { files, training, .. } = ready;
    let file = weights::open(&arguments.weights).map_err(refuse)?;
    let facts = weights::facts(&file).map_err(refuse)?.unwrap_or_default();
    let (dataset, feeding) = open(files, first(training)?, &facts)?;
    trainer.load_weights(&file).map_err(refuse)?;
    let found = trainer.evaluate(&training.fits[0], &dataset, feeding.batch).map_err(refuse)?;
    let named = found.iter().map(|(name, value)| (format!("val_{name}"), *value));
    if arguments.common.json {
        println!("{}", serde_json::json!(named.collect::<std::collections::BTreeMap<_, _>>()));
    } else {
        named.for_each(|(name, value)| println!("{name} {value:.4}"));
    }
    Ok(())
}

/// Writes text.
pub fn generate(arguments: &Generate) -> ExitCode {
    with_trainer!(arguments, None, Options::default(), generate_on)
}

fn generate_on<D: Device>(
    arguments: &Generate,
    ready: &Ready,
    mut trainer: Trainer<D>,
) -> Result<(), ExitCode> {
    let context = context_of(&ready.training);
    let file = weights::open(&arguments.weights).map_err(refuse)?;
    trainer.load_weights(&file).map_err(refuse)?;
    let facts = weights::facts(&file).map_err(refuse)?;
    let vocabulary = facts
        .and_then(|facts| facts.vocabulary)
        .ok_or_else(|| refuse("the weights tell no vocabulary: they are not of a text model"))?;
    let mut tokens = vocabulary.encode(&arguments.prompt).map_err(refuse)?;
    if tokens.is_empty() {
        return Err(refuse("the prompt is empty"));
    }
    let prompt = tokens.len();
    let mut out = std::io::stdout().lock();
    let session = trainer.has_session();
    let mut fed = 0;
    for place in 0..arguments.length {
        // The model knows windows of `context` characters: a full one begins anew with its second half.
        if session && fed >= context {
            trainer.session().forget_caches();
            fed = 0;
        }
        let window = tokens.len().saturating_sub(if fed == 0 && place > 0 { context / 2 } else { context });
        let new = if session && fed > 0 { &tokens[tokens.len() - 1..] } else { &tokens[window..] };
        fed += new.len();
        let bytes: Vec<u8> = new.iter().flat_map(|t| (*t as i32).to_le_bytes()).collect();
        let input = HostBytes { dtype: DType::I32, shape: vec![1, new.len()], bytes: Cow::Owned(bytes) };
        let entry = if session { "session" } else { "forward" };
        let outputs = trainer.call(entry, &[("token", input)]).map_err(refuse)?;
        let mut logits = last_row(&outputs[0].1);
        // A model may have room for more characters than its text had.
        logits.truncate(vocabulary.size().map_err(refuse)?);
        let token = sample(&logits, arguments, place as u32);
        tokens.push(token);
        if arguments.common.json {
            continue;
        }
        let text = vocabulary.decode(&[token]).map_err(refuse)?;
        if write!(out, "{text}").and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    let written = &tokens[prompt..];
    let _ = match arguments.common.json {
        true => {
            let text = vocabulary.decode(written).map_err(refuse)?;
            writeln!(out, "{}", serde_json::json!({"prompt": arguments.prompt, "text": text}))
        }
        false => writeln!(out),
    };
    Ok(())
}

/// Characters of a training window.
fn context_of(training: &Training) -> usize {
    let option = training.fits.first().and_then(|fit| fit.data.options.get("context"));
    match option {
        Some(Plain::Int(n)) if *n > 1 => *n as usize,
        _ => 64,
    }
}

/// The logits of the last position.
fn last_row(logits: &HostTensor) -> Vec<f64> {
    let width = logits.shape().last().copied().unwrap_or(1);
    let mut all = logits.to_f64();
    all.split_off(all.len() - width)
}

/// A character drawn from its logits.
fn sample(logits: &[f64], arguments: &Generate, place: u32) -> u32 {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
    if arguments.temperature <= 0.0 {
        return order[0] as u32;
    }
    if arguments.top_k > 0 {
        order.truncate(arguments.top_k);
    }
    let weight = |k: &usize| ((logits[*k] - logits[order[0]]) / arguments.temperature).exp();
    let total: f64 = order.iter().map(weight).sum();
    let bits = threefry2x32([arguments.seed as u32, (arguments.seed >> 32) as u32], [place, 0])[0];
    let mut left = f64::from(bits) / f64::from(u32::MAX) * total;
    for k in &order {
        left -= weight(k);
        if left <= 0.0 {
            return *k as u32;
        }
    }
    order[order.len() - 1] as u32
}
