//! The AVX2 tiles: slices of 16 columns, so that 6 x 2 sums, 2 vectors of the right factor and a broadcast fit the 16 registers.

use super::super::Activation;
use super::super::panel::SLICE;
use super::super::portable;
use super::super::tile::{self, Arithmetic, Tile, TileFunction};
use super::int8;
use super::pack::mask;
use std::arch::x86_64::*;

pub(super) const LANES: usize = 8;
/// Steps that the right factor is asked for ahead: where slices do not lie apart, a tile reads one cache line of many, which the CPU does not foresee.
const AHEAD: usize = 12;
const _: () = assert!(SLICE == 2 * LANES);

/// The function for an arithmetic.
pub(in super::super) fn tile(arithmetic: Arithmetic) -> TileFunction {
    match arithmetic {
        Arithmetic::F32 | Arithmetic::F32Rounded => f32_tile,
        Arithmetic::Bf16Pairs | Arithmetic::Bf16Tiles => portable::tile(arithmetic),
        Arithmetic::Bf16Widened => widened_tile,
        Arithmetic::Int8 | Arithmetic::Int8Tiles => int8::tile,
        Arithmetic::Int8Widened => int8::widened_tile,
    }
}

/// Defines the function that takes a tile slice by slice and picks the variant for its rows.
macro_rules! choose_variant {
    ($name:ident, $slice:ident) => {
        #[target_feature(enable = "avx2,fma")]
        unsafe fn $name(tile: &Tile) {
            for first in (0..tile.columns).step_by(SLICE) {
                // SAFETY: the caller's promise.
                unsafe {
                    match tile.rows {
                        1 => $slice::<1>(tile, first),
                        2 => $slice::<2>(tile, first),
                        3 => $slice::<3>(tile, first),
                        4 => $slice::<4>(tile, first),
                        5 => $slice::<5>(tile, first),
                        _ => $slice::<6>(tile, first),
                    }
                }
            }
            // SAFETY: as above.
            unsafe { finish(tile) }
        }
    };
}

choose_variant!(f32_tile, f32_slice);
choose_variant!(widened_tile, widened_slice);

#[target_feature(enable = "avx2,fma")]
unsafe fn f32_slice<const R: usize>(tile: &Tile, first: usize) {
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    let (mut left, left_row, left_step) = (tile.left, tile.left_row, tile.left_step);
    // SAFETY: the tile's pointers are valid for its rows and steps, and for a whole panel of columns.
    unsafe {
        let mut right = tile.right.add(first / SLICE * tile.right_slice);
        for _ in 0..tile.steps {
            _mm_prefetch::<_MM_HINT_T0>(right.wrapping_add(AHEAD * tile.right_step).cast());
            let (b0, b1) = (_mm256_loadu_ps(right.cast()), _mm256_loadu_ps(right.add(LANES).cast()));
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = _mm256_broadcast_ss(&*left.add(r * left_row).cast());
                sums[0] = _mm256_fmadd_ps(a, b0, sums[0]);
                sums[1] = _mm256_fmadd_ps(a, b1, sums[1]);
            }
            left = left.add(left_step);
            right = right.add(tile.right_step);
        }
        store(sums, tile, 0, first);
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn widened_slice<const R: usize>(tile: &Tile, first: usize) {
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    let (mut left, left_row, left_step) = (tile.left, tile.left_row, tile.left_step);
    let upper = _mm256_set1_epi32(0xffff_0000_u32 as i32);
    // SAFETY: as above; the left factor has two words per step.
    unsafe {
        let mut right = tile.right.add(first / SLICE * tile.right_slice);
        for _ in 0..tile.steps {
            for half in 0..2 {
                let b: [__m256; 2] = std::array::from_fn(|v| {
                    let pairs = _mm256_loadu_si256(right.add(v * LANES).cast());
                    _mm256_castsi256_ps(if half == 0 {
                        _mm256_slli_epi32::<16>(pairs)
                    } else {
                        _mm256_and_si256(pairs, upper)
                    })
                });
                for (r, sums) in sums.iter_mut().enumerate() {
                    let a = _mm256_broadcast_ss(&*left.add(r * left_row).cast());
                    sums[0] = _mm256_fmadd_ps(a, b[0], sums[0]);
                    sums[1] = _mm256_fmadd_ps(a, b[1], sums[1]);
                }
                left = left.add(left_step);
            }
            right = right.add(tile.right_step);
        }
        store(sums, tile, 0, first);
    }
}

/// Stores sums. They come by value: a reference would keep them in memory while they are summed, at a third of the speed. An iterator that takes
/// the array, too, would copy what is left of it at each step.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn store<const R: usize>(mut sums: [[__m256; 2]; R], tile: &Tile, row: usize, first: usize) {
    if tile.columns - first < SLICE {
        // SAFETY: the caller's promise.
        return unsafe { store_part(sums, tile, row, first) };
    }
    let place = row * tile.out_row + first;
    // SAFETY: each row has `columns` elements in `out` and in what is added to it.
    unsafe {
        if !tile.bias.is_null() {
            let from = tile.bias.add(first);
            let bias = [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(LANES))];
            for sums in &mut sums {
                *sums = [_mm256_add_ps(sums[0], bias[0]), _mm256_add_ps(sums[1], bias[1])];
            }
        }
        if tile.add {
            sums = plus(sums, tile.out.add(place), tile.out_row);
        }
        if tile.activation == Activation::None && !tile.residual.is_null() {
            sums = plus(sums, tile.residual.add(place), tile.out_row);
        }
        for (r, sums) in sums.iter().enumerate() {
            let out = tile.out.add(place + r * tile.out_row);
            _mm256_storeu_ps(out, sums[0]);
            _mm256_storeu_ps(out.add(LANES), sums[1]);
        }
    }
}

/// Adds rows of numbers.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn plus<const R: usize>(mut sums: [[__m256; 2]; R], rows: *const f32, row: usize) -> [[__m256; 2]; R] {
    for (r, sums) in sums.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            let from = rows.add(r * row);
            *sums = [
                _mm256_add_ps(sums[0], _mm256_loadu_ps(from)),
                _mm256_add_ps(sums[1], _mm256_loadu_ps(from.add(LANES))),
            ];
        }
    }
    sums
}

/// [`store`] for fewer columns than a slice: their loads and stores are masked, and take many times as long.
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
unsafe fn store_part<const R: usize>(sums: [[__m256; 2]; R], tile: &Tile, row: usize, first: usize) {
    for (r, sums) in sums.iter().enumerate() {
        for (v, sum) in sums.iter().enumerate() {
            let column = first + v * LANES;
            let mask = mask(tile.columns.saturating_sub(column));
            let place = (row + r) * tile.out_row + column;
            // SAFETY: lanes beyond the columns are masked off.
            unsafe {
                let mut value = *sum;
                if !tile.bias.is_null() {
                    value = _mm256_add_ps(value, _mm256_maskload_ps(tile.bias.wrapping_add(column), mask));
                }
                if tile.add {
                    value = _mm256_add_ps(value, _mm256_maskload_ps(tile.out.wrapping_add(place), mask));
                }
                if tile.activation == Activation::None && !tile.residual.is_null() {
                    value = _mm256_add_ps(value, _mm256_maskload_ps(tile.residual.wrapping_add(place), mask));
                }
                _mm256_maskstore_ps(tile.out.wrapping_add(place), mask, value);
            }
        }
    }
}

#[inline(never)]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn finish(tile: &Tile) {
    if tile.activation != Activation::None {
        // SAFETY: the tile's promise.
        unsafe { tile::finish(tile) }
    }
}
