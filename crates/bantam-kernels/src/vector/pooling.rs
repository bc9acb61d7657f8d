//! The rows of each document as one row, and back.

use super::expect_same;
use crate::vectorized::vectorized;

#[track_caller]
fn expect_starts(name: &str, numbers: usize, width: usize, starts: &[usize], pooled: usize) {
    let last = starts.last().copied().unwrap_or(0);
    let documents = starts.len().saturating_sub(1);
    assert!(
        last * width == numbers && documents * width == pooled,
        "{name}: {numbers} numbers in rows of {width}, starts that end at {last}, and {pooled} pooled numbers for {documents} documents"
    );
}

/// The mean of each document's rows: `[tokens, width]` to `[documents, width]`. An empty document has mean 0.
pub fn segment_mean(x: &[f32], width: usize, starts: &[usize], out: &mut [f32]) {
    expect_starts("segment_mean", x.len(), width, starts, out.len());
    vectorized(
        #[inline(always)]
        || {
            for (document, out) in starts.windows(2).zip(out.chunks_mut(width)) {
                out.fill(0.0);
                for row in x[document[0] * width..document[1] * width].chunks(width) {
                    out.iter_mut().zip(row).for_each(|(out, x)| *out += x);
                }
                let share = 1.0 / (document[1] - document[0]).max(1) as f32;
                out.iter_mut().for_each(|out| *out *= share);
            }
        },
    );
}

/// The gradient of [`segment_mean`]: each row gets its share of its document's.
pub fn segment_mean_backward(d_out: &[f32], width: usize, starts: &[usize], d_x: &mut [f32]) {
    expect_starts("segment_mean_backward", d_x.len(), width, starts, d_out.len());
    for (document, d_out) in starts.windows(2).zip(d_out.chunks(width)) {
        let share = 1.0 / (document[1] - document[0]).max(1) as f32;
        for row in d_x[document[0] * width..document[1] * width].chunks_mut(width) {
            row.iter_mut().zip(d_out).for_each(|(d_x, d_out)| *d_x = d_out * share);
        }
    }
}

/// The largest number in each column of each document, and the row it was in. Documents must not be empty.
pub fn segment_max(x: &[f32], width: usize, starts: &[usize], out: &mut [f32], rows: &mut [u32]) {
    expect_starts("segment_max", x.len(), width, starts, out.len());
    expect_same("segment_max", &[out.len(), rows.len()]);
    for ((document, out), rows) in starts.windows(2).zip(out.chunks_mut(width)).zip(rows.chunks_mut(width)) {
        out.fill(f32::NEG_INFINITY);
        rows.fill(document[0] as u32);
        for row in document[0]..document[1] {
            for ((out, best), &x) in out.iter_mut().zip(rows.iter_mut()).zip(&x[row * width..]) {
                if x > *out {
                    (*out, *best) = (x, row as u32);
                }
            }
        }
    }
}

/// The gradient of [`segment_max`]: it goes to the rows that were largest.
pub fn segment_max_backward(d_out: &[f32], width: usize, rows: &[u32], d_x: &mut [f32]) {
    expect_same("segment_max_backward", &[d_out.len(), rows.len()]);
    d_x.fill(0.0);
    for (index, (d_out, &row)) in d_out.iter().zip(rows).enumerate() {
        d_x[row as usize * width + index % width] += d_out;
    }
}
