//! Normalisation of rows: by their root mean square, or by mean and variance.

use crate::memory::Buffer;
use crate::pool::Shared;
use crate::vector::sum_over_ranges;
use crate::vectorized::{LANES, dot, for_each_range, sum, sum_lanes, vectorized};

#[cfg(test)]
mod tests;

/// The rows of a matrix of `numbers`, each of `width`.
#[track_caller]
fn expect(name: &str, numbers: usize, width: usize, weight: Option<usize>, others: &[usize]) -> usize {
    let fits = numbers.is_multiple_of(width.max(1)) && others.iter().all(|&other| other == numbers);
    assert!(
        fits && weight.is_none_or(|weight| weight == width),
        "{name}: {numbers} numbers in rows of {width}, a weight of {weight:?}, and {others:?} results or gradients"
    );
    numbers / width.max(1)
}

/// `out = x / sqrt(mean(x²) + epsilon) * weight`, row by row of `width` numbers (Zhang and Sennrich 2019).
pub fn rms_norm(x: &[f32], width: usize, weight: Option<&[f32]>, epsilon: f32, out: &mut [f32]) {
    let rows = expect("rms_norm", x.len(), width, weight.map(<[f32]>::len), &[out.len()]);
    let out = Shared::new(out);
    for_each_range(rows, width, |range| {
        // SAFETY: the ranges of different tasks do not meet, and neither do their rows.
        let out = unsafe { out.slice(range.start * width, range.len() * width) };
        let x = &x[range.start * width..range.end * width];
        vectorized(
            #[inline(always)]
            || {
                for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
                    let scale = inverse_root(x, epsilon);
                    match weight {
                        Some(weight) => {
                            out.iter_mut().zip(x).zip(weight).for_each(|((out, x), w)| *out = x * scale * w)
                        }
                        None => out.iter_mut().zip(x).for_each(|(out, x)| *out = x * scale),
                    }
                }
            },
        );
    });
}

/// The gradient of [`rms_norm`]: `d_x` is written, or added to if `accumulate`; `d_weight` is added to.
///
/// With n = x·inverse and g = d_out·weight: `d_x = inverse * (g - n * mean(g·n))`, `d_weight = Σ d_out·n`.
pub fn rms_norm_backward(
    x: &[f32],
    width: usize,
    weight: Option<&[f32]>,
    epsilon: f32,
    d_out: &[f32],
    d_x: &mut [f32],
    accumulate: bool,
    d_weight: Option<&mut [f32]>,
) {
    let weights = weight.map(<[f32]>::len);
    let rows = expect("rms_norm_backward", x.len(), width, weights, &[d_out.len(), d_x.len()]);
    let shared = Shared::new(d_x);
    // Gives what the row was multiplied by.
    let row_of = |row: usize, scaled: &mut [f32]| {
        // SAFETY: each row belongs to one task.
        let d_x = unsafe { shared.slice(row * width, width) };
        let (x, d_out) = (&x[row * width..][..width], &d_out[row * width..][..width]);
        vectorized(
            #[inline(always)]
            || {
                match weight {
                    Some(weight) => scaled.iter_mut().zip(d_out).zip(weight).for_each(|((s, d), w)| *s = d * w),
                    None => scaled.copy_from_slice(d_out),
                }
                let inverse = inverse_root(x, epsilon);
                let along = dot(scaled, x) * inverse * inverse / width as f32;
                let moved = d_x.iter_mut().zip(&*scaled).zip(x);
                if accumulate {
                    moved.for_each(|((d_x, s), x)| *d_x += inverse * (s - x * along));
                } else {
                    moved.for_each(|((d_x, s), x)| *d_x = inverse * (s - x * along));
                }
                inverse
            },
        )
    };
    match d_weight {
        None => for_each_range(rows, width, |range| {
            let mut scaled = Buffer::scratch(width);
            range.for_each(|row| {
                row_of(row, &mut scaled);
            });
        }),
        Some(d_weight) => sum_over_ranges(rows, d_weight, |range, sums| {
            let mut scaled = Buffer::scratch(width);
            for row in range {
                let inverse = row_of(row, &mut scaled);
                let (x, d_out) = (&x[row * width..][..width], &d_out[row * width..][..width]);
                vectorized(
                    #[inline(always)]
                    || sums.iter_mut().zip(x).zip(d_out).for_each(|((sum, x), d)| *sum += d * x * inverse),
                );
            }
        }),
    }
}

