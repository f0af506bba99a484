//! Data sets: readers of five kinds of files behind one trait, the split into training and held-out parts, the order
//! of samples, and the thread that prepares batches.
//!
//! A data set is read-only and numbered: everything random is in [`Order`], everything remembered in [`Position`].

mod batch;
mod column;
mod csv;
mod given;
mod idx;
mod loader;
mod npy;
mod npz;
mod order;
mod spec;
mod split;
mod table;
mod tensors;
mod text;
mod vocabulary;

pub use crate::file::FileError as DataError;
pub use batch::{BatchBuffers, Field};
pub use loader::Loader;
pub use order::{Order, Position, Sampler};
pub use spec::{DEFAULT_BATCH, DataSpec, Feeding, Value};
pub use split::{DEFAULT_HELD_OUT, HeldOut, Samples, Split};
pub use vocabulary::Vocabulary;

use crate::file::error::{list, suggestion};
use crate::tensor::HostTensor;
use column::Column;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use table::{Columns, Table};

/// Samples by number.
pub trait Dataset: Send + Sync {
    /// What every sample has.
    fn fields(&self) -> &[Field];

    /// Number of samples, training and held-out together.
    fn len(&self) -> u64;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which samples train and which validate.
    fn split(&self) -> &Split;

    /// What must be stored with a model so that later data are read in the same way.
    fn facts(&self) -> Facts;

    /// One more than the largest value of a field of labels, where that is known without a pass over large samples.
    fn classes(&self, _field: &str) -> Option<usize> {
        None
    }

    /// Writes the samples at `indices`, all below [`Dataset::len`], into `out`, which is made for
    /// [`Dataset::fields`] and takes their number.
    fn batch(&self, indices: &[u64], out: &mut BatchBuffers) -> Result<(), DataError>;
}

/// What a model must remember of the data it was trained on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Which text each token stands for.
    pub vocabulary: Option<Vocabulary>,
    /// How features were standardised.
    pub scaling: Option<Scaling>,
    /// Names of the classes of a target, by number.
    pub classes: Option<Vec<String>>,
}

/// Feature `i` was delivered as `(value - mean[i]) / deviation[i]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// Names of the features.
    pub features: Vec<String>,
    /// Means over the training part.
    pub mean: Vec<f64>,
    /// Standard deviations over the training part; 1 for a constant feature.
    pub deviation: Vec<f64>,
}

/// A kind of data source.
struct Kind {
    name: &'static str,
    options: &'static [&'static str],
    reader: Reader,
}

enum Reader {
    /// Windows of one text.
    Text,
    /// Columns of samples.
    Columns(fn(&Path, &DataSpec, &Facts) -> Result<Columns, DataError>),
}

/// Every kind.
static KINDS: [Kind; 5] = [
    Kind { name: "text", options: &["context", "tokens"], reader: Reader::Text },
    Kind { name: "idx", options: &["fields"], reader: Reader::Columns(idx::read) },
    Kind { name: "npz", options: &["fields", "whole"], reader: Reader::Columns(npz::read) },
    Kind {
        name: "csv",
        options: &["classes", "columns", "delimiter", "fields", "header", "standardize", "target"],
        reader: Reader::Columns(csv::read),
    },
    Kind { name: "safetensors", options: &["fields", "whole"], reader: Reader::Columns(tensors::read) },
];

/// The option and override names of a kind, for completion and documentation; nothing for an unknown kind.
pub fn options(kind: &str) -> Option<&'static [&'static str]> {
    KINDS.iter().find(|known| known.name == kind).map(|known| known.options)
}

/// Opens the data that a program names. `overrides` come from the command line: `data=PATH` (for text also
/// `text=PATH`) replaces the source, any other `field=PATH` gives the samples of one field.
pub fn open(spec: &DataSpec, overrides: &BTreeMap<String, PathBuf>) -> Result<Box<dyn Dataset>, DataError> {
    open_like(spec, overrides, &Facts::default())
}

