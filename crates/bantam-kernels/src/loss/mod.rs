//! Softmax and cross-entropy, on rows of logits and fused with the product that makes the logits.

use crate::curves::exp;
use crate::gemm::{self, Epilogue, Operand, Precision, Reading, RightFactor, multiply, multiply_factors};
use crate::memory::Buffer;
use crate::pool::Shared;
use crate::vectorized::{LANES, fold_lanes, for_each_range, sum, sum_lanes, vectorized};

#[cfg(test)]
mod tests;

/// The target of a row that has none.
pub const IGNORED: u32 = u32::MAX;

/// Rows whose logits exist at the same time in [`linear_cross_entropy`]: they stay in the cache.
const ROWS: usize = 128;

/// The same where the head is packed already: more rows share what a product with all of it costs. As many as make so many logits.
const MOST_ROWS: usize = 512;
const LOGITS: usize = 4 << 20;

/// The matrix `[classes, k]` whose products with the hidden states are the logits.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// The numbers.
    pub weight: &'a [f32],
    /// Its transpose and itself as right factors, for products in bf16; packed for each chunk of rows where there are none.
    pub factors: Option<[&'a RightFactor; 2]>,
}

/// What [`linear_cross_entropy`] is computed with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CrossEntropy {
    /// Of the products.
    pub precision: Precision,
    /// Share of each target that is spread evenly over all classes, 0..1.
    pub label_smoothing: f32,
    /// Gradients are those of the sum of losses divided by this.
    pub normaliser: f32,
}

/// log Σ exp of a row.
#[inline(always)]
fn log_sum(row: &[f32]) -> f32 {
    let largest = largest(row);
    let (lanes, rest) = row.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for lane in lanes {
        sums.iter_mut().zip(lane).for_each(|(sum, &x)| *sum += exp(x - largest));
    }
    largest + (sum_lanes(sums) + sum(rest.iter().map(|&x| exp(x - largest)))).ln()
}

/// The largest number of a row, in lanes: one after the other, each comparison would wait for the last.
#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let larger = |most: f32, x: f32| if x > most { x } else { most };
    let (lanes, rest) = row.as_chunks::<LANES>();
    let mut most = [f32::NEG_INFINITY; LANES];
    for lane in lanes {
        most.iter_mut().zip(lane).for_each(|(most, &x)| *most = larger(*most, x));
    }
    rest.iter().fold(fold_lanes(most, larger), |most, &x| larger(most, x))
}

/// Replaces each number by exp(x - largest) and returns what [`log_sum`] does, and one over the sum of them.
#[inline(always)]
fn exponentials(row: &mut [f32]) -> (f32, f32) {
    let largest = largest(row);
    let (lanes, rest) = row.as_chunks_mut::<LANES>();
    let mut sums = [0.0f32; LANES];
    for lane in lanes {
        sums.iter_mut().zip(lane).for_each(|(sum, x)| {
            *x = exp(*x - largest);
            *sum += *x;
        });
    }
    rest.iter_mut().for_each(|x| *x = exp(*x - largest));
    let total = sum_lanes(sums) + sum(rest.iter().copied());
    (largest + total.ln(), 1.0 / total)
}

/// Turns each row of `width` logits into probabilities.
pub fn softmax_rows(x: &mut [f32], width: usize) {
    each_row(
        x,
        width,
        #[inline(always)]
        |x, total| exp(x - total),
    );
}

/// Turns each row of `width` logits into the logarithms of probabilities.
pub fn log_softmax_rows(x: &mut [f32], width: usize) {
    each_row(
        x,
        width,
        #[inline(always)]
        |x, total| x - total,
    );
}

