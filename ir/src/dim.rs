//! Sizes and indices: integer polynomials in normal form.
//!
//! A `Dim` is a sum of monomials over atoms: symbols (run-time sizes, loop counters) and `floor(p / q)`, `p mod q`.
//! Two dims are equal exactly when their normal forms are. The same type serves shapes, loop bounds and buffer
//! offsets, so a proof about one is a proof about all. Arithmetic saturates to an error value, never wraps: see
//! [`Dim::is_poisoned`].

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Add, Mul, Neg, Sub};
use std::sync::Arc;

/// A named integer that is known at run time: a size such as `T`, or a loop counter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Symbol(pub Arc<str>);

impl Symbol {
    /// The symbol called `name`.
    pub fn new(name: &str) -> Symbol {
        Symbol(Arc::from(name))
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a monomial is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Atom {
    /// A symbol.
    Symbol(Symbol),
    /// `floor(p / q)`; `q` is positive.
    Floor(Arc<Dim>, Arc<Dim>),
    /// `p mod q`, in `0..q`.
    Mod(Arc<Dim>, Arc<Dim>),
    /// The larger of two.
    Max(Arc<Dim>, Arc<Dim>),
    /// The smaller of two.
    Min(Arc<Dim>, Arc<Dim>),
}

/// A product of atoms, sorted, with repetition. The empty product is 1.
pub type Monomial = Vec<Atom>;

/// An integer polynomial in normal form: no zero coefficients, monomials sorted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Dim {
    terms: BTreeMap<Monomial, i64>,
}

/// Known bounds of symbols: `min <= s <= max`, where bounds may mention symbols that come earlier.
/// Symbols without an entry are at least 0 and unbounded above.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    bounds: BTreeMap<Symbol, (Dim, Option<Dim>)>,
    order: Vec<Symbol>,
}

impl Ranges {
    /// Nothing known.
    pub fn new() -> Ranges {
        Ranges::default()
    }

    /// States `min <= symbol <= max`; both may mention symbols stated before.
    pub fn state(&mut self, symbol: Symbol, min: Dim, max: Option<Dim>) {
        self.order.retain(|known| *known != symbol);
        self.order.push(symbol.clone());
        self.bounds.insert(symbol, (min, max));
    }

    /// States `0 <= counter < extent`.
    pub fn counter(&mut self, counter: &Symbol, extent: &Dim) {
        self.state(counter.clone(), Dim::zero(), Some(extent - &Dim::one()));
    }

    fn get(&self, symbol: &Symbol) -> Option<&(Dim, Option<Dim>)> {
        self.bounds.get(symbol)
    }
}

/// Terms that a product is expanded to, at most; larger ones count as overflow.
const MAX_TERMS: usize = 1 << 14;

impl Dim {
    /// 0.
    pub fn zero() -> Dim {
        Dim::default()
    }

    /// 1.
    pub fn one() -> Dim {
        Dim::constant(1)
    }

    /// The constant `value`.
    pub fn constant(value: i64) -> Dim {
        let mut dim = Dim::default();
        dim.add_term(Vec::new(), value);
        dim
    }

    /// The symbol called `name`.
    pub fn symbol(name: &str) -> Dim {
        Dim::from(&Symbol::new(name))
    }

    fn atom(atom: Atom) -> Dim {
        let mut dim = Dim::default();
        dim.add_term(vec![atom], 1);
        dim
    }

    fn add_term(&mut self, monomial: Monomial, coefficient: i64) {
        let entry = self.terms.entry(monomial).or_insert(0);
        *entry = entry.saturating_add(coefficient);
        if *entry == 0 {
            self.terms.retain(|_, c| *c != 0);
        }
    }

    /// Monomials with their coefficients.
    pub fn terms(&self) -> impl Iterator<Item = (&Monomial, i64)> {
        self.terms.iter().map(|(monomial, coefficient)| (monomial, *coefficient))
    }

