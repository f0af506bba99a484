//! Which group a value may join, and how a group's space is split by the folds it uses.

use super::*;
use crate::schedule::expand::summed;
use nnc_ir::ops::{Contract, Op};
use std::collections::BTreeMap;

/// Elements below which a launch costs more than the work.
const SMALL: f64 = 64.0;

impl<'f> Planner<'_, 'f> {
    /// The counters of a group at which it reads all of `value`, each element once.
    fn covered(&self, unit: usize, value: Value, at: &At) -> Option<Vec<Symbol>> {
        let symbols = self.plain(unit, at)?;
        let group = self.as_group(unit)?;
        let extent = |dim: &Dim| match dim.as_symbol() {
            Some(symbol) => {
                group.counters.iter().find(|(counter, _)| counter == symbol).map(|(_, n)| n.clone())
            }
            None => Some(Dim::one()),
        };
        let shape = self.around.expander.graph.shape(value);
        at.iter().zip(shape).all(|(dim, size)| extent(dim).as_ref() == Some(size)).then_some(symbols)
    }

    /// A reader that can make `value` for all, and the index it does it at.
    pub(super) fn host(
        &self,
        unit: usize,
        value: Value,
        class: Class,
        demands: &[Demand],
    ) -> Option<(usize, At)> {
        let at = self.only_point(unit, demands)?;
        let symbols = self.covered(unit, value, at)?;
        if !self.serves(unit, demands) || !self.has_room(unit, value) {
            return None;
        }
        let demand = demands.iter().find(|demand| demand.unit == unit)?;
        let fits = match class {
            Class::Product => self.admits_product(value, demand),
            Class::Fold => self.admits_fold(value, demand),
            _ => {
                let opens = || self.around.facts.of(value).heavy && self.opened(unit, at).is_some();
                self.is_full(unit, &symbols) || self.is_outer(unit, &symbols) || opens()
            }
        };
        fits.then(|| (unit, at.clone()))
    }

    fn is_outer(&self, unit: usize, symbols: &[Symbol]) -> bool {
        let split = self.as_group(unit).and_then(|group| group.split.as_ref());
        split.is_some_and(|split| same(&split.outer, symbols))
    }

    /// How a group without folds is split for a root that is one value per row.
    fn opened(&self, unit: usize, at: &At) -> Option<Split> {
        let (group, symbols) = (self.as_group(unit)?, self.plain(unit, at)?);
        let free = group.split.is_none() && group.anchor.is_none() && symbols.len() < group.counters.len();
        if free { self.rows(unit, &symbols, true) } else { None }
    }

    /// Splits a group for a root that is one value per row.
    pub(super) fn open_rows(&mut self, unit: usize, at: &At) {
        if let Some(split) = self.opened(unit, at) {
            self.divide(unit, split, true);
        }
    }

    /// A group over the same small space that shares what it reads: one launch instead of two.
    fn small_sibling(&self, value: Value, demands: &[Demand]) -> Option<(usize, At)> {
        let shape = self.around.expander.graph.shape(value);
        if self.around.guess.product(shape) > SMALL || self.around.facts.of(value).heavy {
            return None;
        }
        let leaves = self.around.facts.of(value).leaves;
        (0..self.done.units.len()).rev().find_map(|unit| {
            let group = self.as_group(unit)?;
            let root = group.roots.first()?;
            let fits = group.split.is_none()
                && group.anchor.is_none()
                && root.dest == Dest::Own
                && self.around.expander.graph.shape(root.value) == shape
                && !self.around.facts.of(root.value).leaves.is_disjoint(&leaves)
                && self.serves_at(unit, &root.at, demands)
                && self.has_room(unit, value);
            fits.then(|| (unit, root.at.clone()))
        })
    }

    /// A group that folds over the same space and shares what it reads.
    pub(super) fn sibling(&self, value: Value, class: Class, demands: &[Demand]) -> Option<(usize, At)> {
        if class != Class::Fold {
            return if class == Class::Light { self.small_sibling(value, demands) } else { None };
        }
        let graph = self.around.expander.graph;
        let leaves = self.around.facts.of(value).leaves;
        (0..self.done.units.len()).rev().find_map(|unit| {
            let root = self.as_group(unit)?.roots.first()?.clone();
            let alike = self.around.expander.class(root.value) == Class::Fold
                && graph.shape(root.value) == graph.shape(value)
                && self.folded(root.value) == self.folded(value)
                && !self.around.facts.of(root.value).leaves.is_disjoint(&leaves);
            let demand = Demand::of(unit, root.at.clone());
            let fits = alike
                && self.admits_fold(value, &demand)
                && self.serves_at(unit, &root.at, demands)
                && self.has_room(unit, value);
            fits.then_some((unit, root.at))
        })
    }

    /// The extents a fold runs over.
    fn folded(&self, value: Value) -> Option<Vec<Dim>> {
        let node = self.around.expander.graph.node(value)?;
        match &node.op {
            Op::Reduce(op) => {
                let shape = self.around.expander.graph.shape(node.operands[0]);
                let mut axes = op.axes.clone();
                axes.sort();
                Some(axes.into_iter().map(|axis| shape[axis].clone()).collect())
            }
            Op::Contract(op) => {
                let extents = self.around.expander.letters(op, &node.operands);
                Some(summed(op).iter().map(|letter| extents[letter].clone()).collect())
            }
            _ => None,
        }
    }

    /// Whether the fold's operand is walked along its last axis.
    fn is_along(&self, value: Value) -> bool {
        let Some(node) = self.around.expander.graph.node(value) else { return true };
        match &node.op {
            Op::Reduce(op) => self.around.expander.is_along_rows(node.operands[0], &op.axes),
            _ => true,
        }
    }

    /// Whether the group can use the fold's result without computing it more than once.
    pub(super) fn admits_fold(&self, value: Value, demand: &Demand) -> bool {
        self.split_for(value, demand).is_some()
    }

    fn split_for(&self, value: Value, demand: &Demand) -> Option<Split> {
        let (unit, at) = (demand.unit, demand.at.as_ref()?);
        let group = self.as_group(unit)?;
        let symbols = self.plain(unit, at)?;
        if group.anchor.is_some() {
            return None;
        }
        let along = self.is_along(value) || !self.around.expander.target.vector;
        let full = symbols.len() == group.counters.len();
        match &group.split {
            None if full && (along || !self.around.expander.target.tiles) => {
                Some(Split { outer: self.in_order(unit, &symbols), inner: Vec::new() })
            }
            None if full => self.columns(unit, at),
            None => self.rows(unit, &symbols, along),
            Some(split) if along && same(&split.outer, &symbols) => Some(split.clone()),
            Some(split) if !along && full && self.columns(unit, at).as_ref() == Some(split) => {
                Some(split.clone())
            }
            Some(_) => None,
        }
    }

    fn in_order(&self, unit: usize, symbols: &[Symbol]) -> Vec<Symbol> {
        let counters = self.as_group(unit).map(|group| group.counters.as_slice()).unwrap_or_default();
        counters
            .iter()
            .map(|(counter, _)| counter.clone())
            .filter(|counter| symbols.contains(counter))
            .collect()
    }

    /// The last axis of a fold's result is walked by vectors; what is folded is walked in order.
    fn columns(&self, unit: usize, at: &At) -> Option<Split> {
        let last = at.iter().rev().find_map(Dim::as_symbol)?.clone();
        let group = self.as_group(unit)?;
        let outer =
            group.counters.iter().map(|(counter, _)| counter.clone()).filter(|c| *c != last).collect();
        Some(Split { outer, inner: vec![last] })
    }

    /// The counters the fold does not depend on become inner ones, if enough instances are left.
    fn rows(&self, unit: usize, symbols: &[Symbol], along: bool) -> Option<Split> {
        if !self.around.expander.target.vector || !along {
            return None;
        }
        let group = self.as_group(unit)?;
        let size = |outer: bool| {
            let chosen = group.counters.iter().filter(|(counter, _)| !outer || symbols.contains(counter));
            self.around.guess.product(chosen.map(|(_, extent)| extent))
        };
        if size(true) < 4.0 && size(false) > SERIAL {
            return None;
        }
        let outer = self.in_order(unit, symbols);
        let inner = group
            .counters
            .iter()
            .map(|(counter, _)| counter.clone())
            .filter(|c| !outer.contains(c))
            .collect();
        Some(Split { outer, inner })
    }

    /// Splits the group for a fold that it admits.
    pub(super) fn state_fold(&mut self, value: Value, demand: &Demand) {
        let Some(split) = self.split_for(value, demand) else { return };
        let along = self.is_along(value);
        self.divide(demand.unit, split, along);
    }

    /// Splits a group. Folds over the inner extents use the inner counters.
    fn divide(&mut self, unit: usize, split: Split, along: bool) {
        let Some(group) = self.as_group_mut(unit) else { return };
        if group.split.is_none() && along && !split.inner.is_empty() {
            let inner = group.counters.iter().filter(|(counter, _)| split.inner.contains(counter));
            let (symbols, extents) = inner.cloned().unzip();
            group.domains.state(extents, symbols);
        }
        group.split = Some(split);
    }

    /// Whether the group can finish the product in the tiles it is computed in.
    pub(super) fn admits_product(&self, value: Value, demand: &Demand) -> bool {
        let (Some(at), Some(group)) = (&demand.at, self.as_group(demand.unit)) else { return false };
        let free = group.anchor.is_none() && group.split.is_none() && !demand.guarded && !demand.matrix;
        let covered = self.covered(demand.unit, value, at);
        free && covered.is_some_and(|symbols| self.is_full(demand.unit, &symbols))
    }

    /// Makes `value` the product that a group finishes.
    pub(super) fn anchor(&mut self, value: Value, unit: usize, at: At) -> Result<(), Diagnostic> {
        let expander = self.around.expander;
        let node = expander.graph.node(value).ok_or_else(|| internal("a product has no node"))?;
        let Op::Contract(op) = &node.op else { return Err(internal("a product is no contraction")) };
        let extents = expander.letters(op, &node.operands);
        let index = letters_at(op, &at);
        let Some(group) = self.as_group_mut(unit) else { return Err(internal("a product has no group")) };
        for letter in summed(op) {
            group.ranges.counter(&summed_symbol(letter), &extents[&letter]);
        }
        group.anchor = Some((value, at));
        for (letters, operand) in [(&op.lhs, node.operands[0]), (&op.rhs, node.operands[1])] {
            let at = letters.iter().map(|letter| index[letter].clone()).collect();
            self.demand(operand, Demand { matrix: true, ..Demand::of(unit, at) })?;
        }
        Ok(())
    }
}

fn same(a: &[Symbol], b: &[Symbol]) -> bool {
    a.len() == b.len() && a.iter().all(|symbol| b.contains(symbol))
}

/// The counter of a summed letter.
pub(in crate::schedule) fn summed_symbol(letter: u32) -> Symbol {
    Symbol::new(&format!("k{letter}"))
}

/// The index of every letter: `at` for the result's, counters for the summed ones.
pub(in crate::schedule) fn letters_at(op: &Contract, at: &[Dim]) -> BTreeMap<u32, Dim> {
    let kept = op.out.iter().copied().zip(at.iter().cloned());
    let inner = summed(op).into_iter().map(|letter| (letter, Dim::from(&summed_symbol(letter))));
    kept.chain(inner).collect()
}
