//! One step of the meaning of a value: what its element at an index is made of. Planning and printing both ask here, so
//! they agree on every index.

use super::graph::{Def, Graph};
use super::target::Target;
use nnc_base::{Diagnostic, Span};
use nnc_ir::kernel::{Expr, Scalar};
use nnc_ir::ops::{Contract, Fold, FoldWindow, Lowered, Op, Wanted};
use nnc_ir::{DType, Dim, Ranges, Symbol, Type, Value};
use std::collections::BTreeMap;

/// Index of an element.
pub(super) type At = Vec<Dim>;
/// An element of a value.
pub(super) type Point = (Value, At);

/// What an element is made of.
pub(super) enum Expansion {
    /// A scalar function of elements.
    Map(Scalar, Vec<Point>),
    /// Another element; where a guard fails, `otherwise`.
    View {
        /// The element.
        operand: Point,
        /// `0 <= dim < bound`.
        guards: Vec<(Dim, Dim)>,
        /// The value elsewhere.
        otherwise: f64,
    },
    /// An expression; its operands are scalars.
    Source(Expr, Vec<Value>),
    /// An element of a table at a position that is data.
    Gather {
        /// Stands for the position.
        symbol: Symbol,
        /// The position.
        position: Point,
        /// Positions are clamped below this.
        bound: Dim,
        /// The element.
        table: Point,
    },
    /// A fold over a domain of products of elements.
    Fold(Sweep),
    /// It must be in memory.
    Opaque,
}

/// A fold over a domain.
#[derive(Clone)]
pub(super) struct Sweep {
    /// How.
    pub fold: Fold,
    /// Counters and extents; axes of size 1 have none.
    pub domain: Vec<(Symbol, Dim)>,
    /// Where they fail, nothing is added.
    pub guards: Vec<(Dim, Dim)>,
    /// What is multiplied.
    pub factors: Vec<Point>,
    /// Written out, without a loop.
    pub unrolled: bool,
}

/// How a value is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Has a home before the block begins.
    Given,
    /// Elementwise, a view, a source, a short fold.
    Light,
    /// A fold that needs a loop.
    Fold,
    /// A matrix product by the micro-kernel.
    Product,
    /// A kernel of its own.
    Special,
    /// Steps of its own.
    Structure,
}

/// Names of the counters of folds. Folds over equal extents share counters, so that they can share loops.
#[derive(Clone, Debug, Default)]
pub(super) struct Domains {
    known: Vec<(Vec<Dim>, Vec<Symbol>)>,
}

impl Domains {
    /// Folds over `extents` use these counters from now on.
    pub fn state(&mut self, extents: Vec<Dim>, symbols: Vec<Symbol>) {
        self.known.push((extents, symbols));
    }

    /// Counters for `extents`, none of which occurs in `at`.
    fn counters(&self, extents: &[Dim], at: &[Dim]) -> Vec<Symbol> {
        let clashes =
            |symbols: &[Symbol]| at.iter().any(|dim| dim.symbols().iter().any(|s| symbols.contains(s)));
        let known = self.known.iter().find(|(known, _)| known == extents);
        if let Some((_, symbols)) = known.filter(|(_, symbols)| !clashes(symbols)) {
            return symbols.clone();
        }
        let text: Vec<String> = extents.iter().map(Dim::to_string).collect();
        let mut mark = String::new();
        loop {
            let name = |axis: usize| Symbol::new(&format!("r{axis}{mark}[{}]", text.join(",")));
            let symbols: Vec<Symbol> = (0..extents.len()).map(name).collect();
            if !clashes(&symbols) {
                return symbols;
            }
            mark.push('\'');
        }
    }
}

/// Expands values of a function for a target.
#[derive(Clone, Copy)]
pub(super) struct Expander<'f> {
    pub graph: &'f Graph<'f>,
    pub target: &'f Target,
}

