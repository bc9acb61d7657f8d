//! What choosing a token needs of the scores of a whole vocabulary, in blocks: their largest and their sums of powers.
//!
//! A choice looks at few of the scores. Knowing the largest of each block tells which blocks to look into.

use crate::curves::exp;
use crate::vectorized::vectorized;

#[cfg(test)]
mod tests;

/// Scores in a block; the last of a row may be shorter.
pub const BLOCK: usize = 64;

/// Running sums in a loop over a block.
const LANES: usize = 16;

/// A score as it is counted: what is no number counts as minus infinity, and infinity as the largest number.
#[inline(always)]
pub fn counted(score: f32) -> f32 {
    if score.is_nan() { f32::NEG_INFINITY } else { score.min(f32::MAX) }
}

/// Where a [`counted`] score stands among all, as an integer: the compiler turns the largest of many integers, unlike that
/// of floats, into SIMD instructions. [`flip`] turns it back into bits.
#[inline(always)]
fn place(score: f32) -> i32 {
    // Adding 0 makes both zeros one. Infinity is cut down once per block.
    let bits = (if score.is_nan() { f32::NEG_INFINITY } else { score + 0.0 }).to_bits().cast_signed();
    flip(bits)
}

/// Makes the bits of negative floats ascend like integers; its own inverse.
#[inline(always)]
fn flip(bits: i32) -> i32 {
    bits ^ ((bits >> 31) & i32::MAX)
}

/// Replaces `largest` by the largest [`counted`] score of each block.
pub fn block_largest(scores: &[f32], largest: &mut Vec<f32>) {
    largest.clear();
    largest.resize(scores.len().div_ceil(BLOCK), 0.0);
    vectorized(
        #[inline(always)]
        || {
            for (block, result) in scores.chunks(BLOCK).zip(largest) {
                let most = block.iter().fold(i32::MIN, |most, &score| most.max(place(score)));
                *result = f32::from_bits(flip(most).cast_unsigned()).min(f32::MAX);
            }
        },
    );
}

/// Replaces `sums` by each block's Σ exp(([`counted`] score - `top`) * `factor`). With the largest score as `top` no power is
/// above 1.
pub fn block_powers(scores: &[f32], top: f32, factor: f32, sums: &mut Vec<f32>) {
    sums.clear();
    sums.resize(scores.len().div_ceil(BLOCK), 0.0);
    vectorized(
        #[inline(always)]
        || {
            let (blocks, rest) = scores.as_chunks::<BLOCK>();
            // A loop, not `for_each`: its closure would be compiled without the instructions that this one may use.
            for (block, sum) in blocks.iter().zip(sums.iter_mut()) {
                *sum = sum_of_powers(block, top, factor);
            }
            if !rest.is_empty() {
                let mut last = [f32::NEG_INFINITY; BLOCK];
                last[..rest.len()].copy_from_slice(rest);
                sums[blocks.len()] = sum_of_powers(&last, top, factor);
            }
        },
    );
}

/// In strands, which are added in halves: the same order on every machine.
#[inline(always)]
fn sum_of_powers(block: &[f32; BLOCK], top: f32, factor: f32) -> f32 {
    let mut strands = [0.0; LANES];
    for lane in block.as_chunks::<LANES>().0 {
        for index in 0..LANES {
            strands[index] += power(lane[index], top, factor);
        }
    }
    let [low, high] = halved::<4, 2>(halved::<8, 4>(halved::<LANES, 8>(strands)));
    low + high
}

/// The upper half added to the lower. Sizes that the compiler knows keep the strands in registers.
#[inline(always)]
fn halved<const N: usize, const HALF: usize>(strands: [f32; N]) -> [f32; HALF] {
    let mut sums = [0.0; HALF];
    for index in 0..HALF {
        sums[index] = strands[index] + strands[index + HALF];
    }
    sums
}

/// Replaces `powers` by exp(([`counted`] score - `top`) * `factor`) of each score.
pub fn powers(scores: &[f32], top: f32, factor: f32, powers: &mut Vec<f32>) {
    powers.clear();
    powers.resize(scores.len(), 0.0);
    vectorized(
        #[inline(always)]
        || {
            for (value, &score) in powers.iter_mut().zip(scores) {
                *value = power(score, top, factor);
            }
        },
    );
}

/// Exactly 0 where nothing is left, so that what is impossible is never drawn.
#[inline(always)]
fn power(score: f32, top: f32, factor: f32) -> f32 {
    exp((counted(score) - top) * factor)
}
