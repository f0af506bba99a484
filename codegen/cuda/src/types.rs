//! How elements are held: what a register and an element of memory are in CUDA C++.

use nnc_ir::DType;

/// The kinds of register. Types of one kind share all spellings but for rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `double`
    Double,
    /// `float`
    Float,
    /// `int`
    Int,
    /// `unsigned`
    Word,
    /// `bool`
    Bool,
}

impl Kind {
    /// Whether values are real numbers.
    pub(crate) fn is_float(self) -> bool {
        matches!(self, Kind::Double | Kind::Float)
    }
}

/// The kind that holds `dtype`.
pub(crate) fn kind(dtype: DType) -> Kind {
    match dtype {
        DType::F64 => Kind::Double,
        DType::F32 | DType::Bf16 | DType::F16 => Kind::Float,
        DType::I32 => Kind::Int,
        DType::U32 | DType::U8 => Kind::Word,
        DType::Bool => Kind::Bool,
    }
}

/// The type of a register.
pub(crate) fn register(dtype: DType) -> &'static str {
    match kind(dtype) {
        Kind::Double => "double",
        Kind::Float => "float",
        Kind::Int => "int",
        Kind::Word => "unsigned",
        Kind::Bool => "bool",
    }
}

/// The type of an element of memory.
pub(crate) fn element(dtype: DType) -> &'static str {
    match dtype {
        DType::Bf16 | DType::F16 => "unsigned short",
        DType::U8 | DType::Bool => "unsigned char",
        other => register(other),
    }
}
