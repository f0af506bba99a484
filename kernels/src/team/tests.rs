//! The team runs every chunk once, on any thread count, through panics, nesting and concurrent callers.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

const SIZES: [usize; 4] = [1, 2, 3, 8];

#[test]
fn every_chunk_runs_once() {
    for threads in SIZES {
        let team = Team::new(threads).unwrap();
        for chunks in [0, 1, 2, 7, 1000] {
            let runs: Vec<AtomicU32> = (0..chunks).map(|_| AtomicU32::new(0)).collect();
            team.run(chunks, &|chunk, _| {
                runs[chunk].fetch_add(1, Ordering::Relaxed);
            })
            .unwrap();
            assert!(
                runs.iter().all(|count| count.load(Ordering::Relaxed) == 1),
                "{threads} threads, {chunks} chunks"
            );
        }
    }
}

#[test]
fn a_worker_number_is_never_used_twice_at_once() {
    let team = Team::new(4).unwrap();
    let busy: Vec<AtomicBool> = (0..team.threads()).map(|_| AtomicBool::new(false)).collect();
    let clash = AtomicBool::new(false);
    team.run(200, &|_, worker| {
        clash.fetch_or(busy[worker].swap(true, Ordering::SeqCst), Ordering::SeqCst);
        thread::yield_now();
        busy[worker].store(false, Ordering::SeqCst);
    })
    .unwrap();
    assert!(!clash.into_inner());
}

#[test]
fn several_threads_take_part() {
    let team = Team::new(2).unwrap();
    let met = AtomicUsize::new(0);
    // Two chunks that wait for each other can only finish on two threads.
    team.run(2, &|_, _| {
        met.fetch_add(1, Ordering::SeqCst);
        while met.load(Ordering::SeqCst) < 2 {
            thread::yield_now();
        }
    })
    .unwrap();
}

#[test]
fn parked_workers_wake() {
    let team = Team::new(2).unwrap();
    for _ in 0..5 {
        thread::sleep(SPIN * 20);
        let met = AtomicUsize::new(0);
        team.run(2, &|_, _| {
            met.fetch_add(1, Ordering::SeqCst);
            while met.load(Ordering::SeqCst) < 2 {
                thread::yield_now();
            }
        })
        .unwrap();
    }
}

#[test]
fn the_caller_sleeps_through_a_long_last_chunk() {
    let team = Team::new(2).unwrap();
    let slept = AtomicUsize::new(0);
    team.run(2, &|_, worker| {
        thread::sleep(Duration::from_millis(if worker == 0 { 1 } else { 30 }));
        slept.fetch_add(1, Ordering::SeqCst);
    })
    .unwrap();
    assert_eq!(slept.into_inner(), 2);
}

#[test]
fn a_panic_is_returned_and_the_team_lives_on() {
    for threads in SIZES {
        let team = Team::new(threads).unwrap();
        for _ in 0..20 {
            let error = team.run(50, &|chunk, _| assert!(chunk != 17, "chunk {chunk} is bad")).unwrap_err();
            assert_eq!(error.message, "chunk 17 is bad");
            assert_eq!(team.run(50, &|_, _| {}), Ok(()));
        }
    }
}

#[test]
fn a_nested_run_stays_on_its_thread() {
    let team = Team::new(3).unwrap();
    let total = AtomicUsize::new(0);
    team.run(6, &|_, outer| {
        let inner = team.run(5, &|_, worker| {
            assert_eq!(worker, outer);
            total.fetch_add(1, Ordering::Relaxed);
        });
        inner.unwrap();
    })
    .unwrap();
    assert_eq!(total.into_inner(), 30);
}

#[test]
fn concurrent_callers_take_turns() {
    let team = Team::new(3).unwrap();
    let total = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    team.run(5, &|_, _| _ = total.fetch_add(1, Ordering::Relaxed)).unwrap();
                }
            });
        }
    });
    assert_eq!(total.into_inner(), 4 * 200 * 5);
}

#[test]
fn many_short_launches_neither_hang_nor_lose_work() {
    let team = Team::new(4).unwrap();
    let total = AtomicUsize::new(0);
    for launch in 0..20_000 {
        team.run(launch % 6, &|_, _| _ = total.fetch_add(1, Ordering::Relaxed)).unwrap();
    }
    assert_eq!(total.into_inner(), (0..20_000).map(|launch| launch % 6).sum());
}

#[test]
fn impossible_sizes_are_refused() {
    assert!(Team::new(0).is_err() && Team::new(MAX_THREADS + 1).is_err());
}

#[test]
fn the_team_of_the_process_keeps_its_size() {
    let team = Team::set_threads(2).unwrap();
    assert_eq!((team.threads(), Team::global().unwrap().threads()), (2, 2));
    assert_eq!(Team::set_threads(3).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
}
