//! Tensors of the reference interpreter: everything is float64, integers and booleans included.

use serde::{Deserialize, Serialize};

/// A row-major tensor of float64 values.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Array {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Elements; as many as the sizes say.
    pub data: Vec<f64>,
}

impl Array {
    /// A tensor of these sizes and elements.
    ///
    /// # Panics
    /// If their numbers differ: a bug of the caller.
    pub fn new(shape: Vec<usize>, data: Vec<f64>) -> Array {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "elements fill the shape {shape:?}");
        Array { shape, data }
    }

    /// A scalar.
    pub fn scalar(value: f64) -> Array {
        Array { shape: Vec::new(), data: vec![value] }
    }

    /// `value` everywhere.
    pub fn filled(shape: Vec<usize>, value: f64) -> Array {
        let size = shape.iter().product();
        Array { shape, data: vec![value; size] }
    }

    /// Elements computed from their index.
    pub fn from_index(shape: Vec<usize>, mut element: impl FnMut(&[usize]) -> f64) -> Array {
        let size: usize = shape.iter().product();
        let mut index = vec![0; shape.len()];
        let mut data = Vec::with_capacity(size);
        for _ in 0..size {
            data.push(element(&index));
            advance(&mut index, &shape);
        }
        Array { shape, data }
    }

    /// The element at `index`.
    pub fn at(&self, index: &[usize]) -> f64 {
        self.data[self.offset(index)]
    }

    /// Where the element at `index` lies in `data`.
    pub fn offset(&self, index: &[usize]) -> usize {
        index.iter().zip(&self.shape).fold(0, |offset, (i, n)| offset * n + i)
    }

    /// Elementwise function.
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Array {
        Array { shape: self.shape.clone(), data: self.data.iter().map(|x| f(*x)).collect() }
    }

    /// Elementwise function of two tensors of one shape.
    pub fn zip(&self, other: &Array, f: impl Fn(f64, f64) -> f64) -> Array {
        let data = self.data.iter().zip(&other.data).map(|(a, b)| f(*a, *b)).collect();
        Array { shape: self.shape.clone(), data }
    }
}

/// The next index in row-major order; wraps to zero at the end.
pub fn advance(index: &mut [usize], shape: &[usize]) {
    for axis in (0..shape.len()).rev() {
        index[axis] += 1;
        if index[axis] < shape[axis] {
            return;
        }
        index[axis] = 0;
    }
}
