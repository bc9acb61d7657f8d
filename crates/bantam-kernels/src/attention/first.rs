//! Attention of the first token of each document alone, for what reads nothing else: a single query is not worth the order that tiles need, so
//! that these are plain loops over its keys.

use std::f32::consts::{LN_2, LOG2_E};
use std::ops::Range;

use super::backward::harden;
use super::forward::soften;
use super::{AttentionShape, PIECE, longest, scores_row};
use crate::memory::Buffer;
use crate::pool::{self, Shared};
use crate::vectorized::{dot, vectorized};

/// What [`super::forward`] makes of the first token of each document, none of which is empty: `out` is `[documents, heads * head_dim]`, `log_sum`
/// `[documents, heads]`. Computed in f32.
pub fn forward_first(shape: &AttentionShape, qkv: &[f32], starts: &[usize], out: &mut [f32], log_sum: &mut [f32]) {
    let documents = starts.len() - 1;
    expect(shape, "attention of first tokens", qkv, starts, &[out.len() / shape.head_dim, log_sum.len()]);
    let (out, log_sum) = (Shared::new(out), Shared::new(log_sum));
    each(documents, longest(starts), |own| {
        let mut scores = Buffer::scratch(scores_row(longest(starts)));
        vectorized(
            #[inline(always)]
            || {
                for document in own {
                    // SAFETY: tasks have different documents.
                    let (out, log_sum) = unsafe {
                        let (dim, heads) = (shape.head_dim, shape.heads);
                        (out.slice(document * heads * dim, heads * dim), log_sum.slice(document * heads, heads))
                    };
                    forward_of(&Document::new(shape, qkv, starts, document), &mut scores, out, log_sum);
                }
            },
        );
    });
}

/// The gradient of [`forward_first`]: `d_qkv`, in the shape of `qkv`, is written.
pub fn backward_first(
    shape: &AttentionShape,
    qkv: &[f32],
    starts: &[usize],
    out: &[f32],
    log_sum: &[f32],
    d_out: &[f32],
    d_qkv: &mut [f32],
) {
    let (documents, width) = (starts.len() - 1, shape.row_width());
    let heads = [out.len() / shape.head_dim, log_sum.len(), d_out.len() / shape.head_dim];
    expect(shape, "attention of first tokens backward", qkv, starts, &heads);
    assert_eq!(d_qkv.len(), qkv.len(), "attention of first tokens backward: d_qkv");
    let d_qkv = Shared::new(d_qkv);
    each(documents, longest(starts), |own| {
        let row = scores_row(longest(starts));
        let (mut shares, mut d_scores) = (Buffer::scratch(row), Buffer::scratch(row));
        vectorized(
            #[inline(always)]
            || {
                for document in own {
                    let of = Document::new(shape, qkv, starts, document);
                    let places = document * shape.heads..(document + 1) * shape.heads;
                    let numbers = places.start * shape.head_dim..places.end * shape.head_dim;
                    // SAFETY: tasks have different documents.
                    let d_rows = unsafe { d_qkv.slice(starts[document] * width, of.length * width) };
                    let given = Given { out: &out[numbers.clone()], d_out: &d_out[numbers], log_sum: &log_sum[places] };
                    backward_of(&of, &given, &mut shares, &mut d_scores, d_rows);
                }
            },
        );
    });
}

#[track_caller]
fn expect(shape: &AttentionShape, name: &str, qkv: &[f32], starts: &[usize], heads: &[usize]) {
    shape.expect(name, qkv.len() / shape.row_width().max(1), &[("qkv", qkv.len(), shape.row_width())], starts);
    let documents = starts.windows(2);
    assert!(documents.clone().all(|document| document[0] < document[1]), "{name}: an empty document");
    let all = documents.len() * shape.heads;
    assert!(heads.iter().all(|heads| *heads == all), "{name}: {heads:?} heads of {} documents", documents.len());
}

