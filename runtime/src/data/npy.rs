//! The NPY format: a magic word, a version, a header length, a Python dictionary with type, order and shape, then the
//! elements.

use super::DataError;
use super::column::Column;
use crate::file::element::{FileType, file_len, swap_bytes};
use crate::file::error::Place;
use crate::file::{Bytes, MappedFile, read_exactly};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// More than any header of plain elements needs.
const LARGEST_HEADER: u64 = 1 << 20;

/// What the header says.
#[derive(Debug, PartialEq)]
pub struct Header {
    /// The element type.
    pub file_type: FileType,
    big_endian: bool,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Bytes before the elements.
    pub len: u64,
    /// Bytes of the elements.
    pub payload: u64,
}

/// Reads one array as a field.
pub fn read_field(name: &str, path: &Path) -> Result<Column, DataError> {
    let file = Arc::new(MappedFile::open(path)?);
    let header = Header::read(&mut &file[..], path)?;
    let found = file.len() as u64 - header.len;
    if found != header.payload {
        let code = if found < header.payload { "file::truncated" } else { "file::corrupt" };
        let message =
            format!("shape {:?} needs {} bytes of elements, {found} found", header.shape, header.payload);
        let place = Place::Byte(header.len + found.min(header.payload));
        return Err(file.error(code, message).at(place).help("save the array again"));
    }
    let range = header.len as usize..file.len();
    let column = header.column(name, Bytes::Mapped(file, range));
    column.map_err(|error| DataError { path: Some(path.into()), ..error })
}

impl Header {
    /// Reads the header from the start of a stream; its sizes are not compared with the stream yet.
    pub fn read(stream: &mut impl Read, path: &Path) -> Result<Header, DataError> {
        let start = read_exactly(stream, 8, u64::MAX, path, 0)?;
        let foreign = |place, message: String| {
            Err(DataError::in_file("file::foreign", path, message).at(Place::Byte(place)))
        };
        if !start.starts_with(MAGIC) {
            return foreign(
                0,
                format!("an npy array starts with \\x93NUMPY, this with {:02x?}", &start[..6]),
            );
        }
        let width = match start[6] {
            1 => 2,
            2 | 3 => 4,
            version => return foreign(6, format!("npy version {version} is unknown; there are 1, 2 and 3")),
        };
        let digits = read_exactly(stream, width, u64::MAX, path, 8)?;
        let text_len = digits.iter().rev().fold(0u64, |len, byte| len << 8 | u64::from(*byte));
        if text_len > LARGEST_HEADER {
            return foreign(
                8,
                format!("a header of {text_len} bytes is announced; arrays of numbers need less"),
            );
        }
        let text = read_exactly(stream, text_len, u64::MAX, path, 8 + width)?;
        let text = String::from_utf8_lossy(&text);
        Header::parse(&text, 8 + width + text_len).map_err(|(at, message)| {
            let error =
                DataError::in_file("file::foreign", path, message).at(Place::Byte(8 + width + at as u64));
            error.help("save the array with numpy.save as C-ordered numbers")
        })
    }

    /// Parses the dictionary; an error says at which byte and what.
    fn parse(text: &str, len: u64) -> Result<Header, (usize, String)> {
        let mut cursor = Cursor { text, at: 0 };
        let (mut kind, mut shape) = (None, None);
        cursor.expect('{')?;
        while !cursor.eat('}') {
            let key_at = cursor.at;
            let key = cursor.quoted()?;
            cursor.expect(':')?;
            match key {
                "descr" => kind = Some(element_type(&mut cursor)?),
                "fortran_order" => row_major(&mut cursor)?,
                "shape" => shape = Some(cursor.sizes()?),
                _ => return Err((key_at, format!("`{key}` is no key of an npy header"))),
            }
            if !cursor.eat(',') {
                cursor.expect('}')?;
                break;
            }
        }
        let (Some((file_type, big_endian)), Some(shape)) = (kind, shape) else {
            return Err((0, "the header lacks `descr` or `shape`".into()));
        };
        let payload = file_len(file_type, &shape).ok_or((0, format!("shape {shape:?} exceeds any file")))?;
        Ok(Header { file_type, big_endian, shape, len, payload })
    }

