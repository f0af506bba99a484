//! Named tensors in a file, in the safetensors layout: eight bytes of header length, a JSON header, then the elements
//! of all tensors without gaps.
//!
//! Reading maps the file and checks every number of the header against its length before anything is used. Files
//! written here start their elements on a 64-byte boundary, and carry a CRC-32 of all bytes as first metadata entry.

use super::atomic::write_atomic;
use super::element::{FileType, file_len};
use super::error::{FileError, Place};
use super::{Bytes, MappedFile};
use crate::tensor::HostTensor;
use nnc_ir::DType;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

/// Bytes of the header length.
const PREFIX: usize = 8;
/// The format's limit for headers.
const LARGEST_HEADER: u64 = 100_000_000;
/// Where the elements of a file start, at a multiple of this.
const ALIGNMENT: usize = 64;
/// How the header of a file with a checksum begins; eight hexadecimal digits follow.
const CHECKED: &str = r#"{"__metadata__":{"crc32":""#;
/// What stands for the checksum while it is computed.
const NO_CHECKSUM: &str = "00000000";

/// A tensor somewhere else: in memory or in a mapped file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorView<'a> {
    /// The element type.
    pub file_type: FileType,
    /// Sizes, outermost first.
    pub shape: &'a [usize],
    /// Row-major little-endian elements.
    pub bytes: &'a [u8],
}

impl<'a> From<&'a HostTensor> for TensorView<'a> {
    fn from(tensor: &'a HostTensor) -> TensorView<'a> {
        let file_type = FileType::of(tensor.dtype());
        TensorView { file_type, shape: tensor.shape(), bytes: tensor.bytes() }
    }
}

impl TensorView<'_> {
    /// The element type in memory, where it is the same bit for bit.
    pub fn dtype(&self) -> Option<DType> {
        Some(self.file_type.stored()).filter(|dtype| FileType::of(*dtype) == self.file_type)
    }

    /// A copy in memory; nothing for an element type that models do not have.
    pub fn to_host(&self) -> Option<HostTensor> {
        HostTensor::from_bytes(self.dtype()?, self.shape.to_vec(), self.bytes)
    }
}

/// A mapped safetensors file, or one that is a part of a mapped file.
#[derive(Clone, Debug)]
pub struct TensorFile {
    file: Region,
    header: usize,
    tensors: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

/// A part of a mapped file; places in it are counted from its start.
#[derive(Clone, Debug)]
struct Region {
    file: Arc<MappedFile>,
    range: Range<usize>,
}

impl Deref for Region {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.file[self.range.clone()]
    }
}

impl Region {
    fn error(&self, code: &'static str, message: impl Into<String>) -> FileError {
        self.file.error(code, message)
    }
}

#[derive(Clone, Debug)]
struct Entry {
    file_type: FileType,
    shape: Vec<usize>,
    range: Range<usize>,
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    tensors: BTreeMap<String, Info>,
}

#[derive(Deserialize)]
struct Info {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl TensorFile {
    /// Maps a file and checks its header against its length. The elements are not read.
    pub fn open(path: &Path) -> Result<TensorFile, FileError> {
        let file = Arc::new(MappedFile::open(path)?);
        let range = 0..file.len();
        TensorFile::within(file, range)
    }

    /// The safetensors file that the bytes `range` of a mapped file are; errors count bytes from its start.
    ///
    /// # Panics
    /// If the range leaves the file: a bug of the caller.
    pub fn within(file: Arc<MappedFile>, range: Range<usize>) -> Result<TensorFile, FileError> {
        let file = Region { file, range };
        let header = header_range(&file)?;
        let Header { metadata, tensors } =
            serde_json::from_slice(&file[header.clone()]).map_err(|error| {
                let place = Place::Byte((PREFIX + error.column().saturating_sub(1)) as u64);
                let message = format!("the header is not one of safetensors: {error}");
                file.error("file::foreign", message).at(place)
            })?;
        let tensors = entries(&file, tensors, header.end)?;
        Ok(TensorFile { file, header: header.end, tensors, metadata })
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        self.file.file.path()
    }

    /// Texts of the header.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<TensorView<'_>> {
        self.tensors.get(name).map(|entry| self.view(entry))
    }

