//! Types of tensors: element type, shape, and the sparsity pattern they carry.

use crate::{DType, Dim};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The type of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Type {
    /// Element type.
    pub dtype: DType,
    /// Sizes, outermost first.
    pub shape: Vec<Dim>,
    /// What is zero. `Dense` for everything that declares no pattern.
    pub pattern: Pattern,
}

/// Where the zeros of a tensor are. Patterns are checked and carried; kernels that exploit them come per format.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Pattern {
    /// Nothing is known to be zero.
    #[default]
    Dense,
    /// At most `n` of each `m` consecutive elements along `axis` are kept.
    NofM {
        /// Kept per group.
        n: u8,
        /// Group size.
        m: u8,
        /// The axis the groups lie along.
        axis: usize,
    },
    /// Whole `rows x columns` blocks of the last two axes are kept.
    Block {
        /// Rows of a block.
        rows: u32,
        /// Columns of a block.
        columns: u32,
    },
    /// Whole slices along `axis` are kept.
    Slices {
        /// The axis that is selected from.
        axis: usize,
    },
    /// Single elements are kept.
    Any,
}

impl Type {
    /// A dense type.
    pub fn new(dtype: DType, shape: Vec<Dim>) -> Type {
        Type { dtype, shape, pattern: Pattern::Dense }
    }

    /// A dense scalar.
    pub fn scalar(dtype: DType) -> Type {
        Type::new(dtype, Vec::new())
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    pub fn size(&self) -> Dim {
        self.shape.iter().fold(Dim::one(), |product, dim| product * dim)
    }

    /// The same shape with other elements.
    pub fn with_dtype(&self, dtype: DType) -> Type {
        Type { dtype, ..self.clone() }
    }

    /// The same elements in another shape, dense.
    pub fn with_shape(&self, shape: Vec<Dim>) -> Type {
        Type::new(self.dtype, shape)
    }

    /// Strides in elements of the row-major layout.
    pub fn strides(&self) -> Vec<Dim> {
        let mut strides = vec![Dim::one(); self.rank()];
        for axis in (0..self.rank().saturating_sub(1)).rev() {
            strides[axis] = &strides[axis + 1] * &self.shape[axis + 1];
        }
        strides
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<String> = self.shape.iter().map(Dim::to_string).collect();
        write!(f, "{}[{}]", self.dtype, sizes.join(", "))?;
        match &self.pattern {
            Pattern::Dense => Ok(()),
            Pattern::NofM { n, m, axis } => write!(f, "@nm({n}:{m}, {axis})"),
            Pattern::Block { rows, columns } => write!(f, "@block({rows}, {columns})"),
            Pattern::Slices { axis } => write!(f, "@slices({axis})"),
            Pattern::Any => write!(f, "@any"),
        }
    }
}
