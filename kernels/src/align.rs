//! Byte buffers that start on a 64-byte boundary, so that no vector load of an aligned offset straddles a cache line.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// The alignment of every [`AlignedBytes`]: one cache line, one AVX-512 register.
pub const ALIGNMENT: usize = 64;

/// A fixed-size, zero-initialised buffer aligned to [`ALIGNMENT`] bytes.
///
/// The memory of a large buffer is taken from the system page by page, when first touched: the allocator is asked for
/// zeroed memory of ordinary alignment, which it maps lazily, and the buffer starts at the first boundary inside.
pub struct AlignedBytes {
    block: NonNull<u8>,
    len: usize,
}

// SAFETY: the buffer owns its memory and hands it out only through `&self` and `&mut self`.
unsafe impl Send for AlignedBytes {}
// SAFETY: as above; shared access is read-only.
unsafe impl Sync for AlignedBytes {}

impl AlignedBytes {
    /// A buffer of `len` zero bytes.
    pub fn zeroed(len: usize) -> AlignedBytes {
        let layout = layout(len);
        // SAFETY: the layout has a size above zero.
        let block = unsafe { alloc_zeroed(layout) };
        AlignedBytes { block: NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout)), len }
    }

    /// A buffer that holds a copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> AlignedBytes {
        let mut buffer = AlignedBytes::zeroed(bytes.len());
        buffer.copy_from_slice(bytes);
        buffer
    }

    /// The first boundary inside the block.
    fn start(&self) -> *mut u8 {
        let block = self.block.as_ptr();
        block.wrapping_add(block.align_offset(ALIGNMENT))
    }

    /// The first byte; valid for reads of `len` bytes.
    pub fn as_ptr(&self) -> *const u8 {
        self.start()
    }

    /// The first byte; valid for reads and writes of `len` bytes.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start()
    }
}

/// The block behind a buffer of `len` bytes, with room for the way to a boundary; a length past `isize::MAX` is an
/// allocation that cannot succeed.
fn layout(len: usize) -> Layout {
    let size = len.saturating_add(ALIGNMENT - BLOCK_ALIGNMENT);
    Layout::from_size_align(size, BLOCK_ALIGNMENT)
        .unwrap_or_else(|_| handle_alloc_error(Layout::new::<[u8; ALIGNMENT]>()))
}

/// The largest alignment that allocators zero lazily.
const BLOCK_ALIGNMENT: usize = 16;

impl Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the block holds `len` initialised bytes from its first boundary on.
        unsafe { std::slice::from_raw_parts(self.start(), self.len) }
    }
}

impl DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` makes the access unique.
        unsafe { std::slice::from_raw_parts_mut(self.start(), self.len) }
    }
}

impl Clone for AlignedBytes {
    fn clone(&self) -> AlignedBytes {
        AlignedBytes::copy_of(self)
    }
}

impl Default for AlignedBytes {
    fn default() -> AlignedBytes {
        AlignedBytes::zeroed(0)
    }
}

impl std::fmt::Debug for AlignedBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AlignedBytes({} bytes)", self.len)
    }
}

impl Drop for AlignedBytes {
    fn drop(&mut self) {
        // SAFETY: `block` came from `alloc_zeroed` with this very layout.
        unsafe { dealloc(self.block.as_ptr(), layout(self.len)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_on_a_cache_line_and_is_zero() {
        for len in [0, 1, 63, 64, 65, 4096, 100_001] {
            let buffer = AlignedBytes::zeroed(len);
            assert_eq!((buffer.as_ptr() as usize % ALIGNMENT, buffer.len()), (0, len));
            assert!(buffer.iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn a_clone_is_a_separate_copy() {
        let mut first = AlignedBytes::copy_of(&[1, 2, 3]);
        let second = first.clone();
        first[0] = 9;
        assert_eq!((&first[..], &second[..]), (&[9, 2, 3][..], &[1, 2, 3][..]));
    }
}
