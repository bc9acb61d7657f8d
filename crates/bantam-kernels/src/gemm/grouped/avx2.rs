//! Tiles of up to 2 rows by 4 vectors of outputs, where no instruction multiplies and adds four bytes into a sum of 32 bits: products of two
//! bytes are added in 16 bits, which a group of 4-bit codes cannot overflow, and then widened.

use super::{Bits, Codes, GROUP, PANEL, ROWS, Tile};
use std::arch::x86_64::*;

const LANES: usize = 8;
const VECTORS: usize = PANEL / LANES;
/// Rows whose sums stay near the multipliers.
const PAIR: usize = 2;

/// See [`super::portable::tile`].
///
/// # Safety
/// The tile's pointers cover its groups and rows, and the machine has AVX2, FMA and F16C.
pub(super) unsafe fn tile(tile: &Tile, bits: Bits, sums: &mut [f32; ROWS * PANEL]) {
    for row in (0..tile.rows).step_by(PAIR) {
        let sums = &mut sums[row * PANEL..];
        // SAFETY: as promised.
        unsafe {
            match (bits, tile.rows - row) {
                (Bits::Four, 1) => rows4::<1>(tile, row, sums),
                (Bits::Four, _) => rows4::<PAIR>(tile, row, sums),
                (Bits::Eight, 1) => rows8::<1>(tile, row, sums),
                (Bits::Eight, _) => rows8::<PAIR>(tile, row, sums),
            }
        }
    }
}

/// Defines the loop over groups, given how one group's whole sums are made.
macro_rules! define_rows {
    ($name:ident, $bits:expr, $group:ident) => {
        #[target_feature(enable = "avx2,fma,f16c")]
        unsafe fn $name<const R: usize>(tile: &Tile, first: usize, out: &mut [f32]) {
            const WORDS: usize = Codes { bits: $bits }.words();
            let mut sums = [[_mm256_setzero_ps(); VECTORS]; R];
            for group in 0..tile.groups {
                let place: [usize; R] = std::array::from_fn(|row| (first + row) * tile.groups + group);
                // SAFETY: as promised to `tile`.
                unsafe {
                    let input: [*const i32; R] =
                        std::array::from_fn(|row| tile.input.add(place[row] * (GROUP / 4)).cast());
                    let starts = std::array::from_fn(|row| *tile.starts.add(place[row]));
                    let total = $group::<R>(tile.words.add(group * WORDS * PANEL), &input, &starts);
                    for vector in 0..VECTORS {
                        let half = tile.scales.add(group * PANEL + vector * LANES);
                        let scales = _mm256_cvtph_ps(_mm_loadu_si128(half.cast()));
                        for row in 0..R {
                            let scale = _mm256_set1_ps(*tile.input_scales.add(place[row]));
                            let total = _mm256_cvtepi32_ps(total[vector][row]);
                            sums[row][vector] = _mm256_fmadd_ps(total, _mm256_mul_ps(scales, scale), sums[row][vector]);
                        }
                    }
                }
            }
            for (out, sums) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(sums.as_flattened()) {
                // SAFETY: the chunk has as many numbers as the vector.
                unsafe { _mm256_storeu_ps(out.as_mut_ptr(), *sums) };
            }
        }
    };
}

define_rows!(rows4, Bits::Four, group4);
define_rows!(rows8, Bits::Eight, group8);

/// The sums of a group of 4-bit codes, which are 0 to 15: eight products of two are 30,480 at most.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn group4<const R: usize>(
    words: *const u32,
    input: &[*const i32; R],
    starts: &[i32; R],
) -> [[__m256i; R]; VECTORS] {
    let low = _mm256_set1_epi8(15);
    let mut halves = [[_mm256_setzero_si256(); R]; VECTORS];
    for step in 0..GROUP / 8 {
        let mut first = [low; R];
        let mut second = [low; R];
        for row in 0..R {
            // SAFETY: as promised to `tile`.
            unsafe {
                first[row] = _mm256_set1_epi32(*input[row].add(2 * step));
                second[row] = _mm256_set1_epi32(*input[row].add(2 * step + 1));
            }
        }
        // One vector of weights at a time: 16 registers hold no more beside the sums.
        for (vector, halves) in halves.iter_mut().enumerate() {
            // SAFETY: as above.
            let packed = unsafe { _mm256_loadu_si256(words.add(step * PANEL + vector * LANES).cast()) };
            let lower = _mm256_and_si256(packed, low);
            let upper = _mm256_and_si256(_mm256_srli_epi32::<4>(packed), low);
            for row in 0..R {
                let products =
                    _mm256_add_epi16(_mm256_maddubs_epi16(lower, first[row]), _mm256_maddubs_epi16(upper, second[row]));
                halves[row] = _mm256_add_epi16(halves[row], products);
            }
        }
    }
    for halves in &mut halves {
        for (sums, start) in halves.iter_mut().zip(starts) {
            let pairs = _mm256_madd_epi16(*sums, _mm256_set1_epi16(1));
            *sums = _mm256_add_epi32(pairs, _mm256_set1_epi32(*start));
        }
    }
    halves
}

/// The sums of a group of 8-bit codes. The signs of the weights go to the inputs, so that two products are 32,512 at most.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn group8<const R: usize>(words: *const u32, input: &[*const i32; R], _: &[i32; R]) -> [[__m256i; R]; VECTORS] {
    let mut sums = [[_mm256_setzero_si256(); R]; VECTORS];
    for step in 0..GROUP / 4 {
        let mut inputs = [_mm256_setzero_si256(); R];
        for (word, input) in inputs.iter_mut().zip(input) {
            // SAFETY: as promised to `tile`.
            *word = unsafe { _mm256_set1_epi32(*input.add(step)) };
        }
        for (vector, sums) in sums.iter_mut().enumerate() {
            // SAFETY: as above.
            let codes = unsafe { _mm256_loadu_si256(words.add(step * PANEL + vector * LANES).cast()) };
            // To flip the highest bit is to take off the offset.
            let codes = _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
            let magnitudes = _mm256_abs_epi8(codes);
            for (sum, input) in sums.iter_mut().zip(inputs) {
                let products = _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(input, codes));
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
            }
        }
    }
    sums
}
