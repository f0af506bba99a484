//! Prints what a launch of the thread team costs, and the speed of the strip functions in cache.
//!
//! `cargo run --release -p nnc-kernels --example launch_and_strips`

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nnc_kernels::{Team, cpu, math, random};

fn main() -> std::io::Result<()> {
    println!("{}", cpu::describe());
    launches(Team::global()?);
    strips();
    Ok(())
}

/// Launches whose chunks wait for each other, so that every thread takes part; single launches, the median of many.
fn launches(team: &Team) {
    let threads = team.threads();
    let met = AtomicUsize::new(0);
    let meeting = || {
        met.store(0, Ordering::Relaxed);
        let start = Instant::now();
        let launch = team.run(threads, &|_, _| {
            met.fetch_add(1, Ordering::Relaxed);
            while met.load(Ordering::Relaxed) < threads {
                std::hint::spin_loop();
            }
        });
        launch.expect("no chunk panics");
        start.elapsed().as_secs_f64() * 1e6
    };
    let alone = best(200, 100, || team.run(1, &|chunk, _| _ = black_box(chunk)).expect("no chunk panics"));
    println!("launch of one chunk                {:>8.3} us", alone * 1e6);
    println!("launch, hot, all {threads} threads meet     {:>8.3} us", median((0..2001).map(|_| meeting())));
    let parked = (0..101).map(|_| {
        std::thread::sleep(Duration::from_millis(1));
        meeting()
    });
    println!("launch, parked, all {threads} threads meet  {:>8.3} us", median(parked));
}

fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn strips() {
    strip("exp", math::vexp);
    strip("log", math::vlog);
    strip("tanh", math::vtanh);
    strip("erf", math::verf);
    strip("sin", math::vsin);
    strip("cos", math::vcos);
    let (mut first, mut second) = (vec![0; 1024], vec![0; 1024]);
    let seconds =
        best(200, 20, || random::threefry2x32_strip([1, 2], [3, 4], black_box(&mut first), &mut second));
    println!("threefry {:>4.3} ns a word", seconds * 1e9 / 2048.0);
}

/// Time per element of fresh arguments, the time to copy them taken off.
fn strip(name: &str, function: fn(&mut [f32])) {
    let arguments: Vec<f32> = (0..1024).map(|i| (i * 7919 % 1024) as f32 / 128.0 + 0.01).collect();
    let mut strip = arguments.clone();
    let copy = best(400, 20, || black_box(&mut strip).copy_from_slice(black_box(&arguments)));
    let both = best(400, 20, || {
        strip.copy_from_slice(black_box(&arguments));
        function(black_box(&mut strip));
    });
    println!(
        "{name:<6} {:>6.3} ns an element (copy {:.3})",
        (both - copy) * 1e9 / 1024.0,
        copy * 1e9 / 1024.0
    );
}

/// Seconds per call in the best of `rounds` rounds of `calls` calls.
fn best(rounds: usize, calls: usize, mut call: impl FnMut()) -> f64 {
    let round = |_| {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        start.elapsed().as_secs_f64() / calls as f64
    };
    (0..rounds).map(round).fold(f64::INFINITY, f64::min)
}