    /// The value, if no symbol occurs.
    pub fn as_constant(&self) -> Option<i64> {
        match self.terms.len() {
            0 => Some(0),
            1 => self.terms.get(&Vec::new()).copied(),
            _ => None,
        }
    }

    /// The symbol, if the dim is just one.
    pub fn as_symbol(&self) -> Option<&Symbol> {
        let (monomial, coefficient) = self.terms.iter().next()?;
        match (self.terms.len(), coefficient, monomial.as_slice()) {
            (1, 1, [Atom::Symbol(symbol)]) => Some(symbol),
            _ => None,
        }
    }

    /// Whether arithmetic overflowed on the way here.
    pub fn is_poisoned(&self) -> bool {
        self.terms.values().any(|c| *c == i64::MAX || *c == i64::MIN)
    }

    /// Whether more than `atoms` atoms occur, those inside quotients counted.
    pub fn exceeds(&self, atoms: usize) -> bool {
        let mut left = atoms;
        !self.count_down(&mut left)
    }

    fn count_down(&self, left: &mut usize) -> bool {
        self.terms.keys().flatten().all(|atom| {
            let Some(rest) = left.checked_sub(1) else { return false };
            *left = rest;
            match atom {
                Atom::Symbol(_) => true,
                Atom::Floor(p, q) | Atom::Mod(p, q) | Atom::Max(p, q) | Atom::Min(p, q) => {
                    p.count_down(left) && q.count_down(left)
                }
            }
        })
    }

    /// Whether the constant 1.
    pub fn is_one(&self) -> bool {
        self.as_constant() == Some(1)
    }

    /// Whether the constant 0.
    pub fn is_zero(&self) -> bool {
        self.terms.is_empty()
    }

    /// All symbols that occur, also inside floors and mods.
    pub fn symbols(&self) -> Vec<Symbol> {
        let mut found = Vec::new();
        self.collect_symbols(&mut found);
        found.sort();
        found.dedup();
        found
    }

    fn collect_symbols(&self, found: &mut Vec<Symbol>) {
        for atom in self.terms.keys().flatten() {
            match atom {
                Atom::Symbol(symbol) => found.push(symbol.clone()),
                Atom::Floor(p, q) | Atom::Mod(p, q) | Atom::Max(p, q) | Atom::Min(p, q) => {
                    p.collect_symbols(found);
                    q.collect_symbols(found);
                }
            }
        }
    }

    /// Whether `symbol` occurs.
    pub fn mentions(&self, symbol: &Symbol) -> bool {
        self.symbols().contains(symbol)
    }

    /// The coefficient of `symbol` if the dim is `c * symbol + rest` with `symbol` not in `c` or `rest`.
    pub fn linear_in(&self, symbol: &Symbol) -> Option<(Dim, Dim)> {
        let (mut slope, mut rest) = (Dim::zero(), Dim::zero());
        for (monomial, coefficient) in self.terms() {
            let place = monomial.iter().position(|a| matches!(a, Atom::Symbol(s) if s == symbol));
            let mut cofactor = monomial.clone();
            if let Some(place) = place {
                cofactor.remove(place);
            }
            let mut term = Dim::zero();
            term.add_term(cofactor, coefficient);
            if term.mentions(symbol) {
                return None;
            }
            if place.is_some() {
                slope = &slope + &term;
            } else {
                rest = &rest + &term;
            }
        }
        Some((slope, rest))
    }

    /// `floor(self / divisor)`. Exact where every term divides; otherwise what divides is split off.
    pub fn floor_div(&self, divisor: &Dim) -> Dim {
        self.floor_div_in(divisor, &Ranges::new())
    }

    /// `self mod divisor`, in `0..divisor`.
    pub fn modulo(&self, divisor: &Dim) -> Dim {
        self.modulo_in(divisor, &Ranges::new())
    }

