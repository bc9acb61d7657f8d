//! The rows of a table that ids stand for: `y[i] = table[ids[i]]`, with table `[rows, d]` and y `[ids, d]`.

use crate::origin::Inputs;
use crate::shared::Shared;
use crate::table::Table;
use crate::tensor::Tensor;
use bantam_kernels::embedding;
use bantam_kernels::memory::Buffer;

impl Table {
    /// One row per id. Keeps the ids; the table's gradient is dense, and rows are added to it in place.
    pub fn gather(&self, ids: &[u32]) -> Tensor {
        self.expect_ids("gather", ids);
        let width = self.width();
        let mut out = Buffer::scratch(ids.len() * width);
        match self {
            Table::Int8 { codes, scales, .. } => {
                embedding::gather_int8(codes, scales, width, ids, &mut out);
                Tensor::new([ids.len(), width], out)
            }
            Table::Grouped(grouped) => {
                let rows = out.chunks_exact_mut(width.max(1)).zip(ids);
                rows.for_each(|(row, id)| grouped.row(*id as usize, row));
                Tensor::new([ids.len(), width], out)
            }
            Table::Dense(table) => {
                embedding::gather(table.data(), width, ids, &mut out);
                Tensor::from_op([ids.len(), width], out, &[table], |_| {
                    let ids = ids.to_vec();
                    move |upstream: Shared, inputs: &mut Inputs<'_>| {
                        inputs.add(0, |gradient| embedding::scatter_add(&upstream, width, &ids, gradient));
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
        vec![
            Case::new("gather", &[&[6, 3]], |x| Table::Dense(x[0].clone()).gather(&[2, 0, 2, 5, 2])),
            Case::new("gather from a table that is used again", &[&[4, 3]], |x| {
                Table::Dense(x[0].clone()).gather(&[2, 0, 2, 3]).multiply(&x[0])
            }),
        ]
    }

    #[test]
    fn codes_are_scaled_per_row() {
        let table = Table::int8([1, -2, 3, 4].into(), [0.5, 2.0].into(), 2);
        assert_eq!(table.gather(&[1, 0]).data(), [6.0, 8.0, 0.5, -1.0]);
        assert_eq!((table.rows(), table.width(), table.bytes(), table.is_tracked()), (2, 2, 12, false));
    }

    #[test]
    #[should_panic(expected = "gather: id 4 is outside of a table of shape [4, 2]")]
    fn ids_must_have_a_row() {
        Table::Dense(Tensor::zeros([4, 2])).gather(&[0, 4]);
    }
}
