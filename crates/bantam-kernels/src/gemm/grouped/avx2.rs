//! Tiles where no instruction multiplies and adds four bytes into a sum of 32 bits. A few rows are multiplied by codes as they lie. For more rows
//! these are unpacked before, so that a tile of 6 rows by two vectors of outputs has nothing to do but read, multiply and add.

use super::super::avx2::signed;
use super::{Bits, Codes, GROUP, PANEL, Place, Tile};
use half::f16;
use std::arch::x86_64::*;
use std::hint::black_box;

const LANES: usize = 8;
/// Vectors of outputs in a panel, and in a tile of several rows: with 6 rows, sums fill 12 of the 16 registers.
const VECTORS: usize = PANEL / LANES;
const WIDTH: usize = 2;
/// Words of a group of an input's codes, and of one of 8 bits that were widened to 16.
const WORDS: usize = GROUP / 4;
const WIDE_WORDS: usize = GROUP / 2;

/// Words of a row's group that codes of `bits` are multiplied with once they are unpacked.
const fn steps(bits: Bits) -> usize {
    match bits {
        Bits::Four => WORDS,
        Bits::Eight => WIDE_WORDS,
    }
}

/// Words of an unpacked group: for each step those of all outputs, codes of 4 bits as bytes and those of 8 bits as pairs of 16 bits, and then the
/// outputs' scales as f32.
pub(super) const fn unpacked_group(bits: Bits) -> usize {
    (steps(bits) + 1) * PANEL
}

/// Unpacks the groups of a panel.
///
/// # Safety
/// The machine has AVX2 and F16C.
#[target_feature(enable = "avx2,f16c")]
pub(super) unsafe fn unpack(words: &[u32], bits: Bits, out: &mut [u32]) {
    let layout = Codes { bits };
    for (words, out) in words.chunks_exact(layout.group()).zip(out.chunks_exact_mut(unpacked_group(bits))) {
        let scales_place = steps(bits) * PANEL;
        for first in (0..PANEL).step_by(LANES) {
            for step in 0..layout.words() {
                // SAFETY: a group has a whole panel of words for each of its steps, and twice as many once they are unpacked.
                unsafe {
                    let packed = _mm256_loadu_si256(words.as_ptr().add(step * PANEL + first).cast());
                    let codes = match bits {
                        Bits::Four => bytes(packed),
                        // To flip the highest bit is to take off the offset.
                        Bits::Eight => signed(_mm256_xor_si256(packed, _mm256_set1_epi8(-128))),
                    };
                    let out = out.as_mut_ptr().add(2 * step * PANEL + first);
                    _mm256_storeu_si256(out.cast(), codes[0]);
                    _mm256_storeu_si256(out.add(PANEL).cast(), codes[1]);
                }
            }
            // SAFETY: scales lie behind the codes, two to a word, and one to a word once they are unpacked.
            unsafe {
                let scales = scales(words.as_ptr().add(layout.scales()), first);
                _mm256_storeu_ps(out.as_mut_ptr().add(scales_place + first).cast(), scales);
            }
        }
    }
}

/// The bytes of codes of 4 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn bytes(packed: __m256i) -> [__m256i; 2] {
    let low = _mm256_set1_epi8(15);
    [_mm256_and_si256(packed, low), _mm256_and_si256(_mm256_srli_epi32::<4>(packed), low)]
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
unsafe fn scales(words: *const u32, first: usize) -> __m256 {
    // SAFETY: the caller's promise; scales are two to a word.
    unsafe { _mm256_cvtph_ps(_mm_loadu_si128(words.cast::<f16>().add(first).cast())) }
}

/// See [`super::portable::tile`]: for a panel that [`unpack`] unpacked, and inputs that are wide where the codes have 8 bits.
///
/// # Safety
/// The tile's pointers cover its groups and rows, and the machine has AVX2 and FMA.
pub(super) unsafe fn unpacked_tile(tile: &Tile, bits: Bits) {
    for first in (0..PANEL).step_by(WIDTH * LANES) {
        // SAFETY: as promised.
        unsafe {
            match bits {
                Bits::Four => slice::<false>(tile, first),
                Bits::Eight => slice::<true>(tile, first),
            }
        }
    }
}

