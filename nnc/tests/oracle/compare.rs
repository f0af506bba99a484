//! Results against the tensors of a fixture, and whether all of these were compared.

use crate::fixture::Fixture;
use crate::table::{Source, Table};
use nnc_ir::Array;
use std::collections::{BTreeMap, BTreeSet};

/// Added to the largest magnitude, so that tensors of zeros have a tolerance.
const FLOOR: f64 = 0.01;

/// What is compared so far.
pub struct Comparison<'f> {
    fixture: &'f Fixture,
    compared: BTreeMap<String, usize>,
    used: BTreeSet<String>,
    wrong: Vec<String>,
}

impl<'f> Comparison<'f> {
    /// Nothing is compared yet.
    pub fn new(fixture: &'f Fixture) -> Comparison<'f> {
        Comparison { fixture, compared: BTreeMap::new(), used: BTreeSet::new(), wrong: Vec::new() }
    }

    /// This tensor feeds the program.
    pub fn used(&mut self, name: &str) {
        self.used.insert(name.to_string());
    }

    /// A result must agree with the tensors that `source` names.
    pub fn result(&mut self, source: &Source, found: &Array, tolerance: f64, what: &str) {
        let pieces = match source.pieces(self.fixture) {
            Ok(pieces) => pieces,
            Err(reason) => return self.wrong.push(format!("{what}: {reason}")),
        };
        let elements: usize = pieces.iter().map(|(_, array)| array.data.len()).sum();
        if elements != found.data.len() {
            let (name, shape) = (&source.pattern, &found.shape);
            let text = format!("{what}: `{name}` has {elements} elements, the program gives {shape:?}");
            return self.wrong.push(text);
        }
        let mut start = 0;
        for (name, expected) in pieces {
            let part = &found.data[start..start + expected.data.len()];
            start += expected.data.len();
            self.piece(&name, &expected.data, part, tolerance, what);
        }
    }

    fn piece(&mut self, name: &str, expected: &[f64], found: &[f64], tolerance: f64, what: &str) {
        let largest = expected.iter().fold(0.0f64, |most, x| most.max(x.abs()));
        let limit = tolerance * (largest + FLOOR);
        let distance =
            |(a, b): (&f64, &f64)| if a.is_nan() || b.is_nan() { f64::INFINITY } else { (a - b).abs() };
        let error = expected.iter().zip(found).map(distance).fold(0.0f64, f64::max);
        if error > limit {
            let text = format!(
                "{what}: `{name}` differs by {error:.3e}, allowed are {limit:.3e} (largest {largest:.3e})"
            );
            self.wrong.push(text);
        }
        if what == "float64" {
            *self.compared.entry(name.to_string()).or_default() += expected.len();
        }
    }

    /// Gradients in the file that no tensor of the program has: they must be zero.
    pub fn absent_gradients(&mut self, prefix: &str, known: &BTreeSet<String>) {
        if prefix.is_empty() {
            return;
        }
        let absent: Vec<String> = self
            .fixture
            .tensors
            .keys()
            .filter(|name| {
                name.strip_prefix(prefix).is_some_and(|rest| self.fixture.tensors.contains_key(rest))
            })
            .filter(|name| !known.contains(*name))
            .cloned()
            .collect();
        for name in absent {
            let array = &self.fixture.tensors[&name];
            if array.data.iter().any(|x| *x != 0.0) {
                self.wrong.push(format!(
                    "the program has no gradient for `{name}`, the file has one that is not 0"
                ));
            }
            *self.compared.entry(name).or_default() += array.data.len();
        }
    }

    /// Whether everything agreed and nothing was left out.
    pub fn finish(mut self, table: &Table) -> Result<(), String> {
        let unread: BTreeSet<String> =
            table.unread.keys().flat_map(|pattern| self.fixture.matching(pattern)).collect();
        for (name, array) in &self.fixture.tensors {
            let whole = self.compared.get(name).is_some_and(|count| *count >= array.data.len());
            if unread.contains(name) {
                if whole {
                    self.wrong.push(format!("`{name}` is compared and yet listed as unread"));
                }
            } else if !whole && !self.used.contains(name) {
                self.wrong.push(format!("`{name}` is neither used nor compared"));
            }
        }
        if self.wrong.is_empty() { Ok(()) } else { Err(self.wrong.join("\n")) }
    }
}
