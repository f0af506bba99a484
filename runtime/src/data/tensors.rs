//! Data in safetensors files: every tensor is a field, its first axis counts samples.

use super::column::Column;
use super::table::Columns;
use super::{DataError, DataSpec, Facts};
use crate::file::TensorFile;
use crate::file::error::suggestion;
use std::path::Path;

/// Every tensor of a file.
pub fn read(source: &Path, _: &DataSpec, _: &Facts) -> Result<Columns, DataError> {
    let file = TensorFile::open(source)?;
    let columns = file.iter().map(|(name, _)| column(&file, name)).collect::<Result<_, _>>()?;
    Ok(Columns { columns, ..Columns::default() })
}

/// The tensor called `name`, or the only one.
pub fn read_field(name: &str, path: &Path) -> Result<Column, DataError> {
    let file = TensorFile::open(path)?;
    let names: Vec<&str> = file.iter().map(|(name, _)| name).collect();
    let own = match names[..] {
        [only] => only,
        _ if names.contains(&name) => name,
        _ => {
            let message = format!("no tensor is called `{name}`");
            return Err(DataError::in_file("data::field", path, message).help(suggestion(name, names)));
        }
    };
    column(&file, own).map(|column| column.named(name))
}

fn column(file: &TensorFile, name: &str) -> Result<Column, DataError> {
    let (view, bytes) = file.get(name).zip(file.part(name)).expect("a tensor of this file");
    Column::new(name, view.file_type, view.shape.to_vec(), bytes)
        .map_err(|error| DataError { path: Some(file.path().into()), ..error.within(name) })
}
