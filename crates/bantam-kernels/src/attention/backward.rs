//! The gradient, from scores that are computed again.

use std::f32::consts::LOG2_E;
use std::ops::Range;

use super::{AttentionShape, LANES, Task, pairs, panels, score, scores_row, takes_pairs, tiles, vectors, within};
use crate::curves::{exp2, fused};
use crate::gemm::Precision;
use crate::gemm::block::{BlockProduct, Left, PANEL, ROWS, Target, packed_len};
use crate::memory::Buffer;
use crate::pool::Shared;
use crate::vectorized::{dot, vectorized};

/// Queries whose scores exist at the same time: each tile of the gradients of keys and values is summed over so many at once.
const BLOCK: usize = 8 * ROWS;

/// The gradient of [`super::forward`]: `d_qkv`, in the shape of `qkv`, is written. `precision` is that of the
/// forward pass.
pub fn backward(
    shape: &AttentionShape,
    precision: Precision,
    qkv: &[f32],
    starts: &[usize],
    out: &[f32],
    log_sum: &[f32],
    d_out: &[f32],
    d_qkv: &mut [f32],
) {
    let (width, dim) = (shape.row_width(), shape.head_dim);
    let tokens = qkv.len() / width.max(1);
    let lengths = [
        ("qkv", qkv.len(), width),
        ("out", out.len(), shape.heads * dim),
        ("log_sum", log_sum.len(), shape.heads),
        ("d_out", d_out.len(), shape.heads * dim),
        ("d_qkv", d_qkv.len(), width),
    ];
    shape.expect("attention backward", tokens, &lengths, starts);
    let d_qkv = Shared::new(d_qkv);
    if takes_pairs(precision, starts) {
        return pairs::backward(shape, qkv, starts, out, log_sum, d_out, &d_qkv);
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
                || backward_of(task, &product, room, out, log_sum, d_out, &d_qkv),
            );
        },
    );
}

/// What a task works in.
struct Room {
    /// Keys and values as columns, for the scores and for their gradients.
    keys: Buffer,
    values: Buffer,
    /// Keys as rows, for the gradients of queries.
    key_rows: Buffer,
    /// Queries and output gradients of a block as rows, for the gradients of keys and values.
    queries: Buffer,
    d_outs: Buffer,
    /// Probabilities of a block of queries by all keys, and the gradients of the scores.
    shares: Buffer,
    d_scores: Buffer,
    /// A tile.
    d_query: Buffer,
    d_key: Buffer,
    d_value: Buffer,
}

impl Room {
    fn new(shape: &AttentionShape, longest: usize) -> Self {
        let (dim, block) = (shape.head_dim, BLOCK.min(longest));
        Room {
            keys: Buffer::scratch(packed_len(dim, longest)),
            values: Buffer::scratch(packed_len(dim, longest)),
            key_rows: Buffer::scratch(packed_len(longest, dim)),
            queries: Buffer::scratch(packed_len(block, dim)),
            d_outs: Buffer::scratch(packed_len(block, dim)),
            shares: Buffer::scratch(block * scores_row(longest)),
            d_scores: Buffer::scratch(block * scores_row(longest)),
            d_query: Buffer::scratch(ROWS * dim),
            d_key: Buffer::scratch(longest * dim),
            d_value: Buffer::scratch(longest * dim),
        }
    }
}

