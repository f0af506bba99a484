//! Files: mapping, atomic writing, safetensors, writing of arrays. A regular file is mapped, so that opening a large one costs nothing and its length is known before
//! anything is allocated; a reader never allocates by what a header claims, only by what the file can hold.

pub mod atomic;
pub mod element;
pub mod error;
pub mod npy;
pub mod tensors;

pub use atomic::write_atomic;
pub use element::FileType;
pub use error::{FileError, Place};
pub use tensors::TensorFile;

use memmap2::Mmap;
use std::io::Read;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The bytes of a file, mapped.
///
/// The file must not be shortened while it is in use: the system ends a process that reads beyond the end of a
/// mapped file. Writers that replace a file by renaming, as [`crate::checkpoint`] does, are safe.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    /// Nothing for an empty file, which cannot be mapped.
    map: Option<Mmap>,
}

impl MappedFile {
    /// Maps a regular file.
    pub fn open(path: &Path) -> Result<MappedFile, FileError> {
        let unreadable = |error| FileError::unreadable(path, &error);
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let about = file.metadata().map_err(unreadable)?;
        if !about.is_file() {
            return Err(FileError::in_file("file::unreadable", path, "this is not a regular file"));
        }
        // SAFETY: the mapping is read-only; the type's contract asks that nobody shortens the file.
        let map = (about.len() > 0).then(|| unsafe { Mmap::map(&file) }).transpose().map_err(unreadable)?;
        Ok(MappedFile { path: path.to_path_buf(), map })
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error in this file.
    pub fn error(&self, code: &'static str, message: impl Into<String>) -> FileError {
        FileError::in_file(code, &self.path, message)
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

/// Bytes that are part of a mapped file or memory of their own.
#[derive(Clone, Debug)]
pub enum Bytes {
    /// Part of a file.
    Mapped(Arc<MappedFile>, Range<usize>),
    /// Own memory.
    Owned(Arc<Vec<u8>>),
}

impl Bytes {
    /// Takes over memory.
    pub fn owned(bytes: Vec<u8>) -> Bytes {
        Bytes::Owned(Arc::new(bytes))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Mapped(file, range) => &file[range.clone()],
            Bytes::Owned(bytes) => bytes,
        }
    }
}

/// The most bytes that `compressed` bytes of a deflate stream can hold: a match of 258 bytes takes two bits at least.
pub fn largest_inflated(compressed: u64) -> u64 {
    compressed.saturating_mul(1032)
}

/// Reads exactly `expected` bytes of a stream made from `compressed` bytes of `path`. Memory grows with what arrives.
/// `from` is where in the stream reading starts; it is only told in errors.
pub fn read_exactly(
    stream: &mut impl Read,
    expected: u64,
    compressed: u64,
    path: &Path,
    from: u64,
) -> Result<Vec<u8>, FileError> {
    if expected > largest_inflated(compressed) {
        let message =
            format!("the header announces {expected} bytes; {compressed} compressed bytes cannot hold them");
        return Err(FileError::in_file("file::truncated", path, message).at(Place::Byte(0)));
    }
    let mut bytes = Vec::new();
    let result = stream.take(expected).read_to_end(&mut bytes);
    if let Err(error) = result {
        let message = format!("the compressed data are damaged: {error}");
        let place = Place::Byte(from + bytes.len() as u64);
        return Err(FileError::in_file("file::corrupt", path, message).at(place).help("copy the file again"));
    }
    if (bytes.len() as u64) < expected {
        let message = format!("the file ends here; {expected} bytes were expected, {} found", bytes.len());
        let place = Place::Byte(from + bytes.len() as u64);
        return Err(FileError::in_file("file::truncated", path, message)
            .at(place)
            .help("copy the file again"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_and_missing_files_are_errors_and_an_empty_file_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        std::fs::write(&empty, "").unwrap();
        assert_eq!(MappedFile::open(&empty).unwrap().len(), 0);
        assert_eq!(MappedFile::open(folder.path()).unwrap_err().message, "this is not a regular file");
        assert_eq!(MappedFile::open(&folder.path().join("none")).unwrap_err().code, "file::unreadable");
    }

    #[test]
    fn an_announced_size_that_cannot_be_is_refused_before_reading() {
        let error = read_exactly(&mut std::io::repeat(0), u64::MAX, 100, Path::new("a.gz"), 0).unwrap_err();
        assert_eq!(error.code, "file::truncated");
    }
}
