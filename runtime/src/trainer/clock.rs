//! Work per second, evaluations not counted.

use std::time::Instant;

/// Work per second, evaluations not counted.
pub(super) struct Clock {
    since: Instant,
    seconds: f64,
    pub(super) units: u64,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock { since: Instant::now(), seconds: 0.0, units: 0 }
    }

    pub(super) fn pause(&mut self) {
        self.seconds += self.since.elapsed().as_secs_f64();
    }

    pub(super) fn resume(&mut self) {
        self.since = Instant::now();
    }

    pub(super) fn rate(&self) -> f64 {
        self.units as f64 / (self.seconds + self.since.elapsed().as_secs_f64()).max(1e-9)
    }
}
