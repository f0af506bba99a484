//! Dims as i64 arithmetic.
//!
//! Terms are added from the outermost symbols inwards, so that whatever does not change in a loop is one subexpression,
//! which Cranelift moves out of it. A division by a run-time number may trap and stays where it is put; those are made
//! before each loop, as soon as their symbols are bound ([`Emitter::divide_early`]). Divisors below 1 count as 1: such
//! a division never runs in a valid kernel, and must not trap when it is made early.

use crate::emitter::{Emitter, Index};
use crate::error::Emit;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use nnc_ir::{Atom, Dim, Ranges, Symbol};
use std::sync::Arc;

impl Emitter<'_, '_> {
    /// The value of `dim`. In a vector loop: that of the first lane.
    pub fn dim(&mut self, dim: &Dim) -> Emit<Value> {
        let (terms, constant) = self.terms(dim, 1)?;
        let sum = terms.into_iter().reduce(|sum, term| self.b.ins().iadd(sum, term));
        Ok(match sum {
            None => self.b.ins().iconst(types::I64, constant),
            Some(sum) if constant == 0 => sum,
            Some(sum) => self.b.ins().iadd_imm_s(sum, constant),
        })
    }

    /// The terms of `scale * dim`, outermost symbols first, and its constant.
    pub fn terms(&mut self, dim: &Dim, scale: i64) -> Emit<(Vec<Value>, i64)> {
        let mut constant = 0i64;
        let mut terms: Vec<(usize, Vec<Atom>, i64)> = Vec::new();
        for (monomial, coefficient) in dim.terms() {
            let coefficient =
                coefficient.checked_mul(scale).ok_or_else(|| format!("the dim `{dim}` overflows"))?;
            if monomial.is_empty() {
                constant = coefficient;
                continue;
            }
            let mut atoms = monomial.clone();
            atoms.sort_by_key(|atom| self.atom_depth(atom));
            let depth = atoms.last().map_or(0, |atom| self.atom_depth(atom));
            terms.push((depth, atoms, coefficient));
        }
        terms.sort_by_key(|(depth, ..)| *depth);
        let values = terms
            .into_iter()
            .map(|(_, atoms, coefficient)| self.product(&atoms, coefficient))
            .collect::<Emit<Vec<Value>>>()?;
        Ok((values, constant))
    }

    fn product(&mut self, atoms: &[Atom], coefficient: i64) -> Emit<Value> {
        let mut product = None;
        for atom in atoms {
            let value = self.atom(atom)?;
            product = Some(product.map_or(value, |product| self.b.ins().imul(product, value)));
        }
        let product = product.ok_or("an empty product has no atoms")?;
        Ok(self.scaled(product, coefficient))
    }

    /// `factor * value`, as a shift where that is possible.
    pub fn scaled(&mut self, value: Value, factor: i64) -> Value {
        match factor {
            1 => value,
            -1 => self.b.ins().ineg(value),
            _ if factor > 0 && factor.count_ones() == 1 => {
                self.b.ins().ishl_imm_u(value, i64::from(factor.trailing_zeros()))
            }
            _ => self.b.ins().imul_imm_s(value, factor),
        }
    }

    /// How many loops deep the innermost symbol of `atom` is bound.
    fn atom_depth(&self, atom: &Atom) -> usize {
        match atom {
            Atom::Symbol(symbol) => self.symbol_depth(symbol),
            Atom::Floor(p, q) | Atom::Mod(p, q) | Atom::Max(p, q) | Atom::Min(p, q) => {
                self.dim_depth(p).max(self.dim_depth(q))
            }
        }
    }

    fn symbol_depth(&self, symbol: &Symbol) -> usize {
        match self.scope.symbols.get(symbol) {
            Some(Index::One(_, depth)) => *depth,
            _ => usize::MAX,
        }
    }

    fn dim_depth(&self, dim: &Dim) -> usize {
        dim.symbols().iter().map(|symbol| self.symbol_depth(symbol)).max().unwrap_or(0)
    }

