//! Everything outside the compiler comes through here, so that the command line, an editor and tests share every line.

use nnc_ir::DType;
pub use nnc_ir::training::{DataSource, Plain};

/// One field of a data set, as a reader announces it.
#[derive(Clone, Debug, PartialEq)]
pub struct DataField {
    /// Its name.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Sizes of one sample.
    pub shape: Vec<usize>,
    /// For integers: how many different ones there are, where the reader knows.
    pub classes: Option<usize>,
}

/// What a reader says of a data set.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DataInfo {
    /// Its fields.
    pub fields: Vec<DataField>,
    /// Number of samples.
    pub samples: u64,
}

/// What the compiler asks of its surroundings.
pub trait World {
    /// The text of the local module at `path`, relative to the main file: `residual.nn`, `blocks/mine.nn`.
    fn read(&self, path: &str) -> Result<String, String>;

    /// The fields of a data source, if it can be opened now. `None` leaves types to the reader's signature.
    fn data(&self, source: &DataSource) -> Option<DataInfo>;
}

/// A world with nothing in it: no local modules, no data.
pub struct Nothing;

impl World for Nothing {
    fn read(&self, _: &str) -> Result<String, String> {
        Err("there are no local files here".into())
    }

    fn data(&self, _: &DataSource) -> Option<DataInfo> {
        None
    }
}
