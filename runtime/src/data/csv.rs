//! Tables of numbers as text. Without `target` every column is a field; with it there are two: `features`, all other
//! columns side by side, and `target`.

use super::column::Column;
use super::table::Columns;
use super::{DEFAULT_HELD_OUT, DataError, DataSpec, Facts, Scaling, Split};
use crate::file::error::{Place, suggestion};
use crate::file::{Bytes, FileType, MappedFile};
use std::path::Path;

/// Reads a table. Options: `target`, `columns`, `classes`, `standardize`, `delimiter`, `header`.
pub fn read(source: &Path, spec: &DataSpec, facts: &Facts) -> Result<Columns, DataError> {
    let format = Format::new(spec)?;
    let file = MappedFile::open(source)?;
    let target = spec.text("target")?;
    let classes = spec.bool("classes")?.unwrap_or(false);
    if classes && target.is_none() {
        let message = "`classes` numbers the values of a target, and there is no `target`";
        return Err(DataError::in_options("data::option", message).help("name the column: `target: \"..\"`"));
    }
    let mut sheet = Sheet::read(&file, &format, spec.texts("columns")?.as_deref(), target, classes)?;
    let scaling = match spec.bool("standardize")?.unwrap_or(false) {
        true => Some(sheet.standardize(spec, facts.scaling.as_ref())?),
        false => None,
    };
    let classes = classes.then(|| sheet.number_classes(&file, facts.classes.as_deref())).transpose()?;
    let columns = sheet.into_columns()?;
    Ok(Columns { columns, facts: Facts { scaling, classes, vocabulary: None }, declared_held_out: None })
}

/// The column called `name`, or the only one.
pub fn read_field(name: &str, path: &Path) -> Result<Column, DataError> {
    let file = MappedFile::open(path)?;
    let format = Format { delimiter: b',', header: true };
    let names = Sheet::names(&file, &format)?;
    let own = if names.len() == 1 { names[0].as_str() } else { name };
    let sheet = Sheet::read(&file, &format, Some(&[own]), None, false)?;
    let column = sheet.into_columns()?.remove(0);
    Ok(column.named(name))
}

/// All columns side by side: `[lines, columns]`.
pub fn read_matrix(name: &str, path: &Path) -> Result<Column, DataError> {
    let file = MappedFile::open(path)?;
    let mut sheet = Sheet::read(&file, &Format { delimiter: b',', header: true }, None, None, false)?;
    sheet.together = true;
    Ok(sheet.into_columns()?.remove(0).named(name))
}

/// The features that a model was trained on, scaled as they were then: `[lines, features]`.
pub fn read_features(name: &str, path: &Path, known: &Scaling) -> Result<Column, DataError> {
    let file = MappedFile::open(path)?;
    let unnamed = |name: &String| name.strip_prefix('c').is_some_and(|rest| rest.parse::<usize>().is_ok());
    let format = Format { delimiter: b',', header: !known.features.iter().all(unnamed) };
    let names: Vec<&str> = known.features.iter().map(String::as_str).collect();
    let mut sheet = Sheet::read(&file, &format, Some(&names), None, false)?;
    let known = sheet.checked(known)?;
    sheet.scale(&known);
    sheet.together = true;
    Ok(sheet.into_columns()?.remove(0).named(name))
}

/// How the text is laid out.
struct Format {
    delimiter: u8,
    header: bool,
}

impl Format {
    fn new(spec: &DataSpec) -> Result<Format, DataError> {
        let delimiter = match spec.text("delimiter")?.unwrap_or(",").as_bytes() {
            [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => *byte,
            _ => {
                let message = "`delimiter` of `csv` is one ASCII character";
                return Err(DataError::in_options("data::option", message));
            }
        };
        Ok(Format { delimiter, header: spec.bool("header")?.unwrap_or(true) })
    }

    fn reader<'a>(&self, file: &'a MappedFile) -> csv::Reader<&'a [u8]> {
        let mut builder = csv::ReaderBuilder::new();
        builder.delimiter(self.delimiter).has_headers(self.header).trim(csv::Trim::All);
        builder.from_reader(&file[..])
    }
}

/// The chosen columns of a table.
struct Sheet {
    features: Vec<Feature>,
    target: Target,
    /// Whether the features are one field or several.
    together: bool,
}

struct Feature {
    name: String,
    /// Its place in a line, from 0.
    at: usize,
    values: Vec<f64>,
}

