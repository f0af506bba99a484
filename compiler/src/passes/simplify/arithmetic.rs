//! Equations of scalars, elementwise.

use super::{Rule, Site, when};
use nnc_ir::ops::{Cast, Op};
use nnc_ir::{DType, Value, ops};

pub(super) const RULES: &[Rule] = &[
    Rule { name: "add-zero", about: "x + 0 = x", apply: add_zero },
    Rule { name: "sub-zero", about: "x - 0 = x, 0 - x = -x", apply: sub_zero },
    Rule { name: "add-negative", about: "x + -y = x - y, -x + y = y - x", apply: add_negative },
    Rule { name: "sub-negative", about: "x - -y = x + y", apply: sub_negative },
    Rule { name: "sub-self", about: "x - x = 0, of integers", apply: sub_self },
    Rule { name: "mul-one", about: "x * 1 = x", apply: mul_one },
    Rule { name: "mul-minus-one", about: "x * -1 = -x", apply: mul_minus_one },
    Rule { name: "mul-zero", about: "x * 0 = 0, of integers", apply: mul_zero },
    Rule { name: "mul-negatives", about: "-x * -y = x * y", apply: mul_negatives },
    Rule { name: "scale-negative", about: "-x * c = x * -c", apply: scale_negative },
    Rule { name: "scale-scale", about: "x * c * d = x * (c * d), c or d a power of two", apply: scale_scale },
    Rule { name: "div-one", about: "x / 1 = x", apply: div_one },
    Rule { name: "div-power", about: "x / c = x * (1 / c), c a power of two", apply: div_power },
    Rule { name: "neg-neg", about: "-(-x) = x", apply: neg_neg },
    Rule { name: "not-not", about: "not not x = x", apply: not_not },
    Rule { name: "pow-constant", about: "x ^ 1 = x, x ^ 2 = x * x, x ^ -1 = 1 / x", apply: pow_constant },
    Rule { name: "extreme-self", about: "min(x, x) = max(x, x) = x", apply: extreme_self },
    Rule {
        name: "logic",
        about: "x and x = x, x and true = x, x and false = false, and so for or",
        apply: logic,
    },
    Rule { name: "compare-self", about: "x == x, x < x, of integers", apply: compare_self },
    Rule { name: "select-known", about: "select(true, x, y) = x, select(c, x, x) = x", apply: select_known },
    Rule { name: "select-not", about: "select(not c, x, y) = select(c, y, x)", apply: select_not },
    Rule { name: "cast-same", about: "a cast to the type that is there", apply: cast_same },
    Rule {
        name: "cast-through",
        about: "cast by way of a type that holds every number",
        apply: cast_through,
    },
];

fn add_zero(site: &mut Site) -> Option<Value> {
    when!(site, Add);
    site.beside(0.0)
}

fn sub_zero(site: &mut Site) -> Option<Value> {
    when!(site, Sub);
    let (x, y) = (site.operand(0), site.operand(1));
    if site.is(y, 0.0) {
        return Some(x);
    }
    let signed = site.dtype().is_float() || site.dtype() == DType::I32;
    (signed && site.is(x, 0.0)).then(|| site.b.neg(y))
}

fn add_negative(site: &mut Site) -> Option<Value> {
    when!(site, Add);
    let (x, y) = (site.operand(0), site.operand(1));
    match (site.negated(x), site.negated(y)) {
        (_, Some(y)) => Some(site.b.sub(x, y)),
        (Some(x), None) => Some(site.b.sub(y, x)),
        _ => None,
    }
}

fn sub_negative(site: &mut Site) -> Option<Value> {
    when!(site, Sub);
    let y = site.negated(site.operand(1))?;
    Some(site.b.add(site.operand(0), y))
}

fn sub_self(site: &mut Site) -> Option<Value> {
    when!(site, Sub);
    let same = site.dtype().is_int() && site.operand(0) == site.operand(1);
    same.then(|| site.b.fill_like(0.0, site.operand(0)))
}

fn mul_one(site: &mut Site) -> Option<Value> {
    when!(site, Mul);
    site.beside(1.0)
}

fn mul_minus_one(site: &mut Site) -> Option<Value> {
    when!(site, Mul);
    let x = site.beside(-1.0)?;
    Some(site.b.neg(x))
}

fn mul_zero(site: &mut Site) -> Option<Value> {
    when!(site, Mul);
    let x = site.beside(0.0).filter(|_| site.dtype().is_int())?;
    Some(site.b.fill_like(0.0, x))
}

fn mul_negatives(site: &mut Site) -> Option<Value> {
    when!(site, Mul);
    let (x, y) = (site.negated(site.operand(0))?, site.negated(site.operand(1))?);
    Some(site.b.mul(x, y))
}

fn scale_negative(site: &mut Site) -> Option<Value> {
    when!(site, Mul);
    let (x, factor) = scaled(site, site.node.operands.as_slice())?;
    let x = site.negated(x)?;
    Some(site.b.scale(x, -factor))
}

/// `x` and `c` of `x * c`.
fn scaled(site: &Site, operands: &[Value]) -> Option<(Value, f64)> {
    match (site.constant(operands[0]), site.constant(operands[1])) {
        (None, Some(factor)) => Some((operands[0], factor)),
        (Some(factor), None) => Some((operands[1], factor)),
        _ => None,
    }
}

