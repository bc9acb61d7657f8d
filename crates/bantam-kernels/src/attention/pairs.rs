//! Both directions with products of pairs of bf16, for training in bf16: sums, softmax and its gradient stay f32. Tiles have `H` rows: [`ROWS`], or
//! with AMX [`TALL_ROWS`].

use super::backward::harden;
use super::forward::soften;
use super::{AttentionShape, Head, LANES, Task, panels, scores_row, tiles};
use crate::gemm::Operand;
use crate::gemm::block::{BlockProduct, PANEL, PairColumns, PairLeft, ROWS, TALL_ROWS, Target, pack_pairs, pair_lines};
use crate::memory::Buffer;
use crate::pool::Shared;
use crate::vectorized::{dot, vectorized};
use std::f32::consts::{LN_2, LOG2_E};
use std::ops::Range;

/// See [`super::forward`].
pub(super) fn forward(shape: &AttentionShape, qkv: &[f32], starts: &[usize], out: &Shared<f32>, log_sum: &Shared<f32>) {
    let product = BlockProduct::tall();
    match product.is_tall() {
        true => forward_in::<TALL_ROWS>(&product, shape, qkv, starts, out, log_sum),
        false => forward_in::<ROWS>(&product, shape, qkv, starts, out, log_sum),
    }
}

fn forward_in<const H: usize>(
    product: &BlockProduct,
    shape: &AttentionShape,
    qkv: &[f32],
    starts: &[usize],
    out: &Shared<f32>,
    log_sum: &Shared<f32>,
) {
    let run = |task: &Task<'_>, room: &mut Room<H>| {
        product.with_tall(|| {
            vectorized(
                #[inline(always)]
                || forward_of(task, product, room, out, log_sum),
            );
        });
    };
    Task::each(shape, qkv, starts, |longest| Room::new(shape, longest), run);
}

/// See [`super::backward`].
pub(super) fn backward(
    shape: &AttentionShape,
    qkv: &[f32],
    starts: &[usize],
    out: &[f32],
    log_sum: &[f32],
    d_out: &[f32],
    d_qkv: &Shared<f32>,
) {
    let product = BlockProduct::tall();
    match product.is_tall() {
        true => backward_in::<TALL_ROWS>(&product, shape, qkv, starts, out, log_sum, d_out, d_qkv),
        false => backward_in::<ROWS>(&product, shape, qkv, starts, out, log_sum, d_out, d_qkv),
    }
}

fn backward_in<const H: usize>(
    product: &BlockProduct,
    shape: &AttentionShape,
    qkv: &[f32],
    starts: &[usize],
    out: &[f32],
    log_sum: &[f32],
    d_out: &[f32],
    d_qkv: &Shared<f32>,
) {
    let run = |task: &Task<'_>, room: &mut BackwardRoom<H>| {
        product.with_tall(|| {
            vectorized(
                #[inline(always)]
                || backward_of(task, product, room, out, log_sum, d_out, d_qkv),
            );
        });
    };
    Task::each(shape, qkv, starts, |longest| BackwardRoom::new(shape, longest), run);
}

/// Queries whose scores exist at the same time: each tile of the gradients of keys and values is summed over so many at once.
const fn block(height: usize) -> usize {
    if height == ROWS { 8 * ROWS } else { 4 * height }
}

/// Words of the panels of a right factor `[k, n]`.
fn panel_words(k: usize, n: usize) -> usize {
    n.next_multiple_of(PANEL) * k.div_ceil(2)
}

/// The steps of pairs of a range that begins with an even number.
fn steps(range: &Range<usize>) -> Range<usize> {
    range.start / 2..range.end.div_ceil(2)
}

impl Head<'_> {
    /// Packs the rows of some tokens as a right factor: `[panels of numbers][pairs of tokens][PANEL]`.
    fn pair_rows(&self, product: &BlockProduct, tokens: Range<usize>, out: &mut [u32]) {
        let rows = &self.data[tokens.start * self.width..];
        let operand = Operand { stride: self.width, ..Operand::new(rows, tokens.len(), self.dim) };
        product.pack_pairs(operand, &mut out[..panel_words(tokens.len(), self.dim)]);
    }

    /// Packs all tokens as columns of a right factor: `[panels of tokens][pairs of numbers][PANEL]`.
    fn pair_columns(&self, product: &BlockProduct, out: &mut [u32]) {
        let operand = Operand { stride: self.width, ..Operand::new(self.data, self.length, self.dim) };
        product.pack_pairs(operand.t(), &mut out[..panel_words(self.dim, self.length)]);
    }

    /// Packs a tile of rows as a left factor.
    fn pair_tile(&self, tile: &Range<usize>, out: &mut [u32]) {
        for (token, words) in tile.clone().zip(out.chunks_exact_mut(self.dim.div_ceil(2))) {
            pack_pairs(self.row(token), words);
        }
    }
}

