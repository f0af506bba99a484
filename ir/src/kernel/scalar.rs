//! Scalar functions: one table for the reference evaluation and for all printers.

use super::{half, special};
use crate::DType;
use crate::ops::Fold;
use serde::{Deserialize, Serialize};

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Compare {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

impl Compare {
    /// Every comparison.
    pub const ALL: [Compare; 6] = [
        Compare::Equal,
        Compare::NotEqual,
        Compare::Less,
        Compare::LessEqual,
        Compare::Greater,
        Compare::GreaterEqual,
    ];

    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            Compare::Equal => "==",
            Compare::NotEqual => "!=",
            Compare::Less => "<",
            Compare::LessEqual => "<=",
            Compare::Greater => ">",
            Compare::GreaterEqual => ">=",
        }
    }

    /// The truth of it; false for NaN but for `!=`.
    pub fn apply(self, a: f64, b: f64) -> bool {
        match self {
            Compare::Equal => a == b,
            Compare::NotEqual => a != b,
            Compare::Less => a < b,
            Compare::LessEqual => a <= b,
            Compare::Greater => a > b,
            Compare::GreaterEqual => a >= b,
        }
    }
}

/// A function of scalars. Operands of binary functions have one type; `Compare` gives `Bool`, `Select` takes
/// (`Bool`, x, x), `Cast` and `Bitcast` change the type; every other result has the operands' type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scalar {
    /// `a + b`; integers wrap.
    Add,
    /// `a - b`; integers wrap.
    Sub,
    /// `a * b`; integers wrap.
    Mul,
    /// `a / b`; integers round down, and give 0 for b = 0.
    Div,
    /// Remainder of the sign of `b` (`a - b * floor(a / b)`); 0 for integer b = 0.
    Rem,
    /// The smaller; NaN if either is.
    Min,
    /// The larger; NaN if either is.
    Max,
    /// `a ^ b`.
    Pow,
    /// `-a`.
    Neg,
    /// `|a|`.
    Abs,
    /// -1, 0 or 1; NaN stays.
    Sign,
    /// e^a.
    Exp,
    /// Natural logarithm.
    Log,
    /// e^a - 1.
    Expm1,
    /// log(1 + a).
    Log1p,
    /// Square root.
    Sqrt,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// Hyperbolic tangent.
    Tanh,
    /// Error function.
    Erf,
    /// Round down.
    Floor,
    /// Round to nearest, ties to even.
    Round,
    /// log |gamma(a)|.
    Lgamma,
    /// Derivative of lgamma.
    Digamma,
    /// Comparison.
    Compare(Compare),
    /// Bitwise and; logical for `Bool`.
    And,
    /// Bitwise or; logical for `Bool`.
    Or,
    /// Bitwise exclusive or.
    Xor,
    /// Complement; logical for `Bool`.
    Not,
    /// Shift left; the count is taken modulo 32.
    Shl,
    /// Shift right: arithmetic for `I32`, logical for `U32`.
    Shr,
    /// Number of one bits.
    Popcount,
    /// `b` where `a`, else `c`.
    Select,
    /// Conversion: float to int truncates toward zero and saturates (NaN gives 0); to `Bool` is `!= 0`.
    Cast(DType),
    /// The same bits as another type of the same size.
    Bitcast(DType),
}

/// The value of `x` as an element of `dtype`: integers wrap, booleans are `!= 0`.
pub fn wrap(x: i64, dtype: DType) -> f64 {
    match dtype {
        DType::I32 => f64::from(x as i32),
        DType::U32 => f64::from(x as u32),
        DType::U8 => f64::from(x as u8),
        DType::Bool => f64::from(x != 0),
        _ => x as f64,
    }
}

