//! Codes of tokens with AVX2.

use super::super::quantize::{OFFSET, largest_bits, scale_of};
use std::arch::x86_64::*;

/// Numbers whose codes fill a vector.
const CODES: usize = 32;

/// See [`super::super::quantize::quantize_token`].
///
/// # Safety
/// The machine has AVX2, and there are as many words as the codes need.
#[target_feature(enable = "avx2")]
pub(in super::super) unsafe fn token(token: &[f32], words: &mut [u32]) -> f32 {
    let (inverse, scale) = scale_of(largest_bits(token));
    if scale.is_nan() {
        words.fill(u32::from_ne_bytes([OFFSET as u8; 4]));
        return scale;
    }
    let (whole, rest) = token.as_chunks::<CODES>();
    let (whole_words, rest_words) = words.split_at_mut(CODES / 4 * whole.len());
    for (numbers, words) in whole.iter().zip(whole_words.as_chunks_mut().0) {
        *words = codes(numbers, inverse);
    }
    if !rest.is_empty() {
        let mut numbers = [0.0; CODES];
        numbers[..rest.len()].copy_from_slice(rest);
        rest_words.copy_from_slice(&codes(&numbers, inverse)[..rest_words.len()]);
    }
    scale
}

#[inline]
#[target_feature(enable = "avx2")]
fn codes(numbers: &[f32; CODES], inverse: f32) -> [u32; CODES / 4] {
    let inverse = _mm256_set1_ps(inverse);
    // SAFETY: four vectors of numbers are there.
    let [first, second, third, fourth] = std::array::from_fn(|vector| unsafe {
        _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(numbers.as_ptr().add(8 * vector)), inverse))
    });
    // Packing works within halves of 128 bits, so that words of four codes come out in the order 0, 2, 4, 6, 1, 3, 5, 7.
    let bytes = _mm256_packs_epi16(_mm256_packs_epi32(first, second), _mm256_packs_epi32(third, fourth));
    let bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    let codes = _mm256_xor_si256(bytes, _mm256_set1_epi8(OFFSET as u8 as i8));
    // SAFETY: both types are 256 bits.
    unsafe { std::mem::transmute::<__m256i, [u32; CODES / 4]>(codes) }
}
