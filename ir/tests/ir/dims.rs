//! Normal forms of sizes mean what was written, and their bounds hold.

use nnc_ir::text::Field;
use nnc_ir::text::Reader;
use nnc_ir::{Dim, Ranges, Symbol};
use proptest::prelude::*;

/// A size as written.
#[derive(Clone, Debug)]
enum Written {
    Number(i64),
    Symbol(usize),
    Add(Box<Written>, Box<Written>),
    Sub(Box<Written>, Box<Written>),
    Mul(Box<Written>, Box<Written>),
    Floor(Box<Written>, Box<Written>),
    Mod(Box<Written>, Box<Written>),
    Max(Box<Written>, Box<Written>),
    Min(Box<Written>, Box<Written>),
}

/// Names and ranges of the symbols.
const SYMBOLS: [(&str, i64, i64); 4] = [("a", 1, 5), ("b", 1, 9), ("i", 0, 3), ("j", 0, 6)];

impl Written {
    fn dim(&self, ranges: &Ranges) -> Dim {
        let pair = |p: &Written, q: &Written| (p.dim(ranges), q.dim(ranges));
        match self {
            Written::Number(value) => Dim::constant(*value),
            Written::Symbol(place) => Dim::symbol(SYMBOLS[*place].0),
            Written::Add(p, q) => p.dim(ranges) + q.dim(ranges),
            Written::Sub(p, q) => p.dim(ranges) - q.dim(ranges),
            Written::Mul(p, q) => p.dim(ranges) * q.dim(ranges),
            Written::Floor(p, q) => pair(p, q).0.floor_div_in(&pair(p, q).1, ranges),
            Written::Mod(p, q) => pair(p, q).0.modulo_in(&pair(p, q).1, ranges),
            Written::Max(p, q) => pair(p, q).0.maximum(&pair(p, q).1),
            Written::Min(p, q) => pair(p, q).0.minimum(&pair(p, q).1),
        }
    }

    /// The value; `None` where a divisor is not positive.
    fn value(&self, symbols: &[i64; 4]) -> Option<i64> {
        let pair = |p: &Written, q: &Written| Some((p.value(symbols)?, q.value(symbols)?));
        match self {
            Written::Number(value) => Some(*value),
            Written::Symbol(place) => Some(symbols[*place]),
            Written::Add(p, q) => pair(p, q).map(|(p, q)| p + q),
            Written::Sub(p, q) => pair(p, q).map(|(p, q)| p - q),
            Written::Mul(p, q) => pair(p, q).map(|(p, q)| p * q),
            Written::Floor(p, q) => pair(p, q).filter(|(_, q)| *q > 0).map(|(p, q)| p.div_euclid(q)),
            Written::Mod(p, q) => pair(p, q).filter(|(_, q)| *q > 0).map(|(p, q)| p.rem_euclid(q)),
            Written::Max(p, q) => pair(p, q).map(|(p, q)| p.max(q)),
            Written::Min(p, q) => pair(p, q).map(|(p, q)| p.min(q)),
        }
    }
}

fn divisor() -> impl Strategy<Value = Written> + Clone {
    let symbol = (0usize..2).prop_map(|place| Box::new(Written::Symbol(place)));
    prop_oneof![
        (1i64..9).prop_map(Written::Number),
        (0usize..2).prop_map(Written::Symbol),
        (symbol.clone(), symbol.clone()).prop_map(|(p, q)| Written::Mul(p, q)),
        (symbol, 1i64..4).prop_map(|(p, n)| Written::Add(p, Box::new(Written::Number(n)))),
    ]
}

fn written() -> impl Strategy<Value = Written> {
    let leaf = prop_oneof![(-6i64..7).prop_map(Written::Number), (0usize..4).prop_map(Written::Symbol)];
    leaf.prop_recursive(5, 24, 2, |inner| {
        let pair = (inner.clone().prop_map(Box::new), inner.clone().prop_map(Box::new));
        let divided = (inner.prop_map(Box::new), divisor().prop_map(Box::new));
        prop_oneof![
            3 => pair.clone().prop_map(|(p, q)| Written::Add(p, q)),
            2 => pair.clone().prop_map(|(p, q)| Written::Sub(p, q)),
            2 => pair.clone().prop_map(|(p, q)| Written::Mul(p, q)),
            2 => divided.clone().prop_map(|(p, q)| Written::Floor(p, q)),
            2 => divided.prop_map(|(p, q)| Written::Mod(p, q)),
            1 => pair.clone().prop_map(|(p, q)| Written::Max(p, q)),
            1 => pair.prop_map(|(p, q)| Written::Min(p, q)),
        ]
    })
}

fn ranges() -> Ranges {
    let mut ranges = Ranges::new();
    for (name, min, max) in SYMBOLS {
        ranges.state(Symbol::new(name), Dim::constant(min), Some(Dim::constant(max)));
    }
    ranges
}

/// Some points of the box, corners included.
fn points() -> Vec<[i64; 4]> {
    let mut points = vec![[0; 4]];
    for (axis, (_, min, max)) in SYMBOLS.iter().enumerate() {
        let values = [*min, (min + max) / 2, *max];
        points = points
            .iter()
            .flat_map(|p| {
                values.map(|v| {
                    let mut p = *p;
                    p[axis] = v;
                    p
                })
            })
            .collect();
    }
    points
}

fn value_at(dim: &Dim, point: &[i64; 4]) -> Option<i64> {
    dim.evaluate(&|symbol| {
        SYMBOLS.iter().position(|(name, ..)| *name == &*symbol.0).map(|place| point[place])
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn normal_forms_keep_the_value(written in written()) {
        let plain = written.dim(&Ranges::new());
        let ranged = written.dim(&ranges());
        let simple = plain.simplify(&ranges());
        for point in points() {
            let Some(value) = written.value(&point) else { continue };
            prop_assert_eq!(value_at(&plain, &point), Some(value), "{} at {:?}", plain, point);
            prop_assert_eq!(value_at(&ranged, &point), Some(value), "{} at {:?}", ranged, point);
            prop_assert_eq!(value_at(&simple, &point), Some(value), "{} at {:?}", simple, point);
        }
    }

    #[test]
    fn bounds_hold(written in written()) {
        let dim = written.dim(&ranges());
        if let Some(low) = dim.lower_bound(&ranges()) {
            for point in points() {
                let value = value_at(&dim, &point);
                prop_assert!(value.is_none_or(|value| value >= low), "{} is {:?} at {:?}, not {}", dim, value, point, low);
            }
        }
    }

    #[test]
    fn texts_come_back(written in written()) {
        let dim = written.dim(&Ranges::new());
        let mut reader = Reader::new(&dim.to_string()).unwrap();
        prop_assert_eq!(Dim::read(&mut reader), Ok(dim));
    }
}
