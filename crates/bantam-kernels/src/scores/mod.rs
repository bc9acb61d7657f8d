//! What choosing a token needs of the scores of a whole vocabulary, in blocks: their largest and their sums of powers.
//!
//! A choice looks at few of the scores. Knowing the largest of each block tells which blocks to look into.

use crate::curves::exp;
use crate::vectorized::vectorized;

#[cfg(test)]
mod tests;

/// Scores in a block; the last of a row may be shorter.
pub const BLOCK: usize = 64;

/// Running results in a loop over a block.
const LANES: usize = 16;

/// A score as it is counted: what is no number counts as minus infinity, and infinity as the largest number.
#[inline(always)]
pub fn counted(score: f32) -> f32 {
    score.max(f32::NEG_INFINITY).min(f32::MAX)
}

/// Replaces `largest` by the largest [`counted`] score of each block.
pub fn block_largest(scores: &[f32], largest: &mut Vec<f32>) {
    each_block(
        scores,
        largest,
        f32::NEG_INFINITY,
        #[inline(always)]
        |most, score| most.max(score).min(f32::MAX),
        #[inline(always)]
        |a, b| a.max(b),
    );
}

/// Replaces `sums` by each block's Σ exp(([`counted`] score - `top`) * `factor`). With the largest score as `top` no power is above 1.
pub fn block_powers(scores: &[f32], top: f32, factor: f32, sums: &mut Vec<f32>) {
    each_block(
        scores,
        sums,
        0.0,
        #[inline(always)]
        |sum, score| sum + power(score, top, factor),
        #[inline(always)]
        |a, b| a + b,
    );
}

/// Replaces `powers` by exp(([`counted`] score - `top`) * `factor`) of each score.
pub fn powers(scores: &[f32], top: f32, factor: f32, powers: &mut Vec<f32>) {
    powers.clear();
    powers.resize(scores.len(), 0.0);
    vectorized(
        #[inline(always)]
        || powers.iter_mut().zip(scores).for_each(|(value, &score)| *value = power(score, top, factor)),
    );
}

/// Exactly 0 where nothing is left, so that what is impossible is never drawn.
#[inline(always)]
fn power(score: f32, top: f32, factor: f32) -> f32 {
    exp((counted(score) - top) * factor)
}

/// Folds each block in [`LANES`] strands, and these in halves: the same order on every machine.
#[inline(always)]
fn each_block(
    scores: &[f32],
    results: &mut Vec<f32>,
    start: f32,
    fold: impl Fn(f32, f32) -> f32,
    join: impl Fn(f32, f32) -> f32,
) {
    results.clear();
    results.resize(scores.len().div_ceil(BLOCK), start);
    vectorized(
        #[inline(always)]
        || {
            let (blocks, rest) = scores.as_chunks::<BLOCK>();
            let mut last = [f32::NEG_INFINITY; BLOCK];
            last[..rest.len()].copy_from_slice(rest);
            for (block, result) in blocks.iter().chain([&last]).zip(results.iter_mut()) {
                let mut strands = [start; LANES];
                for lane in block.as_chunks::<LANES>().0 {
                    strands.iter_mut().zip(lane).for_each(|(strand, &score)| *strand = fold(*strand, score));
                }
                for half in [8, 4, 2, 1] {
                    for index in 0..half {
                        strands[index] = join(strands[index], strands[index + half]);
                    }
                }
                *result = strands[0];
            }
        },
    );
}
