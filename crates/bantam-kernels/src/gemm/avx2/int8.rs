//! The AVX2 tiles of codes. Bytes are widened to 16 bits and multiplied as such, because the instruction that multiplies bytes (`pmaddubsw`) saturates.

use super::super::panel::{PANEL, SLICE};
use super::super::tile::{ROWS, Tile, WIDE_ROWS};
use super::tile::{LANES, finish, store};
use crate::memory::Buffer;
use std::arch::x86_64::*;

/// Steps of four codes that [`widened_tile`] widens at a time: its rows, a slice and all sums then fit the first-level cache.
const STEPS: usize = 32;
/// Words of a row's steps once they are widened, and of a whole tile's; of a slice's; and of a tile's sums.
const ROW: usize = 2 * STEPS;
const LEFT: usize = WIDE_ROWS * ROW;
const RIGHT: usize = ROW * SLICE;
const SUMS: usize = WIDE_ROWS * PANEL;

/// Some rows: codes of the right factor are widened for three of them.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn tile(tile: &Tile) {
    for first in (0..tile.columns).step_by(SLICE) {
        let mut row = 0;
        while row < tile.rows {
            // SAFETY: the caller's promise; the slices together are the tile's rows.
            unsafe {
                row += match tile.rows - row {
                    1 => slice::<1>(tile, row, first),
                    2 => slice::<2>(tile, row, first),
                    _ => slice::<3>(tile, row, first),
                };
            }
        }
    }
    // SAFETY: as above.
    unsafe { finish(tile) }
}

/// Sums R rows and says how many.
#[target_feature(enable = "avx2,fma")]
unsafe fn slice<const R: usize>(tile: &Tile, row: usize, first: usize) -> usize {
    let mut sums = [[_mm256_setzero_si256(); 2]; R];
    let byte = _mm256_set1_epi16(0xff);
    // SAFETY: the tile's pointers are valid for its rows and steps, and for a whole panel of columns.
    unsafe {
        let mut left = tile.left.add(row * tile.left_row);
        let mut right = tile.right.add(first / SLICE * tile.right_slice);
        for _ in 0..tile.steps {
            let pairs: [_; 2] = std::array::from_fn(|v| signed(_mm256_loadu_si256(right.add(v * LANES).cast())));
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = _mm256_set1_epi32(*left.add(r * tile.left_row).cast());
                let (even, odd) = (_mm256_and_si256(a, byte), _mm256_srli_epi16::<8>(a));
                for (sum, pairs) in sums.iter_mut().zip(pairs) {
                    let products =
                        _mm256_add_epi32(_mm256_madd_epi16(even, pairs[0]), _mm256_madd_epi16(odd, pairs[1]));
                    *sum = _mm256_add_epi32(*sum, products);
                }
            }
            left = left.add(tile.left_step);
            right = right.add(tile.right_step);
        }
        store_scaled(sums, tile, row, first);
    }
    R
}

/// Many rows: both factors are widened once for all of them, some steps at a time, the even codes of all steps before the odd ones.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn widened_tile(tile: &Tile) {
    let mut words = Buffer::scratch(LEFT + RIGHT + SUMS);
    let (left, rest) = words.words_mut().split_at_mut(LEFT);
    let (right, sums) = rest.split_at_mut(RIGHT);
    for first_step in (0..tile.steps.max(1)).step_by(STEPS) {
        let steps = STEPS.min(tile.steps - first_step);
        let (is_first, is_last) = (first_step == 0, first_step + steps == tile.steps);
        // SAFETY: the caller's promise; the words have room for a whole tile.
        unsafe {
            for row in 0..tile.rows {
                widen_row(tile.left.add(row * tile.left_row + first_step), steps, &mut left[row * ROW..][..ROW]);
            }
            for first in (0..tile.columns).step_by(SLICE) {
                widen_slice(tile, first_step, steps, first, right);
                for row in (0..tile.rows).step_by(ROWS) {
                    let block = Block { tile, row, first, left, right, steps, is_first, is_last };
                    match tile.rows - row {
                        1 => block.multiply::<1>(sums),
                        2 => block.multiply::<2>(sums),
                        3 => block.multiply::<3>(sums),
                        4 => block.multiply::<4>(sums),
                        5 => block.multiply::<5>(sums),
                        _ => block.multiply::<ROWS>(sums),
                    }
                }
            }
        }
    }
    // SAFETY: as above.
    unsafe { finish(tile) }
}

/// Some widened steps of some rows by a slice.
struct Block<'a> {
    tile: &'a Tile,
    row: usize,
    first: usize,
    /// `[WIDE_ROWS][ROW]`.
    left: &'a [u32],
    /// `[2 steps][SLICE]`.
    right: &'a [u32],
    steps: usize,
    is_first: bool,
    is_last: bool,
}