/// Opens data for a model that was trained on data with these facts: they are used instead of being found anew.
pub fn open_like(
    spec: &DataSpec,
    overrides: &BTreeMap<String, PathBuf>,
    facts: &Facts,
) -> Result<Box<dyn Dataset>, DataError> {
    match checked(spec)?.reader {
        Reader::Text => Ok(Box::new(text::open(spec, overrides, facts)?)),
        Reader::Columns(read) => {
            let found = columns(spec, overrides, facts, read)?;
            Ok(Box::new(Table::new(found, spec).map_err(|error| in_source(error, spec, overrides))?))
        }
    }
}

/// Whether there is such a reader with such options; the data themselves are not looked at.
pub fn check(spec: &DataSpec) -> Result<(), DataError> {
    checked(spec).map(|_| ())
}

fn checked(spec: &DataSpec) -> Result<&'static Kind, DataError> {
    let Some(kind) = KINDS.iter().find(|kind| kind.name == spec.kind) else {
        let message = format!("there is no data reader `{}`", spec.kind);
        let help = suggestion(&spec.kind, KINDS.iter().map(|kind| kind.name));
        return Err(DataError::in_options("data::kind", message).help(help));
    };
    spec.allow(kind.options)?;
    spec.feeding()?;
    Ok(kind)
}

/// All of a file as one tensor: an idx (also .gz), npy, npz, safetensors or csv file. Of a file of several arrays it is
/// the one called `name`; a table is a matrix of all its columns. Integers become `I32`, doubles `F32`, images reals.
pub fn read_tensor(name: &str, path: &Path) -> Result<HostTensor, DataError> {
    Ok(whole(&given::read_whole(name, path)?))
}

fn whole(column: &Column) -> HostTensor {
    let field = column.field(false);
    let mut tensor = HostTensor::zeros(field.dtype, field.sample_shape);
    column.whole(&mut tensor);
    tensor
}

/// A table as the features of a model that was trained on scaled ones: those columns, scaled in the same way.
pub fn read_features(name: &str, path: &Path, known: &Scaling) -> Result<HostTensor, DataError> {
    Ok(whole(&csv::read_features(name, path, known)?))
}

/// The columns of the source, with those given by name in place of its own. A source that does not exist is no error
/// if fields are given.
fn columns(
    spec: &DataSpec,
    overrides: &BTreeMap<String, PathBuf>,
    facts: &Facts,
    read: fn(&Path, &DataSpec, &Facts) -> Result<Columns, DataError>,
) -> Result<Columns, DataError> {
    let replaced = overrides.get("data");
    let source = replaced.map_or(Path::new(&spec.source), PathBuf::as_path);
    let given: Vec<(&String, &PathBuf)> = overrides.iter().filter(|(name, _)| *name != "data").collect();
    let only_given = replaced.is_none() && !given.is_empty() && !source.exists();
    let mut found =
        if only_given { Columns::default() } else { read(source, spec, facts).map_err(with_remedy)? };
    for (name, path) in given {
        let column = given::read(name, path)?;
        match found.columns.iter_mut().find(|column| column.name == *name) {
            Some(own) => *own = column,
            None => found.columns.push(column),
        }
    }
    Ok(found)
}

/// Names the source in an error about the data as a whole.
fn in_source(error: DataError, spec: &DataSpec, overrides: &BTreeMap<String, PathBuf>) -> DataError {
    let source = overrides.get("data").map_or(Path::new(&spec.source), PathBuf::as_path);
    let path = error.path.or(source.exists().then(|| source.to_path_buf()));
    DataError { path, ..error }
}

/// A source that cannot be opened can be given on the command line.
fn with_remedy(error: DataError) -> DataError {
    match error.code {
        "file::unreadable" if error.help.is_none() => {
            error.help("give another source with `data=PATH`, or each field with `field=PATH`")
        }
        _ => error,
    }
}

/// The only names that may be given on the command line for `spec`.
fn only_overrides(
    spec: &DataSpec,
    overrides: &BTreeMap<String, PathBuf>,
    known: &[&str],
) -> Result<(), DataError> {
    match overrides.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let message = format!("`{}` has no field `{name}` that could be given", spec.kind);
            let help = format!("it takes {}", list(known.iter().copied()));
            Err(DataError::in_options("data::field", message).help(help))
        }
    }
}

#[cfg(test)]
mod tests;
