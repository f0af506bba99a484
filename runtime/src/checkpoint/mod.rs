//! What a run must remember to go on: tensors, and where training and data stood. A checkpoint is a safetensors file
//! with a checksum of all its bytes; it appears whole or not at all, and is mapped when loaded.

mod store;

pub use crate::file::FileError as CheckpointError;
pub use crate::file::tensors::{TensorView, write_tensors};
pub use crate::file::{TensorFile, write_atomic};
pub use store::{Latest, Store, latest};

use crate::data::{Facts, Position};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The metadata entry that holds [`Meta`].
pub(crate) const META: &str = "nnc.checkpoint";

/// Where a run stood.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Steps completed.
    pub step: u64,
    /// The seed of the run: random draws are a function of seed, path and counter.
    pub seed: u64,
    /// The position in the data: the next batch to draw.
    pub data: Position,
    /// What the model must remember of its data.
    #[serde(default)]
    pub facts: Facts,
    /// What else the writer wants to find again, by name.
    #[serde(default)]
    pub extra: BTreeMap<String, serde_json::Value>,
}

/// A mapped checkpoint whose checksum was right when it was opened.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    meta: Meta,
    file: TensorFile,
}

impl Checkpoint {
    /// Maps a checkpoint and compares all of it with its checksum.
    pub fn open(path: &Path) -> Result<Checkpoint, CheckpointError> {
        let file = TensorFile::open(path)?;
        let foreign = |message| CheckpointError::in_file("checkpoint::foreign", path, message);
        let Some(text) = file.metadata().get(META) else {
            let help = "load it as weights instead";
            return Err(foreign("the file has tensors but no training state".to_string()).help(help));
        };
        file.verify()?;
        let meta = serde_json::from_str(text);
        let meta = meta.map_err(|error| foreign(format!("the training state cannot be read: {error}")))?;
        Ok(Checkpoint { meta, file })
    }

    /// Where the run stood.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The tensor of this name, in the mapped file.
    pub fn tensor(&self, name: &str) -> Option<TensorView<'_>> {
        self.file.get(name)
    }

    /// All tensors by name, in the mapped file.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, TensorView<'_>)> {
        self.file.iter()
    }
}

/// Writes a checkpoint. Equal content gives equal bytes.
pub fn write<'a>(
    path: &Path,
    meta: &Meta,
    tensors: impl IntoIterator<Item = (&'a str, TensorView<'a>)>,
) -> Result<(), CheckpointError> {
    let text = serde_json::to_string(meta).map_err(|error| {
        CheckpointError::in_file("file::unwritable", path, format!("the training state has no JSON: {error}"))
    })?;
    write_tensors(path, &BTreeMap::from([(META.to_string(), text)]), tensors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::HostTensor;

    #[test]
    fn state_and_tensors_come_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let weight = HostTensor::from_values(vec![2], &[f32::MIN_POSITIVE, -0.0]).unwrap();
        let meta = Meta {
            step: u64::MAX,
            seed: u64::MAX - 1,
            data: Position { epoch: 3, drawn: 1 << 60 },
            extra: BTreeMap::from([("best".to_string(), serde_json::json!({ "loss": 0.1 }))]),
            ..Meta::default()
        };
        write(&path, &meta, [("w", (&weight).into())]).unwrap();
        let read = Checkpoint::open(&path).unwrap();
        assert_eq!(read.meta(), &meta);
        assert_eq!(read.tensor("w").unwrap().to_host().unwrap(), weight);
        assert_eq!(read.tensors().count(), 1);
    }

    #[test]
    fn weights_without_training_state_are_no_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let weight = HostTensor::scalar(1.0f32);
        write_tensors(&path, &BTreeMap::new(), [("w", (&weight).into())]).unwrap();
        let error = Checkpoint::open(&path).unwrap_err();
        assert_eq!(
            (error.code, error.help.as_deref()),
            ("checkpoint::foreign", Some("load it as weights instead"))
        );
    }
}
