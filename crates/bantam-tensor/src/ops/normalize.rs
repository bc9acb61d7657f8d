//! Rows of length 1: `y = x / |x|`.

use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::memory::Buffer;
use bantam_kernels::vector;

impl Tensor {
    /// Divides each row by its Euclidean length. Keeps the result, shared with whoever holds it, and one number per row.
    pub fn normalize_rows(&self) -> Tensor {
        let width = self.width();
        let (mut out, mut inverse) = (self.scratch(), Buffer::scratch(self.rows()));
        vector::normalize_rows(self.data(), width, &mut out, &mut inverse);
        let out = Shared::from(out);
        Tensor::from_op(self.sizes(), out.clone(), &[self], |_| {
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                let mut gradient = Buffer::scratch(upstream.len());
                vector::normalize_rows_backward(&out, width, &inverse, &upstream, &mut gradient);
                inputs.give(0, gradient);
            }
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::Case;

    pub(crate) fn cases() -> Vec<Case> {
        vec![Case::new("normalize_rows", &[&[4, 5]], |x| x[0].normalize_rows())]
    }

    #[test]
    fn rows_have_length_one() {
        let y = Tensor::from_vec([1, 2], &[3.0, -4.0]).normalize_rows();
        for (value, expected) in y.data().iter().zip([0.6, -0.8]) {
            assert!((value - expected).abs() < 1e-6, "{value}, expected {expected}");
        }
    }
}
