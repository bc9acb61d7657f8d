//! Products with keys and values that were widened to f32, however they are kept: as f32, or for the rows of prompts by AMX, rounded to pairs of
//! bf16.

use super::super::tiles;
use super::BLOCK;
use crate::gemm::block::{BlockProduct, HEIGHT, Left, PANEL, PairLeft, ROWS, TALL_ROWS, Target, pack_pairs};
use crate::memory::Buffer;

/// Rows of queries or of probabilities.
pub(super) enum WideLeft<'a> {
    Numbers(Left<'a>),
    /// For AMX.
    Pairs(PairLeft<'a>),
}

/// What a head's keys or values are brought into.
pub(super) struct Panel {
    pub(super) wide: Buffer,
    /// For AMX.
    pairs: Buffer,
}

impl Panel {
    pub(super) fn new(product: &BlockProduct, dim: usize) -> Self {
        let words = dim.next_multiple_of(PANEL) * BLOCK;
        Self { wide: Buffer::scratch(words), pairs: Buffer::scratch(if product.is_tall() { words / 2 } else { 0 }) }
    }
}

/// Words of rows of `length` numbers, as [`left`] needs them.
pub(super) fn left_words(product: &BlockProduct, rows: usize, length: usize) -> usize {
    if product.is_tall() { rows.next_multiple_of(HEIGHT) * row_words(length) } else { 0 }
}

/// Words of a row: whole cache lines.
fn row_words(length: usize) -> usize {
    length.div_ceil(2).next_multiple_of(HEIGHT)
}

/// The first `length` numbers of rows that are `row` apart.
#[inline(always)]
pub(super) fn left<'a>(
    product: &BlockProduct,
    data: &'a [f32],
    row: usize,
    length: usize,
    space: &'a mut Buffer,
) -> WideLeft<'a> {
    if !product.is_tall() {
        return WideLeft::Numbers(Left { data, row, step: 1 });
    }
    let words = row_words(length);
    for (data, words) in data.chunks(row).zip(space.words_mut().chunks_exact_mut(words)) {
        pack_pairs(&data[..length], &mut words[..length.div_ceil(2)]);
    }
    WideLeft::Pairs(PairLeft { words: space.words(), row: words })
}

/// The products of rows of queries with keys `[dim][BLOCK]`, which are wide in the panel, into rows of scores.
#[inline(always)]
pub(super) fn score(
    product: &BlockProduct,
    dim: usize,
    rows: usize,
    queries: &WideLeft<'_>,
    panel: &mut Panel,
    scores: &mut [f32],
    scores_row: usize,
) {
    match queries {
        WideLeft::Numbers(queries) => {
            for tile in tiles::<ROWS>(0..rows) {
                let target = Target { data: &mut scores[tile.start * scores_row..], row: scores_row, add: false };
                let queries = queries.from(tile.start, 0);
                product.multiply([tile.len(), BLOCK], queries, &panel.wide[..dim * BLOCK], target);
            }
        }
        WideLeft::Pairs(queries) => {
            product.pack_pair_rows(&panel.wide, BLOCK, dim, BLOCK, panel.pairs.words_mut());
            let keys = &panel.pairs.words()[..dim.div_ceil(2) * BLOCK];
            for row in (0..rows).step_by(TALL_ROWS) {
                let target = Target { data: &mut scores[row * scores_row..], row: scores_row, add: false };
                product.multiply_tall([TALL_ROWS.min(rows - row), BLOCK], queries.from(row, 0), keys, target);
            }
        }
    }
}

/// Values of `dim` numbers, which are wide in the panel, `[panels of numbers][BLOCK][PANEL]`, the first `tokens` of them times rows of
/// probabilities from `first` on: written to `out` `[rows][dim]` or added to it.
#[inline(always)]
pub(super) fn attend(
    product: &BlockProduct,
    dim: usize,
    rows: usize,
    tokens: usize,
    probabilities: &WideLeft<'_>,
    first: usize,
    panel: &mut Panel,
    out: &mut [f32],
    add: bool,
) {
    let Panel { wide, pairs } = panel;
    for (index, values) in wide.chunks_exact(BLOCK * PANEL).enumerate() {
        let columns = PANEL.min(dim - index * PANEL);
        match probabilities {
            WideLeft::Numbers(probabilities) => {
                for tile in tiles::<ROWS>(0..rows) {
                    let target = Target { data: &mut out[tile.start * dim + index * PANEL..], row: dim, add };
                    let left = probabilities.from(tile.start, first);
                    product.multiply([tile.len(), columns], left, &values[..tokens * PANEL], target);
                }
            }
            WideLeft::Pairs(probabilities) => {
                product.pack_pair_rows(values, PANEL, tokens, PANEL, pairs.words_mut());
                let values = &pairs.words()[..tokens.div_ceil(2) * PANEL];
                for row in (0..rows).step_by(TALL_ROWS) {
                    let target = Target { data: &mut out[row * dim + index * PANEL..], row: dim, add };
                    let left = probabilities.from(row, first / 2);
                    product.multiply_tall([TALL_ROWS.min(rows - row), columns], left, values, target);
                }
            }
        }
    }
}
