//! Proofs about offsets: in bounds, and disjoint between instances.

use crate::{Atom, Dim, Ranges, Symbol};

/// What holds at a place of a kernel.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Bounds of symbols.
    pub(super) ranges: Ranges,
    /// `0 <= dim < bound`, from enclosing guards.
    pub(super) guards: Vec<(Dim, Dim)>,
}

impl Facts {
    /// Whether `0 <= dim < bound` is proved. A guard names its dim: what it says of `i - 1` is used for `(i - 1) * w`.
    pub(super) fn within(&self, dim: &Dim, bound: &Dim) -> bool {
        let (dim, bound) = (dim.simplify(&self.ranges), bound.simplify(&self.ranges));
        let pair = (dim, bound);
        within(&pair, &self.ranges, &self.guards)
    }
}

fn within(goal: &(Dim, Dim), ranges: &Ranges, guards: &[(Dim, Dim)]) -> bool {
    if goal.0.is_within(&goal.1, ranges) {
        return true;
    }
    let Some(((dim, bound), others)) = guards.split_first() else { return false };
    if within(goal, ranges, others) {
        return true;
    }
    // The guarded dim becomes a symbol of its own, with the guard as its range.
    let symbol = Symbol::new(&format!("guard {}", guards.len()));
    let mut named = ranges.clone();
    named.counter(&symbol, bound);
    pivots(dim).iter().any(|pivot| {
        let name = |x: &Dim| rename(x, pivot, dim, &symbol);
        let others: Vec<(Dim, Dim)> = others.iter().map(|(dim, bound)| (name(dim), bound.clone())).collect();
        within(&(name(&goal.0), goal.1.clone()), &named, &others)
    })
}

/// Atoms through which a dim can be solved: those that make a term of it alone.
fn pivots(dim: &Dim) -> Vec<Atom> {
    let alone = |(monomial, _): (&Vec<Atom>, i64)| match monomial.as_slice() {
        [atom] => Some(atom.clone()),
        _ => None,
    };
    let atoms: Vec<Atom> = dim.terms().filter_map(alone).collect();
    let once = |atom: &Atom| dim.terms().filter(|(monomial, _)| monomial.contains(atom)).count() == 1;
    atoms.into_iter().filter(once).take(4).collect()
}

/// `x` with `pivot` replaced through `dim = symbol`, wherever the coefficients allow it.
fn rename(x: &Dim, pivot: &Atom, dim: &Dim, symbol: &Symbol) -> Dim {
    let slope = dim.terms().find(|(monomial, _)| monomial.as_slice() == std::slice::from_ref(pivot));
    let Some((_, slope)) = slope.filter(|(_, slope)| *slope != 0) else { return x.clone() };
    let rest = dim - &Dim::term(&vec![pivot.clone()], slope);
    let solved = &Dim::from(symbol) - &rest;
    let mut result = Dim::zero();
    for (monomial, coefficient) in x.terms() {
        let place = monomial.iter().position(|atom| atom == pivot);
        let term = match place.filter(|_| coefficient.checked_rem(slope) == Some(0)) {
            Some(place) => {
                let mut cofactor = monomial.clone();
                cofactor.remove(place);
                &Dim::term(&cofactor, coefficient / slope) * &solved
            }
            None => Dim::term(monomial, coefficient),
        };
        result = &result + &term;
    }
    result
}

/// One counter of a nest that a store depends on.
#[derive(Clone, Debug)]
pub(super) struct Counter {
    /// Its name.
    pub(super) symbol: Symbol,
    /// Number of values.
    pub(super) extent: Dim,
    /// Whether instances differ by it.
    pub(super) is_grid: bool,
}

/// Whether different grid counters are proved to give different offsets, whatever the other counters are: some order
/// of the counters is a mixed-radix number.
pub(super) fn injective(offset: &Dim, counters: &[Counter], ranges: &Ranges) -> bool {
    let mut slopes = Vec::new();
    for counter in counters {
        let Some((slope, _)) = offset.linear_in(&counter.symbol) else { return false };
        let used = !slope.is_zero();
        if counter.is_grid && !used && !counter.extent.is_one() {
            return false;
        }
        if used {
            slopes.push((slope, &counter.extent, counter.is_grid));
        }
    }
    stacks(&slopes, &Dim::zero(), ranges)
}

/// Whether the slopes can be taken one by one, each grid counter's larger than all before it can reach.
fn stacks(slopes: &[(Dim, &Dim, bool)], reach: &Dim, ranges: &Ranges) -> bool {
    if slopes.iter().all(|(_, _, is_grid)| !is_grid) {
        return true;
    }
    slopes.iter().enumerate().any(|(place, (slope, extent, is_grid))| {
        let clears = (slope - reach).is_at_least(1, ranges);
        if !clears && (*is_grid || !slope.is_at_least(0, ranges)) {
            return false;
        }
        let mut others = slopes.to_vec();
        others.remove(place);
        let reach = reach + &(slope * &(*extent - &Dim::one()));
        stacks(&others, &reach, ranges)
    })
}
