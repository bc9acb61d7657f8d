//! Attention of new tokens to all that came before: for answers that grow token by token.
//!
//! What came before is kept in half precision, in blocks of [`BLOCK`] tokens, so that texts can share the blocks of a common beginning. New
//! tokens are written there first and then read like the others. A task is one key head of one text with some of its queries and a stretch of
//! its keys; where a single query has many keys, several tasks share them and their parts are put together at the end.

use std::ops::Range;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::forward::soften;
use super::{AttentionShape, scores_row, tiles};
use crate::curves::exp2;
use crate::gemm::block::{BlockProduct, Left, PANEL, ROWS, Target};
use crate::half::{prefetch, widen};
use crate::memory::Buffer;
use crate::pool::{self, Shared};
use crate::vectorized::vectorized;
use std::f32::consts::LOG2_E;

/// Tokens per block.
pub const BLOCK: usize = PANEL;

/// Queries that one task handles at most.
const QUERIES: usize = 16;
/// Blocks of keys that one task handles at most, where there are too few queries to fill all threads.
const BLOCKS: usize = 4;

/// Keys and values of up to [`BLOCK`] tokens in one layer.
#[derive(Clone)]
pub struct PastBlock {
    /// `[kv_heads][head_dim][BLOCK]`: a number of all tokens side by side, as scores are computed.
    keys: Box<[f16]>,
    /// `[kv_heads][BLOCK][head_dim]`.
    values: Box<[f16]>,
}

impl PastBlock {
    /// A block without tokens.
    pub fn new(shape: &AttentionShape) -> Self {
        let empty = || vec![f16::ZERO; shape.kv_heads * shape.head_dim * BLOCK].into_boxed_slice();
        Self { keys: empty(), values: empty() }
    }

    /// The memory that it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.keys) + size_of_val(&*self.values)
    }

    /// Writes tokens `first..first + rows` of the block from rows of fused queries, keys and values.
    ///
    /// # Panics
    /// When they are more than the block has room for.
    pub fn write(&mut self, shape: &AttentionShape, first: usize, rows: &[f32]) {
        let (dim, width) = (shape.head_dim, shape.row_width());
        assert!(first + rows.len() / width <= BLOCK, "a block holds {BLOCK} tokens");
        let mut narrow = vec![f16::ZERO; 2 * shape.kv_heads * dim];
        for (token, row) in (first..).zip(rows.chunks_exact(width)) {
            narrow.convert_from_f32_slice(&row[shape.heads * dim..]);
            let (keys, values) = narrow.split_at(shape.kv_heads * dim);
            for (place, key) in self.keys[token..].iter_mut().step_by(BLOCK).zip(keys) {
                *place = *key;
            }
            for (head, value) in values.chunks_exact(dim).enumerate() {
                self.values[(head * BLOCK + token) * dim..][..dim].copy_from_slice(value);
            }
        }
    }

    /// The keys of a head, `[head_dim][BLOCK]`.
    fn head_keys(&self, head: usize, dim: usize) -> &[f16] {
        &self.keys[head * dim * BLOCK..][..dim * BLOCK]
    }

    /// The values of a head, `[BLOCK][head_dim]`.
    fn head_values(&self, head: usize, dim: usize) -> &[f16] {
        &self.values[head * BLOCK * dim..][..BLOCK * dim]
    }

    /// The keys of a head as a panel `[head_dim][BLOCK]`.
    fn keys(&self, head: usize, dim: usize, out: &mut [f32]) {
        widen(self.head_keys(head, dim), out);
    }

    /// The values of a head as panels `[panels of numbers][BLOCK][PANEL]`.
    fn values(&self, head: usize, dim: usize, out: &mut [f32]) {
        let values = self.head_values(head, dim);
        if dim == PANEL {
            return widen(values, out);
        }
        for (token, value) in values.chunks_exact(dim).enumerate() {
            for (panel, part) in value.chunks(PANEL).enumerate() {
                widen(part, &mut out[(panel * BLOCK + token) * PANEL..][..part.len()]);
            }
        }
    }
}

/// One text of a call.
pub struct Text<'a> {
    /// Its new tokens: rows of `qkv`.
    pub rows: Range<usize>,
    /// Tokens before them.
    pub past: usize,
    /// The blocks that hold those and the new ones.
    pub blocks: Vec<&'a PastBlock>,
}