impl<'f> Expander<'f> {
    /// How `value` is made.
    pub fn class(&self, value: Value) -> Class {
        let node = match self.graph.def(value) {
            Def::Given => return Class::Given,
            Def::Slice(..) => return Class::Light,
            Def::Node(node, _) => node,
        };
        match &node.op {
            Op::Loop(_) | Op::If(_) | Op::Rule(_) => Class::Structure,
            Op::Scatter(_) | Op::Insert(_) | Op::Scan(_) | Op::Sort(_) | Op::TopK(_) => Class::Special,
            Op::Solve(_) | Op::Cholesky(_) | Op::Table(_) => Class::Special,
            Op::Reduce(op) => self.short(
                &self.reduced(node.operands[0], &op.axes),
                self.longest_unrolled(node.operands[0], &op.axes),
            ),
            Op::FoldWindow(op) => {
                let size = self.graph.shape(node.operands[0])[op.axis + 1].clone();
                self.short(&[size], 16)
            }
            Op::Contract(op) => self.contract_class(op, &node.operands),
            _ => Class::Light,
        }
    }

    fn reduced(&self, operand: Value, axes: &[usize]) -> Vec<Dim> {
        axes.iter().map(|axis| self.graph.shape(operand)[*axis].clone()).collect()
    }

    fn short(&self, extents: &[Dim], limit: i64) -> Class {
        let size = extents.iter().try_fold(1i64, |size, dim| Some(size.saturating_mul(dim.as_constant()?)));
        if size.is_some_and(|size| size <= limit) { Class::Light } else { Class::Fold }
    }

    /// Elements up to which a fold is written out. Rows in memory are better walked by vectors.
    fn longest_unrolled(&self, operand: Value, axes: &[usize]) -> i64 {
        if self.is_window(operand) {
            return 32;
        }
        if self.is_along_rows(operand, axes) { 4 } else { 16 }
    }

    /// Whether `axes` hold the last axis of `operand` that is not of size 1.
    pub fn is_along_rows(&self, operand: Value, axes: &[usize]) -> bool {
        let shape = self.graph.shape(operand);
        let last = (0..shape.len()).rev().find(|axis| !shape[*axis].is_one());
        last.is_none_or(|last| axes.contains(&last))
    }

    fn is_window(&self, value: Value) -> bool {
        let Some(node) = self.graph.node(value) else { return false };
        match &node.op {
            Op::Window(_) => true,
            Op::Permute(_) | Op::Reshape(_) | Op::Cast(_) => self.is_window(node.operands[0]),
            _ => false,
        }
    }

    fn contract_class(&self, op: &Contract, operands: &[Value]) -> Class {
        let letters = self.letters(op, operands);
        let summed: Vec<Dim> = summed(op).iter().map(|letter| letters[letter].clone()).collect();
        let short = self.short(&summed, 4);
        let dtype = self.graph.ty(operands[0]).dtype;
        let inner = op.out.iter().any(|letter| !op.lhs.contains(letter) || !op.rhs.contains(letter));
        let fits = self.target.gemm && inner && matches!(dtype, DType::F32 | DType::F64);
        if short == Class::Fold && fits { Class::Product } else { short }
    }

    /// Extents by letter.
    pub fn letters(&self, op: &Contract, operands: &[Value]) -> BTreeMap<u32, Dim> {
        let sides = [(&op.lhs, operands[0]), (&op.rhs, operands[1])];
        sides
            .into_iter()
            .flat_map(|(letters, value)| letters.iter().copied().zip(self.graph.shape(value).iter().cloned()))
            .collect()
    }

    /// What element `at` of `value` is made of. States the ranges of the symbols it introduces.
    pub fn expand(
        &self,
        value: Value,
        at: &[Dim],
        domains: &Domains,
        ranges: &mut Ranges,
    ) -> Result<Expansion, Diagnostic> {
        let (node, place) = match self.graph.def(value) {
            Def::Given => return Ok(Expansion::Opaque),
            Def::Slice(operand, counter) => {
                let index = [&[Dim::from(&counter)], at].concat();
                return Ok(Expansion::View { operand: (operand, index), guards: Vec::new(), otherwise: 0.0 });
            }
            Def::Node(node, place) => (node, place),
        };
        if place > 0 {
            return Ok(Expansion::Opaque);
        }
        let operand = |place: usize| node.operands[place];
        let types: Vec<Type> = node.operands.iter().map(|value| self.graph.ty(*value).clone()).collect();
        let results: Vec<Type> = node.results.iter().map(|value| self.graph.ty(*value).clone()).collect();
        if let Op::FoldWindow(op) = &node.op {
            return Ok(Expansion::Fold(self.overlap(op, operand(0), at, domains, ranges)));
        }
        let lowered = node.op.lower(&Wanted { operands: &types, results: &results, at, ranges });
        Ok(match lowered {
            Lowered::Map(scalar) => {
                Expansion::Map(scalar, node.operands.iter().map(|value| (*value, at.to_vec())).collect())
            }
            Lowered::View { index, guards, otherwise } => {
                let simple = |dim: &Dim| dim.simplify(ranges);
                let guards = guards.iter().map(|(dim, bound)| (simple(dim), simple(bound))).collect();
                Expansion::View {
                    operand: (operand(0), index.iter().map(simple).collect()),
                    guards,
                    otherwise,
                }
            }
            Lowered::Source(expr) => Expansion::Source(expr, node.operands.clone()),
            Lowered::Reduce(fold, axes) => {
                Expansion::Fold(self.reduce(value, fold, &axes, operand(0), at, domains, ranges))
            }
            Lowered::Contract => self.contract(value, &node.op, &node.operands, at, domains, ranges),
            Lowered::Gather { axis, batch } => {
                self.gather(node.operands[0], operand(1), axis, batch, at, ranges)
            }
            Lowered::Kernel | Lowered::Structure => Expansion::Opaque,
        })
    }

