//! Index arithmetic as text: a sum of products, constants last.

use super::{Dialect, Printer};
use crate::dim::Monomial;
use crate::{Atom, Dim};

impl<D: Dialect> Printer<'_, D> {
    /// `dim`, in parentheses where it has operators.
    pub(super) fn dim(&self, dim: &Dim) -> Result<String, String> {
        if dim.is_poisoned() {
            return Err(format!("needs the index `{dim}`, which overflows"));
        }
        let (constants, products): (Vec<_>, Vec<_>) =
            dim.terms().partition(|(monomial, _)| monomial.is_empty());
        let mut text = String::new();
        for (monomial, coefficient) in products.into_iter().chain(constants) {
            self.term(&mut text, monomial, coefficient)?;
        }
        match text.is_empty() {
            true => self.dialect.index(0),
            false if text.contains(' ') => Ok(format!("({text})")),
            false => Ok(text),
        }
    }

    fn term(&self, text: &mut String, monomial: &Monomial, coefficient: i64) -> Result<(), String> {
        let mut factors = Vec::new();
        let first = text.is_empty();
        // The sign goes into the first factor, or between terms.
        let size = if first { coefficient } else { coefficient.saturating_abs() };
        if size != 1 || monomial.is_empty() {
            factors.push(self.dialect.index(size)?);
        }
        for atom in monomial {
            factors.push(self.atom(atom)?);
        }
        if !first {
            text.push_str(if coefficient < 0 { " - " } else { " + " });
        }
        text.push_str(&factors.join(" * "));
        Ok(())
    }

    fn atom(&self, atom: &Atom) -> Result<String, String> {
        let pair = |p: &Dim, q: &Dim| Ok::<_, String>((self.dim(p)?, self.dim(q)?));
        let natural = |p: &Dim| p.is_at_least(0, &self.ranges);
        Ok(match atom {
            Atom::Symbol(symbol) => {
                let name = self.scope.name(symbol);
                name.ok_or_else(|| format!("reads `{symbol}`, which nothing binds"))?.to_string()
            }
            Atom::Floor(p, q) => pair(p, q).map(|(a, b)| self.dialect.quotient(&a, &b, natural(p)))?,
            Atom::Mod(p, q) => pair(p, q).map(|(a, b)| self.dialect.remainder(&a, &b, natural(p)))?,
            Atom::Max(p, q) => pair(p, q).map(|(a, b)| self.dialect.larger(&a, &b))?,
            Atom::Min(p, q) => pair(p, q).map(|(a, b)| self.dialect.smaller(&a, &b))?,
        })
    }

    /// The condition `0 <= dim < bound`.
    pub(super) fn within(&self, dim: &Dim, bound: &Dim) -> Result<String, String> {
        let (value, limit) = (self.dim(dim)?, self.dim(bound)?);
        if dim.is_at_least(0, &self.ranges) {
            return Ok(format!("({value} < {limit})"));
        }
        Ok(format!("({value} >= {} && {value} < {limit})", self.dialect.index(0)?))
    }
}