    /// [`Dim::floor_div`] that may use what `ranges` states.
    pub fn floor_div_in(&self, divisor: &Dim, ranges: &Ranges) -> Dim {
        let (quotient, rest) = self.split(divisor);
        if rest.is_zero() || rest.is_within(divisor, ranges) {
            return quotient;
        }
        if let (Some(p), Some(q)) = (rest.as_constant(), divisor.as_constant()) {
            return &quotient + &Dim::constant(p.div_euclid(q.max(1)));
        }
        &quotient + &Dim::atom(Atom::Floor(Arc::new(rest), Arc::new(divisor.clone())))
    }

    /// [`Dim::modulo`] that may use what `ranges` states.
    pub fn modulo_in(&self, divisor: &Dim, ranges: &Ranges) -> Dim {
        let (_, rest) = self.split(divisor);
        if rest.is_zero() || rest.is_within(divisor, ranges) {
            return rest;
        }
        if let (Some(p), Some(q)) = (rest.as_constant(), divisor.as_constant()) {
            return Dim::constant(p.rem_euclid(q.max(1)));
        }
        Dim::atom(Atom::Mod(Arc::new(rest), Arc::new(divisor.clone())))
    }

    /// `ceil(self / divisor)`.
    pub fn ceil_div(&self, divisor: &Dim) -> Dim {
        (&(self + divisor) - &Dim::one()).floor_div(divisor)
    }

    /// The larger of two, resolved where it can be proved.
    pub fn maximum(&self, other: &Dim) -> Dim {
        self.choose(other, Atom::Max, |a, b| a >= b)
    }

    /// The smaller of two, resolved where it can be proved.
    pub fn minimum(&self, other: &Dim) -> Dim {
        self.choose(other, Atom::Min, |a, b| a <= b)
    }

    fn choose(
        &self,
        other: &Dim,
        make: fn(Arc<Dim>, Arc<Dim>) -> Atom,
        first: fn(&i64, &i64) -> bool,
    ) -> Dim {
        if self == other {
            return self.clone();
        }
        let gap = self - other;
        if let Some(gap) = gap.as_constant() {
            return if first(&gap, &0) { self.clone() } else { other.clone() };
        }
        let (low, high) = if self <= other { (self, other) } else { (other, self) };
        Dim::atom(make(Arc::new(low.clone()), Arc::new(high.clone())))
    }

    /// `self = quotient * divisor + rest`, moving every term that divides into the quotient.
    fn split(&self, divisor: &Dim) -> (Dim, Dim) {
        let (mut quotient, mut rest) = (Dim::zero(), Dim::zero());
        let mut left = self.clone();
        // Long division by the leading monomial: serves sums such as (b*T + t) / T and products (h*e) / e.
        let Some((lead, lead_c)) = divisor.terms.iter().next_back().map(|(m, c)| (m.clone(), *c)) else {
            return (quotient, left);
        };
        while let Some((monomial, coefficient)) = left.terms.iter().next_back().map(|(m, c)| (m.clone(), *c))
        {
            let whole = if lead_c == 0 { 0 } else { coefficient.div_euclid(lead_c) };
            let cofactor = remove_factors(&monomial, &lead);
            match cofactor {
                Some(cofactor)
                    if coefficient % lead_c == 0
                        && (divisor.terms.len() == 1
                            || !cofactor.is_empty()
                            || left_covers(&left, divisor, whole)) =>
                {
                    let mut part = Dim::zero();
                    part.add_term(cofactor, whole);
                    left = &left - &(&part * divisor);
                    quotient = &quotient + &part;
                    if left.terms.contains_key(&monomial) {
                        break;
                    }
                }
                Some(cofactor) if cofactor.is_empty() && lead.is_empty() => {
                    // Constants: keep the remainder in 0..divisor.
                    quotient.add_term(Vec::new(), whole);
                    rest.add_term(Vec::new(), coefficient.rem_euclid(lead_c));
                    left.terms.remove(&monomial);
                }
                Some(cofactor) if lead.is_empty() && coefficient.abs() > lead_c.abs() => {
                    // 5x / 4 = x + (x / 4): keeps the atom's coefficient in 0..divisor.
                    let mut part = Dim::zero();
                    part.add_term(cofactor, whole);
                    quotient = &quotient + &part;
                    rest.add_term(monomial.clone(), coefficient.rem_euclid(lead_c));
                    left.terms.remove(&monomial);
                }
                _ => {
                    rest.add_term(monomial.clone(), coefficient);
                    left.terms.remove(&monomial);
                }
            }
        }
        (quotient, rest)
    }

