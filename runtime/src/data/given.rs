//! A field given on the command line as `field=PATH`: the file's first bytes say which format it has.

use super::column::Column;
use super::{DataError, csv, idx, npy, npz, tensors};
use crate::file::MappedFile;
use std::path::Path;

/// Reads one tensor: as [`read`], but a table gives all of its columns.
pub fn read_whole(name: &str, path: &Path) -> Result<Column, DataError> {
    match path.extension() {
        Some(extension) if extension == "csv" => csv::read_matrix(name, path),
        _ => read(name, path),
    }
}

/// Reads the samples of one field.
pub fn read(name: &str, path: &Path) -> Result<Column, DataError> {
    let start = {
        let file = MappedFile::open(path)?;
        file[..file.len().min(6)].to_vec()
    };
    let extension = path.extension().unwrap_or_default();
    match start[..] {
        [0x1f, 0x8b, ..] | [0, 0, 0x08..=0x0e, ..] => idx::read_field(name, path),
        [0x93, b'N', b'U', b'M', b'P', b'Y'] => npy::read_field(name, path),
        [b'P', b'K', ..] => npz::read_field(name, path),
        _ if extension == "safetensors" => tensors::read_field(name, path),
        _ if extension == "csv" => csv::read_field(name, path),
        _ => {
            let message = format!("the format of this file for `{name}` is unknown");
            let help = "a field can be an idx (also .gz), npy, npz, safetensors or csv file";
            Err(DataError::in_file("file::foreign", path, message).help(help))
        }
    }
}