enum Target {
    None,
    Numbers {
        at: usize,
        values: Vec<f64>,
    },
    /// Cells with their lines, until they are numbered.
    Names {
        at: usize,
        cells: Vec<(String, u64)>,
    },
    Classes(Vec<i32>),
}

impl Sheet {
    fn names(file: &MappedFile, format: &Format) -> Result<Vec<String>, DataError> {
        let mut reader = format.reader(file);
        let first = reader.headers().map_err(|error| unreadable(file, &error))?;
        Ok(match format.header {
            true => first.iter().map(str::to_string).collect(),
            false => (0..first.len()).map(|column| format!("c{column}")).collect(),
        })
    }

    fn read(
        file: &MappedFile,
        format: &Format,
        columns: Option<&[&str]>,
        target: Option<&str>,
        classes: bool,
    ) -> Result<Sheet, DataError> {
        let names = Sheet::names(file, format)?;
        let place = |name: &str| find(file, &names, name);
        let target_at = target.map(place).transpose()?;
        let chosen: Vec<usize> = match columns {
            Some(columns) => columns.iter().map(|name| place(name)).collect::<Result<_, _>>()?,
            None => (0..names.len()).filter(|at| Some(*at) != target_at).collect(),
        };
        let feature = |at: usize| Feature { name: names[at].clone(), at, values: Vec::new() };
        let mut sheet = Sheet {
            features: chosen.into_iter().map(feature).collect(),
            target: match target_at {
                None => Target::None,
                Some(at) if classes => Target::Names { at, cells: Vec::new() },
                Some(at) => Target::Numbers { at, values: Vec::new() },
            },
            together: target.is_some(),
        };
        sheet.read_lines(file, format)?;
        Ok(sheet)
    }

    fn read_lines(&mut self, file: &MappedFile, format: &Format) -> Result<(), DataError> {
        let mut reader = format.reader(file);
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(|error| unreadable(file, &error))? {
            let line = record.position().map_or(0, csv::Position::line);
            for feature in &mut self.features {
                feature.values.push(number(file, &record[feature.at], line, feature.at)?);
            }
            match &mut self.target {
                Target::Numbers { at, values } => values.push(number(file, &record[*at], line, *at)?),
                Target::Names { at, cells } => cells.push((record[*at].to_string(), line)),
                Target::None | Target::Classes(_) => {}
            }
        }
        Ok(())
    }

    fn rows(&self) -> usize {
        match &self.target {
            Target::None => self.features.first().map_or(0, |feature| feature.values.len()),
            Target::Numbers { values, .. } => values.len(),
            Target::Names { cells, .. } => cells.len(),
            Target::Classes(classes) => classes.len(),
        }
    }

    /// Brings every feature to mean 0 and deviation 1 over the training part, or as `known` says.
    fn standardize(&mut self, spec: &DataSpec, known: Option<&Scaling>) -> Result<Scaling, DataError> {
        let scaling = match known {
            Some(known) => self.checked(known)?,
            None => self.scaling(spec)?,
        };
        self.scale(&scaling);
        Ok(scaling)
    }

    fn scale(&mut self, scaling: &Scaling) {
        let numbers = scaling.mean.iter().zip(&scaling.deviation);
        for (feature, (mean, deviation)) in self.features.iter_mut().zip(numbers) {
            feature.values.iter_mut().for_each(|value| *value = (*value - mean) / deviation);
        }
    }

    fn checked(&self, known: &Scaling) -> Result<Scaling, DataError> {
        let names: Vec<&str> = self.features.iter().map(|feature| feature.name.as_str()).collect();
        let complete = known.mean.len() == names.len() && known.deviation.len() == names.len();
        if known.features == names && complete {
            return Ok(known.clone());
        }
        let message = format!("the model was trained on features {:?}; these are {names:?}", known.features);
        Err(DataError::in_options("data::field", message))
    }

    fn scaling(&self, spec: &DataSpec) -> Result<Scaling, DataError> {
        let held_out = spec.held_out()?.unwrap_or(DEFAULT_HELD_OUT);
        let training = Split::items(self.rows() as u64, held_out)?.train.positions() as usize;
        let moments = self.features.iter().map(|feature| moments(&feature.values[..training]));
        let (mean, deviation) = moments.unzip();
        let features = self.features.iter().map(|feature| feature.name.clone()).collect();
        Ok(Scaling { features, mean, deviation })
    }

