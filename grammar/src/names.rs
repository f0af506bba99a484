//! The names a broken piece would have bound, as far as they can be seen: so
//! that what uses them is not reported too.

use crate::syntax::Name;
use crate::tokens::TokenKind;
use crate::tree::Reader;
use std::ops::Range;

impl Reader<'_> {
    /// The names of a broken item.
    pub(crate) fn item_names(&self, range: Range<usize>) -> Vec<Name> {
        match self.word(range.start) {
            "use" => range.filter_map(|at| self.name_at(at)).collect(),
            "let" => self.bound(range.start + 1),
            _ => self.name_at(range.start + 1).into_iter().collect(),
        }
    }

    /// The names of a broken statement.
    pub(crate) fn stmt_names(&self, range: Range<usize>) -> Vec<Name> {
        let next = self.word(range.start + 1);
        let ends = self.word(range.end - 1) == "}";
        match self.word(range.start) {
            "let" => self.bound(range.start + 1),
            "weight" | "state" | "cache" | "carry" | "input" | "output" | "branch" | "penalty" => {
                self.name_at(range.start + 1).into_iter().collect()
            }
            _ if next == "=" || ends => self.name_at(range.start).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// `x` or the names of `(u, s, v)`.
    fn bound(&self, at: usize) -> Vec<Name> {
        if self.word(at) != "(" {
            return self.name_at(at).into_iter().collect();
        }
        let tuple =
            (at + 1..self.tokens.len()).take_while(|&at| self.word(at) == "," || self.name_at(at).is_some());
        tuple.filter_map(|at| self.name_at(at)).collect()
    }

    fn name_at(&self, at: usize) -> Option<Name> {
        let (span, kind) = *self.tokens.get(at)?;
        (kind == TokenKind::Name).then(|| Name { text: self.word(at).to_owned(), span })
    }
}
