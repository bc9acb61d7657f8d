//! Layers of encoders for inference with int8 weights, each as one pass: quantise, multiply, attend or bend, multiply, add, normalise.
//!
//! Rows are cut into groups, and heads and channels into pieces. A piece's part of the last product needs nothing of the other pieces, as its
//! codes have scales of their own. So with many rows a thread takes a group through the whole layer without waiting for anybody, and with few
//! rows each thread takes a piece, and only the sums of the pieces wait for all. The pieces depend on the sizes of the layer alone, so a row's
//! numbers depend neither on the rows beside it nor on the threads.

mod attention;
mod embedding;
mod feed_forward;
mod heads;
#[cfg(test)]
mod tests;

pub use attention::{AttentionLayer, Queries, attention_layer};
pub use embedding::embedding_layer;
pub use feed_forward::{FeedForwardLayer, feed_forward_layer};

use std::ops::Range;

use crate::gemm::part::Codes;
use crate::isa::Isa;
use crate::memory::Buffer;
use crate::pool::{self, Shared};
use crate::vectorized::vectorized;

/// Rows that a thread takes through a layer at once: enough that weights are read seldom, few enough to stay in the second-level cache.
const ROWS: usize = 96;
/// Fewer rows per thread than this are not cut into groups: each piece's weights would be read by all threads.
const FEW_ROWS: usize = 24;

/// The normalisation at the end of a layer: see [`crate::norm::layer_norm`].
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm<'a> {
    /// The gain of each column.
    pub weight: &'a [f32],
    /// Added to each column.
    pub bias: Option<&'a [f32]>,
    /// Added to the variance before the root.
    pub epsilon: f32,
}

/// Rows that go through a layer together: those read, those written, and the documents that they belong to.
struct Group {
    read: Range<usize>,
    written: Range<usize>,
    documents: Range<usize>,
}

/// How many groups `rows` rows are cut into, before documents are looked at.
fn groups(rows: usize, pieces: usize) -> usize {
    let threads = pool::threads();
    if threads == 1 || (pieces > 1 && rows < FEW_ROWS * threads) {
        return rows.div_ceil(ROWS);
    }
    rows.div_ceil(ROWS).next_multiple_of(threads)
}

/// What both layers do around their pieces.
struct Layer<'a> {
    x: &'a [f32],
    width: usize,
    pieces: usize,
    /// Bias of the last product.
    bias: Option<&'a [f32]>,
    norm: LayerNorm<'a>,
}

impl Layer<'_> {
    /// `piece` gets a group with the codes of what it reads, the number of a piece, and the sums `[written, width]` that it writes or adds to;
    /// `residual` says which row of `x` is added to which row written.
    fn run(
        &self,
        groups: &[Group],
        piece: impl Fn(&Group, &Codes, usize, &mut [f32], bool) + Sync,
        residual: impl Fn(usize) -> usize + Sync,
        out: &mut [f32],
    ) {
        let (isa, width) = (Isa::current(), self.width);
        let codes = |group: &Group| Codes::of(isa, &self.x[group.read.start * width..group.read.end * width], width);
        let out = Shared::new(out);
        let finish = |group: &Group, sums: &[f32]| {
            // SAFETY: groups write rows of their own.
            let out = unsafe { out.slice(group.written.start * width, group.written.len() * width) };
            self.finish(group, sums, &residual, out);
        };
        if self.pieces == 1 || groups.len() >= pool::threads() {
            return pool::for_each(groups.len(), |index| {
                let group = &groups[index];
                let (codes, mut sums) = (codes(group), Buffer::scratch(group.written.len() * width));
                (0..self.pieces).for_each(|number| piece(group, &codes, number, &mut sums, number > 0));
                finish(group, &sums);
            });
        }
        for group in groups {
            let numbers = group.written.len() * width;
            let mut sums = Buffer::scratch(self.pieces * numbers);
            pool::for_each_chunk(&mut sums, numbers, |number, sums| piece(group, &codes(group), number, sums, false));
            finish(group, &sums);
        }
    }

    /// `out = norm(x + bias + sums)`, the sums of several pieces one after another.
    fn finish(&self, group: &Group, sums: &[f32], residual: impl Fn(usize) -> usize, out: &mut [f32]) {
        let (width, numbers) = (self.width, out.len());
        let (mut row_sums, norm) = (Buffer::scratch(width), self.norm);
        vectorized(
            #[inline(always)]
            || {
                for (row, out) in out.chunks_exact_mut(width).enumerate() {
                    let x = &self.x[residual(group.written.start + row) * width..][..width];
                    // The pieces first, as where one thread adds them all.
                    row_sums.copy_from_slice(&sums[row * width..][..width]);
                    for piece in sums.chunks_exact(numbers).skip(1) {
                        add_to(&mut row_sums, &piece[row * width..][..width]);
                    }
                    add_to(&mut row_sums, x);
                    if let Some(bias) = self.bias {
                        add_to(&mut row_sums, bias);
                    }
                    norm.apply(&row_sums, out);
                }
            },
        );
    }
}

impl LayerNorm<'_> {
    /// One row: see [`crate::norm::layer_norm`].
    #[inline(always)]
    fn apply(&self, x: &[f32], out: &mut [f32]) {
        let width = x.len() as f32;
        let mean = wide_sum(x, |x| x) / width;
        let variance = wide_sum(x, |x| (x - mean) * (x - mean)) / width;
        let inverse = 1.0 / (variance + self.epsilon).sqrt();
        match self.bias {
            Some(bias) => {
                for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(self.weight).zip(bias) {
                    *out = (x - mean) * inverse * weight + bias;
                }
            }
            None => {
                for ((out, x), weight) in out.iter_mut().zip(x).zip(self.weight) {
                    *out = (x - mean) * inverse * weight;
                }
            }
        }
    }
}

#[inline(always)]
fn add_to(out: &mut [f32], more: &[f32]) {
    for (out, x) in out.iter_mut().zip(more) {
        *out += x;
    }
}

/// The sum of what `term` makes of each number, in as many sums as hide the time of an addition.
#[inline(always)]
fn wide_sum(numbers: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    const LANES: usize = 64;
    let mut sums = [0.0f32; LANES];
    let (chunks, rest) = numbers.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += term(chunk[lane]);
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum += term(*x);
    }
    halved(sums, |a, b| a + b)
}

/// All lanes put together, halves by halves.
#[inline(always)]
fn halved<const LANES: usize>(mut lanes: [f32; LANES], put: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = put(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// How many pieces `units` of `width` columns each are cut into: the fewest of at most `most` columns, of equal size and in whole sums of codes.
fn pieces(units: usize, width: usize, most: usize) -> usize {
    let fits = |pieces: &usize| {
        let columns = units / pieces * width;
        units.is_multiple_of(*pieces) && columns <= most && columns.is_multiple_of(crate::gemm::SUMMED)
    };
    (1..=units).find(fits).unwrap_or(1)
}
