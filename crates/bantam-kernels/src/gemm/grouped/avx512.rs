//! Tiles of up to 6 rows by 2 vectors of outputs: 12 whole sums of a group and 12 sums of all groups, and the codes between them, fill the 32
//! registers; each vector of weights is used by all rows.

use super::super::avx512::native_pair;
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

/// See [`super::pairs`]; `out` has a whole vector for each half of the panel in each step.
///
/// # Safety
/// The machine has AVX-512 with bf16.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
pub(super) unsafe fn write_pairs(words: &[u32], bits: Bits, out: &mut [u32]) {
    let layout = Codes { bits };
    assert!(words.len() == layout.group(), "the words of a group");
    let steps = out.chunks_mut(super::super::panel::PANEL);
    // SAFETY: vectors are loaded from the words of a group, and stored into the first words of a step, which are sliced.
    unsafe {
        let scales: [__m512; VECTORS] = std::array::from_fn(|vector| {
            let half = words.as_ptr().add(layout.scales()).cast::<f16>().add(vector * LANES);
            _mm512_cvtph_ps(_mm256_loadu_si256(half.cast()))
        });
        for (step, out) in steps.enumerate() {
            for (vector, out) in out[..PANEL].as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                let load = |step: usize| _mm512_loadu_si512(words.as_ptr().add(step * PANEL + vector * LANES).cast());
                let [low, high] = match bits {
                    Bits::Four => codes4(load(step / 4), step % 4),
                    Bits::Eight => codes8(load(step / 2), step % 2),
                };
                let pair = native_pair(_mm512_mul_ps(low, scales[vector]), _mm512_mul_ps(high, scales[vector]));
                _mm512_storeu_si512(out.as_mut_ptr().cast(), pair);
            }
        }
    }
}

/// Two inputs' codes, of the four pairs in each word.
#[inline]
#[target_feature(enable = "avx512f")]
fn codes4(words: __m512i, pair: usize) -> [__m512; 2] {
    // The table is looked up by the lowest four bits of a lane.
    let table = _mm512_setr_ps(-8.0, -7.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0);
    let shift = 16 * (pair % 2) + 4 * (pair / 2);
    [shift, shift + 8].map(|shift| {
        let places = _mm512_srl_epi32(words, _mm_cvtsi32_si128(shift as i32));
        _mm512_permutexvar_ps(places, table)
    })
}

/// Two inputs' codes, of the two pairs in each word.
#[inline]
#[target_feature(enable = "avx512f")]
fn codes8(words: __m512i, pair: usize) -> [__m512; 2] {
    let signed = _mm512_xor_si512(words, _mm512_set1_epi8(-128));
    [24, 16].map(|shift| {
        let highest = _mm512_sll_epi32(signed, _mm_cvtsi32_si128(shift - 16 * pair as i32));
        _mm512_cvtepi32_ps(_mm512_srai_epi32::<24>(highest))
    })
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
