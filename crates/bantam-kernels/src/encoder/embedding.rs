//! `norm(token + position + ...)`: rows of tables, added and normalised.

use super::{LayerNorm, add_to};
use crate::memory::Buffer;
use crate::pool::Shared;
use crate::vectorized::{for_each_range, vectorized};

/// The output for the rows that `ids` of each table name, added: `[ids, width]`, with the width of `norm`.
pub fn embedding_layer(tables: &[(&[f32], &[u32])], norm: &LayerNorm<'_>, out: &mut [f32]) {
    let width = norm.weight.len();
    let rows = out.len() / width;
    for (table, ids) in tables {
        let count = table.len() / width;
        let fits = ids.len() == rows && rows * width == out.len() && ids.iter().all(|&id| (id as usize) < count);
        assert!(fits, "embedding_layer: {} ids below {count}, width {width}, {} numbers", ids.len(), out.len());
    }
    let out = Shared::new(out);
    for_each_range(rows, width, |range| {
        // SAFETY: the ranges of different tasks do not meet, and neither do their rows.
        let out = unsafe { out.slice(range.start * width, range.len() * width) };
        let mut sum = Buffer::scratch(width);
        vectorized(
            #[inline(always)]
            || {
                for (row, out) in range.zip(out.chunks_exact_mut(width)) {
                    sum.fill(0.0);
                    for (table, ids) in tables {
                        add_to(&mut sum, &table[ids[row] as usize * width..][..width]);
                    }
                    norm.apply(&sum, out);
                }
            },
        );
    });
}
