//! The memory of one batch: a tensor per field, used again for every batch.

use crate::tensor::HostTensor;
use nnc_ir::DType;
use serde::{Deserialize, Serialize};

/// One named thing that every sample has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Feeds the model input of this name.
    pub name: String,
    /// Element type as delivered.
    pub dtype: DType,
    /// Sizes of one sample.
    pub sample_shape: Vec<usize>,
    /// Whether a batch has a leading axis of samples. Only data served whole have none.
    pub batched: bool,
}

impl Field {
    /// A field with a leading axis of samples.
    pub fn new(name: impl Into<String>, dtype: DType, sample_shape: Vec<usize>) -> Field {
        Field { name: name.into(), dtype, sample_shape, batched: true }
    }

    /// Sizes of a batch of `size` samples.
    pub fn batch_shape(&self, size: usize) -> Vec<usize> {
        let leading = self.batched.then_some(size);
        leading.into_iter().chain(self.sample_shape.iter().copied()).collect()
    }
}

/// A tensor per field.
#[derive(Clone, Debug)]
pub struct BatchBuffers {
    names: Vec<(String, bool)>,
    tensors: Vec<HostTensor>,
    size: usize,
}

impl BatchBuffers {
    /// Memory for batches of up to `size` samples without another allocation.
    pub fn new(fields: &[Field], size: usize) -> BatchBuffers {
        BatchBuffers {
            names: fields.iter().map(|field| (field.name.clone(), field.batched)).collect(),
            tensors: fields.iter().map(|f| HostTensor::zeros(f.dtype, f.batch_shape(size))).collect(),
            size,
        }
    }

    /// Number of samples.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Changes the number of samples.
    pub fn set_size(&mut self, size: usize) {
        let batched = self.tensors.iter_mut().zip(&self.names).filter(|(_, (_, batched))| *batched);
        batched.for_each(|(tensor, _)| tensor.set_leading(size));
        self.size = size;
    }

    /// The tensor of a field.
    pub fn get(&self, name: &str) -> Option<&HostTensor> {
        self.iter().find_map(|(field, tensor)| (field == name).then_some(tensor))
    }

    /// All fields in the order of the data set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &HostTensor)> {
        self.names.iter().map(|(name, _)| name.as_str()).zip(&self.tensors)
    }

    /// All tensors for writing, in the order of the data set's fields.
    pub fn tensors_mut(&mut self) -> &mut [HostTensor] {
        &mut self.tensors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_batch_uses_the_same_memory() {
        let fields = [Field::new("image", DType::F32, vec![2, 2]), Field::new("label", DType::I32, vec![])];
        let mut buffers = BatchBuffers::new(&fields, 8);
        let start = buffers.get("image").unwrap().bytes().as_ptr();
        buffers.set_size(3);
        assert_eq!(buffers.get("image").unwrap().shape(), [3, 2, 2]);
        assert_eq!((buffers.get("label").unwrap().shape(), buffers.size()), (&[3][..], 3));
        assert_eq!(buffers.get("image").unwrap().bytes().as_ptr(), start);
        assert!(buffers.get("other").is_none());
    }
}
