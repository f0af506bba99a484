//! Cuts a product into blocks that fit the caches, packs what is not in reading order, and runs the tiles.
//!
//! The sum of each element runs over k in order, in blocks of [`depth_of_block`] steps; that split depends on k alone.

use std::cell::RefCell;
use std::ops::Range;

use crate::AlignedBytes;
use crate::simd::Vector;

use super::Product;
use super::levels::Kernel;
use super::tile::{Tile, vectors};

/// The most steps of k in a block: a packed panel of B (25 KiB at AVX2) stays in the first-level cache.
const DEPTH: usize = 400;
/// Rows of A in a block: with [`DEPTH`] steps of f32 it stays in the second-level cache.
const ROWS: usize = 144;
/// Columns of B in a block.
const COLUMNS: usize = 2048;

/// Multiplications up to which setting up tiles costs more than they save.
const TINY: usize = 64;

thread_local! {
    /// Packed A and packed B of this thread; grown once, then reused.
    static PACKED: RefCell<[AlignedBytes; 2]> = RefCell::default();
}

/// The product by tiles of kernel `K`.
///
/// # Safety
/// As for [`super::gemm_f32`], and the processor has the level of `K`. C has at least one element, and `k > 0`.
pub(crate) unsafe fn multiply<K: Kernel>(p: Product<K::Element>) {
    // SAFETY: the caller's promise; transposing all three matrices leaves it intact.
    unsafe {
        if p.m.saturating_mul(p.n).saturating_mul(p.k) <= TINY {
            return K::by_element(&p);
        }
        let p = if p.m > 1 && (p.n == 1 || p.c_cs != 1 && p.c_rs == 1) { p.transposed() } else { p };
        if multiply_few_rows::<K>(&p) {
            return;
        }
        let plan = Plan::new::<K>(&p);
        if !plan.packs_a && !plan.packs_b {
            return plan.run::<K>(&p, [std::ptr::null_mut(); 2]);
        }
        PACKED.with_borrow_mut(|buffers| {
            let bytes = plan.elements::<K>(&p).map(|elements| elements * size_of::<K::Element>());
            for (buffer, bytes) in buffers.iter_mut().zip(bytes) {
                if buffer.len() < bytes {
                    *buffer = AlignedBytes::zeroed(bytes.next_power_of_two());
                }
            }
            plan.run::<K>(&p, buffers.each_mut().map(|buffer| buffer.as_mut_ptr().cast()))
        })
    }
}

impl<T: Copy> Product<T> {
    /// The same product written as `Cᵀ = Bᵀ Aᵀ`.
    pub(super) fn transposed(self) -> Product<T> {
        Product {
            m: self.n,
            n: self.m,
            c_rs: self.c_cs,
            c_cs: self.c_rs,
            a: self.b,
            a_rs: self.b_cs,
            a_cs: self.b_rs,
            b: self.a,
            b_rs: self.a_cs,
            b_cs: self.a_rs,
            ..self
        }
    }

    /// Address of an element of A.
    pub(super) fn a_at(&self, row: usize, step: usize) -> *const T {
        self.a.wrapping_offset(row as isize * self.a_rs + step as isize * self.a_cs)
    }

    /// Address of an element of B.
    pub(super) fn b_at(&self, step: usize, column: usize) -> *const T {
        self.b.wrapping_offset(step as isize * self.b_rs + column as isize * self.b_cs)
    }
}

/// Few rows of C, if the operands are contiguous in a direction that serves; false if nothing was done.
///
/// # Safety
/// As for [`multiply`].
unsafe fn multiply_few_rows<K: Kernel>(p: &Product<K::Element>) -> bool {
    let by_rows = p.m == 1 && p.b_cs == 1 && (p.c_cs == 1 || p.n == 1);
    // A transposed B is packed for the tiles; for few rows, or for short sums, that costs more than dot products do.
    let by_columns = p.b_rs == 1 && p.a_cs == 1 && (p.m == 1 || p.m <= FEW && p.k >= LONG);
    // SAFETY: the caller's promise.
    unsafe {
        match (by_rows, by_columns) {
            (true, _) => K::combine_rows(p),
            (false, true) => K::dot_columns(p),
            (false, false) => return false,
        }
    }
    true
}

/// Rows up to which packing a transposed B does not pay.
pub(super) const FEW: usize = 8;
/// Steps from which a dot product hides the summation of its lanes.
const LONG: usize = 128;

/// Steps per block for a sum of `k` steps: as few blocks as possible, equally long.
fn depth_of_block(k: usize) -> usize {
    if k <= DEPTH { k } else { k.div_ceil(k.div_ceil(DEPTH)) }
}

