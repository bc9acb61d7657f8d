//! Attention of the first token of each document alone, for what reads nothing else: a single query is not worth the order that tiles need, so
//! that these are plain loops over its keys.

use std::f32::consts::{LN_2, LOG2_E};
use std::ops::Range;

use super::backward::harden;
use super::forward::soften;
use super::{AttentionShape, Head, Task, scores_row};
use crate::memory::Buffer;
use crate::pool::Shared;
use crate::vector;
use crate::vectorized::{dot, vectorized};

/// What [`super::forward`] makes of the first token of each document, none of which is empty: `out` is `[documents, heads * head_dim]`, `log_sum`
/// `[documents, heads]`. Computed in f32.
pub fn forward_first(shape: &AttentionShape, qkv: &[f32], starts: &[usize], out: &mut [f32], log_sum: &mut [f32]) {
    expect(shape, "attention of first tokens", qkv, starts, &[out.len() / shape.head_dim, log_sum.len()]);
    let (out, log_sum) = (Shared::new(out), Shared::new(log_sum));
    Task::each(
        shape,
        qkv,
        starts,
        |longest| Buffer::scratch(scores_row(longest)),
        |task, scores| {
            vectorized(
                #[inline(always)]
                || forward_of(task, scores, &out, &log_sum),
            );
        },
    );
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
    let heads = [out.len() / shape.head_dim, log_sum.len(), d_out.len() / shape.head_dim];
    expect(shape, "attention of first tokens backward", qkv, starts, &heads);
    assert_eq!(d_qkv.len(), qkv.len(), "attention of first tokens backward: d_qkv");
    // What nothing was made of has no gradient: the queries of other tokens, and what the first does not see.
    vector::clear(d_qkv);
    let d_qkv = Shared::new(d_qkv);
    Task::each(
        shape,
        qkv,
        starts,
        |longest| [(); 2].map(|()| Buffer::scratch(scores_row(longest))),
        |task, [shares, d_scores]| {
            vectorized(
                #[inline(always)]
                || backward_of(task, [out, d_out], log_sum, [shares, d_scores], &d_qkv),
            );
        },
    );
}

#[track_caller]
fn expect(shape: &AttentionShape, name: &str, qkv: &[f32], starts: &[usize], heads: &[usize]) {
    shape.expect(name, qkv.len() / shape.row_width().max(1), &[("qkv", qkv.len(), shape.row_width())], starts);
    let documents = starts.windows(2);
    assert!(documents.clone().all(|document| document[0] < document[1]), "{name}: an empty document");
    let all = documents.len() * shape.heads;
    assert!(heads.iter().all(|heads| *heads == all), "{name}: {heads:?} heads of {} documents", documents.len());
}

#[inline(always)]
fn forward_of(task: &Task, scores: &mut [f32], out: &Shared<f32>, log_sum: &Shared<f32>) {
    let (shape, seen) = (task.shape, task.shape.keys(0, task.length));
    let (keys, values) = (task.fused(task.key_column()), task.fused(task.value_column()));
    for head in task.query_heads() {
        products(task.fused(task.column(head)).row(0), &keys, scores, seen.clone());
        let (largest, total) = soften(scores, &(0..task.length), &seen, shape.scale * LOG2_E);
        let place = task.document * shape.heads + head;
        // SAFETY: a task owns its heads' numbers of its document.
        let (out, kept) = unsafe { (out.slice(place * shape.head_dim, shape.head_dim), log_sum.slice(place, 1)) };
        kept[0] = (largest + total.log2()) * LN_2;
        out.fill(0.0);
        for token in seen.clone() {
            add(out, scores[token] / total, values.row(token));
        }
    }
}

#[inline(always)]
fn backward_of(
    task: &Task,
    [out, d_out]: [&[f32]; 2],
    log_sum: &[f32],
    [shares, d_scores]: [&mut [f32]; 2],
    d_qkv: &Shared<f32>,
) {
    let (shape, dim, seen) = (task.shape, task.shape.head_dim, task.shape.keys(0, task.length));
    let (keys, values) = (task.fused(task.key_column()), task.fused(task.value_column()));
    // SAFETY: a task owns its heads' numbers of its document's rows, and takes one at a time.
    let d_row =
        |token: usize, column: usize| unsafe { d_qkv.slice((task.start + token) * shape.row_width() + column, dim) };
    for head in task.query_heads() {
        let place = task.document * shape.heads + head;
        let (out, d_out) = (&out[place * dim..][..dim], &d_out[place * dim..][..dim]);
        let query = task.fused(task.column(head)).row(0);
        products(query, &keys, shares, seen.clone());
        products(d_out, &values, d_scores, seen.clone());
        harden(shares, d_scores, &(0..task.length), &seen, shape.scale, log_sum[place] * LOG2_E, dot(out, d_out));
        for token in seen.clone() {
            add(d_row(0, task.column(head)), d_scores[token], keys.row(token));
            add(d_row(token, task.key_column()), d_scores[token], query);
            add(d_row(token, task.value_column()), shares[token], d_out);
        }
    }
}

/// The products of a row with those of some tokens.
#[inline(always)]
fn products(row: &[f32], head: &Head<'_>, out: &mut [f32], tokens: Range<usize>) {
    for token in tokens {
        out[token] = dot(row, head.row(token));
    }
}

/// `sums += factor * row`.
#[inline(always)]
fn add(sums: &mut [f32], factor: f32, row: &[f32]) {
    sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += factor * x);
}