/// The products of a packed tile of rows with the packed columns of a range of keys, into rows of scores.
fn score<const H: usize>(
    product: &BlockProduct,
    rows: usize,
    left: &[u32],
    keys: Range<usize>,
    packed: &[u32],
    scores: &mut Scores<H>,
) {
    let left = PairLeft { words: left, row: scores.dim_words };
    for (panel, part) in panels(keys) {
        let right = &packed[panel * scores.dim_words * PANEL..][..scores.dim_words * PANEL];
        let target = Target { data: &mut scores.data[part.start..], row: scores.row, add: false };
        product.multiply_panel([rows, part.len()], left, right, target);
    }
}

/// A tile of rows of scores.
struct Scores<const H: usize> {
    data: Buffer,
    row: usize,
    /// Words from one row to the next where they are rounded.
    word_row: usize,
    /// Words of the rows that are multiplied for them.
    dim_words: usize,
}

impl<const H: usize> Scores<H> {
    fn new(shape: &AttentionShape, longest: usize) -> Self {
        let row = scores_row(longest);
        let word_row = (row / 2).next_multiple_of(LANES);
        Scores { data: Buffer::scratch(H * row), row, word_row, dim_words: shape.head_dim.div_ceil(2) }
    }

    /// Rounds the scores of a range of keys as a left factor whose rows are those of the scores.
    fn pack_rows(&self, rows: usize, keys: &Range<usize>, out: &mut [u32]) {
        for (row, words) in self.data.chunks_exact(self.row).zip(out.chunks_exact_mut(self.word_row)).take(rows) {
            pack_pairs(&row[keys.clone()], &mut words[..keys.len().div_ceil(2)]);
        }
    }

    /// Rounds them as pairs of rows, for a left factor whose rows are the keys, from a row of the block on.
    fn pack_columns(&self, product: &BlockProduct, rows: usize, keys: &Range<usize>, first: usize, out: &mut Columns) {
        if product.is_tall() {
            let lines = &self.data[keys.start..];
            let place = keys.start * out.row + first / 2;
            return product.pack_tall_columns(
                lines,
                self.row,
                keys.len(),
                rows,
                &mut out.words.words_mut()[place..],
                out.row,
            );
        }
        let keys = keys.start / LANES * LANES..keys.end.next_multiple_of(LANES);
        let words = &mut out.words.words_mut()[first / 2 * out.row..];
        for (pair, words) in words.chunks_exact_mut(out.row).enumerate().take(rows.div_ceil(2)) {
            let line = |row: usize| if row < rows { &self.data[row * self.row..][keys.clone()] } else { &[][..] };
            pair_lines(line(2 * pair), line(2 * pair + 1), &mut words[keys.clone()]);
        }
    }
}

/// The scores of a block of queries as a left factor whose rows are keys: a line for each pair of queries, or for AMX one for each key.
struct Columns {
    words: Buffer,
    /// Words from one line to the next.
    row: usize,
}

impl Columns {
    fn new<const H: usize>(longest: usize) -> Self {
        let pairs = block(H).min(longest.next_multiple_of(2)) / 2;
        if H == ROWS {
            let row = scores_row(longest);
            return Self { words: Buffer::scratch(pairs * row), row };
        }
        let row = pairs.next_multiple_of(LANES) | LANES;
        Self { words: Buffer::scratch(longest.next_multiple_of(H) * row), row }
    }

    /// Adds the products of a tile of keys, for the pairs of queries `seeing`, with a panel of a right factor.
    #[inline(always)]
    fn multiply(
        &self,
        product: &BlockProduct,
        shape: [usize; 2],
        key: usize,
        seeing: &Range<usize>,
        right: &[u32],
        target: Target<'_>,
    ) {
        let words = self.words.words();
        if product.is_tall() {
            let left = PairLeft { words: &words[key * self.row + seeing.start..], row: self.row };
            return product.multiply_tall(shape, left, right, target);
        }
        let left = PairColumns { words: &words[seeing.start * self.row + key..], step: self.row };
        product.multiply_pair_columns(shape, left, right, PANEL, target);
    }
}

