//! The values of slots: from files into a session and back.

pub mod keys;

use crate::call::RunError;
use crate::checkpoint::{self, Checkpoint, TensorFile, TensorView, latest};
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

/// What a file of weights or a checkpoint remembers of its data; nothing where the file is neither.
pub fn facts(file: &TensorFile) -> Result<Option<Facts>, RunError> {
    if file.metadata().contains_key(checkpoint::META) {
        return Ok(Some(Checkpoint::open(file.path())?.meta().facts.clone()));
    }
    let Some(text) = file.metadata().get(FACTS) else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|error| {
        let message = format!("`{}` tells facts of its data that are broken: {error}", file.path().display());
        RunError::new("weights::facts", message)
    })
}

/// What a file must have. A state that it need not have keeps its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need<'n> {
    /// Every weight and every state.
    All,
    /// Every weight.
    Weights,
    /// These slots.
    Slots(&'n BTreeSet<usize>),
}

impl Need<'_> {
    fn has(self, slots: &[Slot], place: usize) -> bool {
        match self {
            Need::All => slots[place].kind != SlotKind::Cache,
            Need::Weights => slots[place].kind == SlotKind::Weight,
            Need::Slots(needed) => needed.contains(&place),
        }
    }
}

/// Sets slots from the tensors of their keys. Returns the paths of states that were not there.
pub fn load<'t, D: Device>(
    session: &mut Session<D>,
    slots: &[Slot],
    tensors: impl Iterator<Item = (&'t str, TensorView<'t>)>,
    need: Need,
) -> Result<BTreeSet<String>, RunError> {
    let file: keys::Tensors = tensors.collect();
    let needed = (0..slots.len()).filter(|place| need.has(slots, *place)).collect();
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

/// Sets slot `place`, if the tensor has its type.
pub fn set<D: Device>(
    session: &mut Session<D>,
    place: usize,
    slot: &Slot,
    view: &TensorView,
) -> Result<(), RunError> {
    let tensor = checked(slot, view)?;
    let set = session.set_slot(place, tensor.bytes());
    set.map_err(|error| RunError::new("weights::shape", error.to_string()))
}

/// The tensor in memory, if it has the type of the slot.
fn checked(slot: &Slot, view: &TensorView) -> Result<HostTensor, RunError> {
    let own: Vec<i64> = slot.ty.shape.iter().map(|dim| dim.as_constant().unwrap_or(-1)).collect();
    let shape: Vec<i64> = view.shape.iter().map(|size| *size as i64).collect();
    let tensor = view.to_host().filter(|tensor| tensor.dtype() == slot.ty.dtype && shape == own);
    tensor.ok_or_else(|| {
        let kind = view.file_type.name().to_lowercase();
        let message = format!("`{}` is {kind}{shape:?} in the file, {} here", slot.path, slot.ty);
        RunError::new("weights::shape", message)
            .help("build with the settings of the run: `--param name=value`")
    })
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
