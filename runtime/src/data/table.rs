//! A data set of columns: all fields have the same number of samples, or the file is served whole as one sample.

use super::DataError;
use super::batch::{BatchBuffers, Field};
use super::column::Column;
use super::spec::DataSpec;
use super::split::{DEFAULT_HELD_OUT, HeldOut, Samples, Split};
use super::{Dataset, Facts};
use crate::file::error::{list, suggestion};

/// What a reader found: columns, what it says about them, and which part it declares as held out.
#[derive(Debug, Default)]
pub struct Columns {
    /// In the order of the file.
    pub columns: Vec<Column>,
    /// What must be remembered to read more data in the same way.
    pub facts: Facts,
    /// Number of last samples that came from a file of test data.
    pub declared_held_out: Option<u64>,
}

/// A data set of columns.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    fields: Vec<Field>,
    facts: Facts,
    split: Split,
    len: u64,
    whole: bool,
}

impl Table {
    /// Checks that the columns fit together. Options: `held_out`, `whole`, `fields`.
    pub fn new(found: Columns, spec: &DataSpec) -> Result<Table, DataError> {
        let Columns { columns, facts, declared_held_out } = found;
        let columns = selected(columns, spec)?;
        let whole = spec.bool("whole")?.unwrap_or(false);
        let len = if whole { 1 } else { common_len(&columns)? };
        let fields: Vec<Field> = columns.iter().map(|column| column.field(!whole)).collect();
        let split = match whole {
            // The one sample both trains and validates; masks inside it tell the parts apart.
            true => Split { train: Samples::Items(0..1), held_out: Samples::Items(0..1) },
            false => {
                let declared = declared_held_out.map(HeldOut::Count);
                Split::items(len, spec.held_out()?.or(declared).unwrap_or(DEFAULT_HELD_OUT))?
            }
        };
        Ok(Table { columns, fields, facts, split, len, whole })
    }
}

/// The columns that `fields` names, in that order; all without that option.
fn selected(columns: Vec<Column>, spec: &DataSpec) -> Result<Vec<Column>, DataError> {
    let Some(names) = spec.texts("fields")? else { return Ok(columns) };
    let select = |name: &&str| {
        let found = columns.iter().find(|column| column.name == **name).cloned();
        found.ok_or_else(|| {
            let known: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            let message = format!("`fields` names `{name}`, which the data do not have");
            DataError::in_options("data::field", message).help(suggestion(name, known))
        })
    };
    names.iter().map(select).collect()
}

/// The number of samples that all columns share.
fn common_len(columns: &[Column]) -> Result<u64, DataError> {
    let Some(first) = columns.first() else {
        return Err(DataError::in_options("data::small", "the data have no fields"));
    };
    let counted = |column: &Column| {
        column.samples().ok_or_else(|| {
            let message = format!("field `{}` has no axes, so it has no samples", column.name);
            let help = "`fields: [..]` selects others; `whole: true` serves the file as one sample";
            DataError::in_options("data::samples", message).help(help)
        })
    };
    let len = counted(first)?;
    for column in columns {
        let other = counted(column)?;
        if other != len {
            let message =
                format!("field `{}` has {len} samples and `{}` has {other}", first.name, column.name);
            let help = "`fields: [..]` selects some; `whole: true` serves the file as one sample";
            return Err(DataError::in_options("data::samples", message).help(help));
        }
    }
    Ok(len)
}

impl Dataset for Table {
    fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn split(&self) -> &Split {
        &self.split
    }

    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn classes(&self, field: &str) -> Option<usize> {
        let labels = self.columns.iter().find(|column| column.name == field && column.shape().len() == 1);
        labels.filter(|_| !self.whole).and_then(Column::classes)
    }

    fn batch(&self, indices: &[u64], out: &mut BatchBuffers) -> Result<(), DataError> {
        if let Some(index) = indices.iter().find(|index| **index >= self.len) {
            let names = list(self.fields.iter().map(|field| field.name.as_str()));
            let message = format!("sample {index} was asked for; {names} have {}", self.len);
            return Err(DataError::in_options("data::range", message));
        }
        out.set_size(indices.len());
        for (column, tensor) in self.columns.iter().zip(out.tensors_mut()) {
            match self.whole {
                true => column.whole(tensor),
                false => column.gather(indices, tensor),
            }
        }
        Ok(())
    }
}
