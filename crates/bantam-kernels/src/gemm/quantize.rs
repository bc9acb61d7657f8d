//! Symmetric int8 codes: for weights with one scale per row, and for inputs with one scale per token, found as they come.

use super::tile::Arithmetic;
use crate::curves::coarse_gelu;
use crate::isa::Isa;
use crate::vectorized::vectorized;

/// What is added to the codes of inputs, since the multiplying instruction takes its left factor without a sign.
pub(super) const OFFSET: i32 = 128;
/// The largest code.
const LARGEST: f32 = 127.0;

/// Quantises `weight` [n, k] row by row: codes in -127..=127 [n, k] and scales [n], with weight ≈ code * scale. A row of zeros has scale 0;
/// a row with an infinity or NaN has codes 0 and scale NaN, so that the fault stays visible.
pub fn quantize_rows(weight: &[f32], n: usize, k: usize) -> (Vec<i8>, Vec<f32>) {
    assert!(weight.len() == n * k, "quantize_rows: {n} x {k}, but {} elements", weight.len());
    let mut codes = vec![0i8; n * k];
    let mut scales = vec![0.0f32; n];
    for (row, scale) in scales.iter_mut().enumerate() {
        let weight = &weight[row * k..][..k];
        let (inverse, own) = scale_of(largest_bits(weight));
        *scale = own;
        for (code, value) in codes[row * k..][..k].iter_mut().zip(weight) {
            *code = (value * inverse).round_ties_even() as i8;
        }
    }
    (codes, scales)
}

/// Quantises one token into words of four codes plus [`OFFSET`], and returns its scale. All instruction sets give the same codes.
pub(super) fn quantize_token(isa: Isa, token: &[f32], words: &mut [u32]) -> f32 {
    debug_assert!(words.len() == token.len().div_ceil(Arithmetic::Int8.elements()));
    match isa {
        // SAFETY: called for this set only.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Amx => unsafe { super::avx512::quantize::token(token, words) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: likewise.
        Isa::Avx2 => unsafe { super::avx2::quantize::token(token, words) },
        _ => quantize_token_portable(token, words),
    }
}

/// Bends one token by [`coarse_gelu`], in place, and quantises it like [`quantize_token`].
pub(super) fn quantize_gelu(isa: Isa, token: &mut [f32], words: &mut [u32]) -> f32 {
    debug_assert!(words.len() == token.len().div_ceil(Arithmetic::Int8.elements()));
    match isa {
        // SAFETY: called for this set only.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Amx => unsafe { super::avx512::quantize::gelu(token, words) },
        _ => {
            vectorized(
                #[inline(always)]
                || token.iter_mut().for_each(|x| *x = coarse_gelu(*x)),
            );
            quantize_token(isa, token, words)
        }
    }
}

/// [`quantize_token`] in plain Rust.
fn quantize_token_portable(token: &[f32], words: &mut [u32]) -> f32 {
    let (inverse, scale) = scale_of(largest_bits(token));
    let code = |value: f32| ((value * inverse).round_ties_even() as i32 + OFFSET) as u8;
    let (whole, rest) = token.as_chunks::<4>();
    for (word, values) in words.iter_mut().zip(whole) {
        *word = u32::from_le_bytes(values.map(code));
    }
    if let (Some(word), false) = (words.last_mut(), rest.is_empty()) {
        *word =
            u32::from_le_bytes(std::array::from_fn(|byte| rest.get(byte).map_or(OFFSET as u8, |value| code(*value))));
    }
    scale
}

/// The largest magnitude, as bits: among these, infinity and NaN are larger than any number.
#[inline(always)]
pub(crate) fn largest_bits(values: &[f32]) -> u32 {
    values.iter().fold(0, |most, value| most.max(value.abs().to_bits()))
}

/// From the bits of the largest magnitude: what to multiply numbers by to get codes, and codes by to get numbers. Where there is no such
/// number, the codes are 0 (NaN converts to 0) and the scale is NaN.
#[inline(always)]
pub(crate) fn scale_of(largest: u32) -> (f32, f32) {
    let largest = f32::from_bits(largest);
    if !largest.is_finite() {
        return (0.0, f32::NAN);
    }
    let inverse = LARGEST / largest;
    // Zeros, and numbers so small that the quotient overflows, have no codes.
    if inverse.is_finite() { (inverse, largest / LARGEST) } else { (0.0, 0.0) }
}
