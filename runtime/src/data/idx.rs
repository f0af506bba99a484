//! The IDX format of the handwritten digits: two zero bytes, an element type, the number of axes, their sizes as
//! big-endian 32-bit integers, then big-endian elements. Files may be compressed with gzip.
//!
//! A source is a directory. In it, `<part>-images-idx3-ubyte` and `<part>-labels-idx1-ubyte` are the fields `image`
//! and `label`; a part whose name contains `t10k` or `test` is held out. Any other `<field>.idx` is the field of that
//! name. All names may end with `.gz`.

use super::column::Column;
use super::table::Columns;
use super::{DataError, DataSpec, Facts};
use crate::file::element::{FileType, file_len, swap_bytes};
use crate::file::error::Place;
use crate::file::{Bytes, MappedFile, read_exactly};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes before the sizes.
const MAGIC: usize = 4;

/// Reads the files of a directory.
pub fn read(source: &Path, _: &DataSpec, _: &Facts) -> Result<Columns, DataError> {
    let mut found = Columns::default();
    for (name, parts) in fields_of(source)? {
        let mut columns = parts.iter().map(|part| Ok((part.test, read_field(&name, &part.path)?)));
        let (test, mut column) = columns.next().transpose()?.expect("a field has a file");
        let mut held_out = if test { column.samples() } else { None };
        for next in columns {
            let (_, next): (bool, Column) = next?;
            held_out = next.samples();
            let shapes = format!("{:?} and {:?}", column.shape(), next.shape());
            column = column.concat(&next).ok_or_else(|| {
                let message =
                    format!("the training and test files of `{name}` do not fit together: {shapes}");
                DataError::in_file("data::samples", source, message)
            })?;
        }
        if parts.len() > 1 {
            found.declared_held_out = found.declared_held_out.or(held_out);
        }
        found.columns.push(column);
    }
    Ok(found)
}

/// A file of one field; `test` if it holds test data.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    test: bool,
    path: PathBuf,
}

/// The files of every field, training data first.
fn fields_of(source: &Path) -> Result<BTreeMap<String, Vec<Part>>, DataError> {
    if source.is_file() {
        let help = "name the directory, or give each field as `image=PATH label=PATH`";
        return Err(
            DataError::in_file("data::source", source, "this is a file; `idx` takes a directory").help(help)
        );
    }
    let unreadable = |error| DataError::unreadable(source, &error);
    let mut fields: BTreeMap<String, Vec<Part>> = BTreeMap::new();
    for entry in std::fs::read_dir(source).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let Some((field, test)) = path.file_name().and_then(|name| field_of(&name.to_string_lossy())) else {
            continue;
        };
        fields.entry(field).or_default().push(Part { test, path });
    }
    for (field, parts) in &mut fields {
        // The plain file sorts before its compressed copy.
        parts.sort();
        parts.dedup_by(|second, first| same_data(&first.path, &second.path));
        one_each(source, field, parts)?;
    }
    if fields.is_empty() {
        let message = "no idx files are here";
        let help = "name them `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` or `<field>.idx`, also with `.gz`";
        return Err(DataError::in_file("data::source", source, message).help(help));
    }
    Ok(fields)
}

/// The field that a file name stands for, and whether it holds test data.
fn field_of(name: &str) -> Option<(String, bool)> {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    for (mark, field) in [("images", "image"), ("labels", "label")] {
        if let Some((part, _)) = name.split_once(mark).filter(|(_, rest)| rest.contains("idx")) {
            return Some((field.into(), part.contains("t10k") || part.contains("test")));
        }
    }
    name.strip_suffix(".idx").map(|field| (field.to_string(), false))
}

fn same_data(plain: &Path, other: &Path) -> bool {
    let mut compressed = plain.as_os_str().to_os_string();
    compressed.push(".gz");
    compressed == other.as_os_str()
}

/// At most one training and one test file.
fn one_each(source: &Path, field: &str, parts: &[Part]) -> Result<(), DataError> {
    let Some(pair) = parts.windows(2).find(|pair| pair[0].test == pair[1].test) else { return Ok(()) };
    let message =
        format!("both {} and {} could be `{field}`", pair[0].path.display(), pair[1].path.display());
    let help = format!("move one away, or give `{field}=PATH`");
    Err(DataError::in_file("data::source", source, message).help(help))
}

