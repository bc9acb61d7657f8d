//! Normalisation of rows: by their root mean square, or by mean and variance.

use crate::memory::Buffer;
use crate::pool::Shared;
use crate::vector::sum_over_ranges;
use crate::vectorized::{LANES, dot, for_each_range, sum, sum_lanes, vectorized};

#[cfg(test)]
mod tests;

#[track_caller]
fn expect(name: &str, numbers: usize, rows: usize, weight: Option<usize>, out: usize) -> usize {
    let width = numbers.checked_div(rows).unwrap_or(0);
    let fits = width * rows == numbers && out == numbers && weight.is_none_or(|weight| weight == width || rows == 0);
    assert!(fits, "{name}: {numbers} numbers in {rows} rows, a weight of {weight:?}, and {out} results");
    width
}

/// `out = x / sqrt(mean(x²) + epsilon) * weight`, row by row (Zhang and Sennrich 2019). `inverse` `[rows]` gets one over the roots.
pub fn rms_norm(x: &[f32], weight: Option<&[f32]>, epsilon: f32, out: &mut [f32], inverse: &mut [f32]) {
    let rows = inverse.len();
    let width = expect("rms_norm", x.len(), rows, weight.map(<[f32]>::len), out.len());
    let (out, inverse) = (Shared::new(out), Shared::new(inverse));
    for_each_range(rows, width, |range| {
        // SAFETY: the ranges of different tasks do not meet, and neither do their rows.
        let (out, inverse) =
            unsafe { (out.slice(range.start * width, range.len() * width), inverse.slice(range.start, range.len())) };
        let x = &x[range.start * width..range.end * width];
        vectorized(
            #[inline(always)]
            || {
                for ((x, out), inverse) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)).zip(inverse) {
                    let scale = 1.0 / (dot(x, x) / width as f32 + epsilon).sqrt();
                    *inverse = scale;
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
    weight: Option<&[f32]>,
    inverse: &[f32],
    d_out: &[f32],
    d_x: &mut [f32],
    accumulate: bool,
    d_weight: Option<&mut [f32]>,
) {
    let rows = inverse.len();
    let width = expect("rms_norm_backward", x.len(), rows, weight.map(<[f32]>::len), d_x.len());
    assert_eq!(d_out.len(), x.len(), "rms_norm_backward: the gradient has another shape than the input");
    let shared = Shared::new(d_x);
    let row_of = |row: usize, scaled: &mut [f32]| {
        // SAFETY: each row belongs to one task.
        let d_x = unsafe { shared.slice(row * width, width) };
        let (x, d_out, inverse) = (&x[row * width..][..width], &d_out[row * width..][..width], inverse[row]);
        vectorized(
            #[inline(always)]
            || {
                match weight {
                    Some(weight) => scaled.iter_mut().zip(d_out).zip(weight).for_each(|((s, d), w)| *s = d * w),
                    None => scaled.copy_from_slice(d_out),
                }
                let along = dot(scaled, x) * inverse * inverse / width as f32;
                let moved = d_x.iter_mut().zip(&*scaled).zip(x);
                if accumulate {
                    moved.for_each(|((d_x, s), x)| *d_x += inverse * (s - x * along));
                } else {
                    moved.for_each(|((d_x, s), x)| *d_x = inverse * (s - x * along));
                }
            },
        );
    };
    match d_weight {
        None => for_each_range(rows, width, |range| {
            let mut scaled = Buffer::scratch(width);
            range.for_each(|row| row_of(row, &mut scaled));
        }),
        Some(d_weight) => sum_over_ranges(rows, d_weight, |range, sums| {
            let mut scaled = Buffer::scratch(width);
            for row in range {
                row_of(row, &mut scaled);
                let (x, d_out, inverse) = (&x[row * width..][..width], &d_out[row * width..][..width], inverse[row]);
                vectorized(
                    #[inline(always)]
                    || sums.iter_mut().zip(x).zip(d_out).for_each(|((sum, x), d)| *sum += d * x * inverse),
                );
            }
        }),
    }
}

/// `out = (x - mean) / sqrt(variance + epsilon) * weight + bias`, row by row (Ba et al. 2016). `mean` and `inverse` `[rows]` get the means
/// and one over the roots.
pub fn layer_norm(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    epsilon: f32,
    out: &mut [f32],
    mean: &mut [f32],
    inverse: &mut [f32],
) {
    let rows = inverse.len();
    let width = expect("layer_norm", x.len(), rows, Some(weight.len()), out.len());
    assert_eq!(mean.len(), rows, "layer_norm: one mean per row");
    let (out, mean, inverse) = (Shared::new(out), Shared::new(mean), Shared::new(inverse));
    for_each_range(rows, width, |range| {
        // SAFETY: the ranges of different tasks do not meet, and neither do their rows.
        let (out, mean, inverse) = unsafe {
            (
                out.slice(range.start * width, range.len() * width),
                mean.slice(range.start, range.len()),
                inverse.slice(range.start, range.len()),
            )
        };
        let x = &x[range.start * width..range.end * width];
        vectorized(
            #[inline(always)]
            || {
                let rows = x.chunks_exact(width).zip(out.chunks_exact_mut(width)).zip(mean).zip(inverse);
                for (((x, out), mean), inverse) in rows {
                    *mean = row_sum(x) / width as f32;
                    out.iter_mut().zip(x).for_each(|(out, x)| *out = x - *mean);
                    *inverse = 1.0 / (dot(out, out) / width as f32 + epsilon).sqrt();
                    out.iter_mut().zip(weight).for_each(|(out, w)| *out = *out * *inverse * w);
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
    mean: &[f32],
    inverse: &[f32],
    d_out: &[f32],
    d_x: &mut [f32],
    d_weight: Option<&mut [f32]>,
    d_bias: Option<&mut [f32]>,
) {
    let rows = inverse.len();
    let width = expect("layer_norm_backward", x.len(), rows, Some(weight.len()), d_x.len());
    assert_eq!(
        (d_out.len(), mean.len()),
        (x.len(), rows),
        "layer_norm_backward: the gradient or the means have another shape than the input"
    );
    let shared = Shared::new(d_x);
    for_each_range(rows, width, |range| {
        // SAFETY: the ranges of different tasks do not meet, and neither do their rows.
        let d_x = unsafe { shared.slice(range.start * width, range.len() * width) };
        vectorized(
            #[inline(always)]
            || {
                for (row, d_x) in range.zip(d_x.chunks_exact_mut(width)) {
                    let (x, d_out) = (&x[row * width..][..width], &d_out[row * width..][..width]);
                    let (mean, inverse) = (mean[row], inverse[row]);
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
            vectorized(
                #[inline(always)]
                || {
                    for row in range {
                        let (x, d_out) = (&x[row * width..][..width], &d_out[row * width..][..width]);
                        let (mean, inverse) = (mean[row], inverse[row]);
                        sums.iter_mut().zip(x).zip(d_out).for_each(|((sum, x), d)| *sum += d * (x - mean) * inverse);
                    }
                },
            );
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
