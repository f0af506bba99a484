//! Element types. `F64` is what the reference interpreter computes in; a `Bool` is one byte, 0 or 1.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The type of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DType {
    /// IEEE double.
    F64,
    /// IEEE single.
    F32,
    /// Upper half of an IEEE single.
    Bf16,
    /// IEEE half.
    F16,
    /// Signed 32-bit integer.
    I32,
    /// Unsigned 32-bit integer.
    U32,
    /// Unsigned byte.
    U8,
    /// 0 or 1, one byte.
    Bool,
}

impl DType {
    /// Every element type, in declaration order.
    pub const ALL: [DType; 8] =
        [DType::F64, DType::F32, DType::Bf16, DType::F16, DType::I32, DType::U32, DType::U8, DType::Bool];

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            DType::F64 => 8,
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::Bf16 | DType::F16 => 2,
            DType::U8 | DType::Bool => 1,
        }
    }

    /// Whether values are real numbers; only these carry gradients.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F64 | DType::F32 | DType::Bf16 | DType::F16)
    }

    /// Whether values are floats of 16 bits.
    pub fn is_half(self) -> bool {
        matches!(self, DType::Bf16 | DType::F16)
    }

    /// Whether values are integers (`Bool` is not).
    pub fn is_int(self) -> bool {
        matches!(self, DType::I32 | DType::U32 | DType::U8)
    }

    /// Whether `value` is one of the type's numbers; real types round, and hold every number.
    pub fn holds(self, value: f64) -> bool {
        let (least, most) = match self {
            DType::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
            DType::U32 => (0.0, f64::from(u32::MAX)),
            DType::U8 => (0.0, f64::from(u8::MAX)),
            DType::Bool => (0.0, 1.0),
            DType::F64 | DType::F32 | DType::Bf16 | DType::F16 => return true,
        };
        value.fract() == 0.0 && (least..=most).contains(&value)
    }

    /// The name in the language and in both IR texts.
    pub fn name(self) -> &'static str {
        match self {
            DType::F64 => "f64",
            DType::F32 => "f32",
            DType::Bf16 => "bf16",
            DType::F16 => "f16",
            DType::I32 => "i32",
            DType::U32 => "u32",
            DType::U8 => "u8",
            DType::Bool => "bool",
        }
    }

    /// The inverse of [`DType::name`].
    pub fn from_name(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|dtype| dtype.name() == name)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_hold_whole_numbers_of_their_range() {
        assert!(DType::I32.holds(-2147483648.0) && !DType::I32.holds(2147483648.0) && !DType::I32.holds(0.1));
        assert!(DType::U8.holds(255.0) && !DType::U8.holds(-1.0) && !DType::Bool.holds(2.0));
        assert!(!DType::U32.holds(f64::NAN) && DType::F16.holds(1e9));
    }
}
