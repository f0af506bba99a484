//! Tensors in host memory: an element type, sizes and row-major bytes on a 64-byte boundary.
//!
//! A tensor holds exactly the bytes its sizes say. Changing the leading size keeps the memory, so a buffer made for
//! the largest batch serves every smaller one without allocating.

use nnc_ir::DType;
use nnc_kernels::AlignedBytes;

/// Files and views share one byte order; the readers convert at the edge and nowhere else.
const _: () = assert!(cfg!(target_endian = "little"), "tensor bytes are little-endian");

/// A row-major tensor in host memory.
#[derive(Clone)]
pub struct HostTensor {
    dtype: DType,
    shape: Vec<usize>,
    memory: AlignedBytes,
    len: usize,
}

/// A Rust type whose values are the elements of one [`DType`], bit for bit.
pub trait Element: Copy + sealed::Sealed + 'static {
    /// The element type.
    const DTYPE: DType;
}

mod sealed {
    /// Only the types below: every bit pattern must be a value, because views reinterpret bytes.
    pub trait Sealed {}
}

macro_rules! element {
    ($($rust:ty => $dtype:ident),*) => {
        $(impl sealed::Sealed for $rust {}
        impl Element for $rust {
            const DTYPE: DType = DType::$dtype;
        })*
    };
}

element!(f64 => F64, f32 => F32, half::bf16 => Bf16, half::f16 => F16, i32 => I32, u32 => U32, u8 => U8);

/// The number of bytes of a tensor, or nothing if it exceeds the address space.
pub fn byte_len(dtype: DType, shape: &[usize]) -> Option<usize> {
    let bytes = shape.iter().try_fold(dtype.size(), |bytes, size| bytes.checked_mul(*size))?;
    (bytes <= isize::MAX as usize).then_some(bytes)
}

impl HostTensor {
    /// All zero.
    ///
    /// # Panics
    /// If the sizes exceed the address space: check sizes that come from a file with [`byte_len`] first.
    pub fn zeros(dtype: DType, shape: Vec<usize>) -> HostTensor {
        let len = byte_len(dtype, &shape).expect("the tensor fits the address space");
        HostTensor { dtype, shape, memory: AlignedBytes::zeroed(len), len }
    }

    /// A copy of `values`, or nothing if their number is not what the sizes say.
    pub fn from_values<T: Element>(shape: Vec<usize>, values: &[T]) -> Option<HostTensor> {
        // SAFETY: elements have no padding, and the slice covers `size_of_val` initialised bytes.
        let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
        HostTensor::from_bytes(T::DTYPE, shape, bytes)
    }

    /// A copy of little-endian `bytes`, or nothing if their number is not what the sizes say.
    pub fn from_bytes(dtype: DType, shape: Vec<usize>, bytes: &[u8]) -> Option<HostTensor> {
        let len = byte_len(dtype, &shape).filter(|len| *len == bytes.len())?;
        Some(HostTensor { dtype, shape, memory: AlignedBytes::copy_of(bytes), len })
    }

    /// Numbers rounded to elements of `dtype`, or nothing if their count is not what the sizes say.
    pub fn from_f64(dtype: DType, shape: Vec<usize>, numbers: &[f64]) -> Option<HostTensor> {
        let mut bytes = Vec::with_capacity(numbers.len() * dtype.size());
        for number in numbers {
            match dtype {
                DType::F64 => bytes.extend(number.to_le_bytes()),
                DType::F32 => bytes.extend((*number as f32).to_le_bytes()),
                DType::Bf16 => bytes.extend(half::bf16::from_f64(*number).to_le_bytes()),
                DType::F16 => bytes.extend(half::f16::from_f64(*number).to_le_bytes()),
                DType::I32 => bytes.extend((*number as i32).to_le_bytes()),
                DType::U32 => bytes.extend((*number as u32).to_le_bytes()),
                DType::U8 => bytes.push(*number as u8),
                DType::Bool => bytes.push(u8::from(*number != 0.0)),
            }
        }
        HostTensor::from_bytes(dtype, shape, &bytes)
    }

    /// A tensor without axes.
    pub fn scalar<T: Element>(value: T) -> HostTensor {
        let mut tensor = HostTensor::zeros(T::DTYPE, Vec::new());
        tensor.values_mut::<T>().into_iter().flatten().for_each(|element| *element = value);
        tensor
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Sizes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.len / self.dtype.size()
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[..self.len]
    }

