//! What can be called with what: the part of a plan that callers see, in their words.

use nnc_ir::graph::Port;
use nnc_ir::plan::{EntryPlan, PlaceId, Plan};
use serde::{Deserialize, Serialize};

/// Entries, sizes and slots of a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// Run-time sizes with their ranges.
    pub sizes: Vec<SizeFacts>,
    /// What can be called.
    pub entries: Vec<EntryFacts>,
    /// Weights and states.
    pub slots: Vec<SlotFacts>,
}

/// A run-time size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SizeFacts {
    /// Its name, as shapes use it.
    pub name: String,
    /// Smallest value.
    pub min: i64,
    /// Largest value, where there is one.
    pub max: Option<i64>,
    /// It is a multiple of this.
    pub multiple: i64,
}

/// Something that can be called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryFacts {
    /// Its name.
    pub name: String,
    /// What the caller gives.
    pub inputs: Vec<TensorFacts>,
    /// What the caller gets.
    pub outputs: Vec<TensorFacts>,
    /// What must hold of the sizes of a call.
    pub guards: Vec<GuardFacts>,
}

/// A tensor that is given or returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorFacts {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub dtype: String,
    /// Its sizes, outermost first: numbers, names of run-time sizes, or expressions over them.
    pub shape: Vec<String>,
}

/// A condition on run-time sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuardFacts {
    /// Must be zero.
    pub zero: String,
    /// What is said if it is not.
    pub message: String,
}

/// A tensor that outlives a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlotFacts {
    /// Its path, as in checkpoints.
    pub path: String,
    /// `weight`, `state` or `cache`.
    pub kind: String,
    /// Its element type.
    pub dtype: String,
    /// Its sizes.
    pub shape: Vec<String>,
}

impl Interface {
    /// What callers see of a plan.
    pub fn of(plan: &Plan) -> Interface {
        let size = |size: &nnc_ir::graph::Size| SizeFacts {
            name: size.symbol.to_string(),
            min: size.min,
            max: size.max,
            multiple: size.multiple,
        };
        let slot = |slot: &nnc_ir::graph::Slot| SlotFacts {
            path: slot.path.clone(),
            kind: slot.kind.name().to_string(),
            dtype: slot.ty.dtype.name().to_string(),
            shape: slot.ty.shape.iter().map(ToString::to_string).collect(),
        };
        Interface {
            sizes: plan.sizes.iter().map(size).collect(),
            entries: plan.entries.iter().map(EntryFacts::of).collect(),
            slots: plan.slots.iter().map(slot).collect(),
        }
    }

    /// The entry called `name`.
    pub fn entry(&self, name: &str) -> Option<&EntryFacts> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

impl EntryFacts {
    fn of(entry: &EntryPlan) -> EntryFacts {
        let tensors = |ports: &[(Port, PlaceId)]| {
            let named = ports.iter().filter_map(|(port, id)| match port {
                Port::Named(name) => entry.places.get(id.0 as usize).map(|place| (name, place)),
                Port::Slot(_) => None,
            });
            let facts = named.map(|(name, place)| TensorFacts {
                name: name.clone(),
                dtype: place.dtype.name().to_string(),
                shape: place.shape.iter().map(ToString::to_string).collect(),
            });
            facts.collect()
        };
        let guard = |guard: &nnc_ir::plan::Guard| GuardFacts {
            zero: guard.zero.to_string(),
            message: guard.message.clone(),
        };
        EntryFacts {
            name: entry.name.clone(),
            inputs: tensors(&entry.inputs),
            outputs: tensors(&entry.outputs),
            guards: entry.guards.iter().map(guard).collect(),
        }
    }
}

impl std::fmt::Display for TensorFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}]", self.dtype, self.shape.join(", "))
    }
}
