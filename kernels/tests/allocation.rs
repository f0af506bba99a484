//! Warm calls do not allocate: products by our tiles, strips, and launches of the team.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use nnc_kernels::gemm::gemm_f32;
use nnc_kernels::{CpuLevel, Team, math};

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every request is passed on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// `C = A Bᵀ` with `m` rows, 64 columns, 300 steps.
fn product(m: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    assert!(a.len() >= m * 300 && b.len() >= 64 * 300 && c.len() >= m * 64);
    // SAFETY: the slices hold the matrices, as just checked.
    unsafe { gemm_f32(m, 64, 300, c.as_mut_ptr(), 64, 1, false, 1.0, a.as_ptr(), 300, 1, b.as_ptr(), 1, 300) }
}

#[test]
fn warm_calls_do_not_allocate() {
    let team = Team::new(3).unwrap();
    let (a, b) = (vec![1.0; 96 * 300], vec![1.0; 64 * 300]);
    let (mut c, mut strip) = (vec![0.0; 96 * 64], vec![0.5; 100]);
    let mut round = || {
        product(1, &a, &b, &mut c);
        // Without vectors products are the library's, which allocates.
        if CpuLevel::detect() != CpuLevel::Scalar {
            product(96, &a, &b, &mut c);
        }
        math::vexp(&mut strip);
        for chunks in [1, 2, 50] {
            team.run(chunks, &|_, _| std::thread::yield_now()).unwrap();
        }
    };
    // A thread is warm only after it has had its turn, which a busy machine may delay: one quiet window is the proof.
    let mut window = || {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        (0..100).for_each(|_| round());
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    let first = window();
    assert!(first > 0, "the allocator counts");
    assert!((0..10).any(|_| window() == 0));
}
