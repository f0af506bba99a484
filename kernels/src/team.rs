//! The thread team: one per process, the caller included, started once and reused by every launch.
//!
//! A launch is a number of chunks fixed by the caller and one function of (chunk, worker). Threads claim chunks from one
//! counter, so which thread runs a chunk varies, but the chunks themselves never depend on the number of threads: a
//! function that writes its result by chunk number gives the same result on any team. Idle workers spin for a bounded
//! time and then park. A launch allocates nothing, and it never waits for a worker that has not yet joined it.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::cpu;

/// How long an idle thread spins before it parks: longer than the gap between two steps of a plan, short enough to
/// leave the core to others between calls.
const SPIN: Duration = Duration::from_micros(40);

/// What each thread runs: `(chunk, worker)`, with `worker` below [`Team::threads`].
pub type Chunk<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// A chunk panicked. The launch ran no further chunks than those already begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked {
    /// The panic message, if it was text.
    pub message: String,
}

impl std::fmt::Display for Panicked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a parallel chunk panicked: {}", self.message)
    }
}

impl std::error::Error for Panicked {}

/// A persistent team of threads.
pub struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held for a whole launch: launches from different threads take turns.
    turn: Mutex<()>,
}

/// The current launch. Written only while no worker is inside (see [`Gate`]).
struct Job {
    body: *const Chunk<'static>,
    chunks: usize,
}

struct Shared {
    gate: Gate,
    job: UnsafeCell<Job>,
    next: Line<AtomicUsize>,
    parked: Vec<Line<AtomicBool>>,
    panic: Mutex<Option<String>>,
    caller_waits: AtomicBool,
    finish: Mutex<()>,
    finished: Condvar,
    spin: Duration,
}

// SAFETY: `job` is written only by the launching thread while the gate is closed and empty, and read only by threads
// that entered through the gate; the gate's orderings make the write visible. Its pointer is to a `Sync` function.
unsafe impl Sync for Shared {}
// SAFETY: as above; nothing in it is tied to a thread.
unsafe impl Send for Shared {}

/// Keeps a contended word on a cache line of its own.
#[repr(align(128))]
struct Line<T>(T);

/// The door of a launch in one word: bit 0 open, bit 1 shut for good, bits 2..16 workers inside, the rest the launch
/// number. A worker enters by a compare-and-swap on an open gate, so once the caller has closed the gate and seen it
/// empty, no worker can touch the finished launch.
struct Gate(Line<AtomicUsize>);

const OPEN: usize = 1;
const END: usize = 2;
const ONE_INSIDE: usize = 4;
const INSIDE: usize = 0xfffc;
const ONE_LAUNCH: usize = 0x1_0000;

/// The most threads a team can have, caller included: the gate counts them in 14 bits.
pub const MAX_THREADS: usize = INSIDE / ONE_INSIDE;

