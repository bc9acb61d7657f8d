//! Root mean square norm (Zhang and Sennrich, 2019): `y = x / sqrt(mean(x²) + ε) * w`, row by row, with w `[width]`.

use crate::kept::Keep;
use crate::maker::Maker;
use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::memory::Buffer;
use bantam_kernels::norm;
use std::ops::Range;

impl Tensor {
    /// Divides each row by the root of its mean square, and multiplies it by `weight` where there is one: when it is read. Keeps its input; later
    /// ops keep nothing of the result, and make it again from that input.
    pub fn rms_norm(&self, weight: Option<&Tensor>, epsilon: f32) -> Tensor {
        let width = self.width();
        if let Some(weight) = weight {
            assert_eq!(
                weight.shape(),
                [width],
                "rms_norm: shape {:?} with a weight of shape {:?}",
                self.shape(),
                weight.shape()
            );
        }
        let inputs: Vec<&Tensor> = [Some(self), weight].into_iter().flatten().collect();
        let value = |x: Shared, weight: Option<Shared>| {
            move |numbers: Range<usize>, out: &mut [f32]| {
                x.reading(width).with(numbers, |x| norm::rms_norm(x, width, weight.as_deref(), epsilon, out));
            }
        };
        let out =
            Shared::made(Maker::rows(width, value(self.shared(), weight.map(Tensor::shared))), self.sizes().length());
        Tensor::from_op(self.sizes(), out, &inputs, |keep| {
            let (x, weight) = (self.keep(), weight.map(Tensor::shared));
            *keep = Keep::Again(Maker::rows(width, value(x.load(), weight.clone())));
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                let x = x.load();
                let mut d_weight =
                    weight.as_ref().filter(|_| inputs.wants(1)).map(|weight| Buffer::zeroed(weight.len()));
                let mut write = |d_x: &mut [f32], accumulate| {
                    let (weight, d_weight) = (weight.as_deref(), d_weight.as_deref_mut());
                    norm::rms_norm_backward(&x, width, weight, epsilon, &upstream, d_x, accumulate, d_weight);
                };
                if inputs.wants(0) {
                    inputs.write(0, write);
                } else {
                    write(&mut Buffer::scratch(x.len()), false);
                }
                if let Some(d_weight) = d_weight {
                    inputs.give(1, d_weight);
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
            Case::new("rms_norm", &[&[4, 9], &[9]], |x| x[0].rms_norm(Some(&x[1]), 1e-5)),
            Case::new("rms_norm without weight", &[&[2, 2, 9]], |x| x[0].rms_norm(None, 1e-5)),
            Case::new("an rms_norm that is made again", &[&[4, 9], &[9]], |x| {
                let y = x[0].rms_norm(Some(&x[1]), 1e-5);
                y.multiply(&y)
            }),
        ]
    }

    #[test]
    fn values_are_those_of_the_formula() {
        let y = Tensor::from_vec([1, 2], &[3.0, 4.0]).rms_norm(Some(&Tensor::from_vec([2], &[1.0, 10.0])), 0.0);
        // The mean square is 12.5.
        for (value, expected) in y.data().iter().zip([3.0 / 12.5f32.sqrt(), 40.0 / 12.5f32.sqrt()]) {
            assert!((value - expected).abs() < 1e-5, "{value}, expected {expected}");
        }
    }

    #[test]
    #[should_panic(expected = "rms_norm: shape [2, 3] with a weight of shape [2]")]
    fn the_weight_has_the_width() {
        Tensor::zeros([2, 3]).rms_norm(Some(&Tensor::zeros([2])), 1e-5);
    }
}