    /// Whether `0 <= self < bound` is proved.
    pub fn is_within(&self, bound: &Dim, ranges: &Ranges) -> bool {
        self.is_at_least(0, ranges) && (&(bound - self) - &Dim::one()).is_at_least(0, ranges)
    }

    /// Whether `self >= value` is proved. Symbols that `ranges` does not bound are taken to be at least 0.
    pub fn is_at_least(&self, value: i64, ranges: &Ranges) -> bool {
        self.lower_bound(ranges).is_some_and(|low| low >= value)
    }

    /// A proved lower bound, if one is found.
    pub fn lower_bound(&self, ranges: &Ranges) -> Option<i64> {
        self.lower(ranges, ranges.order.len(), 8)
    }

    /// A lower bound once the symbols from `left` on are gone. Atoms are replaced before the symbols that they may
    /// mention, `replacements` of them at most.
    fn lower(&self, ranges: &Ranges, left: usize, replacements: usize) -> Option<i64> {
        if replacements > 0 {
            let alternatives = self.lower_by_atom(ranges);
            if !alternatives.is_empty() {
                let bounds = alternatives.iter().map(|dim| dim.lower(ranges, left, replacements - 1));
                return bounds.flatten().max();
            }
        }
        let Some(symbol) = left.checked_sub(1).map(|place| &ranges.order[place]) else {
            return self.lower_without_symbols(ranges);
        };
        let (min, max) = ranges.get(symbol)?;
        self.bound_symbol(symbol, (min, max.as_ref()), ranges)?.lower(ranges, left - 1, replacements)
    }

    fn lower_without_symbols(&self, ranges: &Ranges) -> Option<i64> {
        let mut total = 0i64;
        for (monomial, coefficient) in self.terms() {
            if monomial.is_empty() {
                total = total.checked_add(coefficient)?;
            } else if coefficient < 0 {
                let high = monomial_upper(monomial)?;
                total = total.checked_add(coefficient.checked_mul(high)?)?;
            } else if !monomial.iter().all(|atom| atom_is_natural(atom, ranges)) {
                return None;
            }
        }
        Some(total)
    }

    /// Dims that are smaller, with one atom replaced by something it never exceeds (or falls below).
    fn lower_by_atom(&self, ranges: &Ranges) -> Vec<Dim> {
        for (monomial, coefficient) in self.terms() {
            for (place, atom) in monomial.iter().enumerate() {
                let mut bounds = atom.bounds(coefficient).unwrap_or_default();
                bounds.extend(
                    atom.highest(ranges)
                        .filter(|_| coefficient < 0)
                        .map(|high| &Dim::constant(coefficient) * &high),
                );
                if bounds.is_empty() {
                    continue;
                }
                let mut cofactor = monomial.clone();
                cofactor.remove(place);
                if !cofactor.iter().all(|atom| atom_is_natural(atom, ranges)) {
                    continue;
                }
                let rest = self - &Dim::term(monomial, coefficient);
                let cofactor = Dim::term(&cofactor, 1);
                return bounds.iter().map(|bound| &rest + &(bound * &cofactor)).collect();
            }
        }
        Vec::new()
    }

    /// `coefficient * monomial`; the monomial is sorted.
    pub fn term(monomial: &Monomial, coefficient: i64) -> Dim {
        let mut dim = Dim::zero();
        dim.add_term(monomial.clone(), coefficient);
        dim
    }

