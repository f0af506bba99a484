//! What can be wrong with a file or a data set: one value that says which file, where in it, what was found, and what would work.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a file or a data set cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub struct FileError {
    /// `family::name`, stable.
    pub code: &'static str,
    /// The file, where there is one.
    pub path: Option<PathBuf>,
    /// Where in the file.
    pub place: Place,
    /// What was expected and what was found.
    pub message: String,
    /// What would work.
    pub help: Option<String>,
}

/// A place in a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Place {
    /// The file as a whole.
    #[default]
    Whole,
    /// A byte, from 0.
    Byte(u64),
    /// A line and a column, from 1; in a table the column counts fields.
    Line(u64, u64),
    /// A named part: a member of an archive, a tensor.
    Part(String),
    /// A byte, from 0, of a named part.
    PartByte(String, u64),
}

impl FileError {
    /// An error in `path`.
    pub fn in_file(code: &'static str, path: &Path, message: impl Into<String>) -> FileError {
        FileError { path: Some(path.to_path_buf()), ..FileError::in_options(code, message) }
    }

    /// An error in what was asked for, before any file is read.
    pub fn in_options(code: &'static str, message: impl Into<String>) -> FileError {
        FileError { code, path: None, place: Place::Whole, message: message.into(), help: None }
    }

    /// The operating system refused to read `path`.
    pub fn unreadable(path: &Path, error: &std::io::Error) -> FileError {
        FileError::in_file("file::unreadable", path, error.to_string())
    }

    /// Names the place.
    pub fn at(mut self, place: Place) -> FileError {
        self.place = place;
        self
    }

    /// Puts the place inside a named part of the file.
    pub fn within(mut self, part: &str) -> FileError {
        self.place = match self.place {
            Place::Byte(byte) => Place::PartByte(part.to_string(), byte),
            _ => Place::Part(part.to_string()),
        };
        self
    }

    /// Says what would work.
    pub fn help(mut self, help: impl Into<String>) -> FileError {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}{}: ", path.display(), self.place)?;
        }
        f.write_str(&self.message)?;
        self.help.iter().try_for_each(|help| write!(f, "; {help}"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Whole => Ok(()),
            Place::Byte(byte) => write!(f, ", byte {byte}"),
            Place::Line(line, column) => write!(f, ", line {line}, column {column}"),
            Place::Part(part) => write!(f, ", `{part}`"),
            Place::PartByte(part, byte) => write!(f, ", `{part}`, byte {byte}"),
        }
    }
}

impl std::error::Error for FileError {}

/// The candidate closest to `name`, if it is close enough to be what was meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |candidate: &&str| strsim::damerau_levenshtein(name, candidate);
    let closest = candidates.into_iter().min_by_key(distance)?;
    let long = name.chars().count().max(closest.chars().count());
    (distance(&closest) <= (1 + name.chars().count() / 3).min(long.saturating_sub(1))).then_some(closest)
}

/// `did you mean ..`, or the list of all candidates.
pub fn suggestion<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(name, candidates.clone()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if candidates.clone().into_iter().next().is_none() => "there are none".to_string(),
        None => format!("there are {}", list(candidates)),
    }
}

/// Names in backquotes, separated by commas.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_file_place_and_remedy() {
        let error = FileError::in_file("file::truncated", Path::new("a.idx"), "the file ends too early");
        let error = error.at(Place::Byte(16)).help("copy it again");
        assert_eq!(error.to_string(), "a.idx, byte 16: the file ends too early; copy it again");
        assert!(error.within("x.npy").to_string().starts_with("a.idx, `x.npy`, byte 16: "));
    }

    #[test]
    fn suggestions_are_close_or_complete() {
        assert_eq!(suggestion("contxt", ["context", "batch"]), "did you mean `context`?");
        assert_eq!(suggestion("zzz", ["context", "batch"]), "there are `context`, `batch`");
        assert_eq!(suggestion("y", ["a", "b"]), "there are `a`, `b`");
        assert_eq!(suggestion("y", []), "there are none");
    }
}