    fn atom(&mut self, atom: &Atom) -> Emit<Value> {
        if let Some(value) = self.scope.atoms.get(atom) {
            return Ok(*value);
        }
        let value = match atom {
            Atom::Symbol(symbol) => return self.symbol(symbol),
            Atom::Floor(p, q) => self.floor(p, q)?,
            Atom::Mod(p, q) => self.modulo(p, q)?,
            Atom::Max(p, q) => self.choice(IntCC::SignedGreaterThan, p, q)?,
            Atom::Min(p, q) => self.choice(IntCC::SignedLessThan, p, q)?,
        };
        self.scope.atoms.insert(atom.clone(), value);
        Ok(value)
    }

    fn symbol(&self, symbol: &Symbol) -> Emit<Value> {
        match self.scope.symbols.get(symbol) {
            Some(Index::One(value, _)) => Ok(*value),
            Some(Index::Slot(_)) => Err(format!("the index `{symbol}` differs between lanes here")),
            None => Err(format!("the symbol `{symbol}` is not bound here")),
        }
    }

    fn choice(&mut self, order: IntCC, p: &Dim, q: &Dim) -> Emit<Value> {
        let (p, q) = (self.dim(p)?, self.dim(q)?);
        let first = self.b.ins().icmp(order, p, q);
        Ok(self.b.ins().select(first, p, q))
    }

    fn floor(&mut self, p: &Dim, q: &Dim) -> Emit<Value> {
        let natural = p.is_at_least(0, &Ranges::new());
        let value = self.dim(p)?;
        match q.as_constant() {
            Some(q) if q <= 1 => Ok(value),
            Some(q) if q.count_ones() == 1 => {
                Ok(self.b.ins().sshr_imm_u(value, i64::from(q.trailing_zeros())))
            }
            _ if natural => {
                let q = self.divisor(q)?;
                Ok(self.b.ins().udiv(value, q))
            }
            _ => {
                let q = self.divisor(q)?;
                Ok(self.floor_of(value, q))
            }
        }
    }

    /// `floor(p / q)` of signed numbers, `q` positive: truncation, less one where a negative rest is left.
    fn floor_of(&mut self, p: Value, q: Value) -> Value {
        let quotient = self.b.ins().sdiv(p, q);
        let whole = self.b.ins().imul(quotient, q);
        let rest = self.b.ins().isub(p, whole);
        let borrow = self.b.ins().sshr_imm_u(rest, 63);
        self.b.ins().iadd(quotient, borrow)
    }

    fn modulo(&mut self, p: &Dim, q: &Dim) -> Emit<Value> {
        match q.as_constant() {
            Some(q) if q <= 1 => Ok(self.b.ins().iconst(types::I64, 0)),
            Some(q) if q.count_ones() == 1 => {
                let value = self.dim(p)?;
                Ok(self.b.ins().band_imm_s(value, q - 1))
            }
            _ => {
                // One division serves both the quotient and the rest.
                let quotient = self.atom(&Atom::Floor(Arc::new(p.clone()), Arc::new(q.clone())))?;
                let (p, q) = (self.dim(p)?, self.divisor(q)?);
                let whole = self.b.ins().imul(quotient, q);
                Ok(self.b.ins().isub(p, whole))
            }
        }
    }

    fn divisor(&mut self, q: &Dim) -> Emit<Value> {
        let value = self.dim(q)?;
        if q.as_constant().is_some() {
            return Ok(value);
        }
        let one = self.b.ins().iconst(types::I64, 1);
        Ok(self.b.ins().smax(value, one))
    }

    /// Makes the run-time divisions of `dims` whose symbols are bound, before a loop that needs them.
    pub fn divide_early(&mut self, dims: &[&Dim]) -> Emit<()> {
        dims.iter().try_for_each(|dim| dim.terms().flat_map(|(m, _)| m).try_for_each(|a| self.divide_atom(a)))
    }

    fn divide_atom(&mut self, atom: &Atom) -> Emit<()> {
        let (Atom::Floor(p, q) | Atom::Mod(p, q) | Atom::Max(p, q) | Atom::Min(p, q)) = atom else {
            return Ok(());
        };
        self.divide_early(&[p, q])?;
        let divides = matches!(atom, Atom::Floor(..) | Atom::Mod(..)) && q.as_constant().is_none();
        if divides && self.is_bound(p) && self.is_bound(q) {
            self.atom(atom)?;
        }
        Ok(())
    }

    fn is_bound(&self, dim: &Dim) -> bool {
        let bound = |symbol: &Symbol| matches!(self.scope.symbols.get(symbol), Some(Index::One(..)));
        dim.symbols().iter().all(bound)
    }
}
