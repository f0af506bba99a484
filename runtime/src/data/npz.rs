//! Archives of NPY arrays, as `numpy.savez` and `numpy.savez_compressed` write them: every member is a field.

use super::column::Column;
use super::npy::Header;
use super::table::Columns;
use super::{DataError, DataSpec, Facts};
use crate::file::error::{Place, suggestion};
use crate::file::{Bytes, MappedFile, read_exactly};
use std::io::{Cursor, Read};
use std::path::Path;
use zip::ZipArchive;

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// Every array of an archive.
pub fn read(source: &Path, _: &DataSpec, _: &Facts) -> Result<Columns, DataError> {
    let file = MappedFile::open(source)?;
    let mut archive = archive(&file)?;
    let mut unread = file.len() as u64;
    let members = (0..archive.len()).map(|index| member(&file, &mut archive, index, &mut unread));
    let columns = members.collect::<Result<_, _>>()?;
    Ok(Columns { columns, ..Columns::default() })
}

/// The array called `name`, or the only one.
pub fn read_field(name: &str, path: &Path) -> Result<Column, DataError> {
    let file = MappedFile::open(path)?;
    let mut archive = archive(&file)?;
    let names: Vec<String> = archive.file_names().map(|name| field_name(name).to_string()).collect();
    let index = names.iter().position(|own| own == name).or((names.len() == 1).then_some(0));
    let index = index.ok_or_else(|| {
        let help = suggestion(name, names.iter().map(String::as_str).collect::<Vec<_>>());
        file.error("data::field", format!("no array is called `{name}`")).help(help)
    })?;
    let mut unread = file.len() as u64;
    member(&file, &mut archive, index, &mut unread).map(|column| column.named(name))
}

fn archive(file: &MappedFile) -> Result<Archive<'_>, DataError> {
    ZipArchive::new(Cursor::new(&file[..])).map_err(|error| {
        let help = "an npz file is a zip archive; copy or save it again";
        file.error("file::corrupt", error.to_string()).help(help)
    })
}

/// `x` of the member `x.npy`.
fn field_name(member: &str) -> &str {
    member.strip_suffix(".npy").unwrap_or(member)
}

/// Reads one array. `unread` is how much of the file other members leave: members that share compressed bytes, to hold
/// more than the file could, are refused.
fn member(
    file: &MappedFile,
    archive: &mut Archive,
    index: usize,
    unread: &mut u64,
) -> Result<Column, DataError> {
    let damaged =
        |part: &str, error: String| file.error("file::corrupt", error).at(Place::Part(part.to_string()));
    let mut member =
        archive.by_index(index).map_err(|error| damaged(&format!("member {index}"), error.to_string()))?;
    let name = member.name().to_string();
    let compressed = member.compressed_size().min(*unread);
    *unread -= compressed;
    let read = |member: &mut zip::read::ZipFile<_>| {
        let header = Header::read(member, file.path())?;
        let bytes = read_exactly(member, header.payload, compressed, file.path(), header.len)?;
        Ok((header, bytes))
    };
    let (header, bytes) = read(&mut member).map_err(|error: DataError| error.within(&name))?;
    // Reading to the end is also what compares the member with its checksum.
    match member.read(&mut [0]) {
        Ok(0) => {}
        Ok(_) => return Err(damaged(&name, format!("elements follow after shape {:?}", header.shape))),
        Err(error) => return Err(damaged(&name, error.to_string())),
    }
    let column = header.column(field_name(&name), Bytes::owned(bytes));
    column.map_err(|error| DataError { path: Some(file.path().into()), ..error.within(&name) })
}