impl Scalar {
    /// Every function without parameters.
    pub const PLAIN: [Scalar; 31] = [
        Scalar::Add,
        Scalar::Sub,
        Scalar::Mul,
        Scalar::Div,
        Scalar::Rem,
        Scalar::Min,
        Scalar::Max,
        Scalar::Pow,
        Scalar::Neg,
        Scalar::Abs,
        Scalar::Sign,
        Scalar::Exp,
        Scalar::Log,
        Scalar::Expm1,
        Scalar::Log1p,
        Scalar::Sqrt,
        Scalar::Sin,
        Scalar::Cos,
        Scalar::Tanh,
        Scalar::Erf,
        Scalar::Floor,
        Scalar::Round,
        Scalar::Lgamma,
        Scalar::Digamma,
        Scalar::And,
        Scalar::Or,
        Scalar::Xor,
        Scalar::Not,
        Scalar::Shl,
        Scalar::Shr,
        Scalar::Popcount,
    ];

    /// Name in the kernel text; parameters (`Compare`, `Cast`, `Bitcast`) are printed beside it.
    pub fn name(self) -> &'static str {
        match self {
            Scalar::Add => "add",
            Scalar::Sub => "sub",
            Scalar::Mul => "mul",
            Scalar::Div => "div",
            Scalar::Rem => "rem",
            Scalar::Min => "min",
            Scalar::Max => "max",
            Scalar::Pow => "pow",
            Scalar::Neg => "neg",
            Scalar::Abs => "abs",
            Scalar::Sign => "sign",
            Scalar::Exp => "exp",
            Scalar::Log => "log",
            Scalar::Expm1 => "expm1",
            Scalar::Log1p => "log1p",
            Scalar::Sqrt => "sqrt",
            Scalar::Sin => "sin",
            Scalar::Cos => "cos",
            Scalar::Tanh => "tanh",
            Scalar::Erf => "erf",
            Scalar::Floor => "floor",
            Scalar::Round => "round",
            Scalar::Lgamma => "lgamma",
            Scalar::Digamma => "digamma",
            Scalar::Compare(_) => "compare",
            Scalar::And => "and",
            Scalar::Or => "or",
            Scalar::Xor => "xor",
            Scalar::Not => "not",
            Scalar::Shl => "shl",
            Scalar::Shr => "shr",
            Scalar::Popcount => "popcount",
            Scalar::Select => "select",
            Scalar::Cast(_) => "cast",
            Scalar::Bitcast(_) => "bitcast",
        }
    }

    /// Number of operands.
    pub fn arity(self) -> usize {
        match self {
            Scalar::Add | Scalar::Sub | Scalar::Mul | Scalar::Div | Scalar::Rem => 2,
            Scalar::Min | Scalar::Max | Scalar::Pow | Scalar::Compare(_) => 2,
            Scalar::And | Scalar::Or | Scalar::Xor | Scalar::Shl | Scalar::Shr => 2,
            Scalar::Select => 3,
            _ => 1,
        }
    }

    /// Whether it takes operands of this element type (as the last one, for `Select`).
    pub fn accepts(self, dtype: DType) -> bool {
        match self {
            Scalar::Add | Scalar::Sub | Scalar::Mul | Scalar::Div | Scalar::Rem => dtype != DType::Bool,
            Scalar::Min | Scalar::Max => dtype != DType::Bool,
            Scalar::Neg | Scalar::Abs | Scalar::Sign => dtype.is_float() || dtype == DType::I32,
            Scalar::And | Scalar::Or | Scalar::Xor | Scalar::Not => !dtype.is_float(),
            Scalar::Shl | Scalar::Shr | Scalar::Popcount => matches!(dtype, DType::I32 | DType::U32),
            Scalar::Compare(_) | Scalar::Select | Scalar::Cast(_) => true,
            Scalar::Bitcast(to) => to.size() == dtype.size(),
            _ => dtype.is_float(),
        }
    }

    /// The element type of the result, for operands of `dtype` (of the last one, for `Select`).
    pub fn result(self, dtype: DType) -> DType {
        match self {
            Scalar::Compare(_) => DType::Bool,
            Scalar::Cast(to) | Scalar::Bitcast(to) => to,
            _ => dtype,
        }
    }

    /// The value in float64; floats are not rounded, integers wrap. `dtype` is the operands' element type (the last
    /// one's, for `Select`). Missing operands count as NaN.
    pub fn evaluate(self, operands: &[f64], dtype: DType) -> f64 {
        let operand = |place: usize| operands.get(place).copied().unwrap_or(f64::NAN);
        let [a, b, c] = [operand(0), operand(1), operand(2)];
        match self {
            Scalar::Compare(kind) => f64::from(kind.apply(a, b)),
            Scalar::Select => {
                if a != 0.0 {
                    b
                } else {
                    c
                }
            }
            Scalar::Cast(to) => cast(a, dtype, to),
            Scalar::Bitcast(to) => from_bits(to_bits(a, dtype), to),
            Scalar::Min => Fold::Min.apply(a, b),
            Scalar::Max => Fold::Max.apply(a, b),
            Scalar::Sign if a.is_nan() || a == 0.0 => a,
            Scalar::Sign => a.signum(),
            _ if dtype.is_float() => self.of_floats(a, b),
            _ => wrap(self.of_integers(a as i64, b as i64, dtype), dtype),
        }
    }

    fn of_floats(self, a: f64, b: f64) -> f64 {
        match self {
            Scalar::Add => a + b,
            Scalar::Sub => a - b,
            Scalar::Mul => a * b,
            Scalar::Div => a / b,
            Scalar::Rem => a - b * (a / b).floor(),
            Scalar::Pow => a.powf(b),
            Scalar::Neg => -a,
            Scalar::Abs => a.abs(),
            Scalar::Exp => a.exp(),
            Scalar::Log => a.ln(),
            Scalar::Expm1 => a.exp_m1(),
            Scalar::Log1p => a.ln_1p(),
            Scalar::Sqrt => a.sqrt(),
            Scalar::Sin => a.sin(),
            Scalar::Cos => a.cos(),
            Scalar::Tanh => a.tanh(),
            Scalar::Erf => special::erf(a),
            Scalar::Floor => a.floor(),
            Scalar::Round => a.round_ties_even(),
            Scalar::Lgamma => special::lgamma(a),
            Scalar::Digamma => special::digamma(a),
            _ => f64::NAN,
        }
    }

    fn of_integers(self, a: i64, b: i64, dtype: DType) -> i64 {
        let count = (b as u32) & 31;
        match self {
            Scalar::Add => a + b,
            Scalar::Sub => a - b,
            Scalar::Mul => a.wrapping_mul(b),
            Scalar::Div => a.checked_div_euclid(b).map_or(0, |_| floor_div(a, b)),
            Scalar::Rem => a.checked_rem_euclid(b).map_or(0, |_| a - b * floor_div(a, b)),
            Scalar::Neg => -a,
            Scalar::Abs => a.abs(),
            Scalar::And => a & b,
            Scalar::Or => a | b,
            Scalar::Xor => a ^ b,
            Scalar::Not if dtype == DType::Bool => i64::from(a == 0),
            Scalar::Not => !a,
            Scalar::Shl => a << count,
            Scalar::Shr => a >> count,
            Scalar::Popcount => i64::from((a as u32).count_ones()),
            _ => 0,
        }
    }
}

