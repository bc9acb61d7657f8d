//! Sum of two tensors.

use super::expect_same_shape;
use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::vector;

impl Tensor {
    /// `self + other`, of one shape. Keeps nothing; the gradient of the sum is that of both, and is passed on without a copy.
    pub fn add(&self, other: &Tensor) -> Tensor {
        expect_same_shape("add", self, other);
        let mut out = self.scratch();
        vector::add_into(self.data(), other.data(), &mut out);
        Tensor::from_op(self.sizes(), out, &[self, other], |_| {
            |upstream: Shared, inputs: &mut Inputs<'_>| {
                inputs.give(0, upstream.clone());
                inputs.give(1, upstream);
            }
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::Case;

    pub(crate) fn cases() -> Vec<Case> {
        vec![
            Case::new("add", &[&[3, 5], &[3, 5]], |x| x[0].add(&x[1])),
            Case::new("add to itself", &[&[7]], |x| x[0].add(&x[0])),
            Case::new("add after branches", &[&[2, 3]], |x| {
                let twice = x[0].scale(2.0);
                x[0].add(&twice).add(&twice.multiply(&x[0]))
            }),
        ]
    }

    #[test]
    #[should_panic(expected = "add: shapes [3] and [1, 3] differ")]
    fn shapes_must_agree() {
        Tensor::zeros([3]).add(&Tensor::zeros([1, 3]));
    }
}
