//! Layer norm (Ba, Kiros and Hinton, 2016): `y = (x - mean) / sqrt(variance + ε) * w + b`, row by row, with w and b `[width]`.

use crate::kept::Keep;
use crate::maker::Maker;
use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::memory::Buffer;
use bantam_kernels::norm;
use std::ops::Range;

impl Tensor {
    /// Shifts and scales each row to mean 0 and variance 1, then multiplies it by `weight` and adds `bias`: when it is read. Keeps its input; later
    /// ops keep nothing of the result, and make it again from that input.
    pub fn layer_norm(&self, weight: &Tensor, bias: Option<&Tensor>, epsilon: f32) -> Tensor {
        let width = self.width();
        for given in [Some(weight), bias].into_iter().flatten() {
            assert_eq!(
                given.shape(),
                [width],
                "layer_norm: shape {:?} with a weight or bias of shape {:?}",
                self.shape(),
                given.shape()
            );
        }
        let inputs: Vec<&Tensor> = [Some(self), Some(weight), bias].into_iter().flatten().collect();
        let (weight, bias) = (weight.shared(), bias.map(Tensor::shared));
        let value = |x: Shared| {
            let (weight, bias) = (weight.clone(), bias.clone());
            move |numbers: Range<usize>, out: &mut [f32]| {
                x.reading(width).with(numbers, |x| norm::layer_norm(x, &weight, bias.as_deref(), epsilon, out));
            }
        };
        let out = Shared::made(Maker::rows(width, value(self.shared())), self.sizes().length());
        Tensor::from_op(self.sizes(), out, &inputs, |keep| {
            let x = self.keep();
            *keep = Keep::Again(Maker::rows(width, value(x.load())));
            let (weight, has_bias) = (weight.clone(), bias.is_some());
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                let x = x.load();
                let mut d_x = Buffer::scratch(upstream.len());
                let mut d_weight = inputs.wants(1).then(|| Buffer::zeroed(width));
                let mut d_bias = (has_bias && inputs.wants(2)).then(|| Buffer::zeroed(width));
                let (weight_sums, bias_sums) = (d_weight.as_deref_mut(), d_bias.as_deref_mut());
                norm::layer_norm_backward(&x, &weight, epsilon, &upstream, &mut d_x, weight_sums, bias_sums);
                for (input, gradient) in [Some(d_x), d_weight, d_bias].into_iter().enumerate() {
                    if let Some(gradient) = gradient {
                        inputs.give(input, gradient);
                    }
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
            Case::new("layer_norm", &[&[4, 9], &[9], &[9]], |x| x[0].layer_norm(&x[1], Some(&x[2]), 1e-5)),
            Case::new("layer_norm without bias", &[&[2, 2, 9], &[9]], |x| x[0].layer_norm(&x[1], None, 1e-5)),
            Case::new("a layer_norm that is made again", &[&[4, 9], &[9], &[9]], |x| {
                let y = x[0].layer_norm(&x[1], Some(&x[2]), 1e-5);
                y.multiply(&y)
            }),
        ]
    }

    #[test]
    fn values_are_those_of_the_formula() {
        let (weight, bias) = (Tensor::from_vec([2], &[1.0, 2.0]), Tensor::from_vec([2], &[0.0, 5.0]));
        let y = Tensor::from_vec([1, 2], &[3.0, 7.0]).layer_norm(&weight, Some(&bias), 0.0);
        for (value, expected) in y.data().iter().zip([-1.0, 7.0]) {
            assert!((value - expected).abs() < 1e-5, "{value}, expected {expected}");
        }
    }

    #[test]
    #[should_panic(expected = "layer_norm: shape [2, 3] with a weight or bias of shape [2]")]
    fn the_weight_has_the_width() {
        Tensor::zeros([2, 3]).layer_norm(&Tensor::zeros([2]), None, 1e-5);
    }
}
