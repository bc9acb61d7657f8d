//! Product of a tensor and a constant.

use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::vector;

impl Tensor {
    /// `factor * self`. Keeps nothing.
    pub fn scale(&self, factor: f32) -> Tensor {
        let mut out = self.shared().into_owned();
        vector::scale(&mut out, factor);
        Tensor::from_op(self.sizes(), out, &[self], |_| {
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                let mut gradient = upstream.into_owned();
                vector::scale(&mut gradient, factor);
                inputs.give(0, gradient);
            }
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::testing::Case;

    pub(crate) fn cases() -> Vec<Case> {
        vec![Case::new("scale", &[&[3, 5]], |x| x[0].scale(-1.5))]
    }
}
