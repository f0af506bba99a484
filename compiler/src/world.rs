//! Everything outside the compiler comes through here, so that the command line, an editor and tests share every line.

use nnc_ir::DType;
use std::collections::BTreeMap;

/// One field of a data set, as a reader announces it.
#[derive(Clone, Debug, PartialEq)]
pub struct DataField {
    /// Its name.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Sizes of one sample.
    pub shape: Vec<usize>,
    /// Number of distinct integers, where that is known (classes, vocabulary).
    pub classes: Option<usize>,
}

/// A plain value: options of readers, settings of programs.
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DataSource {
    /// The reader: `text`, `idx`, ...
    pub kind: String,
    /// Its first argument.
    pub source: String,
    /// The others.
    pub options: BTreeMap<String, Plain>,
}

/// What the compiler asks of its surroundings.
pub trait World {
    /// The text of the local module at `path`, relative to the main file: `residual.nn`, `blocks/mine.nn`.
    fn read(&self, path: &str) -> Result<String, String>;

    /// The fields of a data source, if it can be opened now. `None` leaves types to the reader's signature.
    fn data_fields(&self, source: &DataSource) -> Option<Vec<DataField>>;
}
