//! The values of slots: from files into a session and back.

pub mod keys;

use crate::call::RunError;
use crate::checkpoint::{Checkpoint, TensorFile, TensorView, latest};
use crate::data::Facts;
use crate::tensor::HostTensor;
use nnc_ir::graph::{Slot, SlotKind};
use nnc_ir::session::{Device, Session};
use std::collections::BTreeSet;
use std::path::Path;

/// The file of weights that a finished run leaves in its folder.
pub const FILE: &str = "weights.safetensors";
/// The metadata entry that holds the [`Facts`] of the data, as JSON.
pub const FACTS: &str = "nnc.facts";
/// The metadata entry that names the model.
pub const MODEL: &str = "nnc.model";

/// Opens weights: a file of tensors, or the folder of a run, whose latest checkpoint counts more than the weights it
/// ended with because it holds the states too.
pub fn open(path: &Path) -> Result<TensorFile, RunError> {
    if !path.is_dir() {
        return Ok(TensorFile::open(path)?);
    }
    if let Some(found) = latest(path)? {
        return Ok(TensorFile::open(found.checkpoint.path())?);
    }
    let file = path.join(FILE);
    if file.exists() {
        return Ok(TensorFile::open(&file)?);
    }
    let message = format!("`{}` holds neither a checkpoint nor `{FILE}`", path.display());
    Err(RunError::new("weights::missing", message)
        .help("name a file of weights, or the `--out` folder of a run"))
}

/// What a file of weights or a checkpoint remembers of its data.
pub fn facts(file: &TensorFile) -> Option<Facts> {
    match file.metadata().get(FACTS) {
        Some(text) => serde_json::from_str(text).ok(),
        None => Checkpoint::open(file.path()).ok().map(|checkpoint| checkpoint.meta().facts.clone()),
    }
}

/// Which states a file need not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Every weight and every state.
    All,
    /// Every weight; a state keeps its value.
    Weights,
}

/// Sets slots from the tensors of their keys. Returns the paths of states that were not there.
pub fn load<'t, D: Device>(
    session: &mut Session<D>,
    slots: &[Slot],
    tensors: impl Iterator<Item = (&'t str, TensorView<'t>)>,
    need: Need,
) -> Result<BTreeSet<String>, RunError> {
    let file: keys::Tensors = tensors.collect();
    let needs =
        |slot: &Slot| slot.kind == SlotKind::Weight || (need == Need::All && slot.kind == SlotKind::State);
    let needed = (0..slots.len()).filter(|place| needs(&slots[*place])).collect();
    keys::demand(slots, &needed, &file)?;
    let mut absent = BTreeSet::new();
    for (place, slot) in slots.iter().enumerate().filter(|(_, slot)| slot.kind != SlotKind::Cache) {
        match keys::join(slot, &file) {
            Some(bytes) => {
                let set = session.set_slot(place, &bytes);
                set.map_err(|error| RunError::new("weights::shape", error.to_string()))?;
            }
            None => drop(absent.insert(slot.path.clone())),
        }
    }
    Ok(absent)
}

/// The tensors of a slot of fixed size, one per copy, with their keys.
pub fn values<D: Device>(
    session: &mut Session<D>,
    slots: &[Slot],
    place: usize,
) -> Result<Vec<(String, HostTensor)>, RunError> {
    let bytes = session.get_slot(place).map_err(|error| RunError::new("weights::read", error.to_string()))?;
    keys::split(&slots[place], &bytes)
}
