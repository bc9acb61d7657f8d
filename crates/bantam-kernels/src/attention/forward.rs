//! The outputs, and for each query the logarithm of its sum of exponentials.

use std::f32::consts::{LN_2, LOG2_E};
use std::ops::Range;

use super::{AttentionShape, LANES, Task, pairs, panels, score, scores_row, takes_pairs, tiles, vectors, within};
use crate::curves::exp2;
use crate::gemm::Precision;
use crate::gemm::block::{BlockProduct, Left, PANEL, ROWS, Target, packed_len};
use crate::memory::Buffer;
use crate::pool::Shared;
use crate::vectorized::{fold_lanes, sum_lanes, vectorized};

/// `out = softmax(scale * q·kᵀ)·v`, head by head and document by document.
///
/// `qkv` is `[tokens, row_width]`, `out` `[tokens, heads * head_dim]`; `log_sum` `[tokens, heads]` gets log Σ exp of the scaled scores, which the
/// backward pass needs. `starts` holds where each document begins, and the number of tokens at its end.
/// Products are computed in `precision` where that is fast, in f32 elsewhere.
pub fn forward(
    shape: &AttentionShape,
    precision: Precision,
    qkv: &[f32],
    starts: &[usize],
    out: &mut [f32],
    log_sum: &mut [f32],
) {
    let (width, dim) = (shape.row_width(), shape.head_dim);
    let tokens = qkv.len() / width.max(1);
    let lengths =
        [("qkv", qkv.len(), width), ("out", out.len(), shape.heads * dim), ("log_sum", log_sum.len(), shape.heads)];
    shape.expect("attention", tokens, &lengths, starts);
    let (out, log_sum) = (Shared::new(out), Shared::new(log_sum));
    if takes_pairs(precision, starts) {
        return pairs::forward(shape, qkv, starts, &out, &log_sum);
    }
    let product = BlockProduct::current();
    Task::each(
        shape,
        qkv,
        starts,
        |longest| Room::new(shape, longest),
        |task, room| {
            vectorized(
                #[inline(always)]
                || forward_of(task, &product, room, &out, &log_sum),
            );
        },
    );
}

/// What a task works in.
struct Room {
    /// Keys as columns.
    keys: Buffer,
    /// Values as rows.
    values: Buffer,
    /// A tile of queries by all keys.
    scores: Buffer,
    /// A tile of outputs, not yet divided by the sums.
    attended: Buffer,
}

impl Room {
    fn new(shape: &AttentionShape, longest: usize) -> Self {
        Room {
            keys: Buffer::scratch(packed_len(shape.head_dim, longest)),
            values: Buffer::scratch(packed_len(longest, shape.head_dim)),
            scores: Buffer::scratch(ROWS * scores_row(longest)),
            attended: Buffer::scratch(ROWS * shape.head_dim),
        }
    }
}

#[inline(always)]
fn forward_of(task: &Task, product: &BlockProduct, room: &mut Room, out: &Shared<f32>, log_sum: &Shared<f32>) {
    let (shape, dim, length) = (task.shape, task.shape.head_dim, task.length);
    let (factor, scores_row) = (shape.scale * LOG2_E, scores_row(length));
    task.fused(task.key_column()).pack_columns(product, &mut room.keys);
    task.fused(task.value_column()).pack_rows(product, 0..length, &mut room.values);
    for head in task.query_heads() {
        let queries = task.fused(task.column(head));
        for tile in tiles::<ROWS>(0..length) {
            let keys = shape.keys_of::<ROWS>(&tile, length);
            score(
                product,
                tile.len(),
                queries.left(tile.start),
                keys.clone(),
                &room.keys,
                dim,
                &mut room.scores,
                scores_row,
            );
            let mut shares = [0.0; ROWS];
            for (query, (row, share)) in tile.clone().zip(room.scores.chunks_exact_mut(scores_row).zip(&mut shares)) {
                let (largest, total) = soften(row, &keys, &shape.keys(query, length), factor);
                *share = 1.0 / total;
                // SAFETY: a task owns its heads' numbers of its document's rows.
                let kept = unsafe { log_sum.slice((task.start + query) * shape.heads + head, 1) };
                kept[0] = (largest + total.log2()) * LN_2;
            }
            let weights = Left { data: &room.scores, row: scores_row, step: 1 }.from(0, keys.start);
            for (panel, part) in panels(0..dim) {
                let values = &room.values[(panel * length + keys.start) * PANEL..(panel * length + keys.end) * PANEL];
                let target = Target { data: &mut room.attended[part.start..], row: dim, add: false };
                product.multiply([tile.len(), part.len()], weights, values, target);
            }
            task.store(out, shape.heads * dim, task.column(head), tile, &room.attended, &shares);
        }
    }
}

/// Turns a row of scores into 2^(factor * score - largest) for the keys that are seen, and 0 for the others of the tile's `keys`. Returns the
/// largest scaled score and the sum of the row.
#[inline(always)]
pub(super) fn soften(row: &mut [f32], keys: &Range<usize>, seen: &Range<usize>, factor: f32) -> (f32, f32) {
    let (first, vectors) = vectors(row, keys);
    let mut most = [f32::NEG_INFINITY; LANES];
    for (index, vector) in vectors.iter_mut().enumerate() {
        *vector = within(vector.map(|x| x * factor), first + index * LANES, seen, f32::NEG_INFINITY);
        for lane in 0..LANES {
            most[lane] = if vector[lane] > most[lane] { vector[lane] } else { most[lane] };
        }
    }
    let largest = fold_lanes(most, |most, x| if x > most { x } else { most });
    let mut sums = [0.0f32; LANES];
    for vector in vectors {
        for (sum, x) in sums.iter_mut().zip(vector) {
            *x = exp2(*x - largest);
            *sum += *x;
        }
    }
    (largest, sum_lanes(sums))
}
