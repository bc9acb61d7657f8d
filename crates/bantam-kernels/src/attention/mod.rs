//! Attention over documents laid end to end: forward, and backward without ever storing the probabilities.
//!
//! Queries, keys and values come from one fused product: a row holds the query heads, then the key heads, then the value heads. A task is
//! one key head of one document with the query heads that share it. Scores exist for a few queries at a time; the backward pass makes them
//! again from the saved `log_sum` (Dao et al., FlashAttention, 2022).
//!
//! Both directions work in tiles of [`ROWS`] queries (with AMX of [`TALL_ROWS`]) and look only at the tiles of keys that these see. The edges of the ranges of keys and
//! of queries are whole tiles, so that a tile is either computed or skipped as one.

use std::ops::Range;

use crate::gemm::block::{BlockProduct, Left, PANEL, packed_len};
#[cfg(doc)]
use crate::gemm::block::{ROWS, TALL_ROWS};
use crate::gemm::{Operand, Precision};
use crate::isa::Isa;
use crate::pool::{self, Shared};
use crate::vectorized::LANES;

mod backward;
mod first;
mod forward;
mod pairs;
mod past;
#[cfg(test)]
mod tests;

pub use backward::backward;
pub use first::{backward_first, forward_first};
pub use forward::forward;
pub use past::{BLOCK, PastBlock, PastFormat, Text, attend_past};

/// The sizes and rules of an attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionShape {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Numbers per head.
    pub head_dim: usize,
    /// A token sees itself and what came before, only.
    pub causal: bool,
    /// A token sees the nearest this many tokens on each side (itself included), only.
    pub window: Option<usize>,
    /// Scores are multiplied by this before the softmax.
    pub scale: f32,
}

impl AttentionShape {
    /// Numbers in a row of fused queries, keys and values.
    pub fn row_width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// The keys that a query sees in a document of `length` tokens.
    #[inline(always)]
    fn keys(&self, query: usize, length: usize) -> Range<usize> {
        let first = self.window.map_or(0, |window| (query + 1).saturating_sub(window));
        let end = if self.causal { query + 1 } else { self.window.map_or(length, |window| length.min(query + window)) };
        first..end
    }

    /// The tiles of keys that any of a tile of queries sees; tiles have `H` rows.
    fn keys_of<const H: usize>(&self, queries: &Range<usize>, length: usize) -> Range<usize> {
        let (first, last) = (self.keys(queries.start, length), self.keys(queries.end - 1, length));
        whole_tiles::<H>(first.start..last.end, length)
    }

    /// The tiles of queries that see any of a tile of keys.
    fn queries_of<const H: usize>(&self, keys: &Range<usize>, length: usize) -> Range<usize> {
        let first = self.window.map_or(0, |window| (keys.start + 1).saturating_sub(window));
        let end = self.window.map_or(length, |window| keys.end - 1 + window);
        whole_tiles::<H>(if self.causal { keys.start } else { first }..end, length)
    }

    #[track_caller]
    fn expect(&self, name: &str, rows: usize, lengths: &[(&str, usize, usize)], starts: &[usize]) {
        let heads = self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads) && self.window != Some(0);
        assert!(
            heads,
            "{name}: {} heads cannot share {} key heads, window {:?}",
            self.heads, self.kv_heads, self.window
        );
        let ends = starts.first() == Some(&0) && starts.last() == Some(&rows) && starts.is_sorted();
        assert!(ends, "{name}: starts {:?} to {:?} over {rows} rows", starts.first(), starts.last());
        for (what, length, width) in lengths {
            assert_eq!(*length, rows * width, "{name}: {what} should be {rows} rows of {width}");
        }
    }
}

/// Widens a range to whole tiles, as far as the document goes.
fn whole_tiles<const H: usize>(range: Range<usize>, length: usize) -> Range<usize> {
    range.start / H * H..range.end.next_multiple_of(H).min(length)
}

/// The tiles of a range that begins at one.
#[inline(always)]
fn tiles<const H: usize>(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(H).map(move |first| first..range.end.min(first + H))
}

/// The parts of a range that lie in one panel each, with the panel's number.
#[inline(always)]
fn panels(range: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
    (range.start / PANEL..range.end.div_ceil(PANEL))
        .map(move |panel| (panel, panel * PANEL..range.end.min((panel + 1) * PANEL)))
}

/// Tokens of the longest document from which tiles of AMX pay: shorter ones leave them too empty.
const FEWEST_TALL: usize = 48;

/// Whether products in `precision` are made of pairs of bf16 here.
fn takes_pairs(precision: Precision, starts: &[usize]) -> bool {
    let isa = Isa::current();
    let is_fast = isa.pairs_are_fast() || isa == Isa::Amx && longest(starts) >= FEWEST_TALL;
    precision == Precision::Bf16 && is_fast
}

/// Tokens of the longest document.
fn longest(starts: &[usize]) -> usize {
    starts.windows(2).map(|document| document[1] - document[0]).max().unwrap_or(0)
}

/// From one row of scores to the next, for a document of `length` tokens: whole panels, and a little more, so that a column of scores does not
/// fall on the same few places of the cache.
fn scores_row(length: usize) -> usize {
    length.next_multiple_of(PANEL) + LANES
}

/// The vectors of a row of scores that hold a tile's keys, and the key that they begin with. They may hold others, whose scores are anything.
#[inline(always)]
fn vectors<'a>(row: &'a mut [f32], keys: &Range<usize>) -> (usize, &'a mut [[f32; LANES]]) {
    let first = keys.start / LANES * LANES;
    (first, row[first..keys.end.next_multiple_of(LANES)].as_chunks_mut().0)
}