    /// Replaces `symbol` by the bound that makes each term smallest.
    fn bound_symbol(
        &self,
        symbol: &Symbol,
        (min, max): (&Dim, Option<&Dim>),
        ranges: &Ranges,
    ) -> Option<Dim> {
        let mut result = Dim::zero();
        for (monomial, coefficient) in self.terms() {
            let mut factor = Dim::constant(coefficient);
            let is_symbol = |atom: &Atom| matches!(atom, Atom::Symbol(s) if s == symbol);
            // The smaller factor makes the smaller product only if the other factors are not negative.
            let others = || monomial.iter().filter(|atom| monomial.len() > 1 || !is_symbol(atom));
            if monomial.iter().any(is_symbol) && !others().all(|atom| atom_is_natural(atom, ranges)) {
                return None;
            }
            for atom in monomial {
                let replaced = match atom {
                    Atom::Symbol(s) if s == symbol && coefficient > 0 => min.clone(),
                    Atom::Symbol(s) if s == symbol => max?.clone(),
                    other => Dim::atom(other.clone()),
                };
                factor = &factor * &replaced;
            }
            result = &result + &factor;
        }
        Some(result)
    }

    /// Replaces symbols by dims, everywhere.
    pub fn substitute(&self, with: &dyn Fn(&Symbol) -> Option<Dim>) -> Dim {
        let mut result = Dim::zero();
        for (monomial, coefficient) in self.terms() {
            let mut factor = Dim::constant(coefficient);
            for atom in monomial {
                factor = &factor * &atom.substitute(with);
            }
            result = &result + &factor;
        }
        result
    }

    /// Normal form again, now knowing `ranges`: floors and mods that are decided disappear.
    pub fn simplify(&self, ranges: &Ranges) -> Dim {
        let mut result = Dim::zero();
        for (monomial, coefficient) in self.terms() {
            let mut factor = Dim::constant(coefficient);
            for atom in monomial {
                let simple = match atom {
                    Atom::Symbol(_) => Dim::atom(atom.clone()),
                    Atom::Floor(p, q) => p.simplify(ranges).floor_div_in(&q.simplify(ranges), ranges),
                    Atom::Mod(p, q) => p.simplify(ranges).modulo_in(&q.simplify(ranges), ranges),
                    Atom::Max(p, q) => p.simplify(ranges).maximum(&q.simplify(ranges)),
                    Atom::Min(p, q) => p.simplify(ranges).minimum(&q.simplify(ranges)),
                };
                factor = &factor * &simple;
            }
            result = &result + &factor;
        }
        result.recombine()
    }

    /// Replaces `q * floor(p, q) + mod(p, q)` by `p`, as long as there are such terms.
    fn recombine(self) -> Dim {
        let whole = self.terms().find_map(|(monomial, c)| self.without_remainder(monomial, c));
        match whole {
            Some(whole) => whole.recombine(),
            None => self,
        }
    }

    /// The dim without this term, if that is a remainder whose quotient is there too.
    fn without_remainder(&self, monomial: &Monomial, coefficient: i64) -> Option<Dim> {
        let (place, p, q) = monomial.iter().enumerate().find_map(|(place, atom)| match atom {
            Atom::Mod(p, q) => Some((place, p, q)),
            _ => None,
        })?;
        let mut cofactor = monomial.clone();
        cofactor.remove(place);
        let cofactor = Dim::term(&cofactor, coefficient);
        let quotient = &cofactor * &(&**q * &Dim::atom(Atom::Floor(p.clone(), q.clone())));
        let is_there = quotient.terms().all(|(monomial, c)| self.terms.get(monomial) == Some(&c));
        is_there.then(|| &(&(self - &Dim::term(monomial, coefficient)) - &quotient) + &(&cofactor * p))
    }

    /// The value, once every symbol has one. `None` if a symbol is unknown, a divisor is not positive or it overflows.
    pub fn evaluate(&self, value: &dyn Fn(&Symbol) -> Option<i64>) -> Option<i64> {
        let mut total = 0i64;
        for (monomial, coefficient) in self.terms() {
            let mut product = coefficient;
            for atom in monomial {
                product = product.checked_mul(atom.evaluate(value)?)?;
            }
            total = total.checked_add(product)?;
        }
        Some(total)
    }
}

