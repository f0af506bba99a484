//! Files that appear whole or not at all: written beside their place, flushed to the disk, then renamed.

use super::error::FileError;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// How the name of an unfinished file ends. A process that is killed leaves such a file behind.
pub const PARTIAL: &str = ".partial";

/// Replaces `path` by what `write` writes. Whatever happens, `path` holds the old content or the new, all of it: a
/// reader that has the old file open or mapped keeps it.
pub fn write_atomic(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), FileError> {
    replace(path, write).map_err(|error| {
        let message = format!("cannot be written: {error}");
        FileError::in_file("file::unwritable", path, message)
    })
}

fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let partial = Partial(partial_path(path)?);
    let mut writer = BufWriter::new(File::create(&partial.0)?);
    write(&mut writer)?;
    writer.into_inner().map_err(|error| error.into_error())?.sync_all()?;
    std::fs::rename(&partial.0, path)?;
    // The new name lives in the directory: without this it could be lost after a power failure.
    File::open(directory(path))?.sync_all()
}

/// Removes the unfinished file if an error or a panic leaves it; after the renaming there is nothing to remove.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The directory that holds `path`.
fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A hidden name in the same directory, other for other processes.
fn partial_path(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::other("the path names no file"))?;
    let mut partial = std::ffi::OsString::from(".");
    partial.push(name);
    partial.push(format!(".{}{PARTIAL}", std::process::id()));
    Ok(path.with_file_name(partial))
}

/// Writes a whole content at once.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_atomic(path, |writer| writer.write_all(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_keeps_the_old_content_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        write_bytes(&path, b"old").unwrap();
        let failed = write_atomic(&path, |writer| {
            writer.write_all(b"new, but")?;
            Err(io::Error::other("disk full"))
        });
        assert!(failed.unwrap_err().to_string().ends_with("weights: cannot be written: disk full"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_reader_of_the_old_file_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        write_bytes(&path, b"old content").unwrap();
        let mapped = crate::file::MappedFile::open(&path).unwrap();
        write_bytes(&path, b"new").unwrap();
        assert_eq!((&mapped[..], &std::fs::read(&path).unwrap()[..]), (&b"old content"[..], &b"new"[..]));
    }

    #[test]
    fn a_path_without_a_name_or_directory_is_an_error() {
        assert!(write_bytes(Path::new("/"), b"").is_err());
        assert!(write_bytes(&tempfile::tempdir().unwrap().path().join("none/a"), b"").is_err());
    }
}
