//! Rows of a table by their ids: gathered, summed in bags, and their gradients scattered back.

use crate::pool;
use crate::vectorized::vectorized;

#[cfg(test)]
mod tests;

#[track_caller]
fn expect_ids(name: &str, table: usize, width: usize, ids: &[u32]) {
    let rows = table / width.max(1);
    if let Some(id) = ids.iter().find(|&&id| id as usize >= rows) {
        panic!("{name}: row {id} of a table of {rows} rows of {width}");
    }
}

#[track_caller]
fn expect_bags(name: &str, ids: &[u32], offsets: &[usize], width: usize, out: usize) {
    let fits = offsets.is_sorted() && offsets.last() == Some(&ids.len()) && (offsets.len() - 1) * width == out;
    assert!(
        fits,
        "{name}: offsets {:?}.. over {} ids, and {out} numbers in rows of {width}",
        offsets.first(),
        ids.len()
    );
}

/// Rows that one task copies.
const ROWS: usize = 64;

/// `out[i] = table[ids[i]]`, rows of `width`.
pub fn gather(table: &[f32], width: usize, ids: &[u32], out: &mut [f32]) {
    expect_ids("gather", table.len(), width, ids);
    assert_eq!(out.len(), ids.len() * width, "gather: {} ids of width {width} into {} numbers", ids.len(), out.len());
    pool::for_each_chunk(out, ROWS * width.max(1), |piece, out| {
        for (out, &id) in out.chunks_mut(width).zip(&ids[piece * ROWS..]) {
            out.copy_from_slice(&table[id as usize * width..][..width]);
        }
    });
}

/// `out[i] = codes[ids[i]] * scales[ids[i]]`, rows of `width`.
pub fn gather_int8(codes: &[i8], scales: &[f32], width: usize, ids: &[u32], out: &mut [f32]) {
    expect_ids("gather_int8", codes.len(), width, ids);
    assert_eq!(
        out.len(),
        ids.len() * width,
        "gather_int8: {} ids of width {width} into {} numbers",
        ids.len(),
        out.len()
    );
    vectorized(
        #[inline(always)]
        || {
            for (out, &id) in out.chunks_mut(width).zip(ids) {
                let (row, scale) = (&codes[id as usize * width..][..width], scales[id as usize]);
                out.iter_mut().zip(row).for_each(|(out, &code)| *out = f32::from(code) * scale);
            }
        },
    );
}

/// `d_table[ids[i]] += d_out[i]`. Each task owns columns, so that rows are added in the order of `ids` for any number of threads.
pub fn scatter_add(d_out: &[f32], width: usize, ids: &[u32], d_table: &mut [f32]) {
    expect_ids("scatter_add", d_table.len(), width, ids);
    assert_eq!(
        d_out.len(),
        ids.len() * width,
        "scatter_add: {} ids of width {width} from {} numbers",
        ids.len(),
        d_out.len()
    );
    by_columns(width, d_table, |columns, table| {
        for (d_out, &id) in d_out.chunks(width).zip(ids) {
            table.add(id as usize * width, &columns, d_out);
        }
    });
}

/// The sum of each bag's rows: `out[b] = Σ table[ids[offsets[b]..offsets[b + 1]]]`. An empty bag gives zeros.
pub fn bag(table: &[f32], width: usize, ids: &[u32], offsets: &[usize], out: &mut [f32]) {
    expect_ids("bag", table.len(), width, ids);
    expect_bags("bag", ids, offsets, width, out.len());
    const BAGS: usize = 4;
    pool::for_each_chunk(out, BAGS * width.max(1), |piece, out| {
        vectorized(
            #[inline(always)]
            || {
                for (out, bag) in out.chunks_mut(width).zip(offsets[piece * BAGS..].windows(2)) {
                    out.fill(0.0);
                    for &id in &ids[bag[0]..bag[1]] {
                        out.iter_mut().zip(&table[id as usize * width..]).for_each(|(out, x)| *out += x);
                    }
                }
            },
        );
    });
}

/// [`bag`] over a packed table.
pub fn bag_int8(codes: &[i8], scales: &[f32], width: usize, ids: &[u32], offsets: &[usize], out: &mut [f32]) {
    expect_ids("bag_int8", codes.len(), width, ids);
    expect_bags("bag_int8", ids, offsets, width, out.len());
    vectorized(
        #[inline(always)]
        || {
            for (out, bag) in out.chunks_mut(width).zip(offsets.windows(2)) {
                out.fill(0.0);
                for &id in &ids[bag[0]..bag[1]] {
                    let (row, scale) = (&codes[id as usize * width..][..width], scales[id as usize]);
                    out.iter_mut().zip(row).for_each(|(out, &code)| *out += f32::from(code) * scale);
                }
            }
        },
    );
}

/// The gradient of [`bag`]: each row of a bag gets the bag's.
pub fn bag_scatter_add(d_out: &[f32], width: usize, ids: &[u32], offsets: &[usize], d_table: &mut [f32]) {
    expect_ids("bag_scatter_add", d_table.len(), width, ids);
    expect_bags("bag_scatter_add", ids, offsets, width, d_out.len());
    by_columns(width, d_table, |columns, table| {
        for (d_out, bag) in d_out.chunks(width).zip(offsets.windows(2)) {
            for &id in &ids[bag[0]..bag[1]] {
                table.add(id as usize * width, &columns, d_out);
            }
        }
    });
}

/// A table of which a task may touch some columns only.
struct Columns(pool::Shared<f32>);

impl Columns {
    /// Adds `values[columns]` to the row that begins at `start`.
    #[inline]
    fn add(&self, start: usize, columns: &std::ops::Range<usize>, values: &[f32]) {
        // SAFETY: tasks own disjoint ranges of columns, so no two of them reach the same numbers.
        let row = unsafe { self.0.slice(start + columns.start, columns.len()) };
        row.iter_mut().zip(&values[columns.clone()]).for_each(|(sum, value)| *sum += value);
    }
}

fn by_columns(width: usize, table: &mut [f32], task: impl Fn(std::ops::Range<usize>, &Columns) + Sync) {
    let step = width.div_ceil(pool::threads()).next_multiple_of(16).min(width).max(1);
    let columns = Columns(pool::Shared::new(table));
    pool::for_each(width.div_ceil(step), |piece| task(piece * step..width.min((piece + 1) * step), &columns));
}
