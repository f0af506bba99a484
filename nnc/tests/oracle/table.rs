//! The table of a program: which tensor of a fixture is which input, slot, output or gradient.

use crate::fixture::Fixture;
use nnc_ir::Array;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// `<slug>.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// What is run.
    pub runs: Vec<Run>,
    /// Tensors that are not compared, by pattern, and why.
    #[serde(default)]
    pub unread: BTreeMap<String, String>,
}

/// One model of the program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Its name.
    pub model: String,
    /// Parameters: a number, a path in `hyper`, or the size of an axis: `in.x@-1`, a list where `*` stands for digits;
    /// `a - b` for differences.
    #[serde(default)]
    pub params: BTreeMap<String, serde_json::Value>,
    /// Inputs by name.
    #[serde(default)]
    pub inputs: BTreeMap<String, Source>,
    /// Weights and states by path.
    #[serde(default)]
    slots: BTreeMap<String, Source>,
    /// Outputs by name.
    #[serde(default)]
    pub outputs: BTreeMap<String, Source>,
    /// Gradients that the file holds.
    #[serde(default)]
    pub gradients: Vec<Gradient>,
    /// Relative tolerance in f32, where the specification of the system states another than 2e-5.
    #[serde(default = "single")]
    pub tolerance: f64,
}

fn single() -> f64 {
    2e-5
}

/// Gradients of one scalar.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gradient {
    /// Outputs and their cotangents; the scalar is the sum of their products. An empty name is cotangent 1.
    pub of: BTreeMap<String, String>,
    /// Stands before the name of the tensor whose gradient it is.
    #[serde(default)]
    pub prefix: String,
    /// Gradients with names of their own, by the tensor whose gradient they are.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
}

impl Gradient {
    /// Where the file holds the gradient of a tensor, if it may.
    pub fn source(&self, of: &Source) -> Option<Source> {
        let prefixed = || (!self.prefix.is_empty()).then(|| format!("{}{}", self.prefix, of.pattern));
        let pattern = self.names.get(&of.pattern).cloned().or_else(prefixed)?;
        Some(Source { pattern, ..of.clone() })
    }
}

/// A tensor of the file, or several stacked (`*` stands for digits). `'` behind it swaps the last two axes; `[a:b]`
/// takes a part of the first axis, counted from the end if negative. Elements are taken row-major: the shape may differ;
/// stacked tensors of different shapes are one line.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub struct Source {
    /// Name or pattern.
    pub pattern: String,
    swapped: bool,
    part: Option<(i64, Option<i64>)>,
}

impl From<String> for Source {
    fn from(text: String) -> Source {
        let (text, swapped) = match text.strip_suffix('\'') {
            Some(text) => (text, true),
            None => (text.as_str(), false),
        };
        let part = text.split_once('[').and_then(|(_, range)| {
            let (from, to) = range.strip_suffix(']')?.split_once(':')?;
            Some((from.parse().unwrap_or(0), to.parse().ok()))
        });
        let pattern = text.split('[').next().unwrap_or(text).to_string();
        Source { pattern, swapped, part }
    }
}

impl Source {
    /// The tensors it means, each as the program holds it.
    pub fn pieces(&self, fixture: &Fixture) -> Result<Vec<(String, Array)>, String> {
        let pattern = &self.pattern;
        let names = if pattern.contains('*') { fixture.matching(pattern) } else { vec![pattern.clone()] };
        if names.is_empty() {
            return Err(format!("the file has no tensor like `{pattern}`"));
        }
        names.into_iter().map(|name| Ok((name.clone(), self.view(fixture.tensor(&name)?)))).collect()
    }

    fn view(&self, array: &Array) -> Array {
        let mut array = array.clone();
        if let Some((from, to)) = self.part {
            let count = array.shape[0] as i64;
            let place = |n: i64| (if n < 0 { n + count } else { n }).clamp(0, count) as usize;
            let (from, to) = (place(from), place(to.unwrap_or(count)));
            let size = array.data.len() / array.shape[0].max(1);
            array = Array {
                shape: [&[to - from], &array.shape[1..]].concat(),
                data: array.data[from * size..to * size].to_vec(),
            };
        }
        if self.swapped {
            let rank = array.shape.len();
            let mut shape = array.shape.clone();
            shape.swap(rank - 1, rank - 2);
            array = Array::from_index(shape, |index| {
                let mut index = index.to_vec();
                index.swap(rank - 1, rank - 2);
                array.at(&index)
            });
        }
        array
    }
}

impl Run {
    /// The sources of slots. Where a path has a `*` of its own, it counts the tensors that fit: `layer[*].w`.
    pub fn slots(&self, fixture: &Fixture) -> BTreeMap<String, Source> {
        let mut found = BTreeMap::new();
        for (path, source) in &self.slots {
            if !path.contains('*') {
                found.insert(path.clone(), source.clone());
                continue;
            }
            for (place, name) in fixture.matching(&source.pattern).into_iter().enumerate() {
                let path = path.replace('*', &place.to_string());
                found.insert(path, Source { pattern: name, ..source.clone() });
            }
        }
        found
    }

    /// The parameters as the command line would give them.
    pub fn params(&self, fixture: &Fixture) -> Result<Vec<(String, String)>, String> {
        let value = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => constant(fixture, text),
            other => Ok(other.to_string()),
        };
        self.params.iter().map(|(name, text)| Ok((name.clone(), value(text)?))).collect()
    }
}

fn constant(fixture: &Fixture, text: &str) -> Result<String, String> {
    if let Some((left, right)) = text.split_once(" - ") {
        let whole = |text: &str| {
            constant(fixture, text)?.parse::<i64>().map_err(|_| format!("`{text}` is no whole number"))
        };
        return Ok((whole(left)? - whole(right)?).to_string());
    }
    if let Some((name, axis)) = text.split_once('@').filter(|(name, _)| name.contains('*')) {
        let sizes =
            fixture.matching(name).into_iter().map(|name| constant(fixture, &format!("{name}@{axis}")));
        return Ok(format!("[{}]", sizes.collect::<Result<Vec<_>, _>>()?.join(", ")));
    }
    if let Some((name, axis)) = text.split_once('@') {
        let shape = &fixture.tensor(name)?.shape;
        let axis: i64 = axis.parse().map_err(|_| format!("`{text}`: an axis is a number"))?;
        let place = if axis < 0 { axis + shape.len() as i64 } else { axis };
        let size = usize::try_from(place).ok().and_then(|place| shape.get(place));
        return size.map(usize::to_string).ok_or_else(|| format!("`{text}`: the shape is {shape:?}"));
    }
    if text.parse::<i64>().is_ok() {
        return Ok(text.to_string());
    }
    Ok(match fixture.constant(text)? {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

/// The table of a slug, if it has a program.
pub fn read(folder: &Path, slug: &str) -> Result<Option<Table>, String> {
    let path = folder.join(format!("{slug}.json"));
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| format!("{}: {error}", path.display()))
}