/// Changes each logit by its row's [`log_sum`].
#[inline(always)]
fn each_row(x: &mut [f32], width: usize, change: impl Fn(f32, f32) -> f32 + Sync + Copy) {
    assert!(x.len().is_multiple_of(width.max(1)), "softmax: {} numbers in rows of {width}", x.len());
    let (rows, shared) = (x.len() / width.max(1), Shared::new(x));
    for_each_range(rows, 4 * width, |range| {
        // SAFETY: the ranges of different tasks do not meet, and neither do their rows.
        let rows = unsafe { shared.slice(range.start * width, range.len() * width) };
        vectorized(
            #[inline(always)]
            || {
                for row in rows.chunks_exact_mut(width) {
                    let total = log_sum(row);
                    for x in row {
                        *x = change(*x, total);
                    }
                }
            },
        );
    });
}

/// Cross-entropy of rows of `width` logits against target distributions: `losses[r] = weight[r] * -Σ target * log p`, and
/// `d_logits = weight[r] * (p * Σ target - target)`.
pub fn cross_entropy_rows(
    logits: &[f32],
    targets: &[f32],
    width: usize,
    weights: Option<&[f32]>,
    losses: &mut [f32],
    d_logits: &mut [f32],
) {
    let rows = losses.len();
    let fits = logits.len() == rows * width && targets.len() == logits.len() && d_logits.len() == logits.len();
    assert!(
        fits && weights.is_none_or(|weights| weights.len() == rows),
        "cross_entropy_rows: {rows} rows of {width}, but {} logits, {} targets and {} gradients",
        logits.len(),
        targets.len(),
        d_logits.len()
    );
    let (losses, d_logits) = (Shared::new(losses), Shared::new(d_logits));
    for_each_range(rows, 4 * width, |range| {
        // SAFETY: the ranges of different tasks do not meet, and neither do their rows.
        let (losses, d_logits) = unsafe {
            (losses.slice(range.start, range.len()), d_logits.slice(range.start * width, range.len() * width))
        };
        vectorized(
            #[inline(always)]
            || {
                for ((row, loss), d) in range.zip(losses).zip(d_logits.chunks_exact_mut(width)) {
                    let (x, t) = (&logits[row * width..][..width], &targets[row * width..][..width]);
                    let weight = weights.map_or(1.0, |weights| weights[row]);
                    let total = log_sum(x);
                    let mass = sum(t.iter().copied());
                    *loss = weight * sum(x.iter().zip(t).map(|(&x, &t)| if t == 0.0 { 0.0 } else { t * (total - x) }));
                    d.iter_mut().zip(x).zip(t).for_each(|((d, &x), &t)| *d = weight * (exp(x - total) * mass - t));
                }
            },
        );
    });
}

