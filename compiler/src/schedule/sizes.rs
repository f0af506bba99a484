//! Guesses of run-time sizes: what decides between two schedules that are both right.

use nnc_ir::graph::Size;
use nnc_ir::{Dim, Symbol};
use std::collections::HashMap;

/// What a size without bounds is taken to be.
const TYPICAL: i64 = 64;

/// A guess for every symbol.
#[derive(Clone, Debug, Default)]
pub(super) struct Guess {
    values: HashMap<Symbol, i64>,
}

impl Guess {
    /// From what is usual, and from the stated ranges.
    pub fn new(sizes: &[Size], usual: &[(Symbol, i64)]) -> Guess {
        let guess = |size: &Size| {
            let known = usual.iter().find(|(symbol, _)| *symbol == size.symbol);
            let size_of = known.map_or(TYPICAL, |(_, usual)| *usual);
            size_of.min(size.max.unwrap_or(size_of)).max(size.min)
        };
        Guess { values: sizes.iter().map(|size| (size.symbol.clone(), guess(size))).collect() }
    }

    /// States that `counter` runs below `extent`.
    pub fn counter(&mut self, counter: &Symbol, extent: &Dim) {
        let middle = (self.of(extent) / 2.0) as i64;
        self.values.insert(counter.clone(), middle);
    }

    /// The guessed value of `dim`, at least 0.
    pub fn of(&self, dim: &Dim) -> f64 {
        let value = |symbol: &Symbol| Some(self.values.get(symbol).copied().unwrap_or(TYPICAL));
        dim.evaluate(&value).unwrap_or(TYPICAL).max(0) as f64
    }

    /// The guessed product of `dims`.
    pub fn product<'d>(&self, dims: impl IntoIterator<Item = &'d Dim>) -> f64 {
        dims.into_iter().map(|dim| self.of(dim)).product()
    }
}