#[inline]
unsafe fn slice<const EIGHT: bool>(tile: &Tile, first: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        match tile.rows {
            1 => rows::<1, EIGHT>(tile, first),
            2 => rows::<2, EIGHT>(tile, first),
            3 => rows::<3, EIGHT>(tile, first),
            4 => rows::<4, EIGHT>(tile, first),
            5 => rows::<5, EIGHT>(tile, first),
            _ => rows::<6, EIGHT>(tile, first),
        }
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn rows<const R: usize, const EIGHT: bool>(tile: &Tile, first: usize) {
    // Did the compiler know how many steps there are, it would do them all row by row, and keep the codes in memory.
    let steps = black_box(steps(if EIGHT { Bits::Eight } else { Bits::Four }));
    let mut sums = [[_mm256_setzero_ps(); WIDTH]; R];
    for group in 0..tile.groups {
        // SAFETY: as promised to `unpacked_tile`.
        unsafe {
            let words = tile.words.add(group * (steps + 1) * PANEL + first);
            let input = tile.input.add(group * steps).cast::<i32>();
            let mut totals = [[_mm256_setzero_si256(); WIDTH]; R];
            for step in 0..steps {
                let codes: [_; WIDTH] =
                    std::array::from_fn(|vector| _mm256_loadu_si256(words.add(step * PANEL + vector * LANES).cast()));
                for (row, totals) in totals.iter_mut().enumerate() {
                    let input = _mm256_set1_epi32(*input.add(row * tile.groups * steps + step));
                    for (total, codes) in totals.iter_mut().zip(codes) {
                        // Eight products of two codes of 4 bits, which are 0 to 15, are 30,480 at most: they are added in 16 bits.
                        *total = if EIGHT {
                            _mm256_add_epi32(*total, _mm256_madd_epi16(codes, input))
                        } else {
                            _mm256_add_epi16(*total, _mm256_maddubs_epi16(codes, input))
                        };
                    }
                }
            }
            let scales: [_; WIDTH] =
                std::array::from_fn(|vector| _mm256_loadu_ps(words.add(steps * PANEL + vector * LANES).cast()));
            for (row, (sums, totals)) in sums.iter_mut().zip(totals).enumerate() {
                let place = row * tile.groups + group;
                let (start, scale) = (*tile.starts.add(place), _mm256_set1_ps(*tile.input_scales.add(place)));
                for ((sum, mut total), scales) in sums.iter_mut().zip(totals).zip(scales) {
                    // Of codes of 8 bits the offset is taken off before.
                    if !EIGHT {
                        total =
                            _mm256_add_epi32(_mm256_madd_epi16(total, _mm256_set1_epi16(1)), _mm256_set1_epi32(start));
                    }
                    *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), _mm256_mul_ps(scales, scale), *sum);
                }
            }
        }
    }
    for (row, sums) in sums.into_iter().enumerate() {
        for (vector, sum) in sums.into_iter().enumerate() {
            // SAFETY: as promised to `unpacked_tile`.
            unsafe { store(sum, &tile.place, row * tile.place.row + first + vector * LANES) };
        }
    }
}

/// See [`super::portable::tile`]: for fewer than 6 rows, and codes as they lie.
///
/// # Safety
/// The tile's pointers cover its groups and rows, and the machine has AVX2, FMA and F16C.
pub(super) unsafe fn tile(tile: &Tile, bits: Bits) {
    // SAFETY: as promised.
    unsafe {
        match bits {
            Bits::Four => few::<false>(tile),
            Bits::Eight => few::<true>(tile),
        }
    }
}

#[inline]
unsafe fn few<const EIGHT: bool>(tile: &Tile) {
    // SAFETY: the caller's promise.
    unsafe {
        match tile.rows {
            1 => few_rows::<1, VECTORS, EIGHT>(tile),
            2 => few_rows::<2, 1, EIGHT>(tile),
            3 => few_rows::<3, 1, EIGHT>(tile),
            4 => few_rows::<4, 1, EIGHT>(tile),
            _ => few_rows::<5, 1, EIGHT>(tile),
        }
    }
}

/// V vectors are summed at a time: all of a single row, so that its weights are read as they lie in memory, and one of several, so that there is
/// nothing but codes and sums to keep.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn few_rows<const R: usize, const V: usize, const EIGHT: bool>(tile: &Tile) {
    let layout = const { Codes { bits: if EIGHT { Bits::Eight } else { Bits::Four } } };
    for first in (0..VECTORS).step_by(V) {
        let mut sums = [[_mm256_setzero_ps(); R]; V];
        for group in 0..tile.groups {
            // SAFETY: as promised to `tile`.
            unsafe {
                let words = tile.words.add(group * layout.group());
                let input = tile.input.add(group * WORDS).cast();
                for (vector, sums) in sums.iter_mut().enumerate() {
                    let codes = words.add((first + vector) * LANES);
                    let totals: [_; R] = if EIGHT {
                        totals8(codes, input, tile.groups * WORDS)
                    } else {
                        totals4(codes, input, tile.groups * WORDS)
                    };
                    let scales = scales(words.add(layout.scales()), (first + vector) * LANES);
                    for (row, (sum, mut total)) in sums.iter_mut().zip(totals).enumerate() {
                        let place = row * tile.groups + group;
                        if !EIGHT {
                            total = _mm256_add_epi32(total, _mm256_set1_epi32(*tile.starts.add(place)));
                        }
                        let scale = _mm256_mul_ps(scales, _mm256_set1_ps(*tile.input_scales.add(place)));
                        *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), scale, *sum);
                    }
                }
            }
        }
        for (vector, sums) in sums.into_iter().enumerate() {
            for (row, sum) in sums.into_iter().enumerate() {
                // SAFETY: as promised to `tile`.
                unsafe { store(sum, &tile.place, row * tile.place.row + (first + vector) * LANES) };
            }
        }
    }
}

/// The sums of a group's codes of 4 bits, without the offset. The codes are unpacked for all rows.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn totals4<const R: usize>(words: *const u32, input: *const i32, row_words: usize) -> [__m256i; R] {
    let mut codes = [_mm256_setzero_si256(); WORDS];
    for (step, codes) in codes.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        // SAFETY: as promised to `tile`.
        *codes = bytes(unsafe { _mm256_loadu_si256(words.add(step * PANEL).cast()) });
    }
    let mut totals = [_mm256_setzero_si256(); R];
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
unsafe fn totals8<const R: usize>(words: *const u32, input: *const i32, row_words: usize) -> [__m256i; R] {
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

#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store(mut sum: __m256, place: &Place, offset: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(residual) = place.residual {
            sum = _mm256_add_ps(sum, _mm256_loadu_ps(residual.add(offset)));
        }
        _mm256_storeu_ps(place.out.add(offset), sum);
    }
}
