//! Attention of the heads of one piece over the documents of one group, on the calling thread.

use std::f32::consts::LOG2_E;

use super::Queries;
use crate::attention::{self, AttentionShape};
use crate::curves::exp2;
use crate::gemm::Precision;
use crate::gemm::block::{BlockProduct, PANEL, PairLeft, ROWS, Target, pack_pairs};
use crate::isa::Isa;
use crate::memory::Buffer;
use crate::pool::with_threads;
use crate::vectorized::{dot, vectorized};

/// The most tokens of a document whose scores are made all at once.
const SHORT: usize = 128;
/// Scores are softened in vectors of this many.
const LANES: usize = 16;

/// What the heads make of `fused` `[tokens, 3 * heads * head_dim]`: a row for each token, or for each document. With `first_rows` the queries of
/// document `d` stand in row `d`, rather than in that of its first token.
pub(super) fn attend(
    shape: &AttentionShape,
    fused: &[f32],
    starts: &[usize],
    queries: Queries,
    first_rows: bool,
) -> Buffer {
    let width = shape.heads * shape.head_dim;
    let tokens = fused.len() / (3 * width);
    if queries == Queries::All {
        let mut out = Buffer::scratch(tokens * width);
        let is_paired = Isa::current().pairs_are_fast() && shape.head_dim.is_multiple_of(2);
        let product = BlockProduct::current();
        for ends in starts.windows(2) {
            let fused = &fused[ends[0] * 3 * width..ends[1] * 3 * width];
            let out = &mut out[ends[0] * width..ends[1] * width];
            if is_paired && ends[1] - ends[0] <= SHORT {
                in_pairs(shape, &product, fused, out);
            } else {
                let mut log_sum = Buffer::scratch((ends[1] - ends[0]) * shape.heads);
                with_threads(1, || {
                    attention::forward(shape, Precision::F32, fused, &[0, ends[1] - ends[0]], out, &mut log_sum)
                });
            }
        }
        return out;
    }
    let documents = starts.len() - 1;
    let longest = starts.windows(2).map(|ends| ends[1] - ends[0]).max().unwrap_or(0);
    let (mut out, mut scores) = (Buffer::zeroed(documents * width), Buffer::scratch(longest));
    vectorized(
        #[inline(always)]
        || {
            for (document, ends) in starts.windows(2).enumerate() {
                let row = if first_rows { document } else { ends[0] };
                let query = &fused[row * 3 * width..][..width];
                let rows = &fused[ends[0] * 3 * width..ends[1] * 3 * width];
                let out = &mut out[document * width..][..width];
                for (head, (query, out)) in
                    query.chunks_exact(shape.head_dim).zip(out.chunks_exact_mut(shape.head_dim)).enumerate()
                {
                    one(query, rows, 3 * width, width + head * shape.head_dim, width, shape.scale, &mut scores, out);
                }
            }
        },
    );
    out
}

/// One query of one head: `rows` of numbers `row` apart hold the keys from `column` on, and the values `values` after them.
#[inline(always)]
fn one(
    query: &[f32],
    rows: &[f32],
    row: usize,
    column: usize,
    values: usize,
    scale: f32,
    scores: &mut [f32],
    out: &mut [f32],
) {
    let mut largest = f32::NEG_INFINITY;
    for (score, row) in scores.iter_mut().zip(rows.chunks_exact(row)) {
        *score = dot(query, &row[column..][..query.len()]) * scale * LOG2_E;
        largest = if *score > largest { *score } else { largest };
    }
    let mut total = 0.0;
    for (score, row) in scores.iter().zip(rows.chunks_exact(row)) {
        let weight = exp2(score - largest);
        total += weight;
        out.iter_mut().zip(&row[column + values..]).for_each(|(out, value)| *out += weight * value);
    }
    out.iter_mut().for_each(|out| *out /= total);
}

/// All queries of a short document, in pairs of bf16.
fn in_pairs(shape: &AttentionShape, product: &BlockProduct, fused: &[f32], out: &mut [f32]) {
    let (dim, width) = (shape.head_dim, shape.heads * shape.head_dim);
    let tokens = out.len() / width;
    let (keys_row, values_row) = (tokens.next_multiple_of(LANES), dim.next_multiple_of(LANES));
    let (pairs, token_pairs) = (dim / 2, tokens.div_ceil(2));
    let mut queries = Buffer::scratch(tokens * width / 2);
    for (row, words) in fused.chunks_exact(3 * width).zip(queries.words_mut().chunks_exact_mut(width / 2)) {
        pack_pairs(&row[..width], words);
    }
    let (mut keys, mut values) = (Buffer::scratch(pairs * keys_row), Buffer::scratch(token_pairs * values_row));
    let (mut scores, mut weights) = (Buffer::scratch(tokens * keys_row), Buffer::scratch(tokens * keys_row / 2));
    for head in 0..shape.heads {
        let column = head * dim;
        product.pack_pair_columns(&fused[width + column..], 3 * width, tokens, dim, keys.words_mut());
        product.pack_pair_rows(&fused[2 * width + column..], 3 * width, tokens, dim, values.words_mut());
        for first in (0..tokens).step_by(ROWS) {
            let rows = ROWS.min(tokens - first);
            let left = PairLeft { words: queries.words(), row: width / 2 }.from(first, head * pairs);
            for panel in (0..keys_row).step_by(PANEL) {
                let columns = PANEL.min(keys_row - panel);
                let data = &mut scores[first * keys_row + panel..];
                let target = Target { data, row: keys_row, add: false };
                product.multiply_pairs([rows, columns], left, &keys.words()[panel..], keys_row, target);
            }
        }
        soften(&mut scores, keys_row, tokens, shape.scale * LOG2_E);
        pack_pairs(&scores, weights.words_mut());
        for first in (0..tokens).step_by(ROWS) {
            let rows = ROWS.min(tokens - first);
            let left = PairLeft { words: weights.words(), row: keys_row / 2 }.from(first, 0);
            for panel in (0..dim).step_by(PANEL) {
                let data = &mut out[first * width + column + panel..];
                let target = Target { data, row: width, add: false };
                let columns = PANEL.min(dim - panel);
                product.multiply_pairs([rows, columns], left, &values.words()[panel..], values_row, target);
            }
        }
    }
}

