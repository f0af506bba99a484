//! A line at the terminal: steps, rate, time left, loss. It draws to the error stream a few times per second, and not
//! at all where nobody looks.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Whether to draw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// If the error stream is a terminal.
    #[default]
    AtTerminal,
    /// Never: for `--json` and `--quiet`.
    Never,
}

/// Time between two changes of the text beside the bar.
const REFRESH: Duration = Duration::from_millis(100);
const TEMPLATE: &str = "{bar:28} {pos}/{len}  {per_sec}  {eta} left  {msg}";

/// The progress of one run.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    refreshed: Option<Instant>,
}

impl Progress {
    /// A bar over `steps` steps of which `done` were made in an earlier run; these do not count for the rate.
    pub fn start(steps: u64, done: u64, show: Show) -> Progress {
        let visible = show == Show::AtTerminal && std::io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is well formed");
        let bar = ProgressBar::with_draw_target(Some(steps), target).with_style(style).with_position(done);
        bar.reset_eta();
        Progress { bar, refreshed: None }
    }

    /// Whether anything is drawn.
    pub fn is_visible(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Reports a completed step; `text` is only made when it will be drawn.
    pub fn advance(&mut self, step: u64, text: impl FnOnce() -> String) {
        self.bar.set_position(step);
        let due = self.refreshed.is_none_or(|last| last.elapsed() >= REFRESH);
        if self.is_visible() && due {
            self.bar.set_message(text());
            self.refreshed = Some(Instant::now());
        }
    }

    /// Prints a line above the bar, where there is a bar.
    pub fn note(&self, line: &str) {
        self.bar.println(line);
    }

    /// Leaves the bar as it stands.
    pub fn finish(&self) {
        self.bar.abandon();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_bar_makes_no_text() {
        let mut progress = Progress::start(10, 4, Show::Never);
        (5..=10).for_each(|step| progress.advance(step, || unreachable!("nobody would see it")));
        assert!(!progress.is_visible());
        assert_eq!(progress.bar.position(), 10);
    }
}
