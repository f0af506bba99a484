//! One JSON object per line and measurement. A resumed run drops what was logged after the step it resumes from, and a
//! line that a killed writer left unfinished.

use super::ReportError;
use crate::file::atomic::write_bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A measurement. Numbers that are not finite are `null`; what was not measured is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Steps completed.
    pub step: u64,
    /// Training loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// Loss over the held-out part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_loss: Option<f64>,
    /// Share of right answers over the held-out part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_accuracy: Option<f64>,
    /// What training gets through per second: tokens of texts, samples of other data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_or_samples_per_second: Option<f64>,
    /// Most memory resident so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// Penalties, `grad_norm`, and further metrics as `val_<name>`.
    #[serde(flatten)]
    pub more: BTreeMap<String, f64>,
}

impl Record {
    /// Adds an evaluation: `loss` and metrics.
    pub fn evaluated(&mut self, found: &BTreeMap<String, f64>) {
        for (name, value) in found {
            match name.as_str() {
                "loss" => self.val_loss = Some(*value),
                "accuracy" => self.val_accuracy = Some(*value),
                name => drop(self.more.insert(format!("val_{name}"), *value)),
            }
        }
    }

    /// The record for people.
    pub fn to_text(&self) -> String {
        let mut text = format!("step {}  loss {:.4}", self.step, self.loss.unwrap_or(f64::NAN));
        let known = [("val_loss", self.val_loss), ("val_accuracy", self.val_accuracy)];
        let known = known.into_iter().filter_map(|(name, value)| Some((name, value?)));
        for (name, value) in known.chain(self.more.iter().map(|(name, value)| (name.as_str(), *value))) {
            text += &format!("  {name} {value:.4}");
        }
        text
    }

    /// The record as one line without its end.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("a record of numbers has JSON")
    }
}

/// Appends records to a file.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Starts an empty log.
    pub fn create(path: &Path) -> Result<Log, ReportError> {
        write_bytes(path, &[])?;
        Log::append_to(path)
    }

    /// Goes on with a log at `step`, and hands back what it keeps: whole lines of steps up to it.
    pub fn resume(path: &Path, step: u64) -> Result<(Log, Vec<Record>), ReportError> {
        let text = match std::fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(ReportError::unreadable(path, &error)),
        };
        let records =
            text.lines().filter_map(|line| Some((line, serde_json::from_str::<Record>(line).ok()?)));
        // Kept lines stay as they are, digit by digit.
        let (lines, kept): (Vec<&str>, Vec<Record>) =
            records.filter(|(_, record)| record.step <= step).unzip();
        let lines: String = lines.into_iter().map(|line| format!("{line}\n")).collect();
        write_bytes(path, lines.as_bytes())?;
        Ok((Log::append_to(path)?, kept))
    }

    fn append_to(path: &Path) -> Result<Log, ReportError> {
        let file = File::options().append(true).open(path);
        let file = file.map_err(|error| ReportError::in_file("file::unwritable", path, error.to_string()))?;
        Ok(Log { path: path.to_path_buf(), file })
    }

    /// Appends a record; it is with the system when this returns.
    pub fn write(&mut self, record: &Record) -> Result<(), ReportError> {
        let line = record.to_line() + "\n";
        let written = self.file.write_all(line.as_bytes());
        written.map_err(|error| ReportError::in_file("file::unwritable", &self.path, error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: u64) -> Record {
        Record { step, loss: Some(1.5), ..Record::default() }
    }

    #[test]
    fn a_line_has_what_was_measured() {
        let record = Record { val_loss: Some(f64::NAN), peak_bytes: Some(7), ..at(3) };
        assert_eq!(record.to_line(), r#"{"step":3,"loss":1.5,"val_loss":null,"peak_bytes":7}"#);
    }

    #[test]
    fn a_resumed_log_drops_later_and_torn_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut log = Log::create(&path).unwrap();
        (1..=5).for_each(|step| log.write(&at(step)).unwrap());
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, whole + r#"{"step":2,"lo"#).unwrap();
        let (mut log, kept) = Log::resume(&path, 3).unwrap();
        assert_eq!(kept, [at(1), at(2), at(3)]);
        log.write(&at(4)).unwrap();
        let lines = std::fs::read_to_string(&path).unwrap();
        let steps: Vec<u64> =
            lines.lines().map(|line| serde_json::from_str::<Record>(line).unwrap().step).collect();
        assert_eq!(steps, [1, 2, 3, 4]);
    }

    #[test]
    fn resuming_without_a_log_starts_one() {
        let folder = tempfile::tempdir().unwrap();
        let (_, kept) = Log::resume(&folder.path().join("log.jsonl"), 9).unwrap();
        assert!(kept.is_empty());
    }
}