/// Turns the first `tokens` of each row of scores into weights that sum to 1, and the others into 0. `row` is a multiple of [`LANES`].
fn soften(scores: &mut [f32], row: usize, tokens: usize, factor: f32) {
    match Isa::current() {
        // SAFETY: called for this set only.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Amx => unsafe { avx512::soften(scores, row, tokens, factor) },
        _ => scores.chunks_exact_mut(row).for_each(|row| soften_row(row, tokens, factor)),
    }
}

/// [`soften`] in plain Rust.
fn soften_row(row: &mut [f32], tokens: usize, factor: f32) {
    let (seen, others) = row.split_at_mut(tokens);
    let largest = seen.iter().fold(f32::NEG_INFINITY, |most, &x| if x > most { x } else { most });
    let mut total = 0.0;
    for x in &mut *seen {
        *x = exp2((*x - largest) * factor);
        total += *x;
    }
    seen.iter_mut().for_each(|x| *x /= total);
    others.fill(0.0);
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::LANES;
    use crate::curves::EXP2;

    /// See [`super::soften`].
    ///
    /// # Safety
    /// The CPU has AVX-512.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) unsafe fn soften(scores: &mut [f32], row: usize, tokens: usize, factor: f32) {
        let tail = (0xffff_u32 >> (LANES - 1 - (tokens - 1) % LANES)) as __mmask16;
        let factor = _mm512_set1_ps(factor);
        for row in scores.chunks_exact_mut(row) {
            let (vectors, _) = row.as_chunks_mut::<LANES>();
            let last = vectors.len() - 1;
            let mut most = _mm512_set1_ps(f32::NEG_INFINITY);
            for (index, vector) in vectors.iter().enumerate() {
                let mask = if index == last { tail } else { 0xffff };
                // SAFETY: the chunk is one vector.
                most = _mm512_mask_max_ps(most, mask, most, unsafe { _mm512_loadu_ps(vector.as_ptr()) });
            }
            let largest = _mm512_set1_ps(_mm512_reduce_max_ps(most));
            let mut sum = _mm512_setzero_ps();
            for (index, vector) in vectors.iter_mut().enumerate() {
                let mask = if index == last { tail } else { 0xffff };
                // SAFETY: the chunk is one vector.
                unsafe {
                    let x = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(vector.as_ptr()), largest), factor);
                    let power = _mm512_maskz_mov_ps(mask, exp2(x));
                    sum = _mm512_add_ps(sum, power);
                    _mm512_storeu_ps(vector.as_mut_ptr(), power);
                }
            }
            let share = _mm512_set1_ps(1.0 / _mm512_reduce_add_ps(sum));
            for vector in vectors {
                // SAFETY: the chunk is one vector.
                unsafe {
                    let weight = _mm512_mul_ps(_mm512_loadu_ps(vector.as_ptr()), share);
                    _mm512_storeu_ps(vector.as_mut_ptr(), weight);
                }
            }
        }
    }

    /// [`crate::curves::exp2`] of 16 numbers.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn exp2(x: __m512) -> __m512 {
        let whole = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x);
        let rest = _mm512_sub_ps(x, whole);
        let mut power = _mm512_set1_ps(EXP2[0]);
        for coefficient in &EXP2[1..] {
            power = _mm512_fmadd_ps(power, rest, _mm512_set1_ps(*coefficient));
        }
        _mm512_scalef_ps(power, whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, assert_close, for_each_isa};

    #[test]
    fn softened_rows_sum_to_one_on_every_set() {
        let mut random = Random::new(4);
        for tokens in [1usize, 2, 15, 16, 17, 40, 128] {
            let row = tokens.next_multiple_of(LANES);
            let scores: Vec<f32> = random.vector(3 * row).iter().map(|x| x * 30.0).collect();
            let mut expected = Vec::new();
            for scores in scores.chunks(row) {
                let powers: Vec<f64> = scores[..tokens].iter().map(|x| f64::from(*x * 0.7).exp2()).collect();
                let total: f64 = powers.iter().sum();
                expected.extend(powers.iter().map(|power| (power / total) as f32));
                expected.extend(std::iter::repeat_n(0.0, row - tokens));
            }
            for_each_isa(|isa| {
                let mut softened = scores.clone();
                soften(&mut softened, row, tokens, 0.7);
                assert_close(&softened, &expected, 1e-5, &format!("{isa}, {tokens} tokens"));
                let mut broken = scores.clone();
                broken[0] = f32::NAN;
                soften(&mut broken, row, tokens, 0.7);
                assert!(broken[0].is_nan(), "{isa}");
            });
        }
    }
}
