//! Quantising a token in two passes over its numbers, which stay in the first-level cache.

use super::super::quantize::{OFFSET, scale_of};
use crate::curves::{COARSE_GELU, COARSE_GELU_FAR};
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
    let mut largest = [_mm512_setzero_si512(); 4];
    for chunk in whole {
        for (v, largest) in largest.iter_mut().enumerate() {
            // SAFETY: the chunk has four vectors.
            *largest = larger(*largest, unsafe { _mm512_loadu_ps(chunk.as_ptr().add(v * LANES)) });
        }
    }
    for (v, largest) in largest.iter_mut().enumerate() {
        // SAFETY: only numbers that exist are read.
        *largest = larger(*largest, unsafe { load(rest, v) });
    }
    // SAFETY: the CPU has AVX-512.
    unsafe { within(token, largest, words) }
}

/// See [`super::super::quantize::quantize_gelu`].
///
/// # Safety
/// The CPU has AVX-512.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(in super::super) unsafe fn gelu(token: &mut [f32], words: &mut [u32]) -> f32 {
    let mut largest = [_mm512_setzero_si512(); 4];
    let (whole, rest) = token.as_chunks_mut::<CODES>();
    for chunk in whole {
        for (v, largest) in largest.iter_mut().enumerate() {
            // SAFETY: the chunk has four vectors.
            unsafe {
                let place = chunk.as_mut_ptr().add(v * LANES);
                let bent = coarse_gelu(_mm512_loadu_ps(place));
                _mm512_storeu_ps(place, bent);
                *largest = larger(*largest, bent);
            }
        }
    }
    for (v, largest) in largest.iter_mut().enumerate() {
        // SAFETY: only numbers that exist are read and written.
        unsafe {
            let bent = coarse_gelu(load(rest, v));
            _mm512_mask_storeu_ps(rest.as_mut_ptr().wrapping_add(v * LANES), first(rest, v), bent);
            *largest = larger(*largest, bent);
        }
    }
    // SAFETY: the CPU has AVX-512.
    unsafe { within(token, largest, words) }
}

/// [`crate::curves::coarse_gelu`] of 16 numbers.
#[inline]
#[target_feature(enable = "avx512f")]
fn coarse_gelu(x: __m512) -> __m512 {
    let near = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-COARSE_GELU_FAR)), _mm512_set1_ps(COARSE_GELU_FAR));
    let square = _mm512_mul_ps(near, near);
    let mut share = _mm512_set1_ps(COARSE_GELU[0]);
    for coefficient in &COARSE_GELU[1..] {
        share = _mm512_fmadd_ps(share, square, _mm512_set1_ps(*coefficient));
    }
    _mm512_mul_ps(x, _mm512_fmadd_ps(near, share, _mm512_set1_ps(0.5)))
}

/// The larger of `most` and the magnitudes of `numbers`, as bits.
#[inline]
#[target_feature(enable = "avx512f")]
fn larger(most: __m512i, numbers: __m512) -> __m512i {
    let magnitude = _mm512_set1_epi32(0x7fff_ffff);
    _mm512_max_epu32(most, _mm512_and_si512(_mm512_castps_si512(numbers), magnitude))
}

/// The codes of a token whose largest magnitude is among `largest`, and its scale.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn within(token: &[f32], largest: [__m512i; 4], words: &mut [u32]) -> f32 {
    let (whole, rest) = token.as_chunks::<CODES>();
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
    // SAFETY: lanes after the end are not read.
    unsafe { _mm512_maskz_loadu_ps(first(rest, v), rest.as_ptr().wrapping_add(v * LANES)) }
}

/// The lanes of vector `v` of the rest of a token.
#[inline]
fn first(rest: &[f32], v: usize) -> __mmask16 {
    let count = rest.len().saturating_sub(v * LANES).min(LANES);
    ((1u32 << count) - 1) as __mmask16
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
