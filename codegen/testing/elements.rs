//! Numbers as the elements of a type, and back.

use nnc_ir::DType;
use nnc_ir::kernel::half::{bf16_bits, f16_bits, f16_value};

/// The bytes of numbers.
pub fn encode(dtype: DType, numbers: &[f64]) -> Vec<u8> {
    let element = |x: f64| match dtype {
        DType::F64 => x.to_ne_bytes().to_vec(),
        DType::F32 => (x as f32).to_ne_bytes().to_vec(),
        DType::Bf16 => bf16_bits(x).to_ne_bytes().to_vec(),
        DType::F16 => f16_bits(x).to_ne_bytes().to_vec(),
        DType::I32 => (x as i32).to_ne_bytes().to_vec(),
        DType::U32 => (x as u32).to_ne_bytes().to_vec(),
        DType::U8 => vec![x as u8],
        DType::Bool => vec![u8::from(x != 0.0)],
    };
    numbers.iter().flat_map(|x| element(*x)).collect()
}

/// The numbers of bytes.
pub fn decode(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    let half = |b: &[u8]| u16::from_ne_bytes([b[0], b[1]]);
    let word = |b: &[u8]| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]);
    let number = |b: &[u8]| match dtype {
        DType::F64 => b.try_into().map_or(f64::NAN, f64::from_ne_bytes),
        DType::F32 => f64::from(f32::from_bits(word(b))),
        DType::Bf16 => f64::from(f32::from_bits(u32::from(half(b)) << 16)),
        DType::F16 => f16_value(half(b)),
        DType::I32 => f64::from(word(b) as i32),
        DType::U32 => f64::from(word(b)),
        DType::U8 | DType::Bool => f64::from(b[0]),
    };
    bytes.chunks_exact(dtype.size()).map(number).collect()
}