/// `out = softmax(scale * q·kᵀ)·v` for the new tokens of some texts, where each sees the tokens before it and itself.
///
/// `qkv` is `[tokens, row_width]` of which only the queries are read, `out` `[tokens, heads * head_dim]`.
///
/// # Panics
/// When the shape is not causal or has a window, or a text's blocks do not reach to its last token.
pub fn attend_past(shape: &AttentionShape, qkv: &[f32], texts: &[Text<'_>], out: &mut [f32]) {
    assert!(shape.causal && shape.window.is_none(), "attention to a past is causal and sees all of it");
    let tokens = qkv.len() / shape.row_width();
    shape.expect("attend_past", tokens, &[("out", out.len(), shape.heads * shape.head_dim)], &[0, tokens]);
    let pieces = pieces(shape, texts);
    let slots = pieces.iter().filter(|piece| piece.slot.is_some()).count();
    let group = shape.heads / shape.kv_heads;
    let slot_width = group * (shape.head_dim + 2);
    let mut parts = Buffer::scratch(slots * slot_width);
    let (product, shared_out, shared_parts) = (BlockProduct::current(), Shared::new(out), Shared::new(&mut parts));
    pool::for_each(pieces.len(), |index| {
        let piece = &pieces[index];
        let mut room = Room::new(shape, piece);
        vectorized(
            #[inline(always)]
            || piece.run(shape, qkv, &product, &mut room),
        );
        match piece.slot {
            // SAFETY: each piece has its own slot.
            Some(slot) => room.keep(unsafe { shared_parts.slice(slot * slot_width, slot_width) }),
            None => room.store(shape, piece, &shared_out),
        }
    });
    let mut index = 0;
    while index < pieces.len() {
        let piece = &pieces[index];
        let Some(slot) = piece.slot else {
            index += 1;
            continue;
        };
        let count = piece.text.blocks_seen(piece.queries.end).div_ceil(BLOCKS);
        let parts = &parts[slot * slot_width..][..count * slot_width];
        let place = (piece.text.rows.start * shape.heads + piece.kv_head * group) * shape.head_dim;
        join(parts, group, shape.head_dim, &mut out[place..][..group * shape.head_dim]);
        index += count;
    }
}

impl Text<'_> {
    /// Blocks that hold all that the queries before `end` see.
    fn blocks_seen(&self, end: usize) -> usize {
        (self.past + end).div_ceil(BLOCK)
    }
}

/// The work of one task.
struct Piece<'a> {
    text: &'a Text<'a>,
    kv_head: usize,
    /// Counted from the text's first new token.
    queries: Range<usize>,
    blocks: Range<usize>,
    /// Where its part of a result goes that other pieces have a share in.
    slot: Option<usize>,
}

