//! The same numbers in another shape.

use crate::origin::Inputs;
use crate::shape::Shape;
use crate::shared::Shared;
use crate::tensor::Tensor;

impl Tensor {
    /// The same numbers, shared, in another shape of the same length. Keeps nothing.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        assert_eq!(
            shape.length(),
            self.sizes().length(),
            "reshape: {:?} does not hold what {:?} does",
            shape,
            self.sizes()
        );
        Tensor::from_op(shape, self.shared(), &[self], |keep| {
            if let Some(origin) = self.origin() {
                *keep = origin.keep().clone();
            }
            |upstream: Shared, inputs: &mut Inputs<'_>| inputs.give(0, upstream)
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::Case;

    pub(crate) fn cases() -> Vec<Case> {
        vec![Case::new("reshape", &[&[4, 6]], |x| x[0].reshape([2, 3, 4]))]
    }

    #[test]
    #[should_panic(expected = "reshape: [5] does not hold what [2, 3] does")]
    fn lengths_must_agree() {
        Tensor::zeros([2, 3]).reshape([5]);
    }
}
