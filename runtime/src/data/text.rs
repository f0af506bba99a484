//! Windows of one text: `token` is a window, `next` the same window one token later.

use super::batch::{BatchBuffers, Field};
use super::{DEFAULT_HELD_OUT, DataError, DataSpec, Dataset, Facts, Split, Vocabulary, only_overrides};
use crate::file::{Bytes, MappedFile, Place};
use crate::tensor::HostTensor;
use nnc_ir::DType;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Tokens per window where the program does not say.
const DEFAULT_CONTEXT: usize = 64;

/// A text as tokens.
pub struct Text {
    tokens: Tokens,
    context: usize,
    fields: [Field; 2],
    split: Split,
    vocabulary: Vocabulary,
}

/// Tokens in as few bytes as the vocabulary needs.
enum Tokens {
    Narrow(Bytes),
    Medium(Vec<u16>),
    Wide(Vec<u32>),
}

/// Opens a text. Options: `context`, `tokens`.
pub fn open(
    spec: &DataSpec,
    overrides: &BTreeMap<String, PathBuf>,
    facts: &Facts,
) -> Result<Text, DataError> {
    only_overrides(spec, overrides, &["data", "text"])?;
    let replaced = overrides.get("text").or(overrides.get("data"));
    let source = replaced.map_or(Path::new(&spec.source), PathBuf::as_path);
    let in_source = |error: DataError| DataError { path: error.path.or(Some(source.into())), ..error };
    let file = MappedFile::open(source).map_err(|error| error.help("give another text with `text=PATH`"))?;
    let (vocabulary, tokens) = tokenized(file, spec, facts).map_err(in_source)?;
    let context = spec.size("context")?.unwrap_or(DEFAULT_CONTEXT);
    let held_out = spec.held_out()?.unwrap_or(DEFAULT_HELD_OUT);
    let split = Split::windows(tokens.len() as u64, context as u64, held_out).map_err(in_source)?;
    let fields = ["token", "next"].map(|name| Field::new(name, DType::I32, vec![context]));
    Ok(Text { tokens, context, fields, split, vocabulary })
}

fn tokenized(file: MappedFile, spec: &DataSpec, facts: &Facts) -> Result<(Vocabulary, Tokens), DataError> {
    let vocabulary = match &facts.vocabulary {
        Some(known) => known.clone(),
        None => match spec.text("tokens")?.unwrap_or("characters") {
            "characters" => Vocabulary::characters_of(utf8(&file)?),
            "bytes" => Vocabulary::Bytes,
            path if path.ends_with(".json") => {
                let json = MappedFile::open(Path::new(path))?;
                Vocabulary::Tokenizer(utf8(&json)?.to_string())
            }
            other => {
                let message = format!("`tokens` of `text` is `{other}`");
                let help = "it is \"characters\", \"bytes\", or the path of a tokenizer's JSON file";
                return Err(DataError::in_options("data::option", message).help(help));
            }
        },
    };
    let tokens = match vocabulary {
        Vocabulary::Bytes => {
            let range = 0..file.len();
            Tokens::Narrow(Bytes::Mapped(Arc::new(file), range))
        }
        _ => Tokens::packed(&vocabulary.encode(utf8(&file)?)?),
    };
    Ok((vocabulary, tokens))
}

fn utf8(file: &MappedFile) -> Result<&str, DataError> {
    std::str::from_utf8(file).map_err(|error| {
        let place = Place::Byte(error.valid_up_to() as u64);
        let help = "convert the file, or read it with `tokens: \"bytes\"`";
        file.error("file::foreign", "this is not UTF-8 text").at(place).help(help)
    })
}

impl Tokens {
    fn packed(tokens: &[u32]) -> Tokens {
        match tokens.iter().max() {
            Some(0x1_0000..) => Tokens::Wide(tokens.to_vec()),
            Some(0x100..) => Tokens::Medium(tokens.iter().map(|token| *token as u16).collect()),
            _ => Tokens::Narrow(Bytes::owned(tokens.iter().map(|token| *token as u8).collect())),
        }
    }

    fn len(&self) -> usize {
        match self {
            Tokens::Narrow(tokens) => tokens.len(),
            Tokens::Medium(tokens) => tokens.len(),
            Tokens::Wide(tokens) => tokens.len(),
        }
    }

    /// Writes the tokens from `start` on.
    fn copy(&self, start: usize, out: &mut [i32]) {
        let end = start + out.len();
        match self {
            Tokens::Narrow(tokens) => widen(&tokens[start..end], out),
            Tokens::Medium(tokens) => widen(&tokens[start..end], out),
            Tokens::Wide(tokens) => {
                out.iter_mut().zip(&tokens[start..end]).for_each(|(out, token)| *out = *token as i32);
            }
        }
    }
}

fn widen<T: Copy + Into<i32>>(tokens: &[T], out: &mut [i32]) {
    out.iter_mut().zip(tokens).for_each(|(out, token)| *out = (*token).into());
}

impl Text {
    /// Writes the windows that start at `starts + shift`.
    fn windows(&self, starts: &[u64], shift: usize, tensor: &mut HostTensor) {
        let rows =
            tensor.values_mut::<i32>().into_iter().flat_map(|rows| rows.chunks_exact_mut(self.context));
        starts.iter().zip(rows).for_each(|(start, row)| self.tokens.copy(*start as usize + shift, row));
    }
}

impl Dataset for Text {
    fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Number of windows, which overlap.
    fn len(&self) -> u64 {
        (self.tokens.len() - self.context) as u64
    }

    fn split(&self) -> &Split {
        &self.split
    }

    fn facts(&self) -> Facts {
        Facts { vocabulary: Some(self.vocabulary.clone()), ..Facts::default() }
    }

    fn batch(&self, indices: &[u64], out: &mut BatchBuffers) -> Result<(), DataError> {
        if let Some(start) = indices.iter().find(|start| **start >= self.len()) {
            let message = format!("window {start} was asked for; the text has {}", self.len());
            return Err(DataError::in_options("data::range", message));
        }
        out.set_size(indices.len());
        for (shift, tensor) in out.tensors_mut().iter_mut().enumerate() {
            self.windows(indices, shift, tensor);
        }
        Ok(())
    }
}
