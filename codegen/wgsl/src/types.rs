//! How elements are held: what a register and a word of memory are in WGSL.

use nnc_ir::DType;

/// The kinds of register. Types of one kind share all spellings but for rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `f32`
    Float,
    /// `i32`
    Int,
    /// `u32`
    Word,
    /// `bool`
    Bool,
}

/// The kind that holds `dtype`; none for `F64`.
pub(crate) fn kind(dtype: DType) -> Result<Kind, String> {
    match dtype {
        DType::F32 | DType::Bf16 | DType::F16 => Ok(Kind::Float),
        DType::I32 => Ok(Kind::Int),
        DType::U32 | DType::U8 => Ok(Kind::Word),
        DType::Bool => Ok(Kind::Bool),
        DType::F64 => Err("computes in f64, which WGSL does not have".to_string()),
    }
}

/// The type of a register. `F64` is refused before anything is declared.
pub(crate) fn register(dtype: DType) -> &'static str {
    match kind(dtype) {
        Ok(Kind::Int) => "i32",
        Ok(Kind::Word) => "u32",
        Ok(Kind::Bool) => "bool",
        Ok(Kind::Float) | Err(_) => "f32",
    }
}

/// The type of a word of memory.
pub(crate) fn word(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "u32",
        other => register(other),
    }
}