/// All tasks; those that share a result stand side by side.
fn pieces<'a>(shape: &AttentionShape, texts: &'a [Text<'a>]) -> Vec<Piece<'a>> {
    let (mut pieces, mut slots) = (Vec::new(), 0..);
    for text in texts {
        let length = text.rows.len();
        assert!(text.blocks.len() >= text.blocks_seen(length), "a text of {} tokens lacks blocks", text.past + length);
        for kv_head in 0..shape.kv_heads {
            for first in (0..length).step_by(QUERIES) {
                let queries = first..length.min(first + QUERIES);
                let seen = text.blocks_seen(queries.end);
                let is_shared = length == 1 && seen > BLOCKS;
                let step = if is_shared { BLOCKS } else { seen };
                for block in (0..seen).step_by(step) {
                    let blocks = block..seen.min(block + step);
                    let slot = if is_shared { slots.next() } else { None };
                    pieces.push(Piece { text, kv_head, queries: queries.clone(), blocks, slot });
                }
            }
        }
    }
    pieces
}

/// What a task works in. Rows are its queries' heads: `[queries][heads of the group]`.
struct Room {
    rows: usize,
    dim: usize,
    queries: Buffer,
    /// One block's keys, and then one block's values.
    panel: Buffer,
    scores: Buffer,
    scores_row: usize,
    attended: Buffer,
    /// The largest scaled score of each row, and the sum of the row.
    largest: Vec<f32>,
    totals: Vec<f32>,
}

impl Room {
    fn new(shape: &AttentionShape, piece: &Piece<'_>) -> Self {
        let (rows, dim) = (piece.queries.len() * (shape.heads / shape.kv_heads), shape.head_dim);
        let scores_row = scores_row(piece.blocks.len() * BLOCK);
        Self {
            rows,
            dim,
            queries: Buffer::scratch(rows * dim),
            panel: Buffer::scratch(dim.next_multiple_of(PANEL) * BLOCK),
            scores: Buffer::scratch(rows * scores_row),
            scores_row,
            attended: Buffer::scratch(rows * dim),
            largest: vec![0.0; rows],
            totals: vec![0.0; rows],
        }
    }

    /// Keeps an unfinished result: for each row its sums over values, the largest score and the sum.
    fn keep(&self, out: &mut [f32]) {
        for (row, out) in out.chunks_exact_mut(self.dim + 2).enumerate() {
            out[..self.dim].copy_from_slice(&self.attended[row * self.dim..][..self.dim]);
            out[self.dim..].copy_from_slice(&[self.largest[row], self.totals[row]]);
        }
    }

    /// Writes a finished result to its place.
    fn store(&self, shape: &AttentionShape, piece: &Piece<'_>, out: &Shared<f32>) {
        let group = shape.heads / shape.kv_heads;
        let rows = self.attended.chunks_exact(group * self.dim).zip(self.totals.chunks_exact(group));
        for (query, (row, totals)) in piece.queries.clone().zip(rows) {
            let token = piece.text.rows.start + query;
            let place = (token * shape.heads + piece.kv_head * group) * self.dim;
            // SAFETY: pieces without a slot differ in text, key head or query.
            let target = unsafe { out.slice(place, group * self.dim) };
            let heads = target.chunks_exact_mut(self.dim).zip(row.chunks_exact(self.dim));
            for ((target, row), total) in heads.zip(totals) {
                target.iter_mut().zip(row).for_each(|(target, x)| *target = x / total);
            }
        }
    }
}

impl Piece<'_> {
    #[inline(always)]
    fn run(&self, shape: &AttentionShape, qkv: &[f32], product: &BlockProduct, room: &mut Room) {
        let (dim, group, width) = (shape.head_dim, shape.heads / shape.kv_heads, shape.row_width());
        let Room { rows, queries, panel, scores, scores_row, attended, largest, totals, .. } = room;
        let (rows, scores_row) = (*rows, *scores_row);
        for (query, target) in self.queries.clone().zip(queries.chunks_exact_mut(group * dim)) {
            let row = (self.text.rows.start + query) * width + self.kv_head * group * dim;
            target.copy_from_slice(&qkv[row..][..group * dim]);
        }
        let keys = self.blocks.start * BLOCK..(self.blocks.end * BLOCK).min(self.text.past + self.queries.end);
        let blocks = &self.text.blocks[self.blocks.clone()];
        let is_direct = rows <= ROWS && dim.is_multiple_of(16) && product.has_half();
        for (index, block) in blocks.iter().enumerate() {
            if is_direct {
                match blocks.get(index + 1) {
                    Some(next) => prefetch(next.head_keys(self.kv_head, dim)),
                    None => prefetch(blocks[0].head_values(self.kv_head, dim)),
                }
                let left = Left { data: queries, row: dim, step: 1 };
                let target = Target { data: &mut scores[index * BLOCK..], row: scores_row, add: false };
                product.multiply_half([rows, BLOCK], left, block.head_keys(self.kv_head, dim), BLOCK, target);
                continue;
            }
            block.keys(self.kv_head, dim, &mut panel[..dim * BLOCK]);
            for tile in tiles(0..rows) {
                let left = Left { data: queries, row: dim, step: 1 }.from(tile.start, 0);
                let place = tile.start * scores_row + index * BLOCK;
                let target = Target { data: &mut scores[place..], row: scores_row, add: false };
                product.multiply([tile.len(), BLOCK], left, &panel[..dim * BLOCK], target);
            }
        }
        let all = 0..self.blocks.len() * BLOCK;
        for (index, row) in scores[..rows * scores_row].chunks_exact_mut(scores_row).enumerate() {
            let end = self.text.past + self.queries.start + index / group + 1;
            let seen = 0..end.min(keys.end) - keys.start;
            (largest[index], totals[index]) = soften(row, &all, &seen, shape.scale * LOG2_E);
        }
        for (index, block) in blocks.iter().enumerate() {
            if is_direct {
                if let Some(next) = blocks.get(index + 1) {
                    prefetch(next.head_values(self.kv_head, dim));
                }
                let left = Left { data: scores, row: scores_row, step: 1 }.from(0, index * BLOCK);
                let values = block.head_values(self.kv_head, dim);
                // Tokens of the block that are there.
                let count = BLOCK.min(keys.end - keys.start - index * BLOCK);
                for first in (0..dim).step_by(PANEL) {
                    let target = Target { data: &mut attended[first..], row: dim, add: index > 0 };
                    let columns = PANEL.min(dim - first);
                    product.multiply_half([rows, columns], left, &values[first..count * dim], dim, target);
                }
                continue;
            }
            block.values(self.kv_head, dim, panel);
            for tile in tiles(0..rows) {
                let left = Left { data: scores, row: scores_row, step: 1 }.from(tile.start, index * BLOCK);
                for (number, panel) in panel.chunks_exact(BLOCK * PANEL).enumerate() {
                    let place = tile.start * dim + number * PANEL;
                    let columns = PANEL.min(dim - number * PANEL);
                    let target = Target { data: &mut attended[place..], row: dim, add: index > 0 };
                    product.multiply([tile.len(), columns], left, panel, target);
                }
            }
        }
    }
}

