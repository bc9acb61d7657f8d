//! Products with keys and values that were widened to f32, however they are kept.

use super::super::tiles;
use super::BLOCK;
use crate::gemm::block::{BlockProduct, Left, PANEL, Target};

/// Numbers of a head's keys or values, widened.
pub(super) fn panel_words(dim: usize) -> usize {
    dim.next_multiple_of(PANEL) * BLOCK
}

/// The products of rows of queries with keys `[dim][BLOCK]`, into rows of scores.
#[inline(always)]
pub(super) fn score(
    product: &BlockProduct,
    rows: usize,
    queries: Left<'_>,
    keys: &[f32],
    scores: &mut [f32],
    scores_row: usize,
) {
    for tile in tiles(0..rows) {
        let target = Target { data: &mut scores[tile.start * scores_row..], row: scores_row, add: false };
        product.multiply([tile.len(), BLOCK], queries.from(tile.start, 0), keys, target);
    }
}

/// Values of `dim` numbers in panels `[panels of numbers][BLOCK][PANEL]`, the first `tokens` of them times rows of probabilities: written to
/// `out` `[rows][dim]` or added to it.
#[inline(always)]
pub(super) fn attend(
    product: &BlockProduct,
    dim: usize,
    rows: usize,
    tokens: usize,
    probabilities: Left<'_>,
    values: &[f32],
    out: &mut [f32],
    add: bool,
) {
    for tile in tiles(0..rows) {
        for (index, panel) in values.chunks_exact(BLOCK * PANEL).enumerate() {
            let target = Target { data: &mut out[tile.start * dim + index * PANEL..], row: dim, add };
            let columns = PANEL.min(dim - index * PANEL);
            let left = probabilities.from(tile.start, 0);
            product.multiply([tile.len(), columns], left, &panel[..tokens * PANEL], target);
        }
    }
}
