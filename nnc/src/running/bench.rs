//! `nnc bench`: what each kernel of the training step takes, beside what this processor could do at most.

use super::{Common, Ready, first, open, prepare};
use crate::account;
use crate::pipeline::{Compiled, refuse};
use crate::report;
use crate::target::{self, Target};
use crate::traffic;
use nnc_ir::plan::Plan;
use nnc_ir::session::Sizes;
use nnc_ir::training::Fit;
use nnc_kernels::cpu;
use nnc_kernels::peak::Peak;
use nnc_runtime::cpu::{Cpu, Launch};
use nnc_runtime::data::Facts;
use nnc_runtime::file;
use nnc_runtime::trainer::{Options, Trainer};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Steps before the measured ones.
const WARM: u64 = 10;
/// Shares of the roof above this are errors of measuring, and are not told.
const BELIEVED: f64 = 1.05;

/// `nnc bench`
#[derive(clap::Args)]
pub struct Bench {
    #[command(flatten)]
    common: Common,
    /// Training steps that are measured, after ten that are not.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Writes the launches of the last step for a trace viewer.
    #[arg(long)]
    trace: Option<PathBuf>,
}

/// What was measured of a program.
#[derive(Serialize)]
struct Report {
    processor: String,
    threads: usize,
    /// The most that was reached by multiply-adds alone.
    peak_gigaflops: f64,
    /// Working sets in bytes, and the GB/s read from them.
    bandwidth: Vec<(f64, f64)>,
    step_milliseconds: f64,
    kernels: Vec<Row>,
}

/// A kernel, over a step.
#[derive(Serialize)]
struct Row {
    kernel: String,
    launches: f64,
    milliseconds: f64,
    gigaflops_per_second: f64,
    /// Of memory touched, at whatever level of cache it lies.
    gigabytes_per_second: f64,
    /// The least time that its operations and bytes take on this processor, over the time it took.
    share_of_roof: Option<f64>,
}

/// Measures the kernels of the training step.
pub fn bench(arguments: &Bench) -> ExitCode {
    let run = |ready: Ready| {
        let Compiled { plan, code, .. } = &ready.compiled;
        let cpu = target::cpu(&plan.kernels, code, arguments.common.threads);
        let cpu = cpu.map_err(|missing| report::plainly(&missing))?;
        bench_on(arguments, &ready, Trainer::new(cpu, plan.clone(), Options::default()))
    };
    prepare(&arguments.common, Target::Cpu, None)
        .and_then(run)
        .map_or_else(|code| code, |()| ExitCode::SUCCESS)
}

fn bench_on(arguments: &Bench, ready: &Ready, mut trainer: Trainer<Cpu>) -> Result<(), ExitCode> {
    let Ready { files, training, compiled, .. } = ready;
    let fit = first(training)?;
    let (dataset, feeding) = open(files, fit, &Facts::default())?;
    trainer.initialize().map_err(refuse)?;
    trainer.steps(fit, &dataset, &feeding, WARM).map_err(refuse)?;
    let start = Instant::now();
    trainer.steps(fit, &dataset, &feeding, arguments.steps).map_err(refuse)?;
    let plain = start.elapsed().as_secs_f64() * 1e3 / arguments.steps as f64;
    trainer.session().device_mut().measure();
    trainer.steps(fit, &dataset, &feeding, arguments.steps).map_err(refuse)?;
    let launches =
        trainer.session().device().profile().map(|profile| profile.launches.clone()).unwrap_or_default();
    if let Some(file) = &arguments.trace {
        let last = launches.len() - launches.len() / arguments.steps as usize;
        write_trace(file, &launches[last..]).map_err(refuse)?;
    }
    let threads = arguments.common.threads.unwrap_or_else(cpu::cores);
    let peak = Peak::measure(threads);
    let work = Work::of(&compiled.plan, &account::declared(&compiled.plan, Some(training)), fit);
    let report = Report {
        processor: cpu::describe(),
        threads,
        peak_gigaflops: peak.flops / 1e9,
        bandwidth: peak.bandwidth.iter().map(|(size, rate)| (*size, rate / 1e9)).collect(),
        step_milliseconds: plain,
        kernels: rows(&launches, arguments.steps as f64, &work, &peak),
    };
    if arguments.common.json {
        println!("{}", serde_json::to_string(&report).map_err(|error| refuse(error.to_string()))?);
    } else {
        report.print();
    }
    Ok(())
}

