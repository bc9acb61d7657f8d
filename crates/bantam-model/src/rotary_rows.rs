//! The order of rows of query and key matrices, which files disagree about.
//!
//! Rotary positions turn pairs of a head's numbers. The Llama of Meta, and with it GGUF and llama2.c, pairs neighbours;
//! Hugging Face, and with it Bantam, pairs the first half of a head with the second.

use crate::arrays::Array;

/// From neighbours to halves. An array whose rows are no pairs of `heads` heads stays as it is: the check of shapes
/// against the architecture tells about it.
pub(crate) fn to_halves(array: &Array, heads: usize) -> Array {
    reordered(array, heads, |row, dim| row % (dim / 2) * 2 + row / (dim / 2))
}

/// From halves to neighbours; see [`to_halves`].
pub(crate) fn to_neighbours(array: &Array, heads: usize) -> Array {
    reordered(array, heads, |row, dim| row % 2 * (dim / 2) + row / 2)
}

/// `source` gives the old place of a row within its head of so many rows.
fn reordered(array: &Array, heads: usize, source: impl Fn(usize, usize) -> usize) -> Array {
    let rows = array.shape.first().copied().unwrap_or(0);
    if heads == 0 || !rows.is_multiple_of(2 * heads) {
        return array.clone();
    }
    let dim = rows / heads;
    let keep: Vec<usize> = (0..rows).map(|row| row / dim * dim + source(row % dim, dim)).collect();
    array.select_rows(&keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_halves_within_each_head_and_back() {
        let rows: Vec<f32> = (0..12).map(|row| row as f32).collect();
        let array = Array::plain(vec![12, 1], rows);
        let halves = to_halves(&array, 2);
        assert_eq!(halves.to_f32(), [0., 2., 4., 1., 3., 5., 6., 8., 10., 7., 9., 11.]);
        assert_eq!(to_neighbours(&halves, 2), array);
        assert_eq!(to_halves(&array, 4), array, "three rows in a head are no pairs");
    }
}