    /// All tensors by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, TensorView<'_>)> {
        self.tensors.iter().map(|(name, entry)| (name.as_str(), self.view(entry)))
    }

    /// The elements of a tensor as a part of the mapped file.
    pub(crate) fn part(&self, name: &str) -> Option<Bytes> {
        let range = &self.tensors.get(name)?.range;
        let start = self.file.range.start;
        Some(Bytes::Mapped(self.file.file.clone(), start + range.start..start + range.end))
    }

    /// Whether the file carries a checksum, as those written here do.
    pub fn has_checksum(&self) -> bool {
        self.stored_checksum().is_some()
    }

    /// Reads the whole file and compares it with its checksum. A file without one is an error.
    pub fn verify(&self) -> Result<(), FileError> {
        let Some(stored) = self.stored_checksum() else {
            return Err(self.file.error("file::foreign", "the file has no checksum of its content"));
        };
        let digits = checksum_digits();
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.file[PREFIX..digits.start]);
        crc.update(NO_CHECKSUM.as_bytes());
        crc.update(&self.file[digits.end..]);
        let found = format!("{:08x}", crc.finalize());
        if found.as_bytes() == stored {
            return Ok(());
        }
        let stored = String::from_utf8_lossy(stored);
        let message =
            format!("the content has checksum {found}, the header says {stored}: the file is damaged");
        Err(self.file.error("file::corrupt", message))
    }

    fn view<'a>(&'a self, entry: &'a Entry) -> TensorView<'a> {
        let bytes = &self.file[entry.range.clone()];
        TensorView { file_type: entry.file_type, shape: &entry.shape, bytes }
    }

    fn stored_checksum(&self) -> Option<&[u8]> {
        let header = &self.file[PREFIX..self.header];
        header.starts_with(CHECKED.as_bytes()).then(|| self.file.get(checksum_digits())).flatten()
    }
}

/// Where the checksum stands in a file that has one.
fn checksum_digits() -> Range<usize> {
    let start = PREFIX + CHECKED.len();
    start..start + NO_CHECKSUM.len()
}

/// The bytes of the JSON header.
fn header_range(file: &Region) -> Result<Range<usize>, FileError> {
    let len = file.len() as u64;
    let Some(prefix) = file.first_chunk::<PREFIX>() else {
        let message = format!("a safetensors file has at least {PREFIX} bytes; this one has {len}");
        return Err(file.error("file::truncated", message).at(Place::Byte(len)));
    };
    let header = u64::from_le_bytes(*prefix);
    if header > LARGEST_HEADER {
        let message = format!("a header of {header} bytes is announced, more than safetensors allows");
        let help = "is this a safetensors file?";
        return Err(file.error("file::foreign", message).at(Place::Byte(0)).help(help));
    }
    let end = PREFIX as u64 + header;
    if end > len {
        let message = format!("the header ends at byte {end}, the file at byte {len}");
        return Err(file.error("file::truncated", message).at(Place::Byte(len)).help("copy the file again"));
    }
    Ok(PREFIX..end as usize)
}

/// Checks every tensor: a known type, as many bytes as its sizes say, and no gap or overlap between tensors.
fn entries(
    file: &Region,
    tensors: BTreeMap<String, Info>,
    start: usize,
) -> Result<BTreeMap<String, Entry>, FileError> {
    let mut order: Vec<(&String, &Info)> = tensors.iter().collect();
    order.sort_by_key(|(_, info)| info.data_offsets);
    let payload = (file.len() - start) as u64;
    let mut end = 0;
    let mut checked = BTreeMap::new();
    for (name, info) in order {
        let (file_type, shape) = typed(file, name, info)?;
        let [first, last] = info.data_offsets;
        let wrong = |message| Err(file.error("file::corrupt", message).at(Place::Part(name.clone())));
        if first != end {
            return wrong(format!("the elements start at {first}; those before end at {end}"));
        }
        let len = file_len(file_type, &shape);
        if last.checked_sub(first) != len || len.is_none() {
            let len = len.map_or("more bytes than a file has".into(), |len| format!("{len} bytes"));
            return wrong(format!("{}{shape:?} has {len}; offsets are {first} to {last}", file_type.name()));
        }
        if last > payload {
            let message = format!("the elements end at {last} of {payload} bytes that the file has");
            let error = file.error("file::truncated", message).at(Place::Part(name.clone()));
            return Err(error.help("copy the file again"));
        }
        end = last;
        let range = start + first as usize..start + last as usize;
        checked.insert(name.clone(), Entry { file_type, shape, range });
    }
    if end != payload {
        let message = format!("{payload} bytes follow the header; its tensors have {end}");
        return Err(file.error("file::corrupt", message).at(Place::Byte(start as u64 + end)));
    }
    Ok(checked)
}

