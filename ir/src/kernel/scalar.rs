//! Scalar functions: one table for the reference evaluation and for all printers.

use crate::DType;
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
