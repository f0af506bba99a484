//! What cannot be printed, as a value.

use std::fmt;

/// A kernel that this back end cannot print: the IR is malformed, or asks for what the target does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The kernel.
    pub kernel: String,
    /// One sentence.
    pub message: String,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel `{}`: {}", self.kernel, self.message)
    }
}

impl std::error::Error for Unsupported {}

/// What emission returns inside the crate: the sentence, to which `compile` adds the kernel.
pub(crate) type Emit<T> = Result<T, String>;