    fn domain(
        &self,
        extents: Vec<Dim>,
        at: &[Dim],
        domains: &Domains,
        ranges: &mut Ranges,
    ) -> (Vec<(Symbol, Dim)>, At) {
        let real: Vec<Dim> = extents.iter().filter(|dim| !dim.is_one()).cloned().collect();
        let mut counters = domains.counters(&real, at).into_iter();
        let (mut domain, mut index) = (Vec::new(), Vec::new());
        for extent in extents {
            match counters.next_if_needed(&extent) {
                Some(counter) => {
                    ranges.counter(&counter, &extent);
                    index.push(Dim::from(&counter));
                    domain.push((counter, extent));
                }
                None => index.push(Dim::zero()),
            }
        }
        (domain, index)
    }

    #[allow(clippy::too_many_arguments)]
    fn reduce(
        &self,
        value: Value,
        fold: Fold,
        axes: &[usize],
        operand: Value,
        at: &[Dim],
        domains: &Domains,
        ranges: &mut Ranges,
    ) -> Sweep {
        let mut axes = axes.to_vec();
        axes.sort();
        let (domain, inner) = self.domain(self.reduced(operand, &axes), at, domains, ranges);
        let (mut kept, mut inner) = (at.iter(), inner.into_iter());
        let index = (0..self.graph.shape(operand).len())
            .map(|axis| {
                if axes.contains(&axis) { inner.next() } else { kept.next().cloned() }.unwrap_or_default()
            })
            .collect();
        let unrolled = self.class(value) == Class::Light;
        Sweep { fold, domain, guards: Vec::new(), factors: vec![(operand, index)], unrolled }
    }

    fn contract(
        &self,
        value: Value,
        op: &Op,
        operands: &[Value],
        at: &[Dim],
        domains: &Domains,
        ranges: &mut Ranges,
    ) -> Expansion {
        let Op::Contract(op) = op else { return Expansion::Opaque };
        let extents = self.letters(op, operands);
        let letters = summed(op);
        let sizes = letters.iter().map(|letter| extents[letter].clone()).collect();
        let (domain, inner) = self.domain(sizes, at, domains, ranges);
        let index: BTreeMap<u32, &Dim> =
            op.out.iter().copied().zip(at).chain(letters.iter().copied().zip(&inner)).collect();
        let side =
            |own: &[u32], value: Value| (value, own.iter().map(|letter| index[letter].clone()).collect());
        let factors = vec![side(&op.lhs, operands[0]), side(&op.rhs, operands[1])];
        if letters.is_empty() {
            return Expansion::Map(Scalar::Mul, factors);
        }
        let unrolled = self.class(value) == Class::Light;
        Expansion::Fold(Sweep { fold: Fold::Add, domain, guards: Vec::new(), factors, unrolled })
    }

