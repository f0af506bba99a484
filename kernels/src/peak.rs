//! The roof over every kernel, measured: multiply-adds per second from registers, and bytes read per second from a
//! working set of some size. For reports; nothing depends on it.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::{AlignedBytes, CpuLevel};

/// How long one figure is measured, per try.
const SPAN: Duration = Duration::from_millis(12);
/// Tries, of which the best counts: others on the machine only ever slow things down.
const TRIES: usize = 3;
/// Working sets whose bandwidth is measured, in bytes per thread: first and second level, third level, memory.
const SETS: [usize; 4] = [16 << 10, 256 << 10, 4 << 20, 48 << 20];

/// What all sets together have at most.
const LARGEST: usize = 1 << 30;

/// What threads together can do at most.
#[derive(Clone, Debug, PartialEq)]
pub struct Peak {
    /// Operations on f32 per second, a multiply-add being two.
    pub flops: f64,
    /// Bytes of a working set of all threads, and the bytes per second that are read from it; ascending.
    pub bandwidth: Vec<(f64, f64)>,
}

impl Peak {
    /// Measures for this many threads; takes about a fifth of a second, and memory for the largest set.
    pub fn measure(threads: usize) -> Peak {
        let flops = best(threads, &|| (), &|()| chains(CpuLevel::detect()));
        let level = |bytes: usize| {
            let bytes = bytes.min(LARGEST / threads);
            let set = || {
                // Memory that was never written is one page of zeros.
                let mut set = AlignedBytes::zeroed(bytes);
                set.fill(1);
                set
            };
            let rate = best(threads, &set, &|set| sweep(CpuLevel::detect(), set));
            ((bytes * threads) as f64, rate)
        };
        Peak { flops, bandwidth: SETS.into_iter().map(level).collect() }
    }

    /// Bytes per second from where a working set of this size lies.
    pub fn bandwidth_of(&self, bytes: f64) -> f64 {
        let level = self.bandwidth.iter().find(|(size, _)| bytes <= *size);
        level.or(self.bandwidth.last()).map_or(f64::INFINITY, |(_, rate)| *rate)
    }

    /// The least time in which so much can be done.
    pub fn seconds(&self, flops: f64, bytes: f64) -> f64 {
        (flops / self.flops).max(bytes / self.bandwidth_of(bytes))
    }
}

/// The best rate of `threads` threads that repeat `work`, which says how much it did.
fn best<S>(threads: usize, prepare: &(dyn Fn() -> S + Sync), work: &(dyn Fn(&S) -> f64 + Sync)) -> f64 {
    let start = Barrier::new(threads);
    let rate = |state: &S| {
        start.wait();
        let (begin, mut done) = (Instant::now(), 0.0);
        while begin.elapsed() < SPAN {
            done += work(state);
        }
        done / begin.elapsed().as_secs_f64()
    };
    let tries = || {
        let state = prepare();
        work(&state);
        [(); TRIES].map(|()| rate(&state))
    };
    let mut sums = [0.0; TRIES];
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(tries)).collect();
        for rates in running.into_iter().filter_map(|thread| thread.join().ok()) {
            sums.iter_mut().zip(rates).for_each(|(sum, rate)| *sum += rate);
        }
    });
    sums.into_iter().fold(0.0, f64::max)
}

/// Steps of the chains in one call.
const STEPS: usize = 4096;
/// Independent chains of multiply-adds: enough to hide the latency.
const CHAINS: usize = 12;

/// Registers that a sweep fills at a time.
const STREAMS: usize = 8;

/// Runs chains of multiply-adds; returns the operations.
fn chains(level: CpuLevel) -> f64 {
    match level {
        // SAFETY (both): the level was detected.
        #[cfg(target_arch = "x86_64")]
        CpuLevel::Avx512 => unsafe { x86::chains_avx512() },
        #[cfg(target_arch = "x86_64")]
        CpuLevel::Avx2 => unsafe { x86::chains_avx2() },
        _ => {
            let mut sums = [black_box(1.0f32); CHAINS];
            for _ in 0..STEPS {
                sums.iter_mut().for_each(|sum| *sum = *sum * 0.5 + 1.0);
            }
            black_box(sums);
            (2 * STEPS * CHAINS) as f64
        }
    }
}