impl Atom {
    /// Dims that `coefficient * self` is never below.
    fn bounds(&self, coefficient: i64) -> Option<Vec<Dim>> {
        let times = |dim: &Dim| &Dim::constant(coefficient) * dim;
        match self {
            Atom::Min(p, q) if coefficient < 0 => Some(vec![times(p), times(q)]),
            Atom::Max(p, q) if coefficient > 0 => Some(vec![times(p), times(q)]),
            Atom::Mod(_, q) if coefficient < 0 && q.as_constant().is_none() => {
                Some(vec![times(&(&**q - &Dim::one()))])
            }
            Atom::Floor(p, q) if coefficient < 0 => {
                let divisor = q.as_constant().filter(|divisor| *divisor > 0 && coefficient % divisor == 0)?;
                Some(vec![&Dim::constant(coefficient / divisor) * p])
            }
            _ => None,
        }
    }

    /// The largest value of `floor(s / q)` for a symbol `s` with a stated range.
    fn highest(&self, ranges: &Ranges) -> Option<Dim> {
        let Atom::Floor(p, q) = self else { return None };
        let (_, max) = ranges.get(p.as_symbol()?)?;
        let count = max.as_ref()? + &Dim::one();
        let (quotient, rest) = count.split(q);
        match (rest.is_zero(), count.as_constant(), q.as_constant()) {
            (true, _, _) => Some(&quotient - &Dim::one()),
            (_, Some(count), Some(q)) if q > 0 => Some(Dim::constant((count - 1).div_euclid(q))),
            _ => None,
        }
    }

    fn substitute(&self, with: &dyn Fn(&Symbol) -> Option<Dim>) -> Dim {
        match self {
            Atom::Symbol(symbol) => with(symbol).unwrap_or_else(|| Dim::atom(self.clone())),
            Atom::Floor(p, q) => p.substitute(with).floor_div(&q.substitute(with)),
            Atom::Mod(p, q) => p.substitute(with).modulo(&q.substitute(with)),
            Atom::Max(p, q) => p.substitute(with).maximum(&q.substitute(with)),
            Atom::Min(p, q) => p.substitute(with).minimum(&q.substitute(with)),
        }
    }

    fn evaluate(&self, value: &dyn Fn(&Symbol) -> Option<i64>) -> Option<i64> {
        let pair = |p: &Dim, q: &Dim| Some((p.evaluate(value)?, q.evaluate(value)?));
        match self {
            Atom::Symbol(symbol) => value(symbol),
            Atom::Floor(p, q) => pair(p, q).filter(|(_, q)| *q > 0).map(|(p, q)| p.div_euclid(q)),
            Atom::Mod(p, q) => pair(p, q).filter(|(_, q)| *q > 0).map(|(p, q)| p.rem_euclid(q)),
            Atom::Max(p, q) => pair(p, q).map(|(p, q)| p.max(q)),
            Atom::Min(p, q) => pair(p, q).map(|(p, q)| p.min(q)),
        }
    }
}

/// `monomial / factors`, if every factor occurs.
fn remove_factors(monomial: &Monomial, factors: &Monomial) -> Option<Monomial> {
    let mut left = monomial.clone();
    for factor in factors {
        let place = left.iter().position(|atom| atom == factor)?;
        left.remove(place);
    }
    Some(left)
}

/// Whether `left - whole * divisor` keeps no term of the divisor: an exact multiple of a sum, such as (2T + 2) / (T + 1).
fn left_covers(left: &Dim, divisor: &Dim, whole: i64) -> bool {
    let rest = left - &(&Dim::constant(whole) * divisor);
    divisor.terms.keys().all(|monomial| !rest.terms.contains_key(monomial))
}

