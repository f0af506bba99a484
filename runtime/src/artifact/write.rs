//! Writing an artifact.

use super::entry::Interface;
use super::manifest::{Manifest, Member};
use super::member;
use super::target::Target;
use crate::file::error::FileError;
use crate::file::tensors::{TensorView, pieces};
use crate::file::write_atomic;
use crate::tensor::HostTensor;
use crate::weights::keys;
use nnc_ir::graph::SlotKind;
use nnc_ir::plan::{Plan, verify};
use nnc_kernels::CpuLevel;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Seek, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Weights start at a multiple of this, so that a mapped file can be read in place.
const ALIGNMENT: u16 = 64;

/// What goes into an artifact.
pub struct Contents<'a> {
    /// The model's name.
    pub model: &'a str,
    /// What is run.
    pub plan: &'a Plan,
    /// The same entries as tensor IR.
    pub graph: &'a str,
    /// Machine code of every kernel in the plan's order, for each level.
    pub code: &'a [(CpuLevel, Vec<Vec<u8>>)],
    /// Every weight and state of the plan, by key.
    pub weights: &'a [(String, HostTensor)],
    /// Texts that go with the weights.
    pub metadata: &'a BTreeMap<String, String>,
}

/// A member's bytes in pieces.
struct Part<'a> {
    name: String,
    pieces: Vec<Cow<'a, [u8]>>,
}

impl<'a> Part<'a> {
    fn new(name: impl Into<String>, bytes: impl Into<Cow<'a, [u8]>>) -> Part<'a> {
        Part { name: name.into(), pieces: vec![bytes.into()] }
    }

    fn len(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    fn entry(&self) -> Member {
        let mut crc = crc32fast::Hasher::new();
        self.pieces.iter().for_each(|piece| crc.update(piece));
        Member { name: self.name.clone(), bytes: self.len(), crc32: format!("{:08x}", crc.finalize()) }
    }
}

/// Writes an artifact; the file appears whole or not at all. Equal content gives equal bytes.
pub fn write(path: &Path, contents: &Contents) -> Result<(), FileError> {
    let refuse = |message: String| FileError::in_file("artifact::plan", path, message);
    check(contents).map_err(refuse)?;
    let parts = parts(contents).map_err(refuse)?;
    if let Some(part) = parts.iter().find(|part| part.len() > member::largest(&part.name)) {
        let message = format!("`{}` would have {} bytes, more than a reader takes", part.name, part.len());
        return Err(FileError::in_file("artifact::large", path, message));
    }
    let levels: Vec<CpuLevel> = contents.code.iter().map(|(level, _)| *level).collect();
    let members = parts.iter().map(Part::entry).collect();
    let (target, interface) = (Target::here(&levels), Interface::of(contents.plan));
    let manifest = Manifest::new(contents.model, target, interface, members);
    let manifest = serde_json::to_string_pretty(&manifest).map_err(|error| refuse(error.to_string()))?;
    let manifest = Part::new(member::MANIFEST, manifest.into_bytes());
    write_atomic(path, |writer| archive(writer, std::iter::once(&manifest).chain(&parts)))
}

/// Whether a reader would accept this.
fn check(contents: &Contents) -> Result<(), String> {
    verify(contents.plan).map_err(|errors| format!("the plan is wrong: {}", errors.join("; ")))?;
    let kernels = contents.plan.kernels.len();
    if let Some((level, code)) = contents.code.iter().find(|(_, code)| code.len() != kernels) {
        return Err(format!(
            "{kernels} kernels have {} pieces of code for level {}",
            code.len(),
            level.name()
        ));
    }
    let stored = contents.plan.slots.iter().filter(|slot| slot.kind != SlotKind::Cache);
    for key in stored.flat_map(keys::keys) {
        if !contents.weights.iter().any(|(known, _)| *known == key) {
            return Err(format!("`{key}` has no value"));
        }
    }
    Ok(())
}

fn parts<'a>(contents: &Contents<'a>) -> Result<Vec<Part<'a>>, String> {
    let plan =
        postcard::to_stdvec(contents.plan).map_err(|error| format!("the plan cannot be encoded: {error}"))?;
    let mut parts = vec![Part::new(member::PLAN, plan), Part::new(member::GRAPH, contents.graph.as_bytes())];
    let kernels = || contents.plan.kernels.iter().enumerate();
    for (place, kernel) in kernels() {
        parts.push(Part::new(member::kernel(place, &kernel.name), format!("{kernel}\n").into_bytes()));
    }
    for (level, code) in contents.code {
        for ((place, kernel), code) in kernels().zip(code) {
            parts.push(Part::new(member::code(level.name(), place, &kernel.name), code.as_slice()));
        }
    }
    let views = contents.weights.iter().map(|(path, tensor)| (path.as_str(), TensorView::from(tensor)));
    parts.push(Part { name: member::WEIGHTS.into(), pieces: pieces(contents.metadata, views)? });
    Ok(parts)
}

fn archive<'p, 'a: 'p>(
    writer: impl Write + Seek,
    parts: impl Iterator<Item = &'p Part<'a>>,
) -> io::Result<()> {
    let mut zip = ZipWriter::new(Once { writer, at: 0, failed: false });
    for part in parts {
        zip.start_file(&part.name, options(part)).map_err(io::Error::other)?;
        part.pieces.iter().try_for_each(|piece| zip.write_all(piece))?;
    }
    zip.finish().map_err(io::Error::other)?.flush()
}

/// A writer that fails once; what comes after goes nowhere, as if it were written. An archive that is dropped tries to
/// finish, and would complain.
struct Once<W> {
    writer: W,
    at: u64,
    failed: bool,
}

impl<W> Once<W> {
    fn attempt<T>(&mut self, after: T, act: impl FnOnce(&mut W) -> io::Result<T>) -> io::Result<T> {
        if self.failed {
            return Ok(after);
        }
        let done = act(&mut self.writer);
        self.failed = done.is_err();
        done
    }
}

impl<W: Write> Write for Once<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.attempt(bytes.len(), |writer| writer.write(bytes))?;
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.attempt((), Write::flush)
    }
}

impl<W: Seek> Seek for Once<W> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let after = match to {
            io::SeekFrom::Start(at) => at,
            io::SeekFrom::Current(by) | io::SeekFrom::End(by) => self.at.saturating_add_signed(by),
        };
        self.at = self.attempt(after, |writer| writer.seek(to))?;
        Ok(self.at)
    }
}

/// Texts are compressed; what is mapped or loaded is stored as it is.
fn options(part: &Part) -> SimpleFileOptions {
    let is_text = part.name.ends_with(".txt") || part.name.ends_with(".nnir");
    let method = if is_text { CompressionMethod::Deflated } else { CompressionMethod::Stored };
    let alignment = if part.name == member::WEIGHTS { ALIGNMENT } else { 1 };
    SimpleFileOptions::default()
        .compression_method(method)
        .last_modified_time(DateTime::default())
        .with_alignment(alignment)
        .large_file(part.len() >= u64::from(u32::MAX))
}