    /// All bytes; any bit pattern is a valid tensor, except that a `Bool` must stay 0 or 1.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.len]
    }

    /// The elements, or nothing if they are of another type.
    pub fn values<T: Element>(&self) -> Option<&[T]> {
        // SAFETY: the memory is aligned to 64 bytes, holds `len` initialised bytes, and every bit pattern is a `T`.
        (T::DTYPE == self.dtype)
            .then(|| unsafe { std::slice::from_raw_parts(self.memory.as_ptr().cast(), self.elements()) })
    }

    /// The elements for writing, or nothing if they are of another type.
    pub fn values_mut<T: Element>(&mut self) -> Option<&mut [T]> {
        let elements = self.elements();
        // SAFETY: as in `values`, and `&mut self` makes the access unique.
        (T::DTYPE == self.dtype)
            .then(|| unsafe { std::slice::from_raw_parts_mut(self.memory.as_mut_ptr().cast(), elements) })
    }

    /// The elements as doubles: exact for every element type.
    pub fn to_f64(&self) -> Vec<f64> {
        let chunks = self.bytes().chunks_exact(self.dtype.size());
        chunks.map(|element| element_as_f64(self.dtype, element)).collect()
    }

    /// Changes the leading size; the other sizes stay. Memory grows when needed and never shrinks; after growing,
    /// all elements are zero.
    ///
    /// # Panics
    /// If the tensor has no axis, or the new size exceeds the address space: a bug of the caller.
    pub fn set_leading(&mut self, size: usize) {
        *self.shape.first_mut().expect("a tensor with a leading axis") = size;
        self.len = byte_len(self.dtype, &self.shape).expect("the tensor fits the address space");
        if self.memory.len() < self.len {
            self.memory = AlignedBytes::zeroed(self.len);
        }
    }
}

/// One little-endian element as a double.
fn element_as_f64(dtype: DType, bytes: &[u8]) -> f64 {
    let word = bytes.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    match dtype {
        DType::F64 => f64::from_bits(word),
        DType::F32 => f32::from_bits(word as u32).into(),
        DType::Bf16 => half::bf16::from_bits(word as u16).to_f64(),
        DType::F16 => half::f16::from_bits(word as u16).to_f64(),
        DType::I32 => (word as u32 as i32).into(),
        DType::U32 | DType::U8 | DType::Bool => word as f64,
    }
}

impl PartialEq for HostTensor {
    /// Bit equality: two NaNs of one pattern are equal, 0.0 and -0.0 are not.
    fn eq(&self, other: &HostTensor) -> bool {
        self.dtype == other.dtype && self.shape == other.shape && self.bytes() == other.bytes()
    }
}

impl std::fmt::Debug for HostTensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_typed_and_aligned() {
        let tensor = HostTensor::from_values(vec![2, 3], &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        assert_eq!(tensor.values::<f32>().unwrap()[4], 5.0);
        assert!(tensor.values::<i32>().is_none());
        assert_eq!(tensor.bytes().as_ptr() as usize % 64, 0);
        assert_eq!(tensor.to_f64(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn wrong_element_counts_and_impossible_sizes_are_refused() {
        assert!(HostTensor::from_values(vec![2, 3], &[1i32]).is_none());
        assert_eq!(byte_len(DType::F32, &[usize::MAX, 2]), None);
        assert_eq!(byte_len(DType::F32, &[0, usize::MAX]), Some(0));
    }

    #[test]
    fn every_element_type_reads_as_a_double() {
        let half = HostTensor::from_values(vec![1], &[half::f16::from_f32(-1.5)]).unwrap();
        let brain = HostTensor::from_values(vec![1], &[half::bf16::from_f32(2.5)]).unwrap();
        assert_eq!((half.to_f64()[0], brain.to_f64()[0]), (-1.5, 2.5));
        assert_eq!(HostTensor::scalar(-7i32).to_f64(), [-7.0]);
        assert_eq!(HostTensor::scalar(u32::MAX).to_f64(), [u32::MAX as f64]);
    }

    #[test]
    fn numbers_come_back_from_every_element_type() {
        for dtype in DType::ALL {
            let tensor = HostTensor::from_f64(dtype, vec![2], &[0.0, 1.0]).unwrap();
            assert_eq!((tensor.dtype(), tensor.to_f64()), (dtype, vec![0.0, 1.0]));
        }
        assert!(HostTensor::from_f64(DType::F32, vec![3], &[0.0]).is_none());
    }

    #[test]
    fn a_smaller_batch_keeps_the_memory() {
        let mut tensor = HostTensor::zeros(DType::F32, vec![8, 4]);
        let start = tensor.bytes().as_ptr();
        tensor.set_leading(3);
        assert_eq!((tensor.shape(), tensor.bytes().len()), (&[3, 4][..], 48));
        tensor.set_leading(8);
        assert_eq!(tensor.bytes().as_ptr(), start);
    }
}