/// What a product needs packed, and its block sizes.
struct Plan {
    packs_a: bool,
    packs_b: bool,
    depth: usize,
}

impl Plan {
    fn new<K: Kernel>(p: &Product<K::Element>) -> Plan {
        // A is read well in place while few panels of B pass over it, and its rows, if contiguous, for longer.
        let panels = p.n.div_ceil(K::COLUMNS);
        let packs_a = panels > if p.a_cs == 1 { 64 } else { 4 };
        // Rows of B are read in place while few strips of A pass over them.
        let packs_b = p.b_cs != 1 || p.m > 2 * K::ROWS;
        Plan { packs_a, packs_b, depth: depth_of_block(p.k) }
    }

    /// Elements of packed A and packed B.
    fn elements<K: Kernel>(&self, p: &Product<K::Element>) -> [usize; 2] {
        let columns = p.n.min(COLUMNS).next_multiple_of(K::Vector::LANES);
        [p.m.min(ROWS) * self.depth + K::Vector::LANES, columns * self.depth]
    }

    /// # Safety
    /// As for [`multiply`]; `packed` has room for [`Plan::elements`] where the plan packs.
    unsafe fn run<K: Kernel>(&self, p: &Product<K::Element>, packed: [*mut K::Element; 2]) {
        for steps in pieces(0..p.k, self.depth) {
            for columns in pieces(0..p.n, COLUMNS) {
                for rows in pieces(0..p.m, ROWS) {
                    // SAFETY: the caller's promise.
                    unsafe { self.block::<K>(p, rows, columns.clone(), steps.clone(), packed) }
                }
            }
        }
    }

    /// One block of C. B is packed panel by panel, just before the first strip of rows reads it.
    ///
    /// # Safety
    /// As for [`Plan::run`].
    unsafe fn block<K: Kernel>(
        &self,
        p: &Product<K::Element>,
        rows: Range<usize>,
        columns: Range<usize>,
        steps: Range<usize>,
        [packed_a, packed_b]: [*mut K::Element; 2],
    ) {
        let depth = steps.len();
        // SAFETY: the caller's promise; ranges stay inside m, n and k, and packed offsets inside the buffers.
        unsafe {
            if self.packs_a {
                for strip in strips(rows.clone(), K::ROWS) {
                    let to = packed_a.add((strip.start - rows.start) * depth);
                    K::pack_a(p.a_at(strip.start, steps.start), p.a_rs, p.a_cs, strip.len(), depth, to);
                }
            }
            for panel in pieces(columns.clone(), K::COLUMNS) {
                let from = p.b_at(steps.start, panel.start);
                let to = packed_b.wrapping_add((panel.start - columns.start) * depth);
                if self.packs_b && rows.start == 0 {
                    K::pack_b(from, p.b_rs, p.b_cs, panel.len(), depth, to);
                }
                for strip in strips(rows.clone(), K::ROWS) {
                    let height = strip.len();
                    let mut tile = Tile {
                        depth,
                        a: p.a_at(strip.start, steps.start),
                        a_rs: p.a_rs,
                        a_cs: p.a_cs,
                        b: from,
                        b_rs: p.b_rs,
                        b_padded: self.packs_b,
                        c: p.c_at(strip.start, panel.start),
                        c_rs: p.c_rs,
                        c_cs: p.c_cs,
                        columns: panel.len(),
                        alpha: p.alpha,
                        accumulate: p.accumulate || steps.start > 0,
                    };
                    if self.packs_a {
                        tile.a = packed_a.add((strip.start - rows.start) * depth);
                        (tile.a_rs, tile.a_cs) = (1, height as isize);
                    }
                    if self.packs_b {
                        tile.b = to;
                        tile.b_rs = (vectors::<K::Vector>(panel.len()) * K::Vector::LANES) as isize;
                    }
                    K::tile(height, &tile);
                }
            }
        }
    }
}

/// `range` in pieces of `size`, the last one shorter.
fn pieces(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = range.start;
    std::iter::from_fn(move || {
        let piece = start..range.end.min(start + size);
        start = piece.end;
        (!piece.is_empty()).then_some(piece)
    })
}

/// `range` in strips of at most `size` rows. The last two are made equally high: a tile of few rows keeps too few sums
/// in flight to hide the latency of the multiply-add.
fn strips(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = range.start;
    std::iter::from_fn(move || {
        let left = range.end - start;
        let height = if left > size && left < 2 * size { left.div_ceil(2) } else { left.min(size) };
        start += height;
        (height > 0).then_some(start - height..start)
    })
}
