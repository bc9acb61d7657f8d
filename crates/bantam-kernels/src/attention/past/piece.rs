//! The work of one task: some queries of one text against a stretch of the keys of one head.

use std::ops::Range;

use super::{BLOCK, BLOCKS, Block, Head, Text};
use crate::attention::forward::soften;
use crate::attention::{AttentionShape, scores_row};
use crate::curves::exp2;
use crate::gemm::block::{BlockProduct, ROWS};
use crate::memory::Buffer;
use crate::pool::Shared;
use crate::rotary::Angles;
use std::f32::consts::LOG2_E;

/// Which queries and keys.
pub(super) struct Piece<'a> {
    pub(super) text: &'a Text<'a>,
    pub(super) kv_head: usize,
    /// Counted from the text's first new token.
    pub(super) queries: Range<usize>,
    /// Stretches of [`BLOCKS`], of which the last may be shorter.
    pub(super) blocks: Range<usize>,
    /// Where its part of a result goes that other pieces have a share in.
    pub(super) slot: Option<usize>,
}

/// What a task works in. Rows are its queries' heads: `[queries][heads of the group]`.
pub(super) struct Room<B: Block> {
    rows: usize,
    queries: Buffer,
    query_words: Buffer,
    /// One block's keys, or one block's values.
    panel: B::Panel,
    /// Of one stretch.
    scores: Buffer,
    scores_row: usize,
    score_words: Buffer,
    pub(super) attended: Attended,
    /// What one more stretch adds.
    next: Attended,
}

/// What some of the keys give each row.
pub(super) struct Attended {
    dim: usize,
    /// Values times 2^(score - largest): `[rows][dim]`.
    sums: Buffer,
    softmaxes: Vec<Softmax>,
}

/// The largest scaled score of a row, and the sum of 2^(score - largest).
#[derive(Clone, Copy)]
struct Softmax {
    largest: f32,
    total: f32,
}

impl Attended {
    fn new(rows: usize, dim: usize) -> Self {
        Self { dim, sums: Buffer::scratch(rows * dim), softmaxes: vec![Softmax { largest: 0.0, total: 0.0 }; rows] }
    }

    /// Keeps an unfinished result: for each row its sums, the largest score and the total.
    pub(super) fn keep(&self, out: &mut [f32]) {
        let rows = self.sums.chunks_exact(self.dim).zip(&self.softmaxes);
        for (out, (row, softmax)) in out.chunks_exact_mut(self.dim + 2).zip(rows) {
            out[..self.dim].copy_from_slice(row);
            out[self.dim..].copy_from_slice(&[softmax.largest, softmax.total]);
        }
    }

    /// Writes a finished result to its place.
    pub(super) fn store(&self, shape: &AttentionShape, piece: &Piece<'_>, out: &Shared<f32>) {
        let group = shape.heads / shape.kv_heads;
        let rows = self.sums.chunks_exact(group * self.dim);
        let rows = rows.zip(self.softmaxes.chunks_exact(group));
        for (query, (row, softmaxes)) in piece.queries.clone().zip(rows) {
            let token = piece.text.rows.start + query;
            let place = (token * shape.heads + piece.kv_head * group) * self.dim;
            // SAFETY: pieces without a slot differ in text, key head or query.
            let target = unsafe { out.slice(place, group * self.dim) };
            let heads = target.chunks_exact_mut(self.dim).zip(row.chunks_exact(self.dim));
            for ((target, row), softmax) in heads.zip(softmaxes) {
                target.iter_mut().zip(row).for_each(|(target, x)| *target = x / softmax.total);
            }
        }
    }
}

impl<B: Block> Room<B> {
    pub(super) fn new(shape: &AttentionShape, piece: &Piece<'_>, product: &BlockProduct) -> Self {
        let (rows, dim) = (piece.queries.len() * (shape.heads / shape.kv_heads), shape.head_dim);
        let keys = piece.blocks.len().min(BLOCKS) * BLOCK;
        let scores_row = scores_row(keys);
        Self {
            rows,
            queries: Buffer::scratch(rows * dim),
            query_words: Buffer::scratch(B::left_words(product, rows, dim)),
            panel: B::panel(product, dim),
            scores: Buffer::scratch(rows * scores_row),
            scores_row,
            score_words: Buffer::scratch(B::left_words(product, rows, keys)),
            attended: Attended::new(rows, dim),
            next: Attended::new(if piece.blocks.len() > BLOCKS { rows } else { 0 }, dim),
        }
    }
}