/// Reads a buffer once; returns its bytes.
fn sweep(level: CpuLevel, set: &AlignedBytes) -> f64 {
    match level {
        // SAFETY (both): the level was detected.
        #[cfg(target_arch = "x86_64")]
        CpuLevel::Avx512 => unsafe { x86::sweep_avx512(set) },
        #[cfg(target_arch = "x86_64")]
        CpuLevel::Avx2 => unsafe { x86::sweep_avx2(set) },
        _ => {
            let words = set.chunks_exact(8).map(|word| word[0]);
            black_box(words.fold(0u8, u8::wrapping_add));
        }
    }
    set.len() as f64
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{CHAINS, STEPS, STREAMS};
    use crate::AlignedBytes;
    use crate::simd::Vector;
    use std::arch::x86_64::{__m256, __m512};
    use std::hint::black_box;

    /// # Safety
    /// The processor has the level of `V`.
    #[inline(always)]
    unsafe fn chains<V: Vector<Element = f32>>() -> f64 {
        // SAFETY: the caller's promise.
        unsafe {
            let (half, one) = (V::splat(black_box(0.5)), V::splat(black_box(1.0)));
            let mut sums = [one; CHAINS];
            for _ in 0..STEPS {
                for sum in &mut sums {
                    *sum = sum.fma(half, one);
                }
            }
            let mut seen = [0.0f32; 16];
            for sum in sums {
                sum.store(seen.as_mut_ptr());
                black_box(&seen);
            }
        }
        (2 * STEPS * CHAINS * V::LANES) as f64
    }

    /// # Safety
    /// The processor has the level of `V`.
    #[inline(always)]
    unsafe fn sweep<V: Vector<Element = f32>>(set: &AlignedBytes) {
        let (from, count) = (set.as_ptr().cast::<f32>(), set.len() / 4);
        // SAFETY: the caller's promise; the registers from `i` on lie inside the buffer.
        unsafe {
            let mut sums = [V::zero(); STREAMS];
            let mut i = 0;
            while i + STREAMS * V::LANES <= count {
                for (place, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.add(V::load(from.add(i + place * V::LANES)));
                }
                i += STREAMS * V::LANES;
            }
            let mut seen = [0.0f32; 16];
            for sum in sums {
                sum.store(seen.as_mut_ptr());
                black_box(&seen);
            }
        }
    }

    macro_rules! level {
        ($chains:ident, $sweep:ident, $features:literal, $vector:ty) => {
            #[target_feature(enable = $features)]
            pub unsafe fn $chains() -> f64 {
                // SAFETY: the function has the level.
                unsafe { chains::<$vector>() }
            }

            #[target_feature(enable = $features)]
            pub unsafe fn $sweep(set: &AlignedBytes) {
                // SAFETY: the function has the level.
                unsafe { sweep::<$vector>(set) }
            }
        };
    }

    level!(chains_avx2, sweep_avx2, "avx2,fma", __m256);
    level!(chains_avx512, sweep_avx512, "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl", __m512);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roof_is_where_processors_have_it() {
        let peak = Peak::measure(1);
        assert!((1e8..1e13).contains(&peak.flops), "{peak:?}");
        assert!(peak.bandwidth.iter().all(|(_, rate)| (1e7..1e14).contains(rate)), "{peak:?}");
        assert!(
            peak.bandwidth_of(1.0) == peak.bandwidth[0].1 && peak.bandwidth_of(1e12) == peak.bandwidth[3].1
        );
        assert!(peak.seconds(peak.flops, 0.0) == 1.0);
    }
}