/// `out = (x - mean) / sqrt(variance + epsilon) * weight + bias`, row by row (Ba et al. 2016).
pub fn layer_norm(x: &[f32], weight: &[f32], bias: Option<&[f32]>, epsilon: f32, out: &mut [f32]) {
    let width = weight.len();
    let rows = expect("layer_norm", x.len(), width, bias.map(<[f32]>::len), &[out.len()]);
    let out = Shared::new(out);
    for_each_range(rows, width, |range| {
        // SAFETY: the ranges of different tasks do not meet, and neither do their rows.
        let out = unsafe { out.slice(range.start * width, range.len() * width) };
        let x = &x[range.start * width..range.end * width];
        vectorized(
            #[inline(always)]
            || {
                for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
                    let (_, inverse) = centre(x, epsilon, out);
                    out.iter_mut().zip(weight).for_each(|(out, w)| *out = *out * inverse * w);
                    if let Some(bias) = bias {
                        out.iter_mut().zip(bias).for_each(|(out, b)| *out += b);
                    }
                }
            },
        );
    });
}

/// The gradient of [`layer_norm`]: `d_x` is written, `d_weight` and `d_bias` added to.
///
/// With n = (x - mean)·inverse and g = d_out·weight: `d_x = inverse * (g - mean(g) - n * mean(g·n))`.
pub fn layer_norm_backward(
    x: &[f32],
    weight: &[f32],
    epsilon: f32,
    d_out: &[f32],
    d_x: &mut [f32],
    d_weight: Option<&mut [f32]>,
    d_bias: Option<&mut [f32]>,
) {
    let width = weight.len();
    let rows = expect("layer_norm_backward", x.len(), width, None, &[d_out.len(), d_x.len()]);
    let shared = Shared::new(d_x);
    for_each_range(rows, width, |range| {
        // SAFETY: the ranges of different tasks do not meet, and neither do their rows.
        let d_x = unsafe { shared.slice(range.start * width, range.len() * width) };
        vectorized(
            #[inline(always)]
            || {
                for (row, d_x) in range.zip(d_x.chunks_exact_mut(width)) {
                    let (x, d_out) = (&x[row * width..][..width], &d_out[row * width..][..width]);
                    let (mean, inverse) = centre(x, epsilon, d_x);
                    d_x.iter_mut().zip(d_out).zip(weight).for_each(|((d_x, d), w)| *d_x = d * w);
                    let average = row_sum(d_x) / width as f32;
                    let along = (dot(d_x, x) - average * width as f32 * mean) * inverse * inverse / width as f32;
                    d_x.iter_mut().zip(x).for_each(|(d_x, x)| *d_x = inverse * (*d_x - average - (x - mean) * along));
                }
            },
        );
    });
    if let Some(d_weight) = d_weight {
        sum_over_ranges(rows, d_weight, |range, sums| {
            let mut centred = Buffer::scratch(width);
            for row in range {
                let (x, d_out) = (&x[row * width..][..width], &d_out[row * width..][..width]);
                vectorized(
                    #[inline(always)]
                    || {
                        let (_, inverse) = centre(x, epsilon, &mut centred);
                        sums.iter_mut().zip(&*centred).zip(d_out).for_each(|((sum, x), d)| *sum += d * x * inverse);
                    },
                );
            }
        });
    }
    if let Some(d_bias) = d_bias {
        sum_over_ranges(rows, d_bias, |range, sums| {
            for row in range {
                sums.iter_mut().zip(&d_out[row * width..][..width]).for_each(|(sum, d)| *sum += d);
            }
        });
    }
}

/// One over the root of a row's mean square.
#[inline(always)]
fn inverse_root(x: &[f32], epsilon: f32) -> f32 {
    1.0 / (dot(x, x) / x.len() as f32 + epsilon).sqrt()
}

/// Writes a row without its mean to `out`; gives the mean, and one over the root of the variance.
#[inline(always)]
fn centre(x: &[f32], epsilon: f32, out: &mut [f32]) -> (f32, f32) {
    let mean = row_sum(x) / x.len() as f32;
    out.iter_mut().zip(x).for_each(|(out, x)| *out = x - mean);
    (mean, inverse_root(out, epsilon))
}

/// The sum of a row, in running sums.
#[inline(always)]
fn row_sum(x: &[f32]) -> f32 {
    let (lanes, rest) = x.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for lane in lanes {
        sums.iter_mut().zip(lane).for_each(|(sum, x)| *sum += x);
    }
    sum_lanes(sums) + sum(rest.iter().copied())
}