impl Piece<'_> {
    #[inline(always)]
    pub(super) fn run<B: Block>(
        &self,
        shape: &AttentionShape,
        qkv: &[f32],
        angles: Option<&Angles>,
        product: &BlockProduct,
        room: &mut Room<B>,
    ) {
        let (dim, group, width) = (shape.head_dim, shape.heads / shape.kv_heads, shape.row_width());
        let head = Head { index: self.kv_head, dim };
        let (rows, scores_row) = (room.rows, room.scores_row);
        for (query, target) in self.queries.clone().zip(room.queries.chunks_exact_mut(group * dim)) {
            let row = (self.text.rows.start + query) * width + self.kv_head * group * dim;
            target.copy_from_slice(&qkv[row..][..group * dim]);
            if let Some(angles) = angles {
                angles.turn(target, self.text.past + query, 1.0);
            }
        }
        let queries = B::left(product, &room.queries, dim, dim, &mut room.query_words);
        let block = |index: usize| B::of(self.text.blocks[index]);
        // Where all rows fit one tile, each number is used once, and waiting for it would be most of the work.
        let asks_ahead = rows <= ROWS;
        for first in self.blocks.clone().step_by(BLOCKS) {
            let blocks = first..self.blocks.end.min(first + BLOCKS);
            let keys = first * BLOCK..(blocks.end * BLOCK).min(self.text.past + self.queries.end);
            for index in blocks.clone() {
                match asks_ahead {
                    true if index + 1 < blocks.end => block(index + 1).ask_keys(head),
                    true => block(first).ask_values(head),
                    false => {}
                }
                let scores = &mut room.scores[(index - first) * BLOCK..];
                block(index).score(product, head, rows, &queries, &mut room.panel, scores, scores_row);
            }
            let part = if first == self.blocks.start { &mut room.attended } else { &mut room.next };
            let scores = room.scores[..rows * scores_row].chunks_exact_mut(scores_row);
            for (index, (scores, softmax)) in scores.zip(&mut part.softmaxes).enumerate() {
                let end = self.text.past + self.queries.start + index / group + 1;
                let seen = 0..end.clamp(keys.start, keys.end) - keys.start;
                let (largest, total) = soften(scores, &(0..blocks.len() * BLOCK), &seen, shape.scale * LOG2_E);
                *softmax = Softmax { largest, total };
            }
            let probabilities = B::left(product, &room.scores, scores_row, keys.len(), &mut room.score_words);
            for index in blocks.clone() {
                match asks_ahead {
                    true if index + 1 < blocks.end => block(index + 1).ask_values(head),
                    // Beyond this piece's last block, too: most often the same thread takes the next piece.
                    true if index + 1 < self.text.blocks.len() => block(index + 1).ask_keys(head),
                    _ => {}
                }
                let place = (index - first) * BLOCK;
                let tokens = BLOCK.min(keys.len() - place);
                let (panel, sums) = (&mut room.panel, &mut part.sums);
                block(index).attend(product, head, rows, tokens, &probabilities, place, panel, sums, place > 0);
            }
            if first > self.blocks.start {
                let all = room.attended.sums.chunks_exact_mut(dim).zip(&mut room.attended.softmaxes);
                let next = room.next.sums.chunks_exact(dim).zip(&room.next.softmaxes);
                all.zip(next).for_each(|((sums, softmax), (more, other))| merge(sums, softmax, more, *other));
            }
        }
    }
}

/// Adds what more keys give a row. A row that sees none of them stays as it is.
#[inline(always)]
fn merge(sums: &mut [f32], softmax: &mut Softmax, more: &[f32], other: Softmax) {
    if other.largest == f32::NEG_INFINITY {
        return;
    }
    let largest = if other.largest > softmax.largest { other.largest } else { softmax.largest };
    let (old, new) = (exp2(softmax.largest - largest), exp2(other.largest - largest));
    sums.iter_mut().zip(more).for_each(|(sum, x)| *sum = old * *sum + new * x);
    *softmax = Softmax { largest, total: old * softmax.total + new * other.total };
}

/// Puts the parts of one query's group of heads together, in their order: `[parts][heads][dim + 2]` to `[heads][dim]`.
pub(super) fn join(parts: &[f32], group: usize, dim: usize, out: &mut [f32]) {
    let row = dim + 2;
    for (head, out) in out.chunks_exact_mut(dim).enumerate() {
        let softmax = |row: &[f32]| Softmax { largest: row[dim], total: row[dim + 1] };
        let mut rows = parts.chunks_exact(group * row).map(|part| &part[head * row..][..row]);
        let first = rows.next().expect("parts of a result are there");
        out.copy_from_slice(&first[..dim]);
        let mut all = softmax(first);
        rows.for_each(|next| merge(out, &mut all, &next[..dim], softmax(next)));
        out.iter_mut().for_each(|out| *out /= all.total);
    }
}