    /// Replaces the names of a target by their numbers in `known`, or in the sorted list of those that occur.
    fn number_classes(
        &mut self,
        file: &MappedFile,
        known: Option<&[String]>,
    ) -> Result<Vec<String>, DataError> {
        let Target::Names { at, cells } = &self.target else { return Ok(Vec::new()) };
        let classes = known.map_or_else(|| sorted_classes(cells), <[String]>::to_vec);
        let places = classes.iter().enumerate().map(|(place, class)| (class.as_str(), place as i32));
        let places: std::collections::BTreeMap<&str, i32> = places.collect();
        let number = |(cell, line): &(String, u64)| {
            places.get(cell.as_str()).copied().ok_or_else(|| {
                let message = format!("`{cell}` is none of the {} classes of the model", classes.len());
                file.error("data::range", message).at(Place::Line(*line, *at as u64 + 1))
            })
        };
        let numbers = cells.iter().map(number).collect::<Result<_, _>>()?;
        self.target = Target::Classes(numbers);
        Ok(classes)
    }

    fn into_columns(self) -> Result<Vec<Column>, DataError> {
        let rows = self.rows();
        let mut columns = Vec::new();
        if self.together {
            let row = |row| self.features.iter().map(move |feature| feature.values[row]);
            columns.push(reals("features", vec![rows, self.features.len()], (0..rows).flat_map(row))?);
        } else {
            for feature in self.features {
                columns.push(reals(&feature.name, vec![rows], feature.values)?);
            }
        }
        match self.target {
            Target::None | Target::Names { .. } => {}
            Target::Numbers { values, .. } => columns.push(reals("target", vec![rows], values)?),
            Target::Classes(classes) => {
                let bytes = classes.iter().flat_map(|class| class.to_le_bytes()).collect();
                columns.push(Column::new("target", FileType::I32, vec![rows], Bytes::owned(bytes))?);
            }
        }
        Ok(columns)
    }
}

/// Singles of these values.
fn reals(name: &str, shape: Vec<usize>, values: impl IntoIterator<Item = f64>) -> Result<Column, DataError> {
    let bytes = values.into_iter().flat_map(|value| (value as f32).to_le_bytes()).collect();
    Column::new(name, FileType::F32, shape, Bytes::owned(bytes))
}

/// Mean and standard deviation; a constant feature has deviation 1, so that it becomes zero.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    (mean, if deviation > 0.0 { deviation } else { 1.0 })
}

/// Distinct names: by value if all are numbers, else by text.
fn sorted_classes(cells: &[(String, u64)]) -> Vec<String> {
    let distinct: std::collections::BTreeSet<&str> = cells.iter().map(|(cell, _)| cell.as_str()).collect();
    let mut classes: Vec<String> = distinct.into_iter().map(str::to_string).collect();
    if classes.iter().all(|class| class.parse::<f64>().is_ok_and(f64::is_finite)) {
        let value = |class: &str| class.parse::<f64>().unwrap_or_default();
        classes.sort_by(|a, b| value(a).total_cmp(&value(b)));
    }
    classes
}

fn number(file: &MappedFile, cell: &str, line: u64, at: usize) -> Result<f64, DataError> {
    cell.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(|| {
        let (message, help) = match cell {
            "" => ("a number is missing".to_string(), "fill it in or remove the line"),
            _ => (format!("`{cell}` is not a finite number"), "choose other columns with `columns: [..]`"),
        };
        file.error("data::number", message).at(Place::Line(line, at as u64 + 1)).help(help)
    })
}

fn find(file: &MappedFile, names: &[String], name: &str) -> Result<usize, DataError> {
    names.iter().position(|own| own == name).ok_or_else(|| {
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        let error = file.error("data::field", format!("no column is called `{name}`"));
        error.at(Place::Line(1, 1)).help(suggestion(name, known))
    })
}

fn unreadable(file: &MappedFile, error: &csv::Error) -> DataError {
    let line = error.position().map_or(1, csv::Position::line);
    let (message, column) = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            (format!("this line has {len} cells, those before {expected_len}"), *len.min(expected_len))
        }
        csv::ErrorKind::Utf8 { err, .. } => ("this is not UTF-8 text".into(), err.field() as u64),
        _ => (error.to_string(), 0),
    };
    file.error("file::foreign", message).at(Place::Line(line, column + 1))
}