fn typed(file: &Region, name: &str, info: &Info) -> Result<(FileType, Vec<usize>), FileError> {
    let shape = info.shape.iter().map(|size| usize::try_from(*size).ok()).collect::<Option<Vec<usize>>>();
    let wrong = |message| file.error("file::foreign", message).at(Place::Part(name.to_string()));
    let Some(file_type) = FileType::from_name(&info.dtype) else {
        return Err(wrong(format!("elements of type `{}` cannot be read", info.dtype)));
    };
    Ok((file_type, shape.ok_or_else(|| wrong("a size exceeds the address space".into()))?))
}

/// Writes tensors and texts; the file appears whole or not at all. Equal content gives equal bytes.
pub fn write_tensors<'a>(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    tensors: impl IntoIterator<Item = (&'a str, TensorView<'a>)>,
) -> Result<(), FileError> {
    let pieces =
        pieces(metadata, tensors).map_err(|message| FileError::in_file("file::unwritable", path, message))?;
    write_atomic(path, |writer| pieces.iter().try_for_each(|piece| writer.write_all(piece)))
}

/// What a file of tensors consists of, in order: its header, then the elements of every tensor. Refuses two tensors of
/// one name.
pub fn pieces<'a>(
    metadata: &BTreeMap<String, String>,
    tensors: impl IntoIterator<Item = (&'a str, TensorView<'a>)>,
) -> Result<Vec<Cow<'a, [u8]>>, String> {
    let mut tensors: Vec<(&str, TensorView)> = tensors.into_iter().collect();
    // Wide elements first keep every tensor aligned to its own elements.
    tensors.sort_by_key(|(name, view)| (std::cmp::Reverse(view.file_type.size()), *name));
    let mut seen = std::collections::BTreeSet::from(["__metadata__"]);
    if let Some((name, _)) = tensors.iter().find(|(name, _)| !seen.insert(name)) {
        return Err(format!("two things in the file would be called `{name}`"));
    }
    let mut header = header(metadata, &tensors);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[PREFIX..]);
    tensors.iter().for_each(|(_, view)| crc.update(view.bytes));
    header[checksum_digits()].copy_from_slice(format!("{:08x}", crc.finalize()).as_bytes());
    let elements = tensors.into_iter().map(|(_, view)| Cow::Borrowed(view.bytes));
    Ok(std::iter::once(Cow::Owned(header)).chain(elements).collect())
}