fn atom_is_natural(atom: &Atom, ranges: &Ranges) -> bool {
    match atom {
        Atom::Symbol(symbol) => ranges.get(symbol).is_none_or(|(min, _)| min.is_at_least(0, &Ranges::new())),
        Atom::Mod(..) => true,
        Atom::Floor(p, _) => p.is_at_least(0, ranges),
        Atom::Max(p, q) => p.is_at_least(0, ranges) || q.is_at_least(0, ranges),
        Atom::Min(p, q) => p.is_at_least(0, ranges) && q.is_at_least(0, ranges),
    }
}

/// An upper bound of a monomial that is made of mods by constants.
fn monomial_upper(monomial: &Monomial) -> Option<i64> {
    let mut product = 1i64;
    for atom in monomial {
        let Atom::Mod(_, q) = atom else { return None };
        product = product.checked_mul(q.as_constant()? - 1)?;
    }
    Some(product)
}

impl From<&Symbol> for Dim {
    fn from(symbol: &Symbol) -> Dim {
        Dim::atom(Atom::Symbol(symbol.clone()))
    }
}

impl From<i64> for Dim {
    fn from(value: i64) -> Dim {
        Dim::constant(value)
    }
}

impl From<usize> for Dim {
    fn from(value: usize) -> Dim {
        Dim::constant(value as i64)
    }
}

impl Add for &Dim {
    type Output = Dim;
    fn add(self, other: &Dim) -> Dim {
        let mut sum = self.clone();
        for (monomial, coefficient) in other.terms() {
            sum.add_term(monomial.clone(), coefficient);
        }
        sum
    }
}

impl Sub for &Dim {
    type Output = Dim;
    fn sub(self, other: &Dim) -> Dim {
        self + &-other
    }
}

impl Neg for &Dim {
    type Output = Dim;
    fn neg(self) -> Dim {
        Dim { terms: self.terms.iter().map(|(m, c)| (m.clone(), c.saturating_neg())).collect() }
    }
}

impl Mul for &Dim {
    type Output = Dim;
    fn mul(self, other: &Dim) -> Dim {
        if self.terms.len().saturating_mul(other.terms.len()) > MAX_TERMS {
            return Dim::constant(i64::MAX);
        }
        let mut product = Dim::zero();
        for (a, x) in self.terms() {
            for (b, y) in other.terms() {
                let mut monomial = [a.as_slice(), b.as_slice()].concat();
                monomial.sort();
                product.add_term(monomial, x.saturating_mul(y));
            }
        }
        product
    }
}

