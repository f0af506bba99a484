//! What a runtime executes: kernels, buffers with lifetimes, and steps in order. No compiler is needed to run it.

mod text;
mod verify;

pub use verify::verify;

use crate::graph::{Port, Size, Slot};
use crate::kernel::Kernel;
use crate::{DType, Dim, Symbol};
use serde::{Deserialize, Serialize};

/// A compiled program for one kind of target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Run-time sizes with their ranges.
    pub sizes: Vec<Size>,
    /// Named tensors that outlive a call.
    pub slots: Vec<Slot>,
    /// What can be called.
    pub entries: Vec<EntryPlan>,
    /// All kernels; entries share equal ones.
    pub kernels: Vec<Kernel>,
}

/// The plan of one entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryPlan {
    /// Its name.
    pub name: String,
    /// Parameters: where they come from, and the place that holds them. Slots are read in place.
    pub inputs: Vec<(Port, PlaceId)>,
    /// Results. A slot's new value is written into the slot's own memory by the steps.
    pub outputs: Vec<(Port, PlaceId)>,
    /// All memory the entry touches.
    pub places: Vec<Place>,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// Facts that must hold of the sizes: checked once per call.
    pub guards: Vec<Guard>,
    /// Decisions worth telling: fused, not fused and why.
    pub notes: Vec<String>,
}

/// A fact about sizes that could not be proved when compiling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    /// Must be zero.
    pub zero: Dim,
    /// What to say if it is not.
    pub message: String,
}

/// Names a place of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlaceId(pub u32);

/// A piece of memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// For people.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Sizes; row-major.
    pub shape: Vec<Dim>,
    /// Whose memory it is.
    pub class: PlaceClass,
}

impl Place {
    /// The number of elements.
    pub fn size(&self) -> Dim {
        self.shape.iter().fold(Dim::one(), |product, dim| &product * dim)
    }
}

/// Whose memory a place is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlaceClass {
    /// The caller's, bound by name.
    Caller,
    /// A slot's.
    Slot(usize),
    /// The arena's, live during the top-level steps `first..=last`: two that overlap in time never overlap in space.
    Scratch {
        /// First top-level step that touches it.
        first: u32,
        /// Last one.
        last: u32,
    },
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// Runs all instances of a kernel.
    Launch {
        /// Index into [`Plan::kernels`].
        kernel: u32,
        /// The places its buffers are bound to, in order.
        bind: Vec<PlaceId>,
    },
    /// Runs `body` for counter `0..count`, or downwards from `count - 1`.
    Loop {
        /// The counter; kernels inside may read it as a size.
        counter: Symbol,
        /// Number of iterations.
        count: Dim,
        /// From the last to the first.
        reverse: bool,
        /// What an iteration does.
        body: Vec<Step>,
    },
    /// Runs one of two bodies by a boolean scalar.
    If {
        /// A `Bool` scalar.
        condition: PlaceId,
        /// If true.
        then: Vec<Step>,
        /// If false.
        otherwise: Vec<Step>,
    },
    /// Copies all elements of a place to another of the same type and size.
    Copy {
        /// From.
        from: PlaceId,
        /// To.
        to: PlaceId,
    },
}
