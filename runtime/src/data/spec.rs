//! What a program says about its data: `text("input.txt", context: 64, batch: 12)` as values, and the checked
//! reading of options. Every option is either read by somebody or an error.

use super::DataError;
use super::split::HeldOut;
use crate::file::error::suggestion;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A data set as the program names it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DataSpec {
    /// The reader: `text`, `idx`, `npz`, `csv` or `safetensors`.
    pub kind: String,
    /// The file or directory.
    pub source: String,
    /// Settings by name.
    pub options: BTreeMap<String, Value>,
}

/// A static value of the language.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// `true`, `false`.
    Bool(bool),
    /// `12`.
    Int(i64),
    /// `0.1`, `10%`.
    Real(f64),
    /// `"text"`.
    Text(String),
    /// `["a", "b"]`.
    List(Vec<Value>),
}

impl Value {
    fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    fn kind(&self) -> &'static str {
        match self {
            Value::Bool(_) => "a bool",
            Value::Int(_) => "an int",
            Value::Real(_) => "a real",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Real(value) => write!(f, "{value}"),
            Value::Text(value) => write!(f, "{value:?}"),
            Value::List(values) => {
                let values: Vec<String> = values.iter().map(Value::to_string).collect();
                write!(f, "[{}]", values.join(", "))
            }
        }
    }
}

pub use nnc_ir::training::DEFAULT_BATCH;

/// How samples are handed to training: the options every kind has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feeding {
    /// Samples per step (`batch`).
    pub batch: usize,
    /// Whether training draws in random order (`shuffle`, default true).
    pub shuffle: bool,
    /// The seed of that order (`seed`), if the program fixes it.
    pub seed: Option<u64>,
}

/// The options every kind has.
const COMMON: [&str; 4] = ["batch", "held_out", "seed", "shuffle"];

impl DataSpec {
    /// A data set without options.
    pub fn new(kind: impl Into<String>, source: impl Into<String>) -> DataSpec {
        DataSpec { kind: kind.into(), source: source.into(), options: BTreeMap::new() }
    }

    /// Adds an option.
    pub fn with(mut self, name: &str, value: Value) -> DataSpec {
        self.options.insert(name.to_string(), value);
        self
    }

    /// How samples are handed to training.
    pub fn feeding(&self) -> Result<Feeding, DataError> {
        let whole = self.bool("whole")?.unwrap_or(false);
        let batch = self.size("batch")?.unwrap_or(if whole { 1 } else { DEFAULT_BATCH });
        if whole && (batch > 1 || self.options.contains_key("held_out")) {
            let message = "with `whole: true` there is one sample: neither `batch` nor `held_out` divides it";
            return Err(DataError::in_options("data::option", message));
        }
        Ok(Feeding { batch, shuffle: self.bool("shuffle")?.unwrap_or(true), seed: self.count("seed")? })
    }

    /// The share or number of samples held out for validation, if the program says.
    pub(super) fn held_out(&self) -> Result<Option<HeldOut>, DataError> {
        match self.options.get("held_out") {
            None => Ok(None),
            Some(Value::Int(count @ 0..)) => Ok(Some(HeldOut::Count(*count as u64))),
            Some(Value::Real(share)) if (0.0..1.0).contains(share) => Ok(Some(HeldOut::Share(*share))),
            Some(value) => {
                Err(self.wrong("held_out", "a share below 1, as 10%, or a number of samples", value))
            }
        }
    }

    /// An error if an option is neither common nor one of `own`.
    pub(super) fn allow(&self, own: &[&str]) -> Result<(), DataError> {
        let known = || own.iter().chain(&COMMON).copied();
        let Some(name) = self.options.keys().find(|name| !known().any(|known| known == *name)) else {
            return Ok(());
        };
        let message = format!("`{}` has no option `{name}`", self.kind);
        let known: Vec<&str> = known().collect();
        Err(DataError::in_options("data::option", message).help(suggestion(name, known)))
    }

    /// An option that is at least 1.
    pub(super) fn size(&self, name: &str) -> Result<Option<usize>, DataError> {
        match self.options.get(name) {
            None => Ok(None),
            Some(Value::Int(size @ 1..)) if *size <= i64::from(u32::MAX) => Ok(Some(*size as usize)),
            Some(value) => Err(self.wrong(name, "an int from 1 to 4294967295", value)),
        }
    }

    /// An option that is at least 0.
    pub(super) fn count(&self, name: &str) -> Result<Option<u64>, DataError> {
        match self.options.get(name) {
            None => Ok(None),
            Some(Value::Int(count @ 0..)) => Ok(Some(*count as u64)),
            Some(value) => Err(self.wrong(name, "an int that is not negative", value)),
        }
    }

    /// An option that is true or false.
    pub(super) fn bool(&self, name: &str) -> Result<Option<bool>, DataError> {
        match self.options.get(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(value) => Err(self.wrong(name, "true or false", value)),
        }
    }

    /// An option that is a text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, DataError> {
        match self.options.get(name) {
            None => Ok(None),
            Some(Value::Text(value)) => Ok(Some(value)),
            Some(value) => Err(self.wrong(name, "a text", value)),
        }
    }

    /// An option that is a list of texts.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<&str>>, DataError> {
        let Some(value) = self.options.get(name) else { return Ok(None) };
        let texts = match value {
            Value::List(values) => values.iter().map(Value::as_text).collect(),
            _ => None,
        };
        texts.map(Some).ok_or_else(|| self.wrong(name, "a list of texts", value))
    }

    fn wrong(&self, name: &str, expected: &str, value: &Value) -> DataError {
        let message =
            format!("`{name}` of `{}` is {expected}; here it is {} {value}", self.kind, value.kind());
        DataError::in_options("data::option", message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_option_is_an_error_that_names_the_nearest() {
        let spec = DataSpec::new("text", "a.txt").with("contxt", Value::Int(8));
        let error = spec.allow(&["context"]).unwrap_err();
        assert_eq!(error.to_string(), "`text` has no option `contxt`; did you mean `context`?");
        assert_eq!(spec.allow(&["contxt"]), Ok(()));
    }

    #[test]
    fn values_are_checked_with_what_was_found() {
        let spec = DataSpec::new("idx", "digits").with("batch", Value::Int(0));
        let message = spec.feeding().unwrap_err().to_string();
        assert_eq!(message, "`batch` of `idx` is an int from 1 to 4294967295; here it is an int 0");
        assert_eq!(DataSpec::new("idx", "d").feeding().unwrap().batch, DEFAULT_BATCH);
    }

    #[test]
    fn a_whole_is_one_sample() {
        let spec = DataSpec::new("npz", "a.npz").with("whole", Value::Bool(true));
        assert_eq!(spec.feeding().unwrap().batch, 1);
        assert!(spec.clone().with("batch", Value::Int(2)).feeding().is_err());
        assert!(spec.with("held_out", Value::Int(1)).feeding().is_err());
    }

    #[test]
    fn a_share_and_a_number_are_told_apart() {
        let held = |value| DataSpec::new("idx", "d").with("held_out", value).held_out();
        assert_eq!(held(Value::Int(1)), Ok(Some(HeldOut::Count(1))));
        assert_eq!(held(Value::Real(0.1)), Ok(Some(HeldOut::Share(0.1))));
        assert!(held(Value::Real(1.0)).is_err() && held(Value::Int(-1)).is_err());
    }
}
