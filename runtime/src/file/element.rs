//! Element types of files. Models have fewer; [`FileType::stored`] says what each becomes in memory.

use nnc_ir::DType;

/// Element types of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// One byte, 0 or 1.
    Bool,
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 16 bits.
    U16,
    /// Signed, 16 bits.
    I16,
    /// Unsigned, 32 bits.
    U32,
    /// Signed, 32 bits.
    I32,
    /// Unsigned, 64 bits.
    U64,
    /// Signed, 64 bits.
    I64,
    /// IEEE half.
    F16,
    /// Upper half of an IEEE single.
    Bf16,
    /// IEEE single.
    F32,
    /// IEEE double.
    F64,
}

impl FileType {
    /// Every element type.
    pub const ALL: [FileType; 13] = [
        FileType::Bool,
        FileType::U8,
        FileType::I8,
        FileType::U16,
        FileType::I16,
        FileType::U32,
        FileType::I32,
        FileType::U64,
        FileType::I64,
        FileType::F16,
        FileType::Bf16,
        FileType::F32,
        FileType::F64,
    ];

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            FileType::Bool | FileType::U8 | FileType::I8 => 1,
            FileType::U16 | FileType::I16 | FileType::F16 | FileType::Bf16 => 2,
            FileType::U32 | FileType::I32 | FileType::F32 => 4,
            FileType::U64 | FileType::I64 | FileType::F64 => 8,
        }
    }

    /// The element type in memory; integers without a counterpart become `I32`.
    pub fn stored(self) -> DType {
        match self {
            FileType::Bool => DType::Bool,
            FileType::U8 => DType::U8,
            FileType::U32 => DType::U32,
            FileType::F16 => DType::F16,
            FileType::Bf16 => DType::Bf16,
            FileType::F32 => DType::F32,
            FileType::F64 => DType::F64,
            FileType::I8 | FileType::U16 | FileType::I16 => DType::I32,
            FileType::I32 | FileType::U64 | FileType::I64 => DType::I32,
        }
    }

    /// The file type that holds `dtype` bit for bit.
    pub fn of(dtype: DType) -> FileType {
        match dtype {
            DType::F64 => FileType::F64,
            DType::F32 => FileType::F32,
            DType::Bf16 => FileType::Bf16,
            DType::F16 => FileType::F16,
            DType::I32 => FileType::I32,
            DType::U32 => FileType::U32,
            DType::U8 => FileType::U8,
            DType::Bool => FileType::Bool,
        }
    }

    /// The name in safetensors headers.
    pub fn name(self) -> &'static str {
        match self {
            FileType::Bool => "BOOL",
            FileType::U8 => "U8",
            FileType::I8 => "I8",
            FileType::U16 => "U16",
            FileType::I16 => "I16",
            FileType::U32 => "U32",
            FileType::I32 => "I32",
            FileType::U64 => "U64",
            FileType::I64 => "I64",
            FileType::F16 => "F16",
            FileType::Bf16 => "BF16",
            FileType::F32 => "F32",
            FileType::F64 => "F64",
        }
    }

    /// The inverse of [`FileType::name`].
    pub fn from_name(name: &str) -> Option<FileType> {
        FileType::ALL.into_iter().find(|file_type| file_type.name() == name)
    }

    /// The value of an integer in little-endian bytes.
    pub fn integer(self, bytes: &[u8]) -> i128 {
        let word = bytes.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        match self {
            FileType::I8 => (word as u8 as i8).into(),
            FileType::I16 => (word as u16 as i16).into(),
            FileType::I32 => (word as u32 as i32).into(),
            FileType::I64 => (word as i64).into(),
            _ => word.into(),
        }
    }
}

/// The number of bytes of a tensor in a file, or nothing if no file can be that long.
pub fn file_len(file_type: FileType, shape: &[usize]) -> Option<u64> {
    let size = file_type.size() as u64;
    let len = shape.iter().try_fold(size, |len, size| len.checked_mul(u64::try_from(*size).ok()?))?;
    (len <= i64::MAX as u64).then_some(len)
}

/// Reverses the bytes of every element.
pub fn swap_bytes(bytes: &mut [u8], element_size: usize) {
    if element_size > 1 {
        bytes.chunks_exact_mut(element_size).for_each(<[u8]>::reverse);
    }
}
