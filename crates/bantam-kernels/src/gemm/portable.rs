//! The tiles in plain Rust, for every arithmetic: the obvious form, and the one for machines without kernels of their own.

use super::Activation;
use super::panel::SLICE;
use super::tile::{Arithmetic, Tile, TileFunction, finish};

/// Columns summed at once: few enough that compilers keep the sums in registers of 128 bits.
const COLUMNS: usize = SLICE;

/// The function for an arithmetic.
pub(super) fn tile(arithmetic: Arithmetic) -> TileFunction {
    match arithmetic {
        Arithmetic::F32 | Arithmetic::F32Rounded => f32_tile,
        Arithmetic::Bf16Pairs | Arithmetic::Bf16Tiles => pairs_tile,
        Arithmetic::Bf16Widened => widened_tile,
        Arithmetic::Int8 | Arithmetic::Int8Widened | Arithmetic::Int8Tiles => int8_tile,
    }
}

unsafe fn f32_tile(tile: &Tile) {
    // SAFETY: the caller's promise; one word per step on the left.
    unsafe { float_tile(tile, 1, |left, _, right, sum| sum + f32::from_bits(*left) * f32::from_bits(right)) }
}

unsafe fn pairs_tile(tile: &Tile) {
    // SAFETY: as above.
    unsafe {
        float_tile(tile, 1, |left, _, right, sum| {
            let left = *left;
            sum + low(left) * low(right) + high(left) * high(right)
        });
    }
}

unsafe fn widened_tile(tile: &Tile) {
    // SAFETY: two words per step on the left.
    unsafe {
        float_tile(tile, 2, |left, left_step, right, sum| {
            sum + f32::from_bits(*left) * low(right) + f32::from_bits(*left.add(left_step)) * high(right)
        });
    }
}

unsafe fn int8_tile(tile: &Tile) {
    for row in 0..tile.rows {
        for first in (0..tile.columns).step_by(COLUMNS) {
            // SAFETY: the caller's promise; one word of four codes per step.
            unsafe {
                let sums = sum_row(tile, row, first, 1, 0i32, |left, _, right, sum| {
                    let (left, right) = ((*left).to_le_bytes(), right.to_le_bytes());
                    sum + (0..4).map(|byte| i32::from(left[byte]) * i32::from(right[byte] as i8)).sum::<i32>()
                });
                let row_scale = *tile.scales.rows.add(row);
                let scaled = std::array::from_fn(|lane| {
                    let sum = sums[lane] + *tile.scales.start.add(first + lane);
                    sum as f32 * *tile.scales.columns.add(first + lane) * row_scale
                });
                store(tile, row, first, scaled);
            }
        }
    }
    if tile.activation != Activation::None {
        // SAFETY: the caller's promise.
        unsafe { finish(tile) }
    }
}

/// The lower bf16 of a pair.
fn low(pair: u32) -> f32 {
    f32::from_bits(pair << 16)
}

/// The upper bf16 of a pair.
fn high(pair: u32) -> f32 {
    f32::from_bits(pair & 0xffff_0000)
}

#[inline(always)]
unsafe fn float_tile(tile: &Tile, left_words: usize, step: impl Fn(*const u32, usize, u32, f32) -> f32 + Copy) {
    for row in 0..tile.rows {
        for first in (0..tile.columns).step_by(COLUMNS) {
            // SAFETY: the caller's promise.
            unsafe {
                let sums = sum_row(tile, row, first, left_words, 0.0f32, step);
                store(tile, row, first, sums);
            }
        }
    }
    if tile.activation != Activation::None {
        // SAFETY: the caller's promise.
        unsafe { finish(tile) }
    }
}

#[inline(always)]
unsafe fn sum_row<T: Copy>(
    tile: &Tile,
    row: usize,
    first: usize,
    left_words: usize,
    zero: T,
    step: impl Fn(*const u32, usize, u32, T) -> T,
) -> [T; COLUMNS] {
    let mut sums = [zero; COLUMNS];
    for index in 0..tile.steps {
        // SAFETY: the tile's pointers are valid for its rows and steps, and for a whole panel of columns.
        unsafe {
            let left = tile.left.add(row * tile.left_row + index * left_words * tile.left_step);
            let right = tile.right.add(first / SLICE * tile.right_slice + index * tile.right_step);
            for (lane, sum) in sums.iter_mut().enumerate() {
                *sum = step(left, tile.left_step, *right.add(lane), *sum);
            }
        }
    }
    sums
}

unsafe fn store(tile: &Tile, row: usize, first: usize, sums: [f32; COLUMNS]) {
    for (lane, sum) in sums.into_iter().enumerate().take(tile.columns - first) {
        let place = row * tile.out_row + first + lane;
        // SAFETY: the column is within the tile, and what is added has the layout of `out`.
        unsafe {
            let mut value = sum;
            if !tile.bias.is_null() {
                value += *tile.bias.add(first + lane);
            }
            if tile.add {
                value += *tile.out.add(place);
            }
            if tile.activation == Activation::None && !tile.residual.is_null() {
                value += *tile.residual.add(place);
            }
            *tile.out.add(place) = value;
        }
    }
}
