//! Product of two tensors, number by number.

use super::expect_same_shape;
use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::memory::Buffer;
use bantam_kernels::vector;

impl Tensor {
    /// `self * other`, number by number, of one shape. Keeps each factor that the other one's gradient needs.
    pub fn multiply(&self, other: &Tensor) -> Tensor {
        expect_same_shape("multiply", self, other);
        let mut out = self.scratch();
        vector::multiply_into(self.data(), other.data(), &mut out);
        Tensor::from_op(self.sizes(), out, &[self, other], |_| {
            let factors = [self.is_tracked().then(|| other.keep()), other.is_tracked().then(|| self.keep())];
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                for (input, factor) in factors.into_iter().enumerate() {
                    let Some(factor) = factor else { continue };
                    let mut gradient = Buffer::scratch(upstream.len());
                    vector::multiply_into(&upstream, &factor.load(), &mut gradient);
                    inputs.give(input, gradient);
                }
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
            Case::new("multiply", &[&[3, 5], &[3, 5]], |x| x[0].multiply(&x[1])),
            Case::new("multiply by itself", &[&[2, 9]], |x| x[0].multiply(&x[0])),
        ]
    }

    #[test]
    #[should_panic(expected = "multiply: shapes [2, 3] and [3, 2] differ")]
    fn shapes_must_agree() {
        Tensor::zeros([2, 3]).multiply(&Tensor::zeros([3, 2]));
    }
}