/// What a task of the forward pass works in.
struct Room<const H: usize> {
    keys: Buffer,
    values: Buffer,
    queries: Buffer,
    scores: Scores<H>,
    shares: Buffer,
    attended: Buffer,
}

impl<const H: usize> Room<H> {
    fn new(shape: &AttentionShape, longest: usize) -> Self {
        let (dim, scores) = (shape.head_dim, Scores::<H>::new(shape, longest));
        Room {
            keys: Buffer::scratch(panel_words(dim, longest)),
            values: Buffer::scratch(panel_words(longest, dim)),
            queries: Buffer::scratch(H * scores.dim_words),
            shares: Buffer::scratch(H * scores.word_row),
            attended: Buffer::scratch(H * dim),
            scores,
        }
    }
}

/// The forward pass of one task.
#[inline(always)]
fn forward_of<const H: usize>(
    task: &Task,
    product: &BlockProduct,
    room: &mut Room<H>,
    out: &Shared<f32>,
    log_sum: &Shared<f32>,
) {
    let (shape, dim, length) = (task.shape, task.shape.head_dim, task.length);
    let (factor, pairs, row) = (shape.scale * LOG2_E, length.div_ceil(2), room.scores.row);
    task.fused(task.key_column()).pair_columns(product, room.keys.words_mut());
    task.fused(task.value_column()).pair_rows(product, 0..length, room.values.words_mut());
    for head in task.query_heads() {
        let queries = task.fused(task.column(head));
        for tile in tiles::<H>(0..length) {
            let keys = shape.keys_of::<H>(&tile, length);
            queries.pair_tile(&tile, room.queries.words_mut());
            score(product, tile.len(), room.queries.words(), keys.clone(), room.keys.words(), &mut room.scores);
            let mut shares = [0.0; H];
            for (query, (row, share)) in tile.clone().zip(room.scores.data.chunks_exact_mut(row).zip(&mut shares)) {
                let (largest, total) = soften(row, &keys, &shape.keys(query, length), factor);
                *share = 1.0 / total;
                // SAFETY: a task owns its heads' numbers of its document's rows.
                let kept = unsafe { log_sum.slice((task.start + query) * shape.heads + head, 1) };
                kept[0] = (largest + total.log2()) * LN_2;
            }
            room.scores.pack_rows(tile.len(), &keys, room.shares.words_mut());
            let weights = PairLeft { words: room.shares.words(), row: room.scores.word_row };
            let seen = steps(&keys);
            for (panel, part) in panels(0..dim) {
                let right =
                    &room.values.words()[(panel * pairs + seen.start) * PANEL..(panel * pairs + seen.end) * PANEL];
                let target = Target { data: &mut room.attended[part.start..], row: dim, add: false };
                product.multiply_panel([tile.len(), part.len()], weights, right, target);
            }
            task.store(out, shape.heads * dim, task.column(head), tile, &room.attended, &shares);
        }
    }
}

/// What a task of the backward pass works in.
struct BackwardRoom<const H: usize> {
    keys: Buffer,
    values: Buffer,
    key_rows: Buffer,
    queries: Buffer,
    d_outs: Buffer,
    /// A tile of queries, then one of output gradients, as left factors.
    tile: Buffer,
    shares: Scores<H>,
    d_scores: Scores<H>,
    /// The gradients of a tile's scores as a left factor.
    d_score_rows: Buffer,
    share_columns: Columns,
    d_score_columns: Columns,
    d_query: Buffer,
    d_key: Buffer,
    d_value: Buffer,
}

impl<const H: usize> BackwardRoom<H> {
    fn new(shape: &AttentionShape, longest: usize) -> Self {
        let (dim, block) = (shape.head_dim, block(H).min(longest));
        let [shares, d_scores] = [(); 2].map(|()| Scores::<H>::new(shape, longest));
        BackwardRoom {
            keys: Buffer::scratch(panel_words(dim, longest)),
            values: Buffer::scratch(panel_words(dim, longest)),
            key_rows: Buffer::scratch(panel_words(longest, dim)),
            queries: Buffer::scratch(panel_words(block, dim)),
            d_outs: Buffer::scratch(panel_words(block, dim)),
            tile: Buffer::scratch(H * shares.dim_words),
            d_score_rows: Buffer::scratch(H * d_scores.word_row),
            shares,
            d_scores,
            share_columns: Columns::new::<H>(longest),
            d_score_columns: Columns::new::<H>(longest),
            d_query: Buffer::scratch(H * dim),
            d_key: Buffer::scratch(longest * dim),
            d_value: Buffer::scratch(longest * dim),
        }
    }
}

