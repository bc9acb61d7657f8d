//! Sums of the rows of a table, one per bag of ids: `y[b] = Σ table[ids[i]]` over `offsets[b] <= i < offsets[b + 1]`.

use crate::origin::Inputs;
use crate::shared::Shared;
use crate::table::Table;
use crate::tensor::Tensor;
use bantam_kernels::embedding;
use bantam_kernels::memory::Buffer;

impl Table {
    /// One sum per bag, `[bags, d]`: for hashed n-grams. `offsets` has one number more than there are bags, from 0 to the number of ids; an
    /// empty bag is zero. Keeps ids and offsets; the table's gradient is dense, and rows are added to it in place.
    pub fn bag(&self, ids: &[u32], offsets: &[usize]) -> Tensor {
        self.expect_ids("bag", ids);
        let fits = offsets.first() == Some(&0) && offsets.last() == Some(&ids.len()) && offsets.is_sorted();
        assert!(fits, "bag: offsets {offsets:?} do not cut {} ids into bags", ids.len());
        let (bags, width) = (offsets.len() - 1, self.width());
        let mut out = Buffer::scratch(bags * width);
        match self {
            Table::Int8 { codes, scales, .. } => {
                embedding::bag_int8(codes, scales, width, ids, offsets, &mut out);
                Tensor::new([bags, width], out)
            }
            Table::Grouped(grouped) => {
                out.fill(0.0);
                let mut row = vec![0.0; width];
                for (sum, bag) in out.chunks_exact_mut(width.max(1)).zip(offsets.windows(2)) {
                    for id in &ids[bag[0]..bag[1]] {
                        grouped.row(*id as usize, &mut row);
                        sum.iter_mut().zip(&row).for_each(|(sum, x)| *sum += x);
                    }
                }
                Tensor::new([bags, width], out)
            }
            Table::Dense(table) => {
                embedding::bag(table.data(), width, ids, offsets, &mut out);
                Tensor::from_op([bags, width], out, &[table], |_| {
                    let (ids, offsets) = (ids.to_vec(), offsets.to_vec());
                    move |upstream: Shared, inputs: &mut Inputs<'_>| {
                        inputs
                            .add(0, |gradient| embedding::bag_scatter_add(&upstream, width, &ids, &offsets, gradient));
                    }
                })
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::Case;

    pub(crate) fn cases() -> Vec<Case> {
        vec![Case::new("bag", &[&[6, 3]], |x| Table::Dense(x[0].clone()).bag(&[2, 0, 2, 5, 1], &[0, 3, 3, 5]))]
    }

    #[test]
    fn bags_are_sums() {
        let ids = [1, 0, 1];
        let offsets = [0, 0, 3];
        let dense = Table::Dense(Tensor::from_vec([2, 2], &[1.0, 2.0, 10.0, 20.0]));
        assert_eq!(dense.bag(&ids, &offsets).data(), [0.0, 0.0, 21.0, 42.0]);
        let codes = Table::int8([1, 2, 10, 20].into(), [1.0, 0.5].into(), 2);
        assert_eq!(codes.bag(&ids, &offsets).data(), [0.0, 0.0, 11.0, 22.0]);
    }

    #[test]
    #[should_panic(expected = "bag: offsets [0, 2] do not cut 3 ids into bags")]
    fn offsets_must_cover_the_ids() {
        Table::Dense(Tensor::zeros([4, 2])).bag(&[0, 1, 2], &[0, 2]);
    }
}