/// What kernels do, by name.
struct Work {
    /// Operations of all launches of a step.
    flops: BTreeMap<String, f64>,
    /// Bytes of one launch.
    bytes: BTreeMap<String, f64>,
}

impl Work {
    fn of(plan: &Plan, sizes: &Sizes, fit: &Fit) -> Work {
        let more = fit.accumulate_entry.iter().map(|entry| (entry, fit.accumulate.max(1) - 1));
        let mut flops: BTreeMap<String, f64> = BTreeMap::new();
        for (entry, calls) in more.chain([(&fit.step_entry, 1)]) {
            for kernel in account::entry(plan, entry, sizes).into_iter().flat_map(|entry| entry.kernels) {
                *flops.entry(kernel.name).or_default() +=
                    calls as f64 * kernel.flops_here.unwrap_or(0) as f64;
            }
        }
        let bytes = plan.kernels.iter().map(|kernel| (kernel.name.clone(), traffic::bytes(kernel, sizes)));
        Work { flops, bytes: bytes.collect() }
    }
}

fn rows(launches: &[Launch], steps: f64, work: &Work, peak: &Peak) -> Vec<Row> {
    let mut times: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for launch in launches {
        let (count, seconds) = times.entry(&launch.kernel).or_default();
        *count += 1.0 / steps;
        *seconds += launch.time.as_secs_f64() / steps;
    }
    let row = |(kernel, (launches, seconds)): (&str, (f64, f64))| {
        let flops = work.flops.get(kernel).copied().unwrap_or(0.0);
        let bytes = work.bytes.get(kernel).copied().unwrap_or(0.0);
        let share = launches * peak.seconds(flops / launches, bytes) / seconds;
        Row {
            kernel: kernel.to_string(),
            launches,
            milliseconds: seconds * 1e3,
            gigaflops_per_second: flops / seconds / 1e9,
            gigabytes_per_second: launches * bytes / seconds / 1e9,
            share_of_roof: Some(share).filter(|share| *share <= BELIEVED),
        }
    };
    let mut rows: Vec<Row> = times.into_iter().map(row).collect();
    rows.sort_by(|a, b| b.milliseconds.total_cmp(&a.milliseconds));
    rows
}

impl Report {
    fn print(&self) {
        let bandwidth =
            self.bandwidth.iter().map(|(size, rate)| format!("{rate:.0} GB/s of {:.1} MB", size / 1e6));
        let bandwidth: Vec<String> = bandwidth.collect();
        println!(
            "{}; {} threads reach {:.0} GFLOP/s, and read {}",
            self.processor,
            self.threads,
            self.peak_gigaflops,
            bandwidth.join(", ")
        );
        let kernels: f64 = self.kernels.iter().map(|row| row.milliseconds).sum();
        println!("a step takes {:.3} ms, {kernels:.3} ms of it in kernels", self.step_milliseconds);
        println!("{:>9} {:>8} {:>8} {:>6} {:>6}  kernel", "ms", "launches", "GFLOP/s", "GB/s", "roof");
        for row in &self.kernels {
            let share = row.share_of_roof.map_or("-".into(), |share| format!("{:.0}%", 100.0 * share));
            let (flops, bytes) = (row.gigaflops_per_second, row.gigabytes_per_second);
            println!(
                "{:9.3} {:8.0} {flops:8.1} {bytes:6.1} {share:>6}  {}",
                row.milliseconds, row.launches, row.kernel
            );
        }
    }
}

/// Launches in the event format that trace viewers of browsers read.
fn write_trace(path: &Path, launches: &[Launch]) -> Result<(), String> {
    let begin = launches.first().map_or(0.0, |launch| launch.start.as_secs_f64());
    let event = |launch: &Launch| {
        let start = (launch.start.as_secs_f64() - begin) * 1e6;
        let time = launch.time.as_secs_f64() * 1e6;
        serde_json::json!({"name": launch.kernel, "ph": "X", "ts": start, "dur": time, "pid": 1, "tid": 1})
    };
    let events: Vec<_> = launches.iter().map(event).collect();
    let text = serde_json::json!({"traceEvents": events, "displayTimeUnit": "ms"}).to_string();
    file::write_atomic(path, |out| out.write_all(text.as_bytes())).map_err(|error| error.to_string())
}
