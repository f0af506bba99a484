//! What a `train` program says, as data for the driver that runs it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A plain value: options of readers, settings of programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Plain {
    /// An integer.
    Int(i64),
    /// A real number.
    Real(f64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Plain>),
}

/// A data source as a program names it: `text("input.txt", context: 64, batch: 12)`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct DataSource {
    /// The reader: `text`, `idx`, ...
    pub kind: String,
    /// Its first argument.
    pub source: String,
    /// The others.
    pub options: BTreeMap<String, Plain>,
}

/// Samples per step where a program states none.
pub const DEFAULT_BATCH: usize = 32;
/// Share of the samples that is kept for evaluation where neither a program nor its data state one.
pub const DEFAULT_HELD_OUT: f64 = 0.1;

impl DataSource {
    /// Samples per step.
    pub fn batch(&self) -> i64 {
        match self.options.get("batch") {
            Some(Plain::Int(batch)) => (*batch).max(1),
            _ if self.options.get("whole") == Some(&Plain::Bool(true)) => 1,
            _ => DEFAULT_BATCH as i64,
        }
    }
}

/// A training program: fits in order.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Training {
    /// The model that is trained, for people.
    pub model: String,
    /// Phases.
    pub fits: Vec<Fit>,
}

/// One step loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Where samples come from.
    pub data: DataSource,
    /// Training steps.
    pub steps: i64,
    /// Micro-batches per step.
    pub accumulate: i64,
    /// Whether samples come in a new random order each epoch.
    pub shuffle: bool,
    /// Share of the samples, from the end, that is kept for evaluation; without it the data decide.
    pub held_out: Option<f64>,
    /// Steps between evaluations; 0 evaluates at the end only.
    pub evaluate_every: i64,
    /// Evaluations without improvement before an early stop; 0 never stops early.
    pub patience: i64,
    /// Steps between checkpoints; 0 writes one at the end only.
    pub checkpoint_every: i64,
    /// Steps between log lines.
    pub log_every: i64,
    /// Names of metrics, outputs of the evaluation entry after `loss`.
    pub metrics: Vec<String>,
    /// Names of penalties, outputs of the step entry after `loss`.
    pub penalties: Vec<String>,
    /// The training entry.
    pub step_entry: String,
    /// With `accumulate` above 1: the entry that only adds to the gradients.
    pub accumulate_entry: Option<String>,
    /// The evaluation entry.
    pub evaluate_entry: String,
}
