//! Names of symbols in printed text. Every name ends in `_` and a letter, so none is a word of the target language, and
//! no declaration hides another.

use crate::Symbol;
use std::collections::BTreeSet;

/// Symbols in scope with the names they are printed by.
#[derive(Debug, Default)]
pub(super) struct Scope {
    bound: Vec<(Symbol, String)>,
    taken: BTreeSet<String>,
}

impl Scope {
    /// Brings `symbol` into scope under a new name.
    pub(super) fn bind(&mut self, symbol: &Symbol, suffix: &str) -> String {
        let stem = format!("{}_{suffix}", identifier(&symbol.0));
        let mut name = stem.clone();
        let mut number = 1;
        while !self.taken.insert(name.clone()) {
            number += 1;
            name = format!("{stem}{number}");
        }
        self.bound.push((symbol.clone(), name.clone()));
        name
    }

    /// The name of the innermost binding of `symbol`.
    pub(super) fn name(&self, symbol: &Symbol) -> Option<&str> {
        self.bound.iter().rev().find(|(bound, _)| bound == symbol).map(|(_, name)| name.as_str())
    }

    /// Where the scope stands.
    pub(super) fn mark(&self) -> usize {
        self.bound.len()
    }

    /// Forgets what was bound since `mark`.
    pub(super) fn release(&mut self, mark: usize) {
        for (_, name) in self.bound.drain(mark..) {
            self.taken.remove(&name);
        }
    }
}

/// `name` with everything replaced that no identifier may contain; never starts with `_` or a digit.
pub(super) fn identifier(name: &str) -> String {
    let legal: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if legal.starts_with(|c: char| c.is_ascii_alphabetic()) { legal } else { format!("x{legal}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_spellings_get_different_names() {
        let mut scope = Scope::default();
        assert_eq!(scope.bind(&Symbol::new("a.b"), "i"), "a_b_i");
        assert_eq!(scope.bind(&Symbol::new("a b"), "i"), "a_b_i2");
        assert_eq!(scope.name(&Symbol::new("a.b")), Some("a_b_i"));
        assert_eq!(scope.bind(&Symbol::new("3"), "n"), "x3_n");
    }

    #[test]
    fn an_inner_binding_ends_with_its_block() {
        let mut scope = Scope::default();
        let k = Symbol::new("k");
        scope.bind(&k, "i");
        let mark = scope.mark();
        scope.bind(&k, "i");
        assert_eq!(scope.name(&k), Some("k_i2"));
        scope.release(mark);
        assert_eq!(scope.name(&k), Some("k_i"));
        assert_eq!(scope.bind(&k, "i"), "k_i2", "the next block may use the name again");
    }
}