/// The numbers of the keys from `first` on that lie in a range, and `other` for the others. Written with masks of bits: a condition per number
/// would be compiled to a jump per number.
#[inline(always)]
fn within(numbers: [f32; LANES], first: usize, range: &Range<usize>, other: f32) -> [f32; LANES] {
    // One comparison does for both ends: a key before the range wraps around to a large distance.
    let (distance, count) = ((first as u32).wrapping_sub(range.start as u32), range.len() as u32);
    std::array::from_fn(|lane| {
        let mask = u32::from(distance.wrapping_add(lane as u32) < count).wrapping_neg();
        f32::from_bits(numbers[lane].to_bits() & mask | other.to_bits() & !mask)
    })
}

/// One key head of one document: the sizes and places that both directions share.
struct Task<'a> {
    shape: &'a AttentionShape,
    qkv: &'a [f32],
    document: usize,
    start: usize,
    length: usize,
    kv_head: usize,
}

/// Tokens times heads that are handled in one piece, so that short documents share what a piece costs.
const PIECE: usize = 512;

impl<'a> Task<'a> {
    /// Calls `run` for each task with room that `make` made for documents up to the longest length.
    fn each<R>(
        shape: &'a AttentionShape,
        qkv: &'a [f32],
        starts: &[usize],
        make: impl Fn(usize) -> R + Sync,
        run: impl Fn(&Task<'a>, &mut R) + Sync,
    ) {
        let tasks = (starts.len() - 1) * shape.kv_heads;
        let longest = longest(starts);
        let step = (PIECE / longest.max(1)).max(1);
        pool::for_each(tasks.div_ceil(step), |piece| {
            let mut room = make(longest);
            for index in piece * step..tasks.min((piece + 1) * step) {
                let (document, kv_head) = (index / shape.kv_heads, index % shape.kv_heads);
                let (start, end) = (starts[document], starts[document + 1]);
                if start < end {
                    run(&Task { shape, qkv, document, start, length: end - start, kv_head }, &mut room);
                }
            }
        });
    }

    /// Where a head's numbers begin in a row of `qkv`: heads are counted through queries, keys and values.
    fn column(&self, head: usize) -> usize {
        head * self.shape.head_dim
    }

    fn key_column(&self) -> usize {
        self.column(self.shape.heads + self.kv_head)
    }

    fn value_column(&self) -> usize {
        self.column(self.shape.heads + self.shape.kv_heads + self.kv_head)
    }

    fn query_heads(&self) -> Range<usize> {
        let group = self.shape.heads / self.shape.kv_heads;
        self.kv_head * group..(self.kv_head + 1) * group
    }

    /// One head of the document in an array of rows of `width`, whose numbers begin at `column`.
    fn head<'b>(&self, data: &'b [f32], width: usize, column: usize) -> Head<'b> {
        Head { data: &data[self.start * width + column..], width, length: self.length, dim: self.shape.head_dim }
    }

    /// One head of the fused rows.
    fn fused(&self, column: usize) -> Head<'a> {
        self.head(self.qkv, self.shape.row_width(), column)
    }

    /// Writes rows of one head, times their factors, to their place in an array like that of [`Task::head`], of which the task owns this head.
    #[inline(always)]
    fn store(
        &self,
        to: &Shared<f32>,
        width: usize,
        column: usize,
        tokens: Range<usize>,
        rows: &[f32],
        factors: &[f32],
    ) {
        let dim = self.shape.head_dim;
        for ((token, row), factor) in tokens.zip(rows.chunks_exact(dim)).zip(factors) {
            // SAFETY: tasks differ in document or head, so no other one touches these numbers.
            let target = unsafe { to.slice((self.start + token) * width + column, dim) };
            target.iter_mut().zip(row).for_each(|(target, x)| *target = x * factor);
        }
    }
}

/// The rows of one head of one document, inside a larger array.
#[derive(Clone, Copy)]
struct Head<'a> {
    data: &'a [f32],
    width: usize,
    length: usize,
    dim: usize,
}

impl<'a> Head<'a> {
    fn row(&self, token: usize) -> &'a [f32] {
        &self.data[token * self.width..][..self.dim]
    }

    /// As the left factor of a product, from a row on.
    fn left(&self, token: usize) -> Left<'a> {
        Left { data: &self.data[token * self.width..], row: self.width, step: 1 }
    }

    /// Packs the rows of some tokens as a right factor: `[panels of numbers][tokens][PANEL]`.
    fn pack_rows(&self, product: &BlockProduct, tokens: Range<usize>, out: &mut [f32]) -> usize {
        let rows = &self.data[tokens.start * self.width..];
        let operand = Operand { stride: self.width, ..Operand::new(rows, tokens.len(), self.dim) };
        let length = packed_len(tokens.len(), self.dim);
        product.pack(operand, &mut out[..length]);
        length
    }

    /// Packs all tokens as columns of a right factor: `[panels of tokens][numbers][PANEL]`.
    fn pack_columns(&self, product: &BlockProduct, out: &mut [f32]) {
        let operand = Operand { stride: self.width, ..Operand::new(self.data, self.length, self.dim) };
        product.pack(operand.t(), &mut out[..packed_len(self.dim, self.length)]);
    }
}

/// The products of a tile of queries with the keys of a range, from packed columns of keys, into rows of scores.
#[inline(always)]
fn score(
    product: &BlockProduct,
    rows: usize,
    queries: Left<'_>,
    keys: Range<usize>,
    packed: &[f32],
    dim: usize,
    scores: &mut [f32],
    scores_row: usize,
) {
    for (panel, part) in panels(keys) {
        let packed = &packed[panel * dim * PANEL..][..dim * PANEL];
        let target = crate::gemm::block::Target { data: &mut scores[part.start..], row: scores_row, add: false };
        product.multiply([rows, part.len()], queries, packed, target);
    }
}