/// The backward pass of one task.
#[inline(always)]
fn backward_of<const H: usize>(
    task: &Task,
    product: &BlockProduct,
    room: &mut BackwardRoom<H>,
    out: &[f32],
    log_sum: &[f32],
    d_out: &[f32],
    d_qkv: &Shared<f32>,
) {
    let (shape, dim, length) = (task.shape, task.shape.head_dim, task.length);
    let (width, row, pairs) = (shape.row_width(), room.shares.row, length.div_ceil(2));
    let keys = task.fused(task.key_column());
    keys.pair_columns(product, room.keys.words_mut());
    keys.pair_rows(product, 0..length, room.key_rows.words_mut());
    task.fused(task.value_column()).pair_columns(product, room.values.words_mut());
    room.d_key[..length * dim].fill(0.0);
    room.d_value[..length * dim].fill(0.0);
    for head in task.query_heads() {
        let queries = task.fused(task.column(head));
        let out = task.head(out, shape.heads * dim, task.column(head));
        let d_out = task.head(d_out, shape.heads * dim, task.column(head));
        for from in (0..length).step_by(block(H)) {
            let block = from..length.min(from + block(H));
            for tile in tiles::<H>(block.clone()) {
                let keys = shape.keys_of::<H>(&tile, length);
                queries.pair_tile(&tile, room.tile.words_mut());
                score(product, tile.len(), room.tile.words(), keys.clone(), room.keys.words(), &mut room.shares);
                d_out.pair_tile(&tile, room.tile.words_mut());
                score(product, tile.len(), room.tile.words(), keys.clone(), room.values.words(), &mut room.d_scores);
                let rows = room.shares.data.chunks_exact_mut(row).zip(room.d_scores.data.chunks_exact_mut(row));
                for (query, (shares, d_scores)) in tile.clone().zip(rows) {
                    let total = log_sum[(task.start + query) * shape.heads + head] * LOG2_E;
                    let along = dot(out.row(query), d_out.row(query));
                    harden(shares, d_scores, &keys, &shape.keys(query, length), shape.scale, total, along);
                }
                let first = tile.start - from;
                room.shares.pack_columns(product, tile.len(), &keys, first, &mut room.share_columns);
                room.d_scores.pack_columns(product, tile.len(), &keys, first, &mut room.d_score_columns);
                room.d_scores.pack_rows(tile.len(), &keys, room.d_score_rows.words_mut());
                let d_scores = PairLeft { words: room.d_score_rows.words(), row: room.d_scores.word_row };
                let seen = steps(&keys);
                for (panel, part) in panels(0..dim) {
                    let right = (panel * pairs + seen.start) * PANEL..(panel * pairs + seen.end) * PANEL;
                    let target = Target { data: &mut room.d_query[part.start..], row: dim, add: false };
                    let right = &room.key_rows.words()[right];
                    product.multiply_panel([tile.len(), part.len()], d_scores, right, target);
                }
                task.store(d_qkv, width, task.column(head), tile, &room.d_query, &[1.0; H]);
            }
            queries.pair_rows(product, block.clone(), room.queries.words_mut());
            d_out.pair_rows(product, block.clone(), room.d_outs.words_mut());
            let block_pairs = block.len().div_ceil(2);
            for tile in tiles::<H>(shape.keys_of::<H>(&block, length)) {
                let seeing = shape.queries_of::<H>(&tile, length);
                let seeing = steps(&(seeing.start.max(from) - from..seeing.end.min(block.end) - from));
                for (panel, part) in panels(0..dim) {
                    let rows = (panel * block_pairs + seeing.start) * PANEL..(panel * block_pairs + seeing.end) * PANEL;
                    let place = tile.start * dim + part.start;
                    for (left, right, sums) in [
                        (&room.share_columns, &room.d_outs, &mut room.d_value),
                        (&room.d_score_columns, &room.queries, &mut room.d_key),
                    ] {
                        let target = Target { data: &mut sums[place..], row: dim, add: true };
                        let right = &right.words()[rows.clone()];
                        left.multiply(product, [tile.len(), part.len()], tile.start, &seeing, right, target);
                    }
                }
            }
        }
    }
    for tile in tiles::<H>(0..length) {
        for (column, sums) in [(task.key_column(), &room.d_key), (task.value_column(), &room.d_value)] {
            task.store(d_qkv, width, column, tile.clone(), &sums[tile.start * dim..], &[1.0; H]);
        }
    }
}