fn scale_scale(site: &mut Site) -> Option<Value> {
    when!(site, Mul);
    let (inner, outer_factor) = scaled(site, &site.node.operands)?;
    let maker = site.maker(inner).filter(|maker| matches!(maker.op, Op::Mul(_)))?;
    let (x, factor) = scaled(site, &maker.operands)?;
    let exact = power_of_two(factor) || power_of_two(outer_factor);
    let product = factor * outer_factor;
    (exact && site.dtype().is_float() && usual(product)).then(|| site.b.scale(x, product))
}

fn div_one(site: &mut Site) -> Option<Value> {
    when!(site, Div);
    site.is(site.operand(1), 1.0).then(|| site.operand(0))
}

fn div_power(site: &mut Site) -> Option<Value> {
    when!(site, Div);
    let divisor = site.constant(site.operand(1))?;
    let exact = site.dtype().is_float() && power_of_two(divisor);
    exact.then(|| site.b.scale(site.operand(0), 1.0 / divisor))
}

/// Whether `x` is a power of two with an inverse in every float type.
fn power_of_two(x: f64) -> bool {
    let fraction = x.to_bits() & ((1 << 52) - 1);
    fraction == 0 && usual(x)
}

/// Whether `x` is far from the ends of the smallest float type.
fn usual(x: f64) -> bool {
    (1.0 / 1024.0..=1024.0).contains(&x.abs())
}

fn neg_neg(site: &mut Site) -> Option<Value> {
    when!(site, Neg);
    site.negated(site.operand(0))
}

fn not_not(site: &mut Site) -> Option<Value> {
    when!(site, Not);
    let maker = site.maker(site.operand(0))?;
    matches!(maker.op, Op::Not(_)).then(|| maker.operands[0])
}

fn pow_constant(site: &mut Site) -> Option<Value> {
    when!(site, Pow);
    let x = site.operand(0);
    match site.constant(site.operand(1))? {
        1.0 => Some(x),
        2.0 => Some(site.b.mul(x, x)),
        -1.0 => {
            let one = site.b.fill_like(1.0, x);
            Some(site.b.div(one, x))
        }
        _ => None,
    }
}

fn extreme_self(site: &mut Site) -> Option<Value> {
    let extreme = matches!(site.node.op, Op::Minimum(_) | Op::Maximum(_));
    (extreme && site.operand(0) == site.operand(1)).then(|| site.operand(0))
}

fn logic(site: &mut Site) -> Option<Value> {
    let (neutral, absorbing) = match site.node.op {
        Op::And(_) => (1.0, 0.0),
        Op::Or(_) => (0.0, 1.0),
        _ => return None,
    };
    if site.operand(0) == site.operand(1) {
        return Some(site.operand(0));
    }
    if site.dtype() != DType::Bool {
        return None;
    }
    if site.beside(absorbing).is_some() {
        return Some(site.b.fill_like(absorbing, site.operand(0)));
    }
    site.beside(neutral)
}

fn compare_self(site: &mut Site) -> Option<Value> {
    let op = when!(site, Compare);
    let x = site.operand(0);
    if x != site.operand(1) || site.b.ty(x).dtype.is_float() {
        return None;
    }
    let truth = f64::from(op.kind.apply(0.0, 0.0));
    Some(site.b.fill_like(truth, site.node.result()))
}

fn select_known(site: &mut Site) -> Option<Value> {
    when!(site, Select);
    if site.operand(1) == site.operand(2) {
        return Some(site.operand(1));
    }
    let holds = site.constant(site.operand(0))? != 0.0;
    Some(site.operand(if holds { 1 } else { 2 }))
}

fn select_not(site: &mut Site) -> Option<Value> {
    when!(site, Select);
    let maker = site.maker(site.operand(0)).filter(|maker| matches!(maker.op, Op::Not(_)))?;
    Some(site.b.apply(ops::Select, &[maker.operands[0], site.operand(2), site.operand(1)]))
}

fn cast_same(site: &mut Site) -> Option<Value> {
    let op = when!(site, Cast);
    (site.b.ty(site.operand(0)).dtype == op.dtype).then(|| site.operand(0))
}

fn cast_through(site: &mut Site) -> Option<Value> {
    let op = when!(site, Cast);
    let maker = site.maker(site.operand(0)).filter(|maker| matches!(maker.op, Op::Cast(_)))?;
    let x = maker.operands[0];
    let (from, middle) = (site.b.ty(x).dtype, site.b.ty(site.operand(0)).dtype);
    holds(middle, from).then(|| site.b.apply(Cast { dtype: op.dtype }, &[x]))
}

/// Whether `wide` has every number of `narrow`.
fn holds(wide: DType, narrow: DType) -> bool {
    match wide {
        DType::F64 => true,
        DType::F32 => matches!(narrow, DType::Bf16 | DType::F16 | DType::U8 | DType::Bool),
        DType::I32 | DType::U32 => matches!(narrow, DType::U8 | DType::Bool),
        DType::U8 | DType::F16 | DType::Bf16 => narrow == DType::Bool,
        DType::Bool => false,
    }
}
