//! Quantising a token in two passes over its numbers, which stay in the first-level cache.

use super::super::quantize::{OFFSET, scale_of};
use std::arch::x86_64::*;

const LANES: usize = 16;
/// Numbers whose codes fill one vector.
const CODES: usize = 64;

/// See [`super::super::quantize::quantize_token`].
///
/// # Safety
/// The CPU has AVX-512.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(in super::super) unsafe fn token(token: &[f32], words: &mut [u32]) -> f32 {
    let (whole, rest) = token.as_chunks::<CODES>();
    let magnitude = _mm512_set1_epi32(0x7fff_ffff);
    let mut largest = [_mm512_setzero_si512(); 4];
    for chunk in whole {
        for (v, largest) in largest.iter_mut().enumerate() {
            // SAFETY: the chunk has four vectors.
            let bits = unsafe { _mm512_loadu_si512(chunk.as_ptr().add(v * LANES).cast()) };
            *largest = _mm512_max_epu32(*largest, _mm512_and_si512(bits, magnitude));
        }
    }
    for (v, largest) in largest.iter_mut().enumerate() {
        // SAFETY: only numbers that exist are read.
        let bits = _mm512_castps_si512(unsafe { load(rest, v) });
        *largest = _mm512_max_epu32(*largest, _mm512_and_si512(bits, magnitude));
    }
    let largest = _mm512_max_epu32(_mm512_max_epu32(largest[0], largest[1]), _mm512_max_epu32(largest[2], largest[3]));
    let (inverse, scale) = scale_of(_mm512_reduce_max_epu32(largest));
    if scale.is_nan() {
        words.fill(u32::from_ne_bytes([OFFSET as u8; 4]));
        return scale;
    }
    let inverse = _mm512_set1_ps(inverse);
    for (chunk, words) in whole.iter().zip(words.chunks_exact_mut(CODES / 4)) {
        // SAFETY: the chunk has four vectors of numbers, and the words hold one of codes.
        unsafe {
            let numbers = std::array::from_fn(|v| _mm512_loadu_ps(chunk.as_ptr().add(v * LANES)));
            _mm512_storeu_si512(words.as_mut_ptr().cast(), codes(numbers, inverse));
        }
    }
    if !rest.is_empty() {
        let words = &mut words[whole.len() * CODES / 4..];
        // SAFETY: only numbers that exist are read, and only as many words are written as they fill.
        unsafe {
            let codes = codes(std::array::from_fn(|v| load(rest, v)), inverse);
            _mm512_mask_storeu_epi32(words.as_mut_ptr().cast(), ((1u32 << words.len()) - 1) as __mmask16, codes);
        }
    }
    scale
}

/// Vector `v` of the rest of a token, with zeros after its end.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load(rest: &[f32], v: usize) -> __m512 {
    let count = rest.len().saturating_sub(v * LANES).min(LANES);
    // SAFETY: lanes after the end are not read.
    unsafe { _mm512_maskz_loadu_ps(((1u32 << count) - 1) as __mmask16, rest.as_ptr().wrapping_add(v * LANES)) }
}

/// The codes of 64 numbers, plus the offset, in order.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn codes(numbers: [__m512; 4], inverse: __m512) -> __m512i {
    let [a, b, c, d] = numbers.map(|numbers| _mm512_cvtps_epi32(_mm512_mul_ps(numbers, inverse)));
    let bytes = _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
    // The packing instructions work in quarters of a vector: word 4q + i of the result is word q of number vector i.
    let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    // To flip the sign bit of an i8 is to add 128.
    _mm512_xor_si512(_mm512_permutexvar_epi32(order, bytes), _mm512_set1_epi8(OFFSET as u8 as i8))
}
