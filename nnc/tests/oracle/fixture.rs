//! Fixtures: tensors, sizes and constants of one file.

use nnc_ir::Array;
use nnc_runtime::file::{FileType, TensorFile};
use std::collections::BTreeMap;
use std::path::Path;

/// One file.
pub struct Fixture {
    /// The system it belongs to.
    pub slug: String,
    /// Sizes and constants.
    pub hyper: serde_json::Value,
    /// All tensors, in float64.
    pub tensors: BTreeMap<String, Array>,
}

impl Fixture {
    /// Reads a file.
    pub fn open(path: &Path) -> Result<Fixture, String> {
        let file = TensorFile::open(path).map_err(|error| error.to_string())?;
        let meta = |name: &str| {
            file.metadata()
                .get(name)
                .ok_or_else(|| format!("the metadata of {} lack `{name}`", path.display()))
        };
        let hyper = serde_json::from_str(meta("hyper")?).map_err(|error| format!("`hyper`: {error}"))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let data = match view.to_host() {
                Some(host) => host.to_f64(),
                None if view.file_type == FileType::I64 => {
                    view.bytes.chunks_exact(8).map(|b| FileType::I64.integer(b) as f64).collect()
                }
                None => return Err(format!("`{name}` has a type that is not read")),
            };
            tensors.insert(name.to_string(), Array::new(view.shape.to_vec(), data));
        }
        Ok(Fixture { slug: meta("slug")?.clone(), hyper, tensors })
    }

    /// A tensor.
    pub fn tensor(&self, name: &str) -> Result<&Array, String> {
        self.tensors.get(name).ok_or_else(|| format!("the file has no tensor `{name}`"))
    }

    /// A member of `hyper` by its path: `widths.2`.
    pub fn constant(&self, path: &str) -> Result<&serde_json::Value, String> {
        path.split('.').try_fold(&self.hyper, |value, part| {
            let inside = match part.parse::<usize>() {
                Ok(place) => value.get(place),
                Err(_) => value.get(part),
            };
            inside.ok_or_else(|| format!("`hyper` has no `{path}`"))
        })
    }

    /// Names that fit a pattern in which `*` stands for digits, in the order of the numbers.
    pub fn matching(&self, pattern: &str) -> Vec<String> {
        let mut found: Vec<(Vec<u64>, String)> = self
            .tensors
            .keys()
            .filter_map(|name| numbers(pattern, name).map(|numbers| (numbers, name.clone())))
            .collect();
        found.sort();
        found.into_iter().map(|(_, name)| name).collect()
    }
}

/// The numbers that `*` stands for, if `name` fits.
fn numbers(pattern: &str, name: &str) -> Option<Vec<u64>> {
    let mut parts = pattern.split('*');
    let mut rest = name.strip_prefix(parts.next()?)?;
    let mut found = Vec::new();
    for part in parts {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        found.push(rest[..digits].parse().ok()?);
        rest = rest[digits..].strip_prefix(part)?;
    }
    rest.is_empty().then_some(found)
}
