//! The checkpoints of one run in one directory. The last few are kept; finding the latest skips damaged ones and says
//! so. A directory has one writer at a time.

use super::{Checkpoint, CheckpointError, Meta, TensorView};
use crate::file::atomic::PARTIAL;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Writes the checkpoints of a run.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    keep: NonZeroUsize,
}

/// The latest checkpoint that is whole.
#[derive(Debug)]
pub struct Latest {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Why later ones could not be used.
    pub warnings: Vec<CheckpointError>,
}

impl Store {
    /// Makes the directory if needed, and removes what a killed writer left unfinished.
    pub fn open(directory: &Path, keep: NonZeroUsize) -> Result<Store, CheckpointError> {
        std::fs::create_dir_all(directory).map_err(|error| unwritable(directory, &error))?;
        for path in list(directory)? {
            if is_partial(&path) {
                std::fs::remove_file(&path).map_err(|error| unwritable(&path, &error))?;
            }
        }
        Ok(Store { directory: directory.to_path_buf(), keep })
    }

    /// Writes the checkpoint of `meta.step`, then removes the oldest of those up to it until `keep` are left. Later
    /// ones, from which the run did not resume, are left alone.
    pub fn save<'a>(
        &self,
        meta: &Meta,
        tensors: impl IntoIterator<Item = (&'a str, TensorView<'a>)>,
    ) -> Result<PathBuf, CheckpointError> {
        let path = self.directory.join(file_name(meta.step));
        super::write(&path, meta, tensors)?;
        let steps = steps(&self.directory)?;
        let earlier = steps.into_iter().filter(|(step, _)| *step <= meta.step);
        for (_, old) in earlier.skip(self.keep.get()) {
            std::fs::remove_file(&old).map_err(|error| unwritable(&old, &error))?;
        }
        Ok(path)
    }
}

/// The latest whole checkpoint of a directory; `None` if there is none at all, as before the first save. An error if
/// there are some and all are damaged: starting anew is not the same run.
pub fn latest(directory: &Path) -> Result<Option<Latest>, CheckpointError> {
    if !directory.exists() {
        return Ok(None);
    }
    let mut warnings = Vec::new();
    for (_, path) in steps(directory)? {
        match Checkpoint::open(&path) {
            Ok(checkpoint) => return Ok(Some(Latest { checkpoint, warnings })),
            Err(error) => warnings.push(error),
        }
    }
    match warnings.first() {
        None => Ok(None),
        Some(newest) => {
            let message = format!("none of {} checkpoints is whole; the newest: {newest}", warnings.len());
            let error = CheckpointError::in_file("checkpoint::damaged", directory, message);
            Err(error.help("start a new run in another directory"))
        }
    }
}

fn file_name(step: u64) -> String {
    format!("step-{step:010}.safetensors")
}

/// The step of a checkpoint's file name.
fn step_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok()
}

fn is_partial(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.starts_with(".step-") && name.ends_with(PARTIAL)
}

/// The checkpoints of a directory, latest first.
fn steps(directory: &Path) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
    let mut steps: Vec<(u64, PathBuf)> =
        list(directory)?.into_iter().filter_map(|path| Some((step_of(&path)?, path))).collect();
    steps.sort_by_key(|(step, _)| std::cmp::Reverse(*step));
    Ok(steps)
}

fn list(directory: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let entries = std::fs::read_dir(directory).and_then(|entries| {
        let paths: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
        paths
    });
    entries.map_err(|error| CheckpointError::unreadable(directory, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> CheckpointError {
    CheckpointError::in_file("file::unwritable", path, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::HostTensor;

    fn save(store: &Store, step: u64) -> PathBuf {
        let weight = HostTensor::from_values(vec![64], &[step as f32; 64]).unwrap();
        let meta = Meta { step, ..Meta::default() };
        store.save(&meta, [("w", (&weight).into())]).unwrap()
    }

    fn in_store(keep: usize, test: impl FnOnce(&Path, &Store)) {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("run");
        let store = Store::open(&directory, NonZeroUsize::new(keep).unwrap()).unwrap();
        test(&directory, &store);
    }

    fn latest_step(directory: &Path) -> (u64, usize) {
        let found = latest(directory).unwrap().unwrap();
        (found.checkpoint.meta().step, found.warnings.len())
    }

    #[test]
    fn the_last_few_are_kept() {
        in_store(2, |directory, store| {
            assert!(latest(directory).unwrap().is_none());
            [1, 20, 300, 4].into_iter().for_each(|step| drop(save(store, step)));
            let kept: Vec<u64> = steps(directory).unwrap().into_iter().map(|(step, _)| step).collect();
            assert_eq!(kept, [300, 20, 4], "of those up to step 4 the last two, and a later one");
            assert_eq!(latest_step(directory), (300, 0));
        });
    }

    #[test]
    fn a_torn_newest_checkpoint_gives_way_to_the_one_before() {
        in_store(3, |directory, store| {
            save(store, 1);
            let newest = save(store, 2);
            let whole = std::fs::read(&newest).unwrap();
            for torn in [0, 5, 100, whole.len() / 2, whole.len() - 1] {
                std::fs::write(&newest, &whole[..torn]).unwrap();
                assert_eq!(latest_step(directory), (1, 1), "torn after {torn} bytes");
            }
            std::fs::write(&newest, whole).unwrap();
            assert_eq!(latest_step(directory), (2, 0));
        });
    }

    #[test]
    fn saves_after_falling_back_are_not_pruned_for_the_damaged_one() {
        in_store(1, |directory, store| {
            let newest = save(store, 200);
            std::fs::write(newest, "torn").unwrap();
            save(store, 150);
            assert_eq!(latest_step(directory), (150, 1));
        });
    }

    #[test]
    fn only_damaged_checkpoints_are_an_error() {
        in_store(1, |directory, store| {
            std::fs::write(save(store, 7), [0; 80]).unwrap();
            let error = latest(directory).unwrap_err();
            assert_eq!(error.code, "checkpoint::damaged");
            assert!(error.message.contains("step-0000000007.safetensors"));
        });
    }

    #[test]
    fn what_a_killed_writer_left_is_removed_and_never_loaded() {
        in_store(2, |directory, store| {
            let saved = save(store, 1);
            let left = directory.join(format!(".step-0000000002.safetensors.1{PARTIAL}"));
            std::fs::copy(saved, &left).unwrap();
            assert_eq!(latest_step(directory), (1, 0));
            Store::open(directory, store.keep).unwrap();
            assert!(!left.exists());
        });
    }
}