/// Reads one field: images as reals from 0 to 1, labels as integers.
pub fn read_field(name: &str, path: &Path) -> Result<Column, DataError> {
    let file = Arc::new(MappedFile::open(path)?);
    let (header, bytes) = if file.starts_with(&[0x1f, 0x8b]) { inflated(&file)? } else { plain(&file)? };
    let bytes = match (header.file_type.size(), bytes) {
        (1, bytes) => bytes,
        (size, bytes) => {
            let mut swapped = bytes.to_vec();
            swap_bytes(&mut swapped, size);
            Bytes::owned(swapped)
        }
    };
    let column = Column::new(name, header.file_type, header.shape, bytes);
    column.map(Column::images_or_labels).map_err(|error| DataError { path: Some(path.into()), ..error })
}

struct Header {
    file_type: FileType,
    shape: Vec<usize>,
    /// Bytes before the elements.
    len: usize,
    /// Bytes of the elements.
    payload: u64,
}

fn plain(file: &Arc<MappedFile>) -> Result<(Header, Bytes), DataError> {
    let header = header(&mut &file[..], file.path())?;
    let (expected, found) = (header.payload, (file.len() - header.len) as u64);
    if expected != found {
        let code = if found < expected { "file::truncated" } else { "file::corrupt" };
        let message = format!("sizes {:?} need {expected} bytes of elements, {found} found", header.shape);
        let place = Place::Byte(header.len as u64 + expected.min(found));
        return Err(file.error(code, message).at(place).help("copy the file again"));
    }
    let range = header.len..file.len();
    Ok((header, Bytes::Mapped(file.clone(), range)))
}

fn inflated(file: &Arc<MappedFile>) -> Result<(Header, Bytes), DataError> {
    let mut stream = flate2::read::GzDecoder::new(&file[..]);
    let header = header(&mut stream, file.path())?;
    let (compressed, from) = (file.len() as u64, header.len as u64);
    let bytes = read_exactly(&mut stream, header.payload, compressed, file.path(), from)?;
    let mut more = [0];
    // Reading to the end is also what compares the stream with its checksum.
    match stream.read(&mut more) {
        Ok(0) => Ok((header, Bytes::owned(bytes))),
        Ok(_) => {
            let message = format!("elements follow after the {} bytes that the sizes say", header.payload);
            Err(file.error("file::corrupt", message).at(Place::Byte(from + header.payload)))
        }
        Err(error) => {
            let message = format!("the compressed data are damaged: {error}");
            Err(file.error("file::corrupt", message).help("copy the file again"))
        }
    }
}

/// Reads the header; its sizes are not compared with the file yet.
fn header(stream: &mut impl Read, path: &Path) -> Result<Header, DataError> {
    let magic = read_exactly(stream, MAGIC as u64, u64::MAX, path, 0)?;
    let file_type = match magic[..] {
        [0, 0, code, _] => element_type(code, path)?,
        _ => {
            let message = format!("an idx file starts with two zero bytes, this one with {magic:02x?}");
            return Err(DataError::in_file("file::foreign", path, message).at(Place::Byte(0)));
        }
    };
    let sizes = read_exactly(stream, 4 * u64::from(magic[3]), u64::MAX, path, MAGIC as u64)?;
    let size = |bytes: &[u8]| bytes.iter().fold(0usize, |size, byte| size << 8 | usize::from(*byte));
    let shape: Vec<usize> = sizes.chunks_exact(4).map(size).collect();
    let payload = file_len(file_type, &shape).filter(|_| !shape.is_empty()).ok_or_else(|| {
        let message = format!("sizes {shape:?} are not those of samples in a file");
        DataError::in_file("file::corrupt", path, message).at(Place::Byte(MAGIC as u64))
    })?;
    Ok(Header { file_type, shape, len: MAGIC + sizes.len(), payload })
}

fn element_type(code: u8, path: &Path) -> Result<FileType, DataError> {
    match code {
        0x08 => Ok(FileType::U8),
        0x09 => Ok(FileType::I8),
        0x0b => Ok(FileType::I16),
        0x0c => Ok(FileType::I32),
        0x0d => Ok(FileType::F32),
        0x0e => Ok(FileType::F64),
        _ => {
            let message =
                format!("{code:#04x} is no element type of idx; there are 08, 09, 0b, 0c, 0d and 0e");
            Err(DataError::in_file("file::foreign", path, message).at(Place::Byte(2)))
        }
    }
}
