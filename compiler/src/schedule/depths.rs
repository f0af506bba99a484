//! How many sweeps of a group come before the one that can compute an element.

use super::expand::{Domains, Expander, Expansion, Point, Sweep};
use super::units::points_of;
use nnc_base::Diagnostic;
use nnc_ir::{Ranges, Value};
use std::collections::HashMap;

/// Counts the folds that must come before an element is known.
pub(super) struct Depths<'d> {
    expander: Expander<'d>,
    domains: &'d Domains,
    is_loaded: &'d dyn Fn(Value) -> bool,
    pub ranges: Ranges,
    pub known: HashMap<Point, usize>,
    /// The folds met, each with the number of sweeps before its own.
    pub folds: Vec<(Point, Sweep, usize)>,
}

impl<'d> Depths<'d> {
    /// Counts down to values that are loaded.
    pub fn new(
        expander: Expander<'d>,
        domains: &'d Domains,
        ranges: Ranges,
        is_loaded: &'d dyn Fn(Value) -> bool,
    ) -> Depths<'d> {
        Depths { expander, domains, is_loaded, ranges, known: HashMap::new(), folds: Vec::new() }
    }

    /// How many sweeps come before the one that can compute `point`.
    pub fn of(&mut self, point: &Point) -> Result<usize, Diagnostic> {
        if let Some(depth) = self.known.get(point) {
            return Ok(*depth);
        }
        let mut depth = 0;
        if !(self.is_loaded)(point.0) {
            let expansion = self.expander.expand(point.0, &point.1, self.domains, &mut self.ranges)?;
            for (below, _) in points_of(&expansion, &self.ranges) {
                depth = depth.max(self.of(&below)?);
            }
            if let Expansion::Fold(sweep) = expansion
                && !sweep.unrolled
            {
                self.folds.push((point.clone(), sweep, depth));
                depth += 1;
            }
        }
        self.known.insert(point.clone(), depth);
        Ok(depth)
    }
}