thread_local! {
    /// The team (by the address of its shared part) and worker number this thread is running a chunk for.
    static RUNNING: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

impl Team {
    /// A team of `threads` threads, the caller of [`Team::run`] being one of them.
    pub fn new(threads: usize) -> io::Result<Team> {
        if threads == 0 || threads > MAX_THREADS {
            let message = format!("a team has 1 to {MAX_THREADS} threads, not {threads}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let shared = Arc::new(Shared::new(threads));
        let mut team = Team { shared, workers: Vec::new(), turn: Mutex::new(()) };
        for worker in 1..threads {
            let shared = Arc::clone(&team.shared);
            let builder = thread::Builder::new().name(format!("nnc-worker-{worker}"));
            team.workers.push(builder.spawn(move || shared.work(worker))?);
        }
        Ok(team)
    }

    /// The team of this process, started on first use with one thread per core unless [`Team::set_threads`] came first.
    pub fn global() -> io::Result<&'static Team> {
        Team::set_or_get(cpu::cores().min(MAX_THREADS)).map(|(team, _)| team)
    }

    /// Starts the team of this process with `threads` threads. Fails if a team of another size is already running.
    pub fn set_threads(threads: usize) -> io::Result<&'static Team> {
        let (team, started) = Team::set_or_get(threads)?;
        if started || team.threads() == threads {
            return Ok(team);
        }
        let message = format!("the thread team is already running with {} threads", team.threads());
        Err(io::Error::new(io::ErrorKind::AlreadyExists, message))
    }

    fn set_or_get(threads: usize) -> io::Result<(&'static Team, bool)> {
        static TEAM: OnceLock<Team> = OnceLock::new();
        static STARTING: Mutex<()> = Mutex::new(());
        let _one_starter = lock(&STARTING);
        if let Some(team) = TEAM.get() {
            return Ok((team, false));
        }
        let team = Team::new(threads)?;
        Ok((TEAM.get_or_init(|| team), true))
    }

    /// Threads, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `body(chunk, worker)` once for every chunk in `0..chunks` and returns when all have finished.
    ///
    /// No two chunks run at once with the same `worker`, so it may index per-thread scratch. A call from inside a chunk
    /// of the same team runs its chunks in order on that thread, under that thread's worker number.
    pub fn run(&self, chunks: usize, body: &Chunk<'_>) -> Result<(), Panicked> {
        let (team, worker) = RUNNING.get();
        if team == self.shared.address() {
            return in_order(chunks, worker, body);
        }
        let _turn = lock(&self.turn);
        let _inside = Running::enter(&self.shared, 0);
        if chunks <= 1 || self.workers.is_empty() {
            return in_order(chunks, 0, body);
        }
        self.launch(chunks, body)
    }

    /// Publishes the job, takes part in it, and returns once nobody is inside. Only the holder of `turn` calls it.
    fn launch(&self, chunks: usize, body: &Chunk<'_>) -> Result<(), Panicked> {
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes. `close` below returns after the last worker has left, and none can enter
        // later, so nobody reads the pointer after this call.
        let body = unsafe { std::mem::transmute::<*const Chunk<'_>, *const Chunk<'static>>(body) };
        // SAFETY: the gate is closed and empty between launches, so no other thread looks at `job`.
        unsafe { *shared.job.get() = Job { body, chunks } };
        shared.next.0.store(0, Ordering::Relaxed);
        shared.gate.open();
        for worker in 1..chunks.min(self.threads()) {
            if shared.parked[worker].0.load(Ordering::SeqCst) {
                self.workers[worker - 1].thread().unpark();
            }
        }
        shared.claim(0);
        shared.close();
        lock(&shared.panic).take().map_or(Ok(()), |message| Err(Panicked { message }))
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.gate.end();
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker catches every panic of a chunk, so joining fails only if the thread was torn down with the process.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn new(threads: usize) -> Shared {
        // Spinning with more threads than cores would take the core from the thread that has the work.
        let spin = if threads > cpu::cores() { Duration::ZERO } else { SPIN };
        Shared {
            gate: Gate(Line(AtomicUsize::new(0))),
            job: UnsafeCell::new(Job { body: &nothing as *const _, chunks: 0 }),
            next: Line(AtomicUsize::new(0)),
            parked: (0..threads).map(|_| Line(AtomicBool::new(false))).collect(),
            panic: Mutex::new(None),
            caller_waits: AtomicBool::new(false),
            finish: Mutex::new(()),
            finished: Condvar::new(),
            spin,
        }
    }

    /// The life of a worker thread.
    fn work(&self, worker: usize) {
        RUNNING.set((self.address(), worker));
        let mut seen = 0;
        while let Some(word) = self.await_launch(worker, seen) {
            seen = launch_of(word);
            if let Some(entered) = self.gate.enter(word) {
                seen = entered;
                self.claim(worker);
                self.leave();
            }
        }
    }

    /// The gate word of a launch other than `seen`, or `None` at the end: spins, then parks.
    fn await_launch(&self, worker: usize, seen: usize) -> Option<usize> {
        let is_news = |word: usize| word & END != 0 || launch_of(word) != seen;
        let mut word = 0;
        let ready = spin_until(self.spin, || {
            word = self.gate.load();
            is_news(word)
        });
        if !ready {
            // The launching thread opens the gate and then reads the flag; this sets the flag and then reads the gate.
            // Both are sequentially consistent, so one of the two sees the other.
            self.parked[worker].0.store(true, Ordering::SeqCst);
            word = self.gate.load();
            while !is_news(word) {
                thread::park();
                word = self.gate.load();
            }
            self.parked[worker].0.store(false, Ordering::SeqCst);
        }
        (word & END == 0).then_some(word)
    }

    /// Runs chunks of the current job until none is left. The thread is inside, or it is the launching one.
    fn claim(&self, worker: usize) {
        // SAFETY: the launching thread wrote the job before it opened the gate and waits for us before writing again.
        let Job { body, chunks } = unsafe { &*self.job.get() };
        // SAFETY: the launching thread keeps the function alive until all have left.
        let body = unsafe { &**body };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let chunk = self.next.0.fetch_add(1, Ordering::Relaxed);
                if chunk >= *chunks {
                    break;
                }
                body(chunk, worker);
            }
        }));
        if let Err(payload) = outcome {
            self.next.0.store(*chunks, Ordering::Relaxed);
            lock(&self.panic).get_or_insert(message_of(payload));
        }
    }

    /// Leaves the gate, and wakes the launching thread if it sleeps and this was the last worker inside.
    fn leave(&self) {
        let empty = self.gate.leave();
        if empty && self.caller_waits.load(Ordering::SeqCst) {
            let _held = lock(&self.finish);
            self.finished.notify_one();
        }
    }

    /// Closes the gate and waits until it is empty.
    fn close(&self) {
        let inside = self.gate.close();
        if !inside || spin_until(self.spin, || self.gate.is_empty()) {
            return;
        }
        let mut held = lock(&self.finish);
        self.caller_waits.store(true, Ordering::SeqCst);
        while !self.gate.is_empty() {
            held = self.finished.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        self.caller_waits.store(false, Ordering::SeqCst);
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl Gate {
    fn load(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    /// Starts the next launch; what was written before is visible to whoever enters.
    fn open(&self) {
        self.0.0.store((launch_of(self.load()).wrapping_add(1) * ONE_LAUNCH) | OPEN, Ordering::SeqCst);
    }

    /// Joins the launch that is open, given the last word read; its number, or `None` if the gate has closed.
    fn enter(&self, mut word: usize) -> Option<usize> {
        while word & OPEN != 0 {
            match self.0.0.compare_exchange_weak(word, word + ONE_INSIDE, Ordering::SeqCst, Ordering::SeqCst)
            {
                Ok(_) => return Some(launch_of(word)),
                Err(now) => word = now,
            }
        }
        None
    }

    /// True if the caller was the last one inside.
    fn leave(&self) -> bool {
        self.0.0.fetch_sub(ONE_INSIDE, Ordering::SeqCst) & INSIDE == ONE_INSIDE
    }

    /// Lets nobody in any more; true if somebody is inside.
    fn close(&self) -> bool {
        self.0.0.fetch_and(!OPEN, Ordering::SeqCst) & INSIDE != 0
    }

    fn is_empty(&self) -> bool {
        self.load() & INSIDE == 0
    }

    /// Sends the workers home.
    fn end(&self) {
        self.0.0.fetch_or(END, Ordering::SeqCst);
    }
}

fn launch_of(word: usize) -> usize {
    word / ONE_LAUNCH
}

/// Marks this thread as running for a team, and restores what it ran for before.
struct Running((usize, usize));

impl Running {
    fn enter(shared: &Shared, worker: usize) -> Running {
        Running(RUNNING.replace((shared.address(), worker)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(self.0);
    }
}

/// All chunks on this thread, in order.
fn in_order(chunks: usize, worker: usize, body: &Chunk<'_>) -> Result<(), Panicked> {
    catch_unwind(AssertUnwindSafe(|| (0..chunks).for_each(|chunk| body(chunk, worker))))
        .map_err(|payload| Panicked { message: message_of(payload) })
}

/// The text of a panic. A payload of another type is leaked: its destructor could panic again and lose the worker.
fn message_of(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => match payload.downcast::<&'static str>() {
            Ok(text) => (*text).to_owned(),
            Err(other) => {
                std::mem::forget(other);
                "a panic without a message".to_owned()
            }
        },
    }
}

/// Polls `done` for at most `limit`; true once it holds.
fn spin_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    if done() {
        return true;
    }
    if limit.is_zero() {
        return false;
    }
    let start = Instant::now();
    loop {
        for _ in 0..POLLS_PER_CLOCK {
            std::hint::spin_loop();
            if done() {
                return true;
            }
        }
        if start.elapsed() >= limit {
            return false;
        }
    }
}

/// Polls between two looks at the clock, which costs as much as several polls.
const POLLS_PER_CLOCK: usize = 16;

/// The body of the job before the first launch.
fn nothing(_: usize, _: usize) {}

/// No lock here guards data that a panic could leave half written, so poison is ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