    /// The array as a column; `bytes` are as many as [`Header::payload`] says.
    pub fn column(self, name: &str, bytes: Bytes) -> Result<Column, DataError> {
        let bytes = match self.big_endian {
            false => bytes,
            true => {
                let mut swapped = bytes.to_vec();
                swap_bytes(&mut swapped, self.file_type.size());
                Bytes::owned(swapped)
            }
        };
        Column::new(name, self.file_type, self.shape, bytes)
    }
}

fn element_type(cursor: &mut Cursor) -> Result<(FileType, bool), (usize, String)> {
    let at = cursor.at;
    if cursor.peek() == Some('[') {
        return Err((at, "records of several values cannot be read; save each as an array".into()));
    }
    let descr = cursor.quoted()?;
    let plain = descr.strip_prefix(['<', '>', '|', '=']).unwrap_or(descr);
    let file_type = match plain {
        "b1" => FileType::Bool,
        "u1" => FileType::U8,
        "i1" => FileType::I8,
        "u2" => FileType::U16,
        "i2" => FileType::I16,
        "u4" => FileType::U32,
        "i4" => FileType::I32,
        "u8" => FileType::U64,
        "i8" => FileType::I64,
        "f2" => FileType::F16,
        "f4" => FileType::F32,
        "f8" => FileType::F64,
        _ => return Err((at, format!("elements of type `{descr}` are no numbers that can be read"))),
    };
    Ok((file_type, descr.starts_with('>')))
}

fn row_major(cursor: &mut Cursor) -> Result<(), (usize, String)> {
    let at = cursor.at;
    match cursor.word() {
        "False" => Ok(()),
        "True" => Err((at, "the array is stored by columns (Fortran order)".into())),
        other => Err((at, format!("`fortran_order` is True or False, not `{other}`"))),
    }
}

/// Walks over the text of a Python dictionary.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_space();
        self.text[self.at..].chars().next()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += if found { wanted.len_utf8() } else { 0 };
        found
    }

    fn expect(&mut self, wanted: char) -> Result<(), (usize, String)> {
        match self.eat(wanted) {
            true => Ok(()),
            false => Err((self.at, format!("the header should have `{wanted}` here"))),
        }
    }

    fn quoted(&mut self) -> Result<&'a str, (usize, String)> {
        let mark = if self.eat('"') { '"' } else { self.expect('\'').map(|()| '\'')? };
        let start = self.at;
        let len = self.text[start..].find(mark).ok_or((start, "a text is not closed".to_string()))?;
        self.at += len + 1;
        Ok(&self.text[start..start + len])
    }

    fn word(&mut self) -> &'a str {
        self.skip_space();
        let rest = &self.text[self.at..];
        let len = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    fn sizes(&mut self) -> Result<Vec<usize>, (usize, String)> {
        self.expect('(')?;
        let mut sizes = Vec::new();
        while !self.eat(')') {
            self.skip_space();
            let at = self.at;
            let size = self.word();
            // Python 2 wrote long integers as `3L`.
            let digits = size.strip_suffix('L').unwrap_or(size);
            sizes.push(digits.parse().map_err(|_| (at, format!("`{size}` is not a size")))?);
            if !self.eat(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_numpy_are_understood() {
        let header =
            Header::parse("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n", 80).unwrap();
        assert_eq!(
            (header.file_type, header.shape.as_slice(), header.payload),
            (FileType::F32, &[3, 4][..], 48)
        );
        let scalar = Header::parse("{'descr': '>i8', 'fortran_order': False, 'shape': ()}", 0).unwrap();
        assert_eq!((scalar.shape.len(), scalar.payload, scalar.big_endian), (0, 8, true));
        assert_eq!(Header::parse("{'descr': '|u1', 'shape': (5,)}", 0).unwrap().shape, [5]);
    }

    #[test]
    fn what_cannot_be_read_is_refused_at_its_place() {
        let refused = |text| Header::parse(text, 0).unwrap_err();
        assert_eq!(refused("{'descr': '|O', 'shape': (5,)}").0, 9);
        assert!(refused("{'descr': [('a', '<f4')], 'shape': (5,)}").1.contains("records"));
        assert!(refused("{'descr': '<f4', 'fortran_order': True, 'shape': (5,)}").1.contains("Fortran"));
        assert!(refused("{'descr': '<f4', 'shape': (4294967296, 4294967296)}").1.contains("exceeds"));
        assert!(refused("{'descr': '<f4', 'shape': (-1,)}").1.contains("not a size"));
        assert!(refused("{'descr': '<f4'").1.contains("`}`"));
        assert!(refused("{}").1.contains("lacks"));
    }
}
