//! The compiler's world on a real machine: local modules are files beside the program, data are opened by the runtime.

use nnc_compiler::world::{DataField, DataInfo, DataSource, Plain, World};
use nnc_runtime::data::{self, DataError, DataSpec, Dataset, Facts, Value};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Files beside a program, and fields that the command line gives.
#[derive(Clone, Debug, Default)]
pub struct Files {
    folder: PathBuf,
    data: BTreeMap<String, PathBuf>,
}

impl Files {
    /// The folder `program` lies in.
    pub fn beside(program: &Path) -> Files {
        Files { folder: program.parent().unwrap_or(Path::new("")).to_path_buf(), data: BTreeMap::new() }
    }

    /// With `field=PATH` from the command line.
    pub fn with_data(mut self, fields: &[String]) -> Result<Files, String> {
        for field in fields {
            let (name, path) =
                field.split_once('=').ok_or_else(|| format!("`{field}` is not `field=PATH`"))?;
            if path.is_empty() {
                return Err(format!("`{field}` names no file"));
            }
            self.data.insert(name.to_string(), PathBuf::from(path));
        }
        Ok(self)
    }

    /// Opens a data source like those with these facts. What it names is relative to the program.
    pub fn open(
        &self,
        source: &DataSource,
        held_out: Option<f64>,
        facts: &Facts,
    ) -> Result<Box<dyn Dataset>, DataError> {
        data::open_like(&self.spec(source, held_out), &self.data, facts)
    }

    /// The source as the readers take it.
    pub fn spec(&self, source: &DataSource, held_out: Option<f64>) -> DataSpec {
        let path = self.folder.join(&source.source).display().to_string();
        let mut spec = DataSpec::new(source.kind.clone(), path);
        for (name, value) in &source.options {
            spec = spec.with(name, plain(value));
        }
        if let Some(share) = held_out.filter(|_| !source.options.contains_key("held_out")) {
            spec = spec.with("held_out", Value::Real(share));
        }
        spec
    }
}

/// Bytes of one text that are read, at most. Programs have a smaller limit of their own.
const MAX_BYTES: u64 = 64 << 20;

/// The text of a program, module or IR. A mark of the byte order in front is dropped.
pub fn source(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("it is larger than {} MiB", MAX_BYTES >> 20));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8 text")
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text))
}

fn plain(value: &Plain) -> Value {
    match value {
        Plain::Int(n) => Value::Int(*n),
        Plain::Real(x) => Value::Real(*x),
        Plain::Bool(b) => Value::Bool(*b),
        Plain::Text(text) => Value::Text(text.clone()),
        Plain::List(items) => Value::List(items.iter().map(plain).collect()),
    }
}

impl World for Files {
    fn read(&self, path: &str) -> Result<String, String> {
        source(&self.folder.join(path))
    }

    fn data(&self, source: &DataSource) -> Option<DataInfo> {
        let dataset = self.open(source, None, &Facts::default()).ok()?;
        let vocabulary = dataset.facts().vocabulary.and_then(|v| v.size().ok());
        let field = |f: &data::Field| DataField {
            name: f.name.clone(),
            dtype: f.dtype,
            shape: f.sample_shape.clone(),
            classes: match f.name.as_str() {
                "token" if vocabulary.is_some() => vocabulary,
                name => dataset.classes(name),
            },
        };
        Some(DataInfo { fields: dataset.fields().iter().map(field).collect(), samples: dataset.len() })
    }
}
