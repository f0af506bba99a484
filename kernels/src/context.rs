//! What compiled kernels are called with: one struct of addresses, in the layout that code generators print.
//!
//! A kernel is `extern "C" fn(cx, start, end)`: it runs the instances `start..end` of its grid, counted row by row with
//! the last axis fastest. Instances are independent, so any cut of the grid gives the same result.

use crate::align::ALIGNMENT;
use crate::host::HostEntry;

/// The memory and the functions of one call. Every field is eight bytes, in this order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The start of each buffer, in the order of the kernel's buffers.
    pub buffers: *const *mut u8,
    /// The kernel's sizes, in its order.
    pub sizes: *const i64,
    /// Tile memory of this thread: [`ALIGNMENT`]-aligned, as many bytes as [`tile_layout`] says. Never shared by two
    /// threads that run at the same time.
    pub scratch: *mut u8,
    /// [`crate::host::HOST`], indexed by [`crate::host::HostFn`].
    pub host: *const HostEntry,
}

/// Machine code of a kernel, called for the instances `start..end` of its grid.
///
/// The caller promises that the context describes the kernel the code was made from: buffers of at least the stated
/// sizes that do not overlap, unless one is only read and the accesses of both agree, and a big enough scratch.
pub type KernelFn = unsafe extern "C" fn(cx: *const Context, start: i64, end: i64);

/// Where each tile starts in the scratch memory, and how many bytes it takes: tiles lie one after the other, each on an
/// [`ALIGNMENT`] boundary. `None` on overflow.
pub fn tile_layout(bytes: impl IntoIterator<Item = usize>) -> Option<(Vec<usize>, usize)> {
    let mut starts = Vec::new();
    let mut end = 0usize;
    for size in bytes {
        starts.push(end);
        end = tile_end(end, size)?;
    }
    Some((starts, end))
}

/// Where a tile of `bytes` ends that follows tiles up to `start`. `None` on overflow.
pub fn tile_end(start: usize, bytes: usize) -> Option<usize> {
    start.checked_add(bytes)?.checked_next_multiple_of(ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_start_on_cache_lines() {
        assert_eq!(tile_layout([4, 64, 65, 0, 1]), Some((vec![0, 64, 128, 256, 256], 320)));
        assert_eq!(tile_layout([]), Some((vec![], 0)));
        assert_eq!(tile_layout([usize::MAX, 1]), None);
    }

    #[test]
    fn the_struct_is_four_words() {
        assert_eq!((size_of::<Context>(), std::mem::offset_of!(Context, host)), (32, 24));
    }
}