/// Calls `task` with documents on all threads.
fn each(documents: usize, longest: usize, task: impl Fn(Range<usize>) + Sync) {
    let step = (PIECE / longest.max(1)).max(1);
    pool::for_each(documents.div_ceil(step), |piece| task(piece * step..documents.min((piece + 1) * step)));
}

/// The fused rows of one document.
struct Document<'a> {
    shape: &'a AttentionShape,
    rows: &'a [f32],
    length: usize,
}

/// What the gradient of a document is made from, head by head.
struct Given<'a> {
    out: &'a [f32],
    d_out: &'a [f32],
    log_sum: &'a [f32],
}

impl<'a> Document<'a> {
    #[inline(always)]
    fn new(shape: &'a AttentionShape, qkv: &'a [f32], starts: &[usize], document: usize) -> Self {
        let (rows, width) = (starts[document]..starts[document + 1], shape.row_width());
        Document { shape, rows: &qkv[rows.start * width..rows.end * width], length: rows.len() }
    }

    /// The keys that the query sees.
    #[inline(always)]
    fn seen(&self) -> Range<usize> {
        self.shape.keys(0, self.length)
    }

    /// A head's numbers of a token: heads are counted through queries, keys and values.
    #[inline(always)]
    fn head(&self, token: usize, head: usize) -> &'a [f32] {
        &self.rows[token * self.shape.row_width() + head * self.shape.head_dim..][..self.shape.head_dim]
    }

    /// The heads of keys and of values that serve a head of queries.
    #[inline(always)]
    fn shared(&self, head: usize) -> (usize, usize) {
        let key = self.shape.heads + head / (self.shape.heads / self.shape.kv_heads);
        (key, key + self.shape.kv_heads)
    }

    /// The products of a row with the keys or values that are seen.
    #[inline(always)]
    fn products(&self, row: &[f32], head: usize, out: &mut [f32]) {
        for token in self.seen() {
            out[token] = dot(row, self.head(token, head));
        }
    }
}

/// `sums += factor * row`.
#[inline(always)]
fn add(sums: &mut [f32], factor: f32, row: &[f32]) {
    sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += factor * x);
}

#[inline(always)]
fn forward_of(document: &Document<'_>, scores: &mut [f32], out: &mut [f32], log_sum: &mut [f32]) {
    let (shape, seen) = (document.shape, document.seen());
    for (head, (out, log_sum)) in out.chunks_exact_mut(shape.head_dim).zip(log_sum).enumerate() {
        let (key_head, value_head) = document.shared(head);
        document.products(document.head(0, head), key_head, scores);
        let (largest, total) = soften(scores, &(0..document.length), &seen, shape.scale * LOG2_E);
        *log_sum = (largest + total.log2()) * LN_2;
        out.fill(0.0);
        for token in seen.clone() {
            add(out, scores[token] / total, document.head(token, value_head));
        }
    }
}

#[inline(always)]
fn backward_of(
    document: &Document<'_>,
    given: &Given<'_>,
    shares: &mut [f32],
    d_scores: &mut [f32],
    d_rows: &mut [f32],
) {
    let (shape, seen) = (document.shape, document.seen());
    let (dim, width) = (shape.head_dim, shape.row_width());
    let place = |token: usize, head: usize| token * width + head * dim..token * width + (head + 1) * dim;
    d_rows.fill(0.0);
    let heads = given.out.chunks_exact(dim).zip(given.d_out.chunks_exact(dim)).zip(given.log_sum);
    for (head, ((out, d_out), log_sum)) in heads.enumerate() {
        let (key_head, value_head) = document.shared(head);
        let query = document.head(0, head);
        document.products(query, key_head, shares);
        document.products(d_out, value_head, d_scores);
        let (keys, total) = (0..document.length, log_sum * LOG2_E);
        harden(shares, d_scores, &keys, &seen, shape.scale, total, dot(out, d_out));
        for token in seen.clone() {
            add(&mut d_rows[place(0, head)], d_scores[token], document.head(token, key_head));
            add(&mut d_rows[place(token, key_head)], d_scores[token], query);
            add(&mut d_rows[place(token, value_head)], shares[token], d_out);
        }
    }
}
