//! Against plain loops.

use super::*;
use crate::testing::{Random, for_each_isa};

#[test]
fn rows_are_gathered_summed_and_scattered() {
    for_each_isa(|isa| {
        let mut random = Random::new(5);
        for (rows, width, count) in [(1, 1, 1), (7, 5, 20), (50, 40, 300), (9, 33, 0)] {
            let table = random.vector(rows * width);
            let ids: Vec<u32> = (0..count).map(|_| random.below(rows) as u32).collect();
            let row = |id: u32| &table[id as usize * width..][..width];
            let mut out = vec![0.0; count * width];
            gather(&table, width, &ids, &mut out);
            assert_eq!(out, ids.iter().flat_map(|&id| row(id).to_vec()).collect::<Vec<_>>(), "gather with {isa:?}");

            let offsets = [0, count / 3, count / 3, count];
            let mut sums = vec![9.0; 3 * width];
            bag(&table, width, &ids, &offsets, &mut sums);
            let mut d_table = vec![1.0; table.len()];
            bag_scatter_add(&sums, width, &ids, &offsets, &mut d_table);
            let (mut expected, mut d_expected) = (vec![0.0; 3 * width], vec![1.0; table.len()]);
            for b in 0..3 {
                for &id in &ids[offsets[b]..offsets[b + 1]] {
                    (0..width).for_each(|c| expected[b * width + c] += row(id)[c]);
                }
            }
            for b in 0..3 {
                for &id in &ids[offsets[b]..offsets[b + 1]] {
                    (0..width).for_each(|c| d_expected[id as usize * width + c] += expected[b * width + c]);
                }
            }
            assert_eq!((sums, d_table), (expected, d_expected), "bags with {isa:?}");

            let (mut d_table, mut d_expected) = (vec![0.5; table.len()], vec![0.5; table.len()]);
            scatter_add(&out, width, &ids, &mut d_table);
            for (i, &id) in ids.iter().enumerate() {
                (0..width).for_each(|c| d_expected[id as usize * width + c] += out[i * width + c]);
            }
            assert_eq!(d_table, d_expected, "scatter_add with {isa:?}");
        }
    });
}

#[test]
fn packed_tables_give_codes_times_scales() {
    let (codes, scales) = ([1i8, -2, 127, -127], [0.5, 2.0]);
    let mut out = [0.0; 4];
    gather_int8(&codes, &scales, 2, &[1, 0], &mut out);
    assert_eq!(out, [254.0, -254.0, 0.5, -1.0]);
    let mut sums = [0.0; 4];
    bag_int8(&codes, &scales, 2, &[0, 0, 1], &[0, 2, 3], &mut sums);
    assert_eq!(sums, [1.0, -2.0, 254.0, -254.0]);
}

#[test]
#[should_panic(expected = "row 2 of a table of 2 rows")]
fn an_id_outside_the_table_is_named() {
    gather(&[0.0; 4], 2, &[2], &mut [0.0; 2]);
}