impl Block<'_> {
    /// Adds the products of R rows to `sums` `[WIDE_ROWS][PANEL]`, and after the last steps stores them.
    ///
    /// # Safety
    /// The tile's promise.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn multiply<const R: usize>(&self, sums: &mut [u32]) {
        let kept = sums[self.row * PANEL + self.first..][..(R - 1) * PANEL + SLICE].as_mut_ptr();
        let left = self.left[self.row * ROW..][..R * ROW].as_ptr();
        let place = |row: usize, vector: usize| row * PANEL + vector * LANES;
        let mut sums = [[_mm256_setzero_si256(); 2]; R];
        // SAFETY: rows, slice and sums were sliced above for R rows, and the right factor has all steps.
        unsafe {
            if !self.is_first {
                sums = std::array::from_fn(|row| {
                    std::array::from_fn(|vector| _mm256_loadu_si256(kept.add(place(row, vector)).cast()))
                });
            }
            for (step, right) in self.right.as_chunks::<SLICE>().0[..2 * self.steps].iter().enumerate() {
                let pairs: [_; 2] = std::array::from_fn(|v| _mm256_loadu_si256(right.as_ptr().add(v * LANES).cast()));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let codes = _mm256_set1_epi32(*left.add(row * ROW + step).cast());
                    for (sum, pairs) in sums.iter_mut().zip(pairs) {
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(codes, pairs));
                    }
                }
            }
            if self.is_last {
                return store_scaled(sums, self.tile, self.row, self.first);
            }
            for (row, sums) in sums.into_iter().enumerate() {
                for (vector, sum) in sums.into_iter().enumerate() {
                    _mm256_storeu_si256(kept.add(place(row, vector)).cast(), sum);
                }
            }
        }
    }
}

/// Widens codes without a sign.
#[target_feature(enable = "avx2")]
unsafe fn widen_row(codes: *const u32, steps: usize, out: &mut [u32]) {
    let (even, odd) = out.split_at_mut(steps);
    // SAFETY: a row has all its steps.
    let codes = unsafe { std::slice::from_raw_parts(codes, steps) };
    for ((code, even), odd) in codes.iter().zip(even).zip(odd) {
        (*even, *odd) = (code & 0x00ff_00ff, code >> 8 & 0x00ff_00ff);
    }
}

/// Widens some steps of a slice of the right factor.
#[target_feature(enable = "avx2")]
unsafe fn widen_slice(tile: &Tile, first_step: usize, steps: usize, first: usize, out: &mut [u32]) {
    let (even, odd) = out[..2 * steps * SLICE].split_at_mut(steps * SLICE);
    // SAFETY: the caller's promise; the halves have room for all steps.
    unsafe {
        let right = tile.right.add(first / SLICE * tile.right_slice + first_step * tile.right_step);
        for step in 0..steps {
            for lane in (0..SLICE).step_by(LANES) {
                let pairs = signed(_mm256_loadu_si256(right.add(step * tile.right_step + lane).cast()));
                _mm256_storeu_si256(even.as_mut_ptr().add(step * SLICE + lane).cast(), pairs[0]);
                _mm256_storeu_si256(odd.as_mut_ptr().add(step * SLICE + lane).cast(), pairs[1]);
            }
        }
    }
}

/// The bytes of words, as pairs of 16 bits: of each four the first and third, and the second and fourth.
#[inline]
#[target_feature(enable = "avx2")]
pub(in super::super) fn signed(bytes: __m256i) -> [__m256i; 2] {
    [_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes)), _mm256_srai_epi16::<8>(bytes)]
}

/// Makes numbers of sums and stores them.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn store_scaled<const R: usize>(sums: [[__m256i; 2]; R], tile: &Tile, row: usize, first: usize) {
    let mut scaled = [[_mm256_setzero_ps(); 2]; R];
    // SAFETY: the caller's promise: scales and starts are there for all rows and for a whole slice of columns.
    unsafe {
        for (r, sums) in sums.into_iter().enumerate() {
            let row_scale = _mm256_set1_ps(*tile.scales.rows.add(row + r));
            for (v, sum) in sums.into_iter().enumerate() {
                let start = _mm256_loadu_si256(tile.scales.start.add(first + v * LANES).cast());
                let scale = _mm256_loadu_ps(tile.scales.columns.add(first + v * LANES));
                let sum = _mm256_cvtepi32_ps(_mm256_add_epi32(sum, start));
                scaled[r][v] = _mm256_mul_ps(_mm256_mul_ps(sum, scale), row_scale);
            }
        }
        store(scaled, tile, row, first);
    }
}
