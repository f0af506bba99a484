//! Elements as hosts store them, and as the 32-bit words of device memory. The way there and back is the identity.

use half::{bf16, f16};
use nnc_ir::DType;
use std::borrow::Cow;

/// The words of elements.
pub(super) fn to_words(dtype: DType, elements: &[u8]) -> Cow<'_, [u8]> {
    let pairs = |value: fn([u8; 2]) -> f32| {
        let (pairs, _) = elements.as_chunks::<2>();
        pairs.iter().flat_map(|pair| value(*pair).to_ne_bytes()).collect()
    };
    Cow::Owned(match dtype {
        DType::Bf16 => pairs(|pair| bf16::from_ne_bytes(pair).to_f32()),
        DType::F16 => pairs(|pair| f16::from_ne_bytes(pair).to_f32()),
        DType::U8 => elements.iter().flat_map(|byte| u32::from(*byte).to_ne_bytes()).collect(),
        DType::Bool => elements.iter().flat_map(|byte| u32::from(*byte != 0).to_ne_bytes()).collect(),
        DType::F64 | DType::F32 | DType::I32 | DType::U32 => return Cow::Borrowed(elements),
    })
}

/// The elements of words.
pub(super) fn from_words(dtype: DType, words: &[u8]) -> Vec<u8> {
    let (words, _) = words.as_chunks::<4>();
    match dtype {
        DType::Bf16 => {
            words.iter().flat_map(|word| bf16::from_f32(f32::from_ne_bytes(*word)).to_ne_bytes()).collect()
        }
        DType::F16 => {
            words.iter().flat_map(|word| f16::from_f32(f32::from_ne_bytes(*word)).to_ne_bytes()).collect()
        }
        DType::U8 | DType::Bool => words.iter().map(|word| u32::from_ne_bytes(*word) as u8).collect(),
        DType::F64 | DType::F32 | DType::I32 | DType::U32 => words.as_flattened().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_narrow_element_comes_back() {
        let pairs: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_ne_bytes).collect();
        for dtype in [DType::Bf16, DType::F16] {
            let back = from_words(dtype, &to_words(dtype, &pairs));
            let (there, here) = (pairs.as_chunks::<2>().0, back.as_chunks::<2>().0);
            let nan = |pair: &[u8; 2]| match dtype {
                DType::F16 => f16::from_ne_bytes(*pair).is_nan(),
                _ => bf16::from_ne_bytes(*pair).is_nan(),
            };
            assert_eq!(there.len(), here.len());
            assert!(there.iter().zip(here).all(|(a, b)| a == b || (nan(a) && nan(b))));
        }
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_words(DType::U8, &to_words(DType::U8, &bytes)), bytes);
    }
}
