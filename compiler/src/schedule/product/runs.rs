//! Letters as axes: runs that are one, the axes of the micro-kernel, and what is left for loops around it.

use super::shape::{Letter, Shape, Strided};
use crate::schedule::panels;
use crate::schedule::sizes::Guess;
use nnc_ir::{Dim, Ranges, Symbol};

/// Steps from which on a sum along contiguous elements pays though others are longer.
const ALONG: f64 = 6.0;
/// Letters that are one axis: consecutive, with mergeable strides. The last letter's strides are the run's.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) letters: Vec<Letter>,
    pub(super) extent: Dim,
}

impl Run {
    pub(super) fn last(&self) -> &Symbol {
        &self.letters[self.letters.len() - 1].symbol
    }

    /// The letters' indices at place `whole` of the run.
    pub(super) fn places(&self, whole: &Dim, ranges: &Ranges) -> Vec<(Symbol, Dim)> {
        let mut rest = whole.clone();
        let mut stride = self.extent.clone();
        let mut places = Vec::new();
        for (number, letter) in self.letters.iter().enumerate() {
            if number > 0 {
                rest = rest.modulo_in(&stride, ranges);
            }
            stride =
                self.letters[number + 1..].iter().fold(Dim::one(), |size, letter| &size * &letter.extent);
            places.push((letter.symbol.clone(), rest.floor_div_in(&stride, ranges)));
        }
        places
    }
}

/// The runs of `letters`; the letter `alone` makes one of its own.
pub(super) fn runs(letters: &[Letter], matrices: &[&Strided], alone: Option<&Symbol>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for letter in letters {
        let follows = |run: &Run| {
            if alone.is_some_and(|alone| *alone == letter.symbol || alone == run.last()) {
                return false;
            }
            let slope = |m: &&Strided| m.slope(run.last()) == &m.slope(&letter.symbol) * &letter.extent;
            matrices.iter().all(slope)
        };
        match runs.last_mut().filter(|run| follows(run)) {
            Some(run) => {
                run.extent = &run.extent * &letter.extent;
                run.letters.push(letter.clone());
            }
            None => runs.push(Run { letters: vec![letter.clone()], extent: letter.extent.clone() }),
        }
    }
    runs
}

/// An axis of the micro-kernel: a run, cut into panels.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// The run; `None` for an axis of length 1.
    pub(super) run: Option<Run>,
    /// Number of the panel, if there are several.
    pub(super) panel: Option<(Symbol, Dim)>,
    /// Length of a whole panel.
    pub(super) length: Dim,
    /// Length of the current panel.
    pub(super) size: Dim,
}

impl Axis {
    pub(super) fn whole(run: Option<Run>) -> Axis {
        let size = run.as_ref().map_or_else(Dim::one, |run| run.extent.clone());
        Axis { run, panel: None, length: size.clone(), size }
    }

    /// Cut into panels of `length`.
    pub(super) fn cut(run: Option<Run>, length: i64, name: &str) -> Axis {
        let whole = Axis::whole(run);
        match panels::cut(&whole.size, length, name).filter(|_| whole.run.is_some()) {
            None => whole,
            Some((panel, size)) => Axis { panel: Some(panel), length: Dim::constant(length), size, ..whole },
        }
    }

    /// First element of the current panel.
    pub(super) fn start(&self) -> Dim {
        self.panel.as_ref().map_or_else(Dim::zero, |(panel, _)| &self.length * &Dim::from(panel))
    }

    /// Distance of elements in `matrix`.
    pub(super) fn slope(&self, matrix: &Strided) -> Dim {
        self.run.as_ref().map_or_else(Dim::zero, |run| matrix.slope(run.last()))
    }
}

/// The run of the highest rank, and the others.
pub(super) fn take(mut runs: Vec<Run>, rank: &dyn Fn(&Run) -> f64) -> (Option<Run>, Vec<Run>) {
    let place = (0..runs.len()).rev().max_by(|a, b| rank(&runs[*a]).total_cmp(&rank(&runs[*b])));
    let run = place.map(|place| runs.remove(place));
    (run, runs)
}

/// Runs outside the micro-kernel.
pub(super) struct Others {
    pub(super) rows: Vec<Run>,
    pub(super) columns: Vec<Run>,
    pub(super) summed: Vec<Run>,
}

/// The axes of a product: a run each for the micro-kernel, and the others.
pub(super) struct Axes {
    pub(super) m: Option<Run>,
    pub(super) n: Option<Run>,
    pub(super) k: Option<Run>,
    pub(super) others: Others,
}

impl Axes {
    /// The longest runs, or the letter `chosen` where it is among them.
    pub(super) fn new(
        shape: &Shape,
        direct: &Option<Strided>,
        guess: &Guess,
        chosen: Option<&Symbol>,
    ) -> Axes {
        let result: Vec<&Strided> = direct.iter().collect();
        let rank = |run: &Run| if Some(run.last()) == chosen { f64::INFINITY } else { guess.of(&run.extent) };
        let longest = |runs: Vec<Run>| take(runs, &rank);
        let (m, rows) = longest(runs(&shape.rows, &[&[&shape.lhs][..], &result].concat(), chosen));
        let (n, columns) = match shape.wide_run() {
            Some((run, _)) => (Some(run), Vec::new()),
            None => longest(runs(&shape.columns, &[&[&shape.rhs][..], &result].concat(), chosen)),
        };
        let (k, summed) = take(summed_runs(shape, chosen), &|run| {
            if Some(run.last()) == chosen {
                return f64::INFINITY;
            }
            // A sum along contiguous elements reads whole cache lines, one across them a line per element.
            let along = [&shape.lhs, &shape.rhs].iter().all(|m| m.slope(run.last()).is_one());
            if along && rank(run) >= ALONG { 9.0 * rank(run) } else { rank(run).min(64.0) }
        });
        Axes { m, n, k, others: Others { rows, columns, summed } }
    }
}

/// Runs of summed letters, in the order that gives fewer.
pub(super) fn summed_runs(shape: &Shape, alone: Option<&Symbol>) -> Vec<Run> {
    let matrices = [&shape.lhs, &shape.rhs];
    let first = runs(&shape.summed, &matrices, alone);
    let by_slope = |matrix: &Strided| {
        let mut letters = shape.summed.clone();
        letters.sort_by_key(|letter| {
            let slope = matrix.slope(&letter.symbol);
            std::cmp::Reverse(slope.evaluate(&|_| Some(61)).unwrap_or(0))
        });
        runs(&letters, &matrices, alone)
    };
    let mut best = first;
    for other in [by_slope(&shape.rhs), by_slope(&shape.lhs)] {
        if other.len() < best.len() {
            best = other;
        }
    }
    best
}

/// A loop over a run outside the micro-kernel.
pub(super) fn counter(run: &Run) -> (Symbol, Dim) {
    (Symbol::new(&format!("{}/run", run.last())), run.extent.clone())
}
