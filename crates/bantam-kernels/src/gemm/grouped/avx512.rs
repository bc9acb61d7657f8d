//! Tiles of up to 6 rows by 2 vectors of outputs: 12 whole sums of a group and 12 sums of all groups, and the codes between them, fill the 32
//! registers; each vector of weights is used by all rows.

use super::input::{WORDS, scale_of};
use super::{Bits, Codes, GROUP, PANEL, Tile};
use half::f16;
use std::arch::x86_64::*;

const LANES: usize = 16;
const VECTORS: usize = PANEL / LANES;

/// See [`super::portable::tile`].
///
/// # Safety
/// The tile's pointers cover its groups and rows, `out` and the residual its outputs, and the machine has AVX-512 with VNNI.
pub(super) unsafe fn tile(tile: &Tile, bits: Bits) {
    // SAFETY: as promised.
    unsafe {
        match (bits, tile.rows) {
            (Bits::Four, 1) => rows4::<1>(tile),
            (Bits::Four, 2) => rows4::<2>(tile),
            (Bits::Four, 3) => rows4::<3>(tile),
            (Bits::Four, 4) => rows4::<4>(tile),
            (Bits::Four, 5) => rows4::<5>(tile),
            (Bits::Four, _) => rows4::<6>(tile),
            (Bits::Eight, 1) => rows8::<1>(tile),
            (Bits::Eight, 2) => rows8::<2>(tile),
            (Bits::Eight, 3) => rows8::<3>(tile),
            (Bits::Eight, 4) => rows8::<4>(tile),
            (Bits::Eight, 5) => rows8::<5>(tile),
            (Bits::Eight, _) => rows8::<6>(tile),
        }
    }
}

/// Defines the loop over groups, given how one group's whole sums are made.
macro_rules! define_rows {
    ($name:ident, $bits:expr, $group:ident) => {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        unsafe fn $name<const R: usize>(tile: &Tile) {
            const LAYOUT: Codes = Codes { bits: $bits };
            let mut sums = [[_mm512_setzero_ps(); VECTORS]; R];
            // SAFETY: as promised.
            unsafe {
                for group in 0..tile.groups {
                    let words = tile.words.add(group * LAYOUT.group());
                    let place: [usize; R] = std::array::from_fn(|row| row * tile.groups + group);
                    let mut total: [[__m512i; VECTORS]; R] =
                        std::array::from_fn(|row| [_mm512_set1_epi32(*tile.starts.add(place[row])); VECTORS]);
                    let input: [*const i32; R] =
                        std::array::from_fn(|row| tile.input.add(place[row] * (GROUP / 4)).cast());
                    $group::<R>(words, &input, &mut total);
                    let scales: [__m512; VECTORS] = std::array::from_fn(|vector| {
                        let half = words.add(LAYOUT.scales()).cast::<f16>().add(vector * LANES);
                        _mm512_cvtph_ps(_mm256_loadu_si256(half.cast()))
                    });
                    for row in 0..R {
                        let scale = _mm512_set1_ps(*tile.input_scales.add(place[row]));
                        for vector in 0..VECTORS {
                            let total = _mm512_cvtepi32_ps(total[row][vector]);
                            let scale = _mm512_mul_ps(scales[vector], scale);
                            sums[row][vector] = _mm512_fmadd_ps(total, scale, sums[row][vector]);
                        }
                    }
                }
                for row in 0..R {
                    for vector in 0..VECTORS {
                        let offset = row * tile.place.row + vector * LANES;
                        let mut sum = sums[row][vector];
                        if let Some(residual) = tile.place.residual {
                            sum = _mm512_add_ps(sum, _mm512_loadu_ps(residual.add(offset)));
                        }
                        _mm512_storeu_ps(tile.place.out.add(offset), sum);
                    }
                }
            }
        }
    };
}

define_rows!(rows4, Bits::Four, group4);
define_rows!(rows8, Bits::Eight, group8);

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn group4<const R: usize>(words: *const u32, input: &[*const i32; R], total: &mut [[__m512i; VECTORS]; R]) {
    let low = _mm512_set1_epi8(15);
    for step in 0..GROUP / 8 {
        // SAFETY: as promised to `tile`.
        unsafe {
            let packed: [__m512i; VECTORS] =
                std::array::from_fn(|vector| _mm512_loadu_si512(words.add(step * PANEL + vector * LANES).cast()));
            let first = packed.map(|packed| _mm512_and_si512(packed, low));
            let second = packed.map(|packed| _mm512_and_si512(_mm512_srli_epi32::<4>(packed), low));
            for row in 0..R {
                let codes = _mm512_set1_epi32(*input[row].add(2 * step));
                for vector in 0..VECTORS {
                    total[row][vector] = _mm512_dpbusd_epi32(total[row][vector], first[vector], codes);
                }
            }
            for row in 0..R {
                let codes = _mm512_set1_epi32(*input[row].add(2 * step + 1));
                for vector in 0..VECTORS {
                    total[row][vector] = _mm512_dpbusd_epi32(total[row][vector], second[vector], codes);
                }
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn group8<const R: usize>(words: *const u32, input: &[*const i32; R], total: &mut [[__m512i; VECTORS]; R]) {
    for step in 0..GROUP / 4 {
        // SAFETY: as promised to `tile`.
        unsafe {
            let weights: [__m512i; VECTORS] =
                std::array::from_fn(|vector| _mm512_loadu_si512(words.add(step * PANEL + vector * LANES).cast()));
            for row in 0..R {
                let codes = _mm512_set1_epi32(*input[row].add(step));
                for vector in 0..VECTORS {
                    total[row][vector] = _mm512_dpbusd_epi32(total[row][vector], weights[vector], codes);
                }
            }
        }
    }
}

/// Writes a group's codes, and returns their scale and their sum: see [`super::input`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn quantize_group(values: &[f32; GROUP], words: &mut [u32; WORDS]) -> (f32, i32) {
    // SAFETY: a group is two vectors.
    let numbers = unsafe { [_mm512_loadu_ps(values.as_ptr()), _mm512_loadu_ps(values.as_ptr().add(LANES))] };
    // Among the bits of magnitudes, infinity and NaN are larger than any number.
    let [first, second] =
        numbers.map(|numbers| _mm512_and_si512(_mm512_castps_si512(numbers), _mm512_set1_epi32(0x7fff_ffff)));
    let largest = _mm512_reduce_max_epu32(_mm512_max_epu32(first, second));
    let (inverse, scale) = match scale_of(f32::from_bits(largest)) {
        Ok(scales) => scales,
        Err(scale) => {
            words.fill(0);
            return (scale, 0);
        }
    };
    let codes = numbers.map(|numbers| _mm512_cvtps_epi32(_mm512_mul_ps(numbers, _mm512_set1_ps(inverse))));
    let bytes = _mm256_set_m128i(_mm512_cvtepi32_epi8(codes[1]), _mm512_cvtepi32_epi8(codes[0]));
    // SAFETY: the words of a group have the size of the vector.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), bytes) };
    (scale, _mm512_reduce_add_epi32(_mm512_add_epi32(codes[0], codes[1])))
}
