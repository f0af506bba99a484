//! One field of all samples, as it lies in a file or in memory, and how its elements are delivered.
//!
//! Readers meet more element types than models have. Types without a counterpart are converted when a file is
//! opened, with a check that every value fits; bytes to unit reals and doubles to singles are converted per batch, so
//! that a file larger than memory stays on disk.

use super::DataError;
use super::batch::Field;
use crate::file::Bytes;
use crate::file::element::FileType;
use crate::tensor::HostTensor;
use nnc_ir::DType;

/// How elements are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    /// As they lie.
    Same,
    /// Bytes 0..=255 as singles 0..=1.
    Unit,
    /// Doubles as singles.
    Single,
}

/// One field of all samples.
#[derive(Clone, Debug)]
pub struct Column {
    /// The field's name.
    pub name: String,
    /// Sizes; the first counts samples.
    shape: Vec<usize>,
    stored: DType,
    bytes: Bytes,
    delivery: Delivery,
}

impl Column {
    /// A column of little-endian bytes. Integers that fit no element type must fit 32 bits.
    ///
    /// `bytes` are as many as the sizes say: the reader has compared them with its file.
    pub fn new(
        name: &str,
        file_type: FileType,
        shape: Vec<usize>,
        bytes: Bytes,
    ) -> Result<Column, DataError> {
        debug_assert_eq!(crate::file::element::file_len(file_type, &shape), Some(bytes.len() as u64));
        let bytes = match (file_type, file_type.stored()) {
            (FileType::I32, _) => bytes,
            (_, DType::I32) => Bytes::owned(as_i32(file_type, &bytes)?),
            (FileType::Bool, _) => checked_bools(bytes)?,
            _ => bytes,
        };
        let delivery = if file_type == FileType::F64 { Delivery::Single } else { Delivery::Same };
        Ok(Column { name: name.to_string(), shape, stored: file_type.stored(), bytes, delivery })
    }

    /// Bytes become reals from 0 to 1, if samples have axes (images); otherwise they become `I32` (labels).
    pub fn images_or_labels(mut self) -> Column {
        match (self.stored, self.shape.len()) {
            (DType::U8, 2..) => self.delivery = Delivery::Unit,
            (DType::U8, _) => {
                let widened = self.bytes.iter().flat_map(|byte| i32::from(*byte).to_le_bytes()).collect();
                self.bytes = Bytes::owned(widened);
                self.stored = DType::I32;
            }
            _ => {}
        }
        self
    }

    /// The same samples as field `name`.
    pub fn named(mut self, name: &str) -> Column {
        self.name = name.to_string();
        self
    }

    /// Number of samples; nothing for a scalar, which has no axis to count them.
    pub fn samples(&self) -> Option<u64> {
        self.shape.first().map(|size| *size as u64)
    }

    /// Sizes; the first counts samples.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The field as delivered in batches of samples, or whole.
    pub fn field(&self, batched: bool) -> Field {
        let dtype = match self.delivery {
            Delivery::Same => self.stored,
            Delivery::Unit | Delivery::Single => DType::F32,
        };
        let sample_shape = self.shape[usize::from(batched)..].to_vec();
        Field { name: self.name.clone(), dtype, sample_shape, batched }
    }