/// Prefix and JSON header, with zeros for the checksum; spaces at the end align what follows.
fn header(metadata: &BTreeMap<String, String>, tensors: &[(&str, TensorView)]) -> Vec<u8> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut json = format!("{CHECKED}{NO_CHECKSUM}\"");
    for (key, text) in metadata.iter().filter(|(key, _)| *key != "crc32") {
        json += &format!(",{}:{}", quoted(key), quoted(text));
    }
    json.push('}');
    let mut start = 0;
    for (name, view) in tensors {
        let end = start + view.bytes.len();
        let (dtype, shape) = (view.file_type.name(), serde_json::Value::from(view.shape));
        json += &format!(
            r#",{}:{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#,
            quoted(name)
        );
        start = end;
    }
    json.push('}');
    let len = (PREFIX + json.len()).next_multiple_of(ALIGNMENT) - PREFIX;
    let mut header = (len as u64).to_le_bytes().to_vec();
    header.extend(json.bytes());
    header.resize(PREFIX + len, b' ');
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example(path: &Path) -> Vec<(&'static str, HostTensor)> {
        let tensors = vec![
            ("flags", HostTensor::from_bytes(DType::Bool, vec![3], &[1, 0, 1]).unwrap()),
            ("layer[0].w", HostTensor::from_values(vec![2, 2], &[1.0f32, -2.0, f32::NAN, 0.5]).unwrap()),
            ("scalar", HostTensor::scalar(0.1f64)),
            ("empty", HostTensor::zeros(DType::I32, vec![0, 7])),
        ];
        let metadata = BTreeMap::from([("name \"x\"".to_string(), "line\nbreak".to_string())]);
        let views = tensors.iter().map(|(name, tensor)| (*name, tensor.into()));
        write_tensors(path, &metadata, views).unwrap();
        tensors
    }

    fn in_folder(test: impl FnOnce(&Path)) {
        test(&tempfile::tempdir().unwrap().path().join("a.safetensors"));
    }

    #[test]
    fn what_is_written_is_read_bit_for_bit() {
        in_folder(|path| {
            let tensors = example(path);
            let file = TensorFile::open(path).unwrap();
            for (name, tensor) in &tensors {
                assert_eq!(&file.get(name).unwrap().to_host().unwrap(), tensor);
            }
            assert_eq!(file.iter().count(), tensors.len());
            assert_eq!(file.metadata()["name \"x\""], "line\nbreak");
            assert_eq!((file.header % ALIGNMENT, file.verify()), (0, Ok(())));
        });
    }

    #[test]
    fn the_reference_reader_reads_what_is_written() {
        in_folder(|path| {
            let tensors = example(path);
            let bytes = std::fs::read(path).unwrap();
            let reference = safetensors::SafeTensors::deserialize(&bytes).unwrap();
            for (name, tensor) in &tensors {
                let view = reference.tensor(name).unwrap();
                assert_eq!((view.data(), view.shape()), (tensor.bytes(), tensor.shape()));
            }
        });
    }

    #[test]
    fn what_the_reference_writes_is_read_but_has_no_checksum() {
        in_folder(|path| {
            let view =
                safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![1], &[7; 8]).unwrap();
            std::fs::write(path, safetensors::serialize([("x", view)], None).unwrap()).unwrap();
            let file = TensorFile::open(path).unwrap();
            assert_eq!(file.get("x").unwrap().bytes, [7; 8]);
            assert!(file.get("x").unwrap().to_host().is_none(), "models have no 64-bit integers");
            assert_eq!((file.has_checksum(), file.verify().unwrap_err().code), (false, "file::foreign"));
        });
    }

    #[test]
    fn every_damaged_bit_and_every_truncation_is_found() {
        in_folder(|path| {
            example(path);
            let whole = std::fs::read(path).unwrap();
            let sound = |bytes: &[u8]| {
                std::fs::write(path, bytes).unwrap();
                TensorFile::open(path).and_then(|file| file.verify()).is_ok()
            };
            assert!(sound(&whole));
            for byte in 0..whole.len() {
                let mut damaged = whole.clone();
                damaged[byte] ^= 1 << (byte % 8);
                assert!(!sound(&damaged), "byte {byte} is damaged");
            }
            assert!((0..whole.len()).all(|len| !sound(&whole[..len])));
            assert!(!sound(&[&whole[..], b"x"].concat()));
        });
    }

    fn opened(path: &Path, header: &str, payload: &[u8]) -> FileError {
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), payload].concat();
        std::fs::write(path, bytes).unwrap();
        TensorFile::open(path).unwrap_err()
    }

    #[test]
    fn headers_that_lie_are_refused_with_the_tensor_named() {
        in_folder(|path| {
            let error = opened(path, r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, &[0; 4]);
            assert!(error.to_string().ends_with("`x`: F32[2] has 8 bytes; offsets are 0 to 4"), "{error}");
            let huge = r#"{"x":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#;
            assert_eq!(opened(path, huge, &[]).code, "file::corrupt");
            let gap = r#"{"x":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#;
            assert_eq!(opened(path, gap, &[0; 2]).code, "file::corrupt");
            let long = r#"{"x":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}"#;
            assert_eq!(opened(path, long, &[0; 8]).code, "file::truncated");
            let odd = r#"{"x":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}"#;
            assert_eq!(opened(path, odd, &[0]).code, "file::foreign");
            assert_eq!(opened(path, "[1, 2]", &[]).code, "file::foreign");
            std::fs::write(path, u64::MAX.to_le_bytes()).unwrap();
            assert_eq!(TensorFile::open(path).unwrap_err().code, "file::foreign");
        });
    }

    #[test]
    fn two_tensors_of_one_name_are_refused() {
        in_folder(|path| {
            let tensor = HostTensor::scalar(1.0f32);
            let twice = [("x", (&tensor).into()), ("x", (&tensor).into())];
            assert_eq!(write_tensors(path, &BTreeMap::new(), twice).unwrap_err().code, "file::unwritable");
        });
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            header in "\\{(\"[a-z_]{1,12}\":(\\{|\\[|[0-9]{1,20}|\"F32\"|\\}|,)){0,8}",
            small in any::<bool>(),
        ) {
            in_folder(|path| {
                if small {
                    let header = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
                    bytes.splice(0..0, header);
                }
                std::fs::write(path, &bytes).unwrap();
                let _ = TensorFile::open(path).map(|file| file.verify());
            });
        }
    }
}