fn floor_div(a: i64, b: i64) -> i64 {
    let quotient = a / b;
    if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient }
}

fn cast(x: f64, from: DType, to: DType) -> f64 {
    match to {
        DType::Bool => f64::from(x != 0.0),
        _ if to.is_float() => x,
        _ if !from.is_float() => wrap(x as i64, to),
        DType::I32 => f64::from(x as i32),
        DType::U32 => f64::from(x as u32),
        _ => f64::from(x as u8),
    }
}

/// The bits of `x` as an element of `dtype`, in the low end.
fn to_bits(x: f64, dtype: DType) -> u64 {
    match dtype {
        DType::F64 => x.to_bits(),
        DType::F32 => u64::from((x as f32).to_bits()),
        DType::Bf16 => u64::from(half::bf16_bits(x)),
        DType::F16 => u64::from(half::f16_bits(x)),
        DType::I32 => u64::from(x as i64 as u32),
        DType::U32 | DType::U8 | DType::Bool => x as u64,
    }
}

fn from_bits(bits: u64, dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::from_bits(bits),
        DType::F32 => f64::from(f32::from_bits(bits as u32)),
        DType::Bf16 => f64::from(f32::from_bits((bits as u32) << 16)),
        DType::F16 => half::f16_value(bits as u16),
        _ => wrap(bits as i64, dtype),
    }
}