    /// One more than the largest integer; nothing of reals.
    pub fn classes(&self) -> Option<usize> {
        let values = self.bytes.chunks_exact(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let largest = values.max().filter(|_| self.stored == DType::I32)?;
        usize::try_from(i64::from(largest) + 1).ok()
    }

    /// This column and then `other`, or nothing if their samples differ in type or sizes.
    pub fn concat(self, other: &Column) -> Option<Column> {
        let same_kind = (self.stored, self.delivery) == (other.stored, other.delivery);
        if !same_kind || self.shape.is_empty() || self.shape.get(1..) != other.shape.get(1..) {
            return None;
        }
        let mut shape = self.shape.clone();
        shape[0] += other.shape[0];
        let bytes = Bytes::owned([&self.bytes[..], &other.bytes[..]].concat());
        Some(Column { shape, bytes, ..self })
    }

    /// Writes the samples at `indices`, all below [`Column::samples`], one after another.
    pub fn gather(&self, indices: &[u64], out: &mut HostTensor) {
        let sample = self.stored.size() * self.shape[1..].iter().product::<usize>();
        let size = out.bytes().len() / indices.len().max(1);
        if size == 0 {
            return;
        }
        for (index, slot) in indices.iter().zip(out.bytes_mut().chunks_exact_mut(size)) {
            let start = *index as usize * sample;
            self.deliver(&self.bytes[start..start + sample], slot);
        }
    }

    /// Writes all samples.
    pub fn whole(&self, out: &mut HostTensor) {
        self.deliver(&self.bytes, out.bytes_mut());
    }

    fn deliver(&self, from: &[u8], to: &mut [u8]) {
        match self.delivery {
            Delivery::Same => to.copy_from_slice(from),
            Delivery::Unit => {
                let (units, _) = to.as_chunks_mut::<4>();
                for (unit, byte) in units.iter_mut().zip(from) {
                    *unit = (f32::from(*byte) / 255.0).to_le_bytes();
                }
            }
            Delivery::Single => {
                let ((singles, _), (doubles, _)) = (to.as_chunks_mut::<4>(), from.as_chunks::<8>());
                for (single, double) in singles.iter_mut().zip(doubles) {
                    *single = (f64::from_le_bytes(*double) as f32).to_le_bytes();
                }
            }
        }
    }
}

/// Integers as 32-bit ones; an error names the first that does not fit.
fn as_i32(file_type: FileType, bytes: &[u8]) -> Result<Vec<u8>, DataError> {
    let integers = bytes.chunks_exact(file_type.size()).map(|element| file_type.integer(element));
    let mut narrowed = Vec::with_capacity(bytes.len() / file_type.size() * 4);
    for (position, integer) in integers.enumerate() {
        let fits = i32::try_from(integer).map_err(|_| {
            let message = format!("element {position} is {integer}; integers of models have 32 bits");
            DataError::in_options("data::range", message).help("renumber the values below 2147483648")
        })?;
        narrowed.extend(fits.to_le_bytes());
    }
    Ok(narrowed)
}

fn checked_bools(bytes: Bytes) -> Result<Bytes, DataError> {
    match bytes.iter().position(|byte| *byte > 1) {
        None => Ok(bytes),
        Some(position) => {
            let message = format!("element {position} is {}; a bool is 0 or 1", bytes[position]);
            Err(DataError::in_options("data::range", message).help("store numbers as u8"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(file_type: FileType, shape: &[usize], bytes: &[u8]) -> Result<Column, DataError> {
        Column::new("x", file_type, shape.to_vec(), Bytes::owned(bytes.to_vec()))
    }

    fn gathered(column: &Column, indices: &[u64]) -> HostTensor {
        let field = column.field(true);
        let mut out = HostTensor::zeros(field.dtype, field.batch_shape(indices.len()));
        column.gather(indices, &mut out);
        out
    }

    #[test]
    fn images_become_units_and_labels_integers() {
        let images = column(FileType::U8, &[2, 2], &[0, 255, 51, 102]).unwrap().images_or_labels();
        assert_eq!(gathered(&images, &[1, 0]).values::<f32>().unwrap(), [0.2, 0.4, 0.0, 1.0]);
        let labels = column(FileType::U8, &[3], &[7, 8, 9]).unwrap().images_or_labels();
        assert_eq!(gathered(&labels, &[2, 2]).values::<i32>().unwrap(), [9, 9]);
    }

    #[test]
    fn wide_integers_are_narrowed_only_if_they_fit() {
        let fits =
            column(FileType::I64, &[2], &[(-5i64).to_le_bytes(), 9i64.to_le_bytes()].concat()).unwrap();
        assert_eq!(gathered(&fits, &[0, 1]).values::<i32>().unwrap(), [-5, 9]);
        let error = column(FileType::U64, &[1], &u64::MAX.to_le_bytes()).unwrap_err();
        assert!(error.message.starts_with("element 0 is 18446744073709551615;"), "{error}");
        let signed = column(FileType::I8, &[1], &[0xff]).unwrap();
        assert_eq!(gathered(&signed, &[0]).values::<i32>().unwrap(), [-1]);
    }

    #[test]
    fn doubles_are_delivered_as_singles_and_bools_checked() {
        let doubles =
            column(FileType::F64, &[1, 2], &[0.1f64.to_le_bytes(), 2f64.to_le_bytes()].concat()).unwrap();
        assert_eq!(gathered(&doubles, &[0]).values::<f32>().unwrap(), [0.1, 2.0]);
        assert!(column(FileType::Bool, &[2], &[1, 2]).is_err());
    }

    #[test]
    fn columns_of_equal_samples_join() {
        let first = column(FileType::U8, &[1, 2], &[1, 2]).unwrap();
        let second = column(FileType::U8, &[2, 2], &[3, 4, 5, 6]).unwrap();
        let both = first.clone().concat(&second).unwrap();
        assert_eq!(gathered(&both, &[2, 0]).bytes(), [5, 6, 1, 2]);
        assert!(first.concat(&column(FileType::U8, &[1, 3], &[0; 3]).unwrap()).is_none());
    }
}
