//! Writing arrays in the NPY format, version 1, as `numpy.load` reads them.

use super::atomic::write_atomic;
use super::error::FileError;
use crate::tensor::HostTensor;
use nnc_ir::DType;
use std::io::Write;
use std::path::Path;

/// Elements start at a multiple of this.
const ALIGNMENT: usize = 64;
/// Magic word, version and header length.
const PREFIX: usize = 10;

/// Writes a tensor. bf16, which the format does not have, becomes f32; no value changes.
pub fn write_npy(path: &Path, tensor: &HostTensor) -> Result<(), FileError> {
    let (descr, bytes) = match tensor.dtype() {
        DType::Bf16 => {
            let wide = tensor.to_f64().into_iter().flat_map(|value| (value as f32).to_le_bytes());
            ("<f4", wide.collect::<Vec<u8>>().into())
        }
        dtype => (descr(dtype), std::borrow::Cow::Borrowed(tensor.bytes())),
    };
    let header = header(descr, tensor.shape());
    write_atomic(path, |writer| {
        writer.write_all(&header)?;
        writer.write_all(&bytes)
    })
}

fn descr(dtype: DType) -> &'static str {
    match dtype {
        DType::F64 => "<f8",
        DType::F32 | DType::Bf16 => "<f4",
        DType::F16 => "<f2",
        DType::I32 => "<i4",
        DType::U32 => "<u4",
        DType::U8 => "|u1",
        DType::Bool => "|b1",
    }
}

fn header(descr: &str, shape: &[usize]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", sizes.trim_end());
    // The text ends with a line break, and spaces before it align the elements. Ranks are far too small for it to
    // exceed the 16 bits of its length.
    let len = (PREFIX + text.len() + 1).next_multiple_of(ALIGNMENT) - PREFIX;
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((len as u16).to_le_bytes());
    header.extend(text.bytes());
    header.resize(PREFIX + len - 1, b' ');
    header.push(b'\n');
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::read_tensor;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        for tensor in [
            HostTensor::from_values(vec![2, 3], &[1.5f32, -2.0, f32::NAN, 4.0, 5.0, 6.0]).unwrap(),
            HostTensor::from_values(vec![3], &[1i32, -2, 3]).unwrap(),
            HostTensor::scalar(0.5f32),
            HostTensor::zeros(DType::U8, vec![0, 4]),
            HostTensor::from_bytes(DType::Bool, vec![2], &[1, 0]).unwrap(),
        ] {
            write_npy(&path, &tensor).unwrap();
            assert_eq!(std::fs::read(&path).unwrap().len() % ALIGNMENT, tensor.bytes().len() % ALIGNMENT);
            assert_eq!(read_tensor("x", &path).unwrap(), tensor);
        }
    }

    #[test]
    fn brain_floats_are_widened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let tensor = HostTensor::from_values(vec![1], &[half::bf16::from_f32(-1.5)]).unwrap();
        write_npy(&path, &tensor).unwrap();
        assert_eq!(read_tensor("x", &path).unwrap().values::<f32>().unwrap(), [-1.5]);
    }
}
