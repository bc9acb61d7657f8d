//! Sums, products, pooling and dropout on whole vectors and on rows.

use crate::memory::Buffer;
use crate::pool::{self, Shared};
use crate::vectorized::{dot as row_dot, vectorized};

mod dropout;
mod pooling;
#[cfg(test)]
mod tests;

pub use dropout::dropout;
pub use pooling::{segment_max, segment_max_backward, segment_mean, segment_mean_backward};

/// Numbers that one task of an elementwise loop handles.
const PIECE: usize = 1 << 14;

#[track_caller]
fn expect_same(name: &str, lengths: &[usize]) {
    assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]), "{name}: lengths {lengths:?} should be equal");
}

/// `out = f(a, b)`, element by element.
#[inline(always)]
fn zip_into(a: &[f32], b: &[f32], out: &mut [f32], f: impl Fn(f32, f32) -> f32 + Sync + Copy) {
    pool::for_each_chunk(out, PIECE, |piece, out| {
        let (a, b) = (&a[piece * PIECE..], &b[piece * PIECE..]);
        vectorized(
            #[inline(always)]
            || out.iter_mut().zip(a).zip(b).for_each(|((out, &a), &b)| *out = f(a, b)),
        );
    });
}

/// `out = f(out, a)`, element by element.
#[inline(always)]
fn update(out: &mut [f32], a: &[f32], f: impl Fn(f32, f32) -> f32 + Sync + Copy) {
    pool::for_each_chunk(out, PIECE, |piece, out| {
        let a = &a[piece * PIECE..];
        vectorized(
            #[inline(always)]
            || out.iter_mut().zip(a).for_each(|(out, &a)| *out = f(*out, a)),
        );
    });
}

/// `x = 0`.
pub fn clear(x: &mut [f32]) {
    pool::for_each_chunk(x, PIECE, |_, x| x.fill(0.0));
}

/// `out = a + b`.
pub fn add_into(a: &[f32], b: &[f32], out: &mut [f32]) {
    expect_same("add_into", &[a.len(), b.len(), out.len()]);
    zip_into(a, b, out, |a, b| a + b);
}

/// `out = a * b`, element by element.
pub fn multiply_into(a: &[f32], b: &[f32], out: &mut [f32]) {
    expect_same("multiply_into", &[a.len(), b.len(), out.len()]);
    zip_into(a, b, out, |a, b| a * b);
}

/// `a += b`.
pub fn add_assign(a: &mut [f32], b: &[f32]) {
    expect_same("add_assign", &[a.len(), b.len()]);
    update(a, b, |a, b| a + b);
}

/// `out = keep * out + (1 - keep) * x`.
pub fn mix(out: &mut [f32], keep: f32, x: &[f32]) {
    expect_same("mix", &[out.len(), x.len()]);
    update(out, x, move |out, x| out * keep + (1.0 - keep) * x);
}

/// `x *= factor`.
pub fn scale(x: &mut [f32], factor: f32) {
    pool::for_each_chunk(x, PIECE, |_, x| {
        vectorized(
            #[inline(always)]
            move || x.iter_mut().for_each(|x| *x *= factor),
        );
    });
}

/// The dot product. Pieces of a fixed length are summed in f32, and the pieces in f64, so that the result is the same for any number of
/// threads.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    expect_same("dot", &[a.len(), b.len()]);
    const SHORT: usize = 512;
    let piece_sum = |a: &[f32], b: &[f32]| -> f64 {
        let pairs = a.chunks(SHORT).zip(b.chunks(SHORT));
        pairs
            .map(|(a, b)| {
                f64::from(vectorized(
                    #[inline(always)]
                    || row_dot(a, b),
                ))
            })
            .sum()
    };
    if a.len() <= PIECE {
        return piece_sum(a, b);
    }
    let mut sums = vec![0.0f64; a.len().div_ceil(PIECE)];
    pool::for_each_chunk(&mut sums, 1, |piece, sum| {
        let range = piece * PIECE..a.len().min((piece + 1) * PIECE);
        sum[0] = piece_sum(&a[range.clone()], &b[range]);
    });
    sums.iter().sum()
}

/// The sum of squares.
pub fn sum_squares(x: &[f32]) -> f64 {
    dot(x, x)
}

/// Divides each row of `x` `[rows, width]` by its Euclidean length; `inverse` `[rows]` gets one over the lengths. A row of zeros stays.
pub fn normalize_rows(x: &[f32], width: usize, out: &mut [f32], inverse: &mut [f32]) {
    expect_same("normalize_rows", &[x.len(), out.len(), inverse.len() * width]);
    for ((x, out), inverse) in x.chunks(width).zip(out.chunks_mut(width)).zip(inverse) {
        let length = row_dot(x, x).sqrt();
        *inverse = 1.0 / length.max(1e-12);
        out.iter_mut().zip(x).for_each(|(out, x)| *out = x * *inverse);
    }
}

/// The gradient of [`normalize_rows`] from its result `out`: `d_x = (d_out - out * (out . d_out)) * inverse`.
pub fn normalize_rows_backward(out: &[f32], width: usize, inverse: &[f32], d_out: &[f32], d_x: &mut [f32]) {
    expect_same("normalize_rows_backward", &[out.len(), d_out.len(), d_x.len(), inverse.len() * width]);
    let rows = out.chunks(width).zip(d_out.chunks(width)).zip(d_x.chunks_mut(width)).zip(inverse);
    for (((out, d_out), d_x), inverse) in rows {
        let along = row_dot(out, d_out);
        d_x.iter_mut().zip(out).zip(d_out).for_each(|((d_x, out), d_out)| *d_x = (d_out - out * along) * inverse);
    }
}

/// Adds the rows of `partials` `[parts, width]` to `out`, in order.
pub(crate) fn add_parts(partials: &Buffer, out: &mut [f32]) {
    for part in partials.chunks(out.len()) {
        out.iter_mut().zip(part).for_each(|(out, part)| *out += part);
    }
}

/// Calls `task` with ranges of rows and with as many zeros as `out` has, one set per range, and adds those to `out` in order: sums over rows that are
/// the same for any number of threads.
pub(crate) fn sum_over_ranges(rows: usize, out: &mut [f32], task: impl Fn(std::ops::Range<usize>, &mut [f32]) + Sync) {
    const PARTS: usize = 16;
    let step = rows.div_ceil(PARTS).max(1);
    let mut partials = Buffer::zeroed(rows.div_ceil(step) * out.len());
    let (shared, length) = (Shared::new(&mut partials), out.len());
    pool::for_each(rows.div_ceil(step), |part| {
        // SAFETY: each part is handled once, and the slices of different parts do not meet.
        let partial = unsafe { shared.slice(part * length, length) };
        task(part * step..rows.min((part + 1) * step), partial);
    });
    add_parts(&partials, out);
}