/// Puts the parts of one query's group of heads together: `[parts][heads][head_dim + 2]` to `[heads][head_dim]`.
fn join(parts: &[f32], group: usize, dim: usize, out: &mut [f32]) {
    let row = dim + 2;
    for (head, out) in out.chunks_exact_mut(dim).enumerate() {
        let parts = || parts.chunks_exact(group * row).map(|part| &part[head * row..][..row]);
        let largest = parts().map(|part| part[dim]).fold(f32::NEG_INFINITY, f32::max);
        let mut total = 0.0;
        out.fill(0.0);
        for part in parts() {
            let factor = exp2(part[dim] - largest);
            total += factor * part[dim + 1];
            out.iter_mut().zip(part).for_each(|(out, x)| *out += factor * x);
        }
        out.iter_mut().for_each(|out| *out /= total);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::truth;
    use super::*;
    use crate::testing::{Random, assert_close, for_each_isa};

    /// Texts of some tokens before and some new ones, against the definition on whole texts.
    #[test]
    fn new_tokens_see_what_came_before_on_every_instruction_set() {
        let shapes =
            [(4, 2, 6), (3, 1, 64), (9, 3, 32), (1, 1, 70)].map(|(heads, kv_heads, head_dim)| AttentionShape {
                heads,
                kv_heads,
                head_dim,
                causal: true,
                window: None,
                scale: (head_dim as f32).sqrt().recip(),
            });
        // Alone from the start; one more token, in the first block and far behind; a few across a border of blocks.
        let lengths = [(0, 40), (5, 1), (63, 1), (64, 1), (700, 1), (60, 21), (0, 1)];
        for_each_isa(|isa| {
            let mut random = Random::new(5);
            for shape in &shapes {
                let width = shape.row_width();
                let (mut rows, mut blocks, mut expected) = (Vec::new(), Vec::new(), Vec::new());
                for (past, new) in lengths {
                    let mut qkv = random.vector((past + new) * width);
                    for row in qkv.chunks_exact_mut(width) {
                        row[shape.heads * shape.head_dim..].iter_mut().for_each(|x| *x = f16::from_f32(*x).to_f32());
                    }
                    blocks.push(written(shape, &qkv));
                    rows.extend_from_slice(&qkv[past * width..]);
                    let all = truth(shape, &qkv, &[0, past + new]);
                    let own = all[past * shape.heads * shape.head_dim..].iter().map(|&x| x as f32);
                    expected.extend(own);
                }
                let mut first = 0;
                let texts: Vec<Text<'_>> = lengths
                    .iter()
                    .zip(&blocks)
                    .map(|(&(past, new), blocks)| {
                        let rows = first..first + new;
                        first += new;
                        Text { rows, past, blocks: blocks.iter().collect() }
                    })
                    .collect();
                let mut out = vec![9.0; expected.len()];
                attend_past(shape, &rows, &texts, &mut out);
                assert_close(&out, &expected, 2e-5, &format!("{shape:?} with {isa:?}"));
            }
        });
    }

    fn written(shape: &AttentionShape, qkv: &[f32]) -> Vec<PastBlock> {
        let width = shape.row_width();
        let blocks = qkv.chunks(BLOCK * width).map(|rows| {
            let mut block = PastBlock::new(shape);
            let half = rows.len() / width / 2 * width;
            block.write(shape, 0, &rows[..half]);
            block.write(shape, half / width, &rows[half..]);
            block
        });
        blocks.collect()
    }
}
