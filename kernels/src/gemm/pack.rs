//! Copies blocks of the operands into the order in which tiles read them.

use crate::simd::{Float, Vector};

use super::tile::vectors;

/// A strip of A: `rows` elements per step, step after step. Steps overlap by at most one vector while being written, so
/// `to` has room for one vector more.
///
/// # Safety
/// The processor has the level of `V`; `from` is readable for `rows` by `depth` elements and `to` writable as above.
#[inline(always)]
pub(crate) unsafe fn pack_a<V: Vector>(
    from: *const V::Element,
    rs: isize,
    cs: isize,
    rows: usize,
    depth: usize,
    to: *mut V::Element,
) {
    // SAFETY: the caller's promise; a contiguous step fits one vector because no tile has more rows than lanes ...
    unsafe {
        for p in 0..depth {
            let (from, to) = (from.wrapping_offset(p as isize * cs), to.add(p * rows));
            if rs == 1 && rows <= V::LANES {
                // ... and the lanes past `rows` are overwritten by the next step.
                V::load_first(from, rows).store(to);
            } else {
                for i in 0..rows {
                    *to.add(i) = *from.offset(i as isize * rs);
                }
            }
        }
    }
}

/// A panel of B: one or two full vectors per step, zero past `columns`.
///
/// # Safety
/// The processor has the level of `V`; `from` is readable for `depth` by `columns` elements and `to` writable for
/// `depth` steps of full vectors.
#[inline(always)]
pub(crate) unsafe fn pack_b<V: Vector>(
    from: *const V::Element,
    rs: isize,
    cs: isize,
    columns: usize,
    depth: usize,
    to: *mut V::Element,
) {
    let width = vectors::<V>(columns) * V::LANES;
    // SAFETY: the caller's promise.
    unsafe {
        if cs == 1 {
            copy_rows::<V>(from, rs, columns, depth, to, width);
        } else if rs == 1 {
            transpose_columns::<V>(from, cs, columns, depth, to, width);
        } else {
            gather(from, rs, cs, columns, 0..depth, to, width);
        }
    }
}

/// Rows that are contiguous already.
///
/// # Safety
/// As for [`pack_b`] with `cs == 1`.
#[inline(always)]
unsafe fn copy_rows<V: Vector>(
    from: *const V::Element,
    rs: isize,
    columns: usize,
    depth: usize,
    to: *mut V::Element,
    width: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        for p in 0..depth {
            let (from, to) = (from.wrapping_offset(p as isize * rs), to.add(p * width));
            for start in (0..width).step_by(V::LANES) {
                let count = (columns - start).min(V::LANES);
                let row = if count == V::LANES {
                    V::load(from.add(start))
                } else {
                    V::load_first(from.add(start), count)
                };
                row.store(to.add(start));
            }
        }
    }
}

/// Columns that are contiguous: square blocks turned in registers, the last steps one by one.
///
/// # Safety
/// As for [`pack_b`] with `rs == 1`.
#[inline(always)]
unsafe fn transpose_columns<V: Vector>(
    from: *const V::Element,
    cs: isize,
    columns: usize,
    depth: usize,
    to: *mut V::Element,
    width: usize,
) {
    let block = V::Element::BLOCK;
    let whole = depth - depth % block;
    // SAFETY: the caller's promise; a block past the last column reads no rows.
    unsafe {
        for start in (0..width).step_by(block) {
            let rows = columns.saturating_sub(start).min(block);
            let from = from.wrapping_offset(start as isize * cs);
            for p in (0..whole).step_by(block) {
                V::Element::transpose(from.wrapping_add(p), cs, rows, to.add(p * width + start), width);
            }
        }
        gather(from, 1, cs, columns, whole..depth, to, width);
    }
}

/// Any strides, element by element.
///
/// # Safety
/// As for [`pack_b`], for the given steps.
#[inline(always)]
unsafe fn gather<T: Float>(
    from: *const T,
    rs: isize,
    cs: isize,
    columns: usize,
    steps: std::ops::Range<usize>,
    to: *mut T,
    width: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        for p in steps {
            for j in 0..width {
                let inside = j < columns;
                *to.add(p * width + j) =
                    if inside { *from.offset(p as isize * rs + j as isize * cs) } else { T::ZERO };
            }
        }
    }
}