#[inline(always)]
fn backward_of(
    task: &Task,
    product: &BlockProduct,
    room: &mut Room,
    out: &[f32],
    log_sum: &[f32],
    d_out: &[f32],
    d_qkv: &Shared<f32>,
) {
    let (shape, dim, length) = (task.shape, task.shape.head_dim, task.length);
    let (width, row) = (shape.row_width(), scores_row(length));
    let keys = task.fused(task.key_column());
    keys.pack_columns(product, &mut room.keys);
    keys.pack_rows(product, 0..length, &mut room.key_rows);
    task.fused(task.value_column()).pack_columns(product, &mut room.values);
    room.d_key[..length * dim].fill(0.0);
    room.d_value[..length * dim].fill(0.0);
    for head in task.query_heads() {
        let queries = task.fused(task.column(head));
        let out = task.head(out, shape.heads * dim, task.column(head));
        let d_out = task.head(d_out, shape.heads * dim, task.column(head));
        for from in (0..length).step_by(BLOCK) {
            let block = from..length.min(from + BLOCK);
            for tile in tiles::<ROWS>(block.clone()) {
                let keys = shape.keys_of::<ROWS>(&tile, length);
                let place = (tile.start - from) * row;
                let (shares, d_scores) = (&mut room.shares[place..], &mut room.d_scores[place..]);
                score(product, tile.len(), queries.left(tile.start), keys.clone(), &room.keys, dim, shares, row);
                score(product, tile.len(), d_out.left(tile.start), keys.clone(), &room.values, dim, d_scores, row);
                let rows = shares.chunks_exact_mut(row).zip(d_scores.chunks_exact_mut(row));
                for (query, (shares, d_scores)) in tile.clone().zip(rows) {
                    let total = log_sum[(task.start + query) * shape.heads + head] * LOG2_E;
                    let along = dot(out.row(query), d_out.row(query));
                    harden(shares, d_scores, &keys, &shape.keys(query, length), shape.scale, total, along);
                }
                let d_scores = Left { data: &room.d_scores, row, step: 1 }.from(tile.start - from, keys.start);
                for (panel, part) in panels(0..dim) {
                    let right =
                        &room.key_rows[(panel * length + keys.start) * PANEL..(panel * length + keys.end) * PANEL];
                    let target = Target { data: &mut room.d_query[part.start..], row: dim, add: false };
                    product.multiply([tile.len(), part.len()], d_scores, right, target);
                }
                task.store(d_qkv, width, task.column(head), tile, &room.d_query, &[1.0; ROWS]);
            }
            queries.pack_rows(product, block.clone(), &mut room.queries);
            d_out.pack_rows(product, block.clone(), &mut room.d_outs);
            for tile in tiles::<ROWS>(shape.keys_of::<ROWS>(&block, length)) {
                let seeing = shape.queries_of::<ROWS>(&tile, length);
                let seeing = seeing.start.max(from) - from..seeing.end.min(block.end) - from;
                for (panel, part) in panels(0..dim) {
                    let rows = (panel * block.len() + seeing.start) * PANEL..(panel * block.len() + seeing.end) * PANEL;
                    let place = tile.start * dim + part.start;
                    for (left, right, sums) in [
                        (&room.shares, &room.d_outs, &mut room.d_value),
                        (&room.d_scores, &room.queries, &mut room.d_key),
                    ] {
                        // The rows of this factor are the keys, which lie next to each other in a row of scores.
                        let left = Left { data: left, row: 1, step: row }.from(tile.start, seeing.start);
                        let target = Target { data: &mut sums[place..], row: dim, add: true };
                        product.multiply([tile.len(), part.len()], left, &right[rows.clone()], target);
                    }
                }
            }
        }
    }
    for tile in tiles::<ROWS>(0..length) {
        for (column, sums) in [(task.key_column(), &room.d_key), (task.value_column(), &room.d_value)] {
            task.store(d_qkv, width, column, tile.clone(), &sums[tile.start * dim..], &[1.0; ROWS]);
        }
    }
}

/// Turns a row of scores into probabilities, and the products of output gradient and values into the gradients of the scores. Both become 0 for
/// those of the tile's `keys` that are not seen.
#[inline(always)]
pub(super) fn harden(
    shares: &mut [f32],
    d_scores: &mut [f32],
    keys: &Range<usize>,
    seen: &Range<usize>,
    scale: f32,
    total: f32,
    along: f32,
) {
    let factor = scale * LOG2_E;
    let ((first, shares), (_, d_scores)) = (vectors(shares, keys), vectors(d_scores, keys));
    for (index, (shares, d_scores)) in shares.iter_mut().zip(d_scores).enumerate() {
        let place = first + index * LANES;
        // A closure given to `map` is compiled without this machine's instructions, and fuses by software.
        for share in shares.iter_mut() {
            *share = exp2(fused(*share, factor, -total));
        }
        *shares = within(*shares, place, seen, 0.0);
        for lane in 0..LANES {
            d_scores[lane] = shares[lane] * (d_scores[lane] - along) * scale;
        }
        *d_scores = within(*d_scores, place, seen, 0.0);
    }
}
