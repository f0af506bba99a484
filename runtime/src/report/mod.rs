//! What a run shows: a progress bar for people at a terminal, JSON lines for programs, a loss curve to look at later,
//! and the memory it took. Nothing here influences training.

mod curve;
mod log;
mod memory;
mod progress;

pub use curve::Curve;
pub use log::{Log, Record};
pub use memory::{machine_bytes, peak_bytes};
pub use progress::{Progress, Show};

pub use crate::file::FileError as ReportError;