/// Cross-entropy of `hidden · headᵀ` against `targets`, without ever holding all logits (Liger, Hsu et al. 2024). `hidden` is `[rows, k]`,
/// `head` `[classes, k]`. Gradients are written to `d_hidden` and `d_head` where given. Rows whose target is [`IGNORED`] do not count.
///
/// Returns the sum of the losses and how many rows counted.
pub fn linear_cross_entropy(
    settings: &CrossEntropy,
    hidden: &[f32],
    head: &Head<'_>,
    targets: &[u32],
    mut d_hidden: Option<&mut [f32]>,
    mut d_head: Option<&mut [f32]>,
) -> (f64, usize) {
    let &CrossEntropy { precision, label_smoothing, normaliser } = settings;
    let rows = targets.len();
    let k = hidden.len().checked_div(rows).unwrap_or(1);
    let classes = head.weight.len() / k.max(1);
    assert!(
        hidden.len() == rows * k && head.weight.len() == classes * k,
        "linear_cross_entropy: {} hidden numbers for {rows} targets and {} numbers in the head",
        hidden.len(),
        head.weight.len()
    );
    if let Some(target) = targets.iter().find(|&&target| target != IGNORED && target as usize >= classes) {
        panic!("linear_cross_entropy: target {target} of {classes} classes");
    }
    if rows == 0
        && let Some(d_head) = &mut d_head
    {
        d_head.fill(0.0);
    }
    let wants = [d_hidden.is_some(), d_head.is_some()];
    let most = if head.factors.is_some() { (LOGITS / classes.max(1)).clamp(ROWS, MOST_ROWS) } else { ROWS };
    let mut logits = Buffer::scratch(most.min(rows) * classes);
    let mut losses = [0.0f32; MOST_ROWS];
    let (mut total, mut counted) = (0.0, 0);
    for start in (0..rows).step_by(most) {
        let count = most.min(rows - start);
        let (logits, losses) = (&mut logits[..count * classes], &mut losses[..count]);
        let chunk = &hidden[start * k..(start + count) * k];
        let operand = Operand::new(chunk, count, k);
        let weight = Operand::new(head.weight, classes, k);
        let input = head.factors.map(|[transposed, _]| {
            let (left, right) = gemm::pack_input(Reading::Slice(chunk), count, k, wants[1]);
            multiply_factors(&left, transposed, logits, &Epilogue::default());
            right
        });
        if input.is_none() {
            multiply(precision, operand, weight.t(), logits, &Epilogue::default());
        }
        let targets = &targets[start..start + count];
        rows_of_chunk(label_smoothing, normaliser, targets, classes, logits, losses, wants.contains(&true));
        total += losses.iter().map(|&loss| f64::from(loss)).sum::<f64>();
        counted += targets.iter().filter(|&&target| target != IGNORED).count();
        let d_chunk = d_hidden.as_mut().map(|d_hidden| &mut d_hidden[start * k..(start + count) * k]);
        let added = Epilogue { accumulate: start > 0, ..Epilogue::default() };
        match (head.factors, input) {
            (Some([_, as_is]), Some(input)) => {
                let [d_rows, d_columns] = gemm::pack_upstream(Reading::Slice(logits), count, classes, wants);
                if let (Some(d_chunk), Some(d_rows)) = (d_chunk, d_rows) {
                    multiply_factors(&d_rows, as_is, d_chunk, &Epilogue::default());
                }
                if let (Some(d_head), Some(d_columns), Some(input)) = (&mut d_head, d_columns, input) {
                    multiply_factors(&d_columns, &input, d_head, &added);
                }
            }
            _ => {
                let d_logits = Operand::new(logits, count, classes);
                if let Some(d_chunk) = d_chunk {
                    multiply(precision, d_logits, weight, d_chunk, &Epilogue::default());
                }
                if let Some(d_head) = &mut d_head {
                    multiply(precision, d_logits.t(), operand, d_head, &added);
                }
            }
        }
    }
    (total, counted)
}

/// The losses of a chunk; its logits become their own gradients.
fn rows_of_chunk(
    spread: f32,
    normaliser: f32,
    targets: &[u32],
    classes: usize,
    logits: &mut [f32],
    losses: &mut [f32],
    gradient: bool,
) {
    let (logits, losses) = (Shared::new(logits), Shared::new(losses));
    for_each_range(targets.len(), 4 * classes, |range| {
        // SAFETY: the ranges of different tasks do not meet, and neither do their rows.
        let (logits, losses) = unsafe {
            (logits.slice(range.start * classes, range.len() * classes), losses.slice(range.start, range.len()))
        };
        let targets = &targets[range];
        vectorized(
            #[inline(always)]
            || {
                for ((row, loss), &target) in logits.chunks_exact_mut(classes).zip(losses).zip(targets) {
                    if target == IGNORED {
                        row.fill(0.0);
                        *loss = 0.0;
                        continue;
                    }
                    let mean = if spread > 0.0 { sum(row.iter().copied()) / classes as f32 } else { 0.0 };
                    let own = row[target as usize];
                    let (total, share) = if gradient { exponentials(row) } else { (log_sum(row), 0.0) };
                    *loss = total - (1.0 - spread) * own - spread * mean;
                    if gradient {
                        let (share, even) = (share / normaliser, spread / classes as f32 / normaliser);
                        row.iter_mut().for_each(|x| *x = *x * share - even);
                        row[target as usize] -= (1.0 - spread) / normaliser;
                    }
                }
            },
        );
    });
}
