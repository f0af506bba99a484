//! The artifact: a compiled program with its weights in one file, `.nnb`, that runs with no compiler present.
//!
//! It is a zip archive, so any archive tool shows what is in it:
//!
//! | member | holds |
//! |---|---|
//! | `manifest.json` | [`Manifest`]: versions, target, what can be called with what, size and checksum of every other member |
//! | `plan` | [`nnc_ir::plan::Plan`] in the postcard format |
//! | `graph.nnir` | the same entries as tensor IR: `nnc run --no-native` compiles them anew |
//! | `kernels/*.txt` | the kernels of the plan, for people |
//! | `code/LEVEL/*` | the machine code of each kernel, per level of processor |
//! | `weights.safetensors` | every weight and state |
//!
//! **An artifact is a program: open only what you would run.** What the reader promises is that a file that was cut
//! off, damaged, made by something else or by a later version is an error that says so. It cannot promise anything
//! about machine code that somebody made on purpose and gave the right checksums.

mod entry;
mod manifest;
mod nesting;
mod read;
mod target;
mod write;

pub use entry::{EntryFacts, GuardFacts, Interface, SizeFacts, SlotFacts, TensorFacts};
pub use manifest::{Manifest, Member, SCHEMA};
pub use read::Artifact;
pub use target::Target;
pub use write::{Contents, write};

/// How the name of an artifact ends.
pub const EXTENSION: &str = "nnb";

/// Names of the members, and the most bytes each may have: nothing is allocated by what a file merely claims.
mod member {
    pub const MANIFEST: &str = "manifest.json";
    pub const PLAN: &str = "plan";
    pub const GRAPH: &str = "graph.nnir";
    pub const WEIGHTS: &str = "weights.safetensors";
    pub const LARGEST_MANIFEST: u64 = 64 << 20;
    pub const LARGEST_PLAN: u64 = 64 << 20;
    pub const LARGEST_TEXT: u64 = 256 << 20;
    pub const LARGEST_CODE: u64 = 64 << 20;

    /// The readable text of kernel `place`.
    pub fn kernel(place: usize, name: &str) -> String {
        format!("kernels/{place:04}-{name}.txt")
    }

    /// The machine code of kernel `place` for processors of `level`.
    pub fn code(level: &str, place: usize, name: &str) -> String {
        format!("code/{level}/{place:04}-{name}")
    }

    /// The most bytes that a member of this name may have; the weights are mapped, so they may have any number.
    pub fn largest(name: &str) -> u64 {
        match name {
            MANIFEST => LARGEST_MANIFEST,
            PLAN => LARGEST_PLAN,
            WEIGHTS => u64::MAX,
            _ if name.starts_with("code/") => LARGEST_CODE,
            _ => LARGEST_TEXT,
        }
    }
}

#[cfg(test)]
mod tests;
