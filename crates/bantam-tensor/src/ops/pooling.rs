//! One row per document, from the rows of its tokens: their mean, their largest numbers, or the first of them.

use super::expect_starts;
use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::memory::Buffer;
use bantam_kernels::vector;

impl Tensor {
    /// The mean row of each document: `[tokens, width]` becomes `[documents, width]`. Keeps the starts. No document may be empty.
    pub fn mean_pool(&self, starts: &[usize]) -> Tensor {
        self.expect_documents("mean_pool", starts);
        let width = self.width();
        let mut out = Buffer::scratch((starts.len() - 1) * width);
        vector::segment_mean(self.data(), width, starts, &mut out);
        Tensor::from_op([starts.len() - 1, width], out, &[self], |_| {
            let (starts, length) = (starts.to_vec(), self.data().len());
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                let mut gradient = Buffer::scratch(length);
                vector::segment_mean_backward(&upstream, width, &starts, &mut gradient);
                inputs.give(0, gradient);
            }
        })
    }

    /// The largest number in each column of each document: `[tokens, width]` becomes `[documents, width]`. Keeps where they were. No
    /// document may be empty.
    pub fn max_pool(&self, starts: &[usize]) -> Tensor {
        self.expect_documents("max_pool", starts);
        let width = self.width();
        let mut out = Buffer::scratch((starts.len() - 1) * width);
        let mut rows = vec![0u32; out.len()];
        vector::segment_max(self.data(), width, starts, &mut out, &mut rows);
        Tensor::from_op([starts.len() - 1, width], out, &[self], |_| {
            let length = self.data().len();
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                let mut gradient = Buffer::scratch(length);
                vector::segment_max_backward(&upstream, width, &rows, &mut gradient);
                inputs.give(0, gradient);
            }
        })
    }

    /// The first row of each document (of `[CLS]`): `[tokens, width]` becomes `[documents, width]`. No document may be empty.
    pub fn first_pool(&self, starts: &[usize]) -> Tensor {
        self.expect_documents("first_pool", starts);
        let firsts: Vec<u32> = starts[..starts.len() - 1].iter().map(|&start| start as u32).collect();
        self.select_rows(&firsts)
    }

    #[track_caller]
    fn expect_documents(&self, op: &str, starts: &[usize]) {
        expect_starts(op, self, starts);
        assert!(starts.is_sorted_by(|before, after| before < after), "{op}: starts {starts:?} with an empty document");
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::Case;

    pub(crate) fn cases() -> Vec<Case> {
        // The largest numbers of a column are further apart than the steps of the finite differences.
        let apart: Vec<f32> = (0..21).map(|index| ((index * 8) % 21) as f32 / 4.0).collect();
        vec![
            Case::new("mean_pool", &[&[7, 3]], |x| x[0].mean_pool(&[0, 4, 5, 7])),
            Case::on("max_pool", vec![Tensor::from_vec([7, 3], &apart)], |x| x[0].max_pool(&[0, 4, 5, 7])),
            Case::new("first_pool", &[&[7, 3]], |x| x[0].first_pool(&[0, 4, 5, 7])),
        ]
    }

    #[test]
    fn documents_become_rows() {
        let x = Tensor::from_vec([3, 2], &[1.0, 6.0, 3.0, 2.0, -5.0, -7.0]);
        assert_eq!(x.mean_pool(&[0, 2, 3]).data(), [2.0, 4.0, -5.0, -7.0]);
        assert_eq!(x.max_pool(&[0, 2, 3]).data(), [3.0, 6.0, -5.0, -7.0]);
        assert_eq!(x.first_pool(&[0, 2, 3]).data(), [1.0, 6.0, -5.0, -7.0]);
    }

    #[test]
    #[should_panic(expected = "mean_pool: starts [0, 2, 2, 3] with an empty document")]
    fn no_document_is_empty() {
        Tensor::zeros([3, 2]).mean_pool(&[0, 2, 2, 3]);
    }
}