macro_rules! owned {
    ($($op:ident $method:ident),*) => {$(
        impl $op for Dim {
            type Output = Dim;
            fn $method(self, other: Dim) -> Dim { (&self).$method(&other) }
        }
        impl $op<&Dim> for Dim {
            type Output = Dim;
            fn $method(self, other: &Dim) -> Dim { (&self).$method(other) }
        }
    )*};
}
owned!(Add add, Sub sub, Mul mul);

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.terms.is_empty() {
            return f.write_str("0");
        }
        // Constants last: `T + 1`, not `1 + T`.
        let ordered =
            self.terms.iter().filter(|(m, _)| !m.is_empty()).chain(self.terms.get_key_value(&Vec::new()));
        for (place, (monomial, coefficient)) in ordered.enumerate() {
            let sign = match (place, *coefficient < 0) {
                (0, false) => "",
                (0, true) => "-",
                (_, false) => " + ",
                (_, true) => " - ",
            };
            f.write_str(sign)?;
            let size = coefficient.unsigned_abs();
            if size != 1 || monomial.is_empty() {
                write!(f, "{size}")?;
                if !monomial.is_empty() {
                    f.write_str(" * ")?;
                }
            }
            for (place, atom) in monomial.iter().enumerate() {
                if place > 0 {
                    f.write_str(" * ")?;
                }
                write!(f, "{atom}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Atom::Symbol(symbol) => write!(f, "{symbol}"),
            Atom::Floor(p, q) => write!(f, "floor({p}, {q})"),
            Atom::Mod(p, q) => write!(f, "mod({p}, {q})"),
            Atom::Max(p, q) => write!(f, "max({p}, {q})"),
            Atom::Min(p, q) => write!(f, "min({p}, {q})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(name: &str) -> Dim {
        Dim::symbol(name)
    }

    #[test]
    fn merged_index_splits_again() {
        let mut ranges = Ranges::new();
        ranges.state(Symbol::new("T"), Dim::one(), None);
        ranges.counter(&Symbol::new("t"), &s("T"));
        let flat = s("b") * s("T") + s("t");
        assert_eq!(flat.floor_div_in(&s("T"), &ranges), s("b"));
        assert_eq!(flat.modulo_in(&s("T"), &ranges), s("t"));
    }

    #[test]
    fn constants_divide_exactly() {
        let d = Dim::constant(8) * s("h") + Dim::constant(13);
        assert_eq!(d.floor_div(&Dim::constant(4)), Dim::constant(2) * s("h") + Dim::constant(3));
        assert_eq!(d.modulo(&Dim::constant(4)), Dim::one());
        assert_eq!((s("g") * s("e")).floor_div(&s("e")), s("g"));
    }

    #[test]
    fn floor_agrees_with_values() {
        let p = Dim::constant(5) * s("x") + Dim::constant(-7) * s("y") + Dim::constant(3);
        let q = Dim::constant(4);
        for (x, y) in [(0, 0), (3, 1), (2, 9), (7, 7)] {
            let value = |n: &Symbol| Some(if &*n.0 == "x" { x } else { y });
            let whole = 5 * x - 7 * y + 3;
            assert_eq!(p.floor_div(&q).evaluate(&value), Some(whole.div_euclid(4)));
            assert_eq!(p.modulo(&q).evaluate(&value), Some(whole.rem_euclid(4)));
        }
    }

    #[test]
    fn quotient_and_remainder_make_the_whole() {
        let ranges = Ranges::new();
        let (place, b, c) = (s("x") + s("y"), s("b"), s("c"));
        let inner = place.modulo(&(&b * &c));
        let outer = place.floor_div(&(&b * &c));
        let index = outer * (&b * &c) + inner.floor_div(&c) * &c + inner.modulo(&c);
        assert_ne!(index, place);
        assert_eq!(index.simplify(&ranges), place);
    }

    #[test]
    fn bounds_see_through_minima_floors_and_mods() {
        let mut ranges = Ranges::new();
        let (n, tile) = (s("n"), Dim::constant(64));
        ranges.state(Symbol::new("n"), Dim::one(), None);
        ranges.counter(&Symbol::new("t"), &n.ceil_div(&tile));
        let start = &tile * &s("t");
        ranges.counter(&Symbol::new("i"), &tile.minimum(&(&n - &start)));
        assert!((&start + &s("i")).is_within(&n, &ranges));
        assert!(!(&start + &s("i")).is_within(&(&n - &Dim::one()), &ranges));

        ranges.counter(
            &Symbol::new("w"),
            &((&n - &Dim::constant(3)).floor_div(&Dim::constant(2)) + Dim::one()),
        );
        ranges.counter(&Symbol::new("a"), &Dim::constant(3));
        let place = Dim::constant(2) * s("w") + s("a");
        assert!(place.is_within(&n, &ranges));
        assert!(!(place + Dim::one()).is_within(&n, &ranges));

        let turned = s("x").modulo(&n) * s("c") + s("y").modulo(&s("c"));
        ranges.state(Symbol::new("c"), Dim::one(), None);
        assert!(turned.is_within(&(&n * &s("c")), &ranges));
    }

    #[test]
    fn bounds_use_the_range_of_loop_counters() {
        let mut ranges = Ranges::new();
        ranges.counter(&Symbol::new("i"), &Dim::constant(64));
        ranges.counter(&Symbol::new("j"), &Dim::constant(2));
        let index = Dim::constant(2) * s("i") + s("j");
        assert!(index.is_within(&Dim::constant(128), &ranges));
        assert!(!index.is_within(&Dim::constant(127), &ranges));
    }
}