    /// Element `p` of an overlap-add: all elements `[i, a]` with `stride * i + dilation * a = p`.
    fn overlap(
        &self,
        op: &FoldWindow,
        operand: Value,
        at: &[Dim],
        domains: &Domains,
        ranges: &mut Ranges,
    ) -> Sweep {
        let shape = self.graph.shape(operand);
        let (count, size) = (shape[op.axis].clone(), shape[op.axis + 1].clone());
        let (domain, inner) = self.domain(vec![size], at, domains, ranges);
        let from = &at[op.axis] - &(&Dim::constant(op.dilation) * &inner[0]);
        let stride = Dim::constant(op.stride);
        let window = from.floor_div_in(&stride, ranges);
        let mut guards = vec![(window.clone(), count)];
        if op.stride > 1 {
            guards.push((from.modulo_in(&stride, ranges), Dim::one()));
        }
        let index = [&at[..op.axis], &[window, inner[0].clone()], &at[op.axis + 1..]].concat();
        let unrolled =
            self.short(&domain.iter().map(|(_, size)| size.clone()).collect::<Vec<_>>(), 16) == Class::Light;
        Sweep { fold: Fold::Add, domain, guards, factors: vec![(operand, index)], unrolled }
    }

    fn gather(
        &self,
        table: Value,
        positions: Value,
        axis: usize,
        batch: usize,
        at: &[Dim],
        ranges: &mut Ranges,
    ) -> Expansion {
        let wide = self.graph.shape(positions).len() - batch;
        let place = [&at[..batch], &at[axis..axis + wide]].concat();
        let text: Vec<String> = place.iter().map(Dim::to_string).collect();
        let bound = self.graph.shape(table)[axis].clone();
        let symbol = Symbol::new(&format!("p{}({}|{bound})", positions.0, text.join(",")));
        ranges.counter(&symbol, &bound);
        let index = [&at[..axis], &[Dim::from(&symbol)], &at[axis + wide..]].concat();
        Expansion::Gather { symbol, position: (positions, place), bound, table: (table, index) }
    }
}

/// A term of a fold that is written out: its guards, then its factors.
pub type Term = (Vec<(Dim, Dim)>, Vec<Point>);

impl Sweep {
    /// The terms of a fold that is written out: guards and factors of each.
    pub fn terms(&self, ranges: &Ranges) -> Vec<Term> {
        let extents: Vec<i64> =
            self.domain.iter().map(|(_, extent)| extent.as_constant().unwrap_or(0)).collect();
        let count: i64 = extents.iter().product();
        let term = |number: i64| {
            let mut rest = number;
            let mut values: Vec<i64> = extents
                .iter()
                .rev()
                .map(|n| {
                    let digit = rest % n;
                    rest /= n;
                    digit
                })
                .collect();
            values.reverse();
            let value = |symbol: &Symbol| {
                let axis = self.domain.iter().position(|(counter, _)| counter == symbol)?;
                Some(Dim::constant(values[axis]))
            };
            let put = |dim: &Dim| dim.substitute(&value).simplify(ranges);
            let guards = self.guards.iter().map(|(dim, bound)| (put(dim), put(bound))).collect();
            let factors = self.factors.iter().map(|(v, at)| (*v, at.iter().map(put).collect())).collect();
            (guards, factors)
        };
        (0..count).map(term).collect()
    }
}

/// Whether an element of the result is one of the operand at another index.
pub(super) fn is_index_map(op: &Op) -> bool {
    matches!(op, Op::Broadcast(_) | Op::Permute(_) | Op::Reshape(_) | Op::Slice(_) | Op::Window(_))
}

/// Letters that are summed, in the order of the operands.
pub(super) fn summed(op: &Contract) -> Vec<u32> {
    let mut letters = Vec::new();
    for letter in op.lhs.iter().chain(&op.rhs) {
        if !op.out.contains(letter) && !letters.contains(letter) {
            letters.push(*letter);
        }
    }
    letters
}

trait NextIfNeeded {
    fn next_if_needed(&mut self, extent: &Dim) -> Option<Symbol>;
}

impl<I: Iterator<Item = Symbol>> NextIfNeeded for I {
    /// The next counter, unless the extent needs none.
    fn next_if_needed(&mut self, extent: &Dim) -> Option<Symbol> {
        if extent.is_one() { None } else { self.next() }
    }
}

/// What cannot be scheduled, and why.
pub(super) fn unsupported(span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error("schedule::unsupported", span, message)
}

/// A broken promise of the scheduler itself.
pub(super) fn internal(message: impl Into<String>) -> Diagnostic {
    Diagnostic::error("schedule::internal", Span::default(), message)
}
