//! Inputs of an entry from the command line: files in the formats of the data readers, and numbers.

use nnc_runtime::artifact::{EntryFacts, Interface, TensorFacts};
use nnc_runtime::data::{Facts, read_features, read_tensor};
use nnc_runtime::file::error::{list, nearest};
use nnc_runtime::{DType, HostTensor, RunError};
use std::path::Path;

/// Reads `name=PATH` or `name=NUMBER` for the inputs of an entry. `seed` is given to entries that draw, unless it is
/// among the inputs. What the tensors must be like is checked by the call itself.
pub fn read(
    interface: &Interface,
    entry: &str,
    given: &[String],
    seed: u32,
    facts: Option<&Facts>,
) -> Result<Vec<(String, HostTensor)>, RunError> {
    let names = interface.entries.iter().map(|entry| entry.name.as_str());
    let entry = interface.entry(entry).ok_or_else(|| {
        RunError::new("call::entry", format!("there is no entry `{entry}`"))
            .help(format!("there are {}", list(names)))
    })?;
    let mut inputs: Vec<(String, HostTensor)> = Vec::new();
    for text in given {
        let (name, source) = text.split_once('=').ok_or_else(|| {
            RunError::new("call::input", format!("`{text}` is not `name=PATH`")).help(expected(entry))
        })?;
        if inputs.iter().any(|(known, _)| known == name) {
            return Err(RunError::new("call::input", format!("input `{name}` is given twice")));
        }
        let input =
            entry.inputs.iter().find(|input| input.name == name).ok_or_else(|| unknown(entry, name))?;
        inputs.push((name.to_string(), tensor(input, source, facts)?));
    }
    if entry.inputs.iter().any(|input| input.name == "seed") && !inputs.iter().any(|(name, _)| name == "seed")
    {
        inputs.push(("seed".into(), HostTensor::scalar(seed)));
    }
    Ok(inputs)
}

fn unknown(entry: &EntryFacts, name: &str) -> RunError {
    let error = RunError::new("call::input", format!("entry `{}` has no input `{name}`", entry.name));
    match nearest(name, entry.inputs.iter().map(|input| input.name.as_str())) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help(expected(entry)),
    }
}

fn expected(entry: &EntryFacts) -> String {
    let inputs: Vec<String> = entry.inputs.iter().map(|input| format!("`{}`: {input}", input.name)).collect();
    match inputs.as_slice() {
        [] => format!("`{}` takes no inputs", entry.name),
        inputs => format!("`{}` takes {}", entry.name, inputs.join(", ")),
    }
}

fn tensor(input: &TensorFacts, source: &str, facts: Option<&Facts>) -> Result<HostTensor, RunError> {
    let path = Path::new(source);
    if input.shape.is_empty()
        && let Ok(number) = source.parse::<f64>()
    {
        return number_of(input, number);
    }
    if path.extension().is_some_and(|extension| extension == "txt") {
        return tokens(input, path, facts);
    }
    let is_table = path.extension().is_some_and(|extension| extension == "csv");
    let found = match facts.and_then(|facts| facts.scaling.as_ref()) {
        Some(known) if is_table && input.name == "features" => read_features(&input.name, path, known)?,
        _ => read_tensor(&input.name, path)?,
    };
    Ok(fitted(input, found, is_table))
}

/// A scalar; an integer must be exact in the input's type.
fn number_of(input: &TensorFacts, number: f64) -> Result<HostTensor, RunError> {
    let dtype = DType::from_name(&input.dtype);
    let fits = |dtype: &DType| matches!(dtype, DType::F32 | DType::F64) || holds(*dtype, &[number]);
    let tensor = dtype.filter(fits).and_then(|dtype| HostTensor::from_f64(dtype, Vec::new(), &[number]));
    tensor.ok_or_else(|| {
        RunError::new("call::shape", format!("input `{}` is {input}, which `{number}` is not", input.name))
    })
}

/// Whether an integer type of 32 bits has all the numbers.
fn holds(dtype: DType, numbers: &[f64]) -> bool {
    let (least, most) = match dtype {
        DType::I32 => (i32::MIN.into(), i32::MAX.into()),
        DType::U32 => (0.0, u32::MAX.into()),
        _ => return false,
    };
    numbers.iter().all(|number| number.fract() == 0.0 && (least..=most).contains(number))
}

/// A text as the model's tokens: one sample.
fn tokens(input: &TensorFacts, path: &Path, facts: Option<&Facts>) -> Result<HostTensor, RunError> {
    let vocabulary = facts.and_then(|facts| facts.vocabulary.as_ref()).ok_or_else(|| {
        let message = format!("`{}` is text, and nothing says which token stands for what", path.display());
        RunError::new("call::text", message)
            .help("give `--weights` of a model of text, or tokens as an array of int32")
    })?;
    let text = std::fs::read_to_string(path)
        .map_err(|error| RunError::new("file::unreadable", format!("{}: {error}", path.display())))?;
    let tokens: Vec<i32> = vocabulary.encode(&text)?.into_iter().map(|token| token as i32).collect();
    let shape = if input.shape.len() == 1 { vec![tokens.len()] } else { vec![1, tokens.len()] };
    let tensor = HostTensor::from_values(shape, &tokens);
    tensor.ok_or_else(|| RunError::new("call::text", "the text has no tensor"))
}

/// The same values as the type the input has, where a file format leaves no choice of types: integers of 32 bits for
/// unsigned inputs, numbers of a table for integer ones, a table of one column for a vector.
fn fitted(input: &TensorFacts, found: HostTensor, is_table: bool) -> HostTensor {
    let shape = match found.shape() {
        [lines, 1] if is_table && input.shape.len() == 1 => vec![*lines],
        shape => shape.to_vec(),
    };
    let convertible = found.dtype() == DType::I32 || is_table;
    let values = found.to_f64();
    let converted = match DType::from_name(&input.dtype).filter(|dtype| convertible && holds(*dtype, &values))
    {
        Some(dtype) => HostTensor::from_f64(dtype, shape, &values),
        None => HostTensor::from_bytes(found.dtype(), shape, found.bytes()),
    };
    converted.unwrap_or(found)
}
