//! Tiles of up to 6 rows, where no instruction multiplies and adds four bytes into a sum of 32 bits. A group's codes for one vector of outputs
//! are unpacked into registers and used by all rows.

use super::{Bits, Codes, GROUP, PANEL, Tile};
use half::f16;
use std::arch::x86_64::*;

const LANES: usize = 8;
const VECTORS: usize = PANEL / LANES;
/// Four inputs each.
const WORDS: usize = GROUP / 4;

/// See [`super::portable::tile`].
///
/// # Safety
/// The tile's pointers cover its groups and rows, and the machine has AVX2, FMA and F16C.
pub(super) unsafe fn tile(tile: &Tile, bits: Bits) {
    // SAFETY: as promised.
    unsafe {
        match (bits, tile.rows) {
            (Bits::Four, 1) => rows4::<1, VECTORS>(tile),
            (Bits::Four, 2) => rows4::<2, 1>(tile),
            (Bits::Four, 3) => rows4::<3, 1>(tile),
            (Bits::Four, 4) => rows4::<4, 1>(tile),
            (Bits::Four, 5) => rows4::<5, 1>(tile),
            (Bits::Four, _) => rows4::<6, 1>(tile),
            (Bits::Eight, 1) => rows8::<1, VECTORS>(tile),
            (Bits::Eight, 2) => rows8::<2, 1>(tile),
            (Bits::Eight, 3) => rows8::<3, 1>(tile),
            (Bits::Eight, 4) => rows8::<4, 1>(tile),
            (Bits::Eight, 5) => rows8::<5, 1>(tile),
            (Bits::Eight, _) => rows8::<6, 1>(tile),
        }
    }
}

/// Defines the loop over groups, given how the whole sums of one group and one vector of outputs are made. V vectors are summed at a time: all
/// of a single row, so that its weights are read as they lie in memory, and one of several, so that there is nothing but codes and sums to keep.
macro_rules! define_rows {
    ($name:ident, $bits:expr, $group:ident) => {
        #[target_feature(enable = "avx2,fma,f16c")]
        unsafe fn $name<const R: usize, const V: usize>(tile: &Tile) {
            const LAYOUT: Codes = Codes { bits: $bits };
            for first in (0..VECTORS).step_by(V) {
                let mut sums = [[_mm256_setzero_ps(); V]; R];
                for group in 0..tile.groups {
                    // SAFETY: as promised to `tile`.
                    unsafe {
                        let start = tile.words.add(group * LAYOUT.group());
                        let words = start.add(first * LANES);
                        let input = tile.input.add(group * WORDS).cast();
                        for vector in 0..V {
                            let totals = $group::<R>(words.add(vector * LANES), input, tile.groups * WORDS);
                            let half = start.add(LAYOUT.scales()).cast::<f16>().add((first + vector) * LANES);
                            let scales = _mm256_cvtph_ps(_mm_loadu_si128(half.cast()));
                            for row in 0..R {
                                let place = row * tile.groups + group;
                                let mut total = totals[row];
                                // Of codes of 8 bits the offset is taken off before.
                                if matches!($bits, Bits::Four) {
                                    total = _mm256_add_epi32(total, _mm256_set1_epi32(*tile.starts.add(place)));
                                }
                                let scale = _mm256_mul_ps(scales, _mm256_set1_ps(*tile.input_scales.add(place)));
                                sums[row][vector] =
                                    _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), scale, sums[row][vector]);
                            }
                        }
                    }
                }
                for row in 0..R {
                    for vector in 0..V {
                        let offset = row * tile.place.row + (first + vector) * LANES;
                        let mut sum = sums[row][vector];
                        // SAFETY: as promised to `tile`.
                        unsafe {
                            if let Some(residual) = tile.place.residual {
                                sum = _mm256_add_ps(sum, _mm256_loadu_ps(residual.add(offset)));
                            }
                            _mm256_storeu_ps(tile.place.out.add(offset), sum);
                        }
                    }
                }
            }
        }
    };
}

define_rows!(rows4, Bits::Four, group4);
define_rows!(rows8, Bits::Eight, group8);

/// The sums of 4-bit codes, which are 0 to 15: eight products of two are 30,480 at most, so that all are added in 16 bits and widened once.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn group4<const R: usize>(words: *const u32, input: *const i32, row_words: usize) -> [__m256i; R] {
    let low = _mm256_set1_epi8(15);
    let mut codes = [low; WORDS];
    for (step, codes) in codes.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        // SAFETY: as promised to `tile`.
        let packed = unsafe { _mm256_loadu_si256(words.add(step * PANEL).cast()) };
        *codes = [_mm256_and_si256(packed, low), _mm256_and_si256(_mm256_srli_epi32::<4>(packed), low)];
    }
    let mut totals = [low; R];
    for (row, total) in totals.iter_mut().enumerate() {
        let mut halves = _mm256_setzero_si256();
        for (word, codes) in codes.iter().enumerate() {
            // SAFETY: as above.
            let input = unsafe { _mm256_set1_epi32(*input.add(row * row_words + word)) };
            halves = _mm256_add_epi16(halves, _mm256_maddubs_epi16(*codes, input));
        }
        *total = _mm256_madd_epi16(halves, _mm256_set1_epi16(1));
    }
    totals
}

/// The sums of 8-bit codes. The signs of the weights go to the inputs, so that two products are 32,512 at most. Half of the codes at a time:
/// with their magnitudes they are what the registers hold.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn group8<const R: usize>(words: *const u32, input: *const i32, row_words: usize) -> [__m256i; R] {
    const HALF: usize = WORDS / 2;
    let mut totals = [_mm256_setzero_si256(); R];
    for first in [0, HALF] {
        let mut codes = [_mm256_setzero_si256(); HALF];
        for (step, codes) in codes.iter_mut().enumerate() {
            // SAFETY: as promised to `tile`.
            let raw = unsafe { _mm256_loadu_si256(words.add((first + step) * PANEL).cast()) };
            // To flip the highest bit is to take off the offset.
            *codes = _mm256_xor_si256(raw, _mm256_set1_epi8(-128));
        }
        let mut magnitudes = codes;
        for magnitude in &mut magnitudes {
            *magnitude = _mm256_abs_epi8(*magnitude);
        }
        for (row, total) in totals.iter_mut().enumerate() {
            for step in 0..HALF {
                // SAFETY: as above.
                let input = unsafe { _mm256_set1_epi32(*input.add(row * row_words + first + step)) };
                let products = _mm256_maddubs_epi16(magnitudes[step], _mm256_sign_epi8(input, codes[step]));
                *total = _mm256_add_epi32(*total, _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
            }
        }
    }
    totals
}
