//! Where a value lies in memory.

use nnc_ir::Dim;
use nnc_ir::plan::PlaceId;

/// A strided part of a place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Home {
    /// The place.
    pub place: PlaceId,
    /// Offset of the first element.
    pub offset: Dim,
    /// Distance of elements along each axis.
    pub strides: Vec<Dim>,
}

impl Home {
    /// All of a place of this shape.
    pub fn whole(place: PlaceId, shape: &[Dim]) -> Home {
        let mut strides = vec![Dim::one(); shape.len()];
        for axis in (0..shape.len().saturating_sub(1)).rev() {
            strides[axis] = &strides[axis + 1] * &shape[axis + 1];
        }
        Home { place, offset: Dim::zero(), strides }
    }

    /// The offset of an element.
    pub fn at(&self, index: &[Dim]) -> Dim {
        index.iter().zip(&self.strides).fold(self.offset.clone(), |sum, (i, stride)| &sum + &(i * stride))
    }

    /// The part at `index` along the first axis.
    pub fn part(&self, index: &Dim) -> Home {
        let first = self.strides.first().cloned().unwrap_or_default();
        let strides = self.strides.iter().skip(1).cloned().collect();
        Home { place: self.place, offset: &self.offset + &(index * &first), strides }
    }
}
