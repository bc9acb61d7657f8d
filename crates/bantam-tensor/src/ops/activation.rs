//! Functions of one number: GELU (exact, or by tanh), ReLU, SiLU, tanh.

use crate::kept::Keep;
use crate::maker::Maker;
use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::activation::{self, Activation};
use std::ops::Range;

impl Tensor {
    /// `activation(x)` of each number, when it is read. Keeps its input; later ops keep nothing of the result, and make it again from that input.
    pub fn activation(&self, activation: Activation) -> Tensor {
        let width = self.width();
        let value = |x: Shared| {
            move |numbers: Range<usize>, out: &mut [f32]| {
                x.reading(width).with(numbers, |x| activation::forward(activation, x, out));
            }
        };
        let out = Shared::made(Maker::rows(width, value(self.shared())), self.sizes().length());
        Tensor::from_op(self.sizes(), out, &[self], |keep| {
            let x = self.keep();
            *keep = Keep::Again(Maker::rows(width, value(x.load())));
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                let (x, length) = (x.load(), upstream.len());
                let gradient = Maker::rows(width, move |numbers, out| {
                    let upstream = upstream.reading(width);
                    upstream.with(numbers.clone(), |d_out| {
                        x.reading(width).with(numbers, |x| activation::backward(activation, x, d_out, out));
                    });
                });
                inputs.give(0, Shared::made(gradient, length));
            }
        })
    }

    /// [`Tensor::activation`] by the exact GELU.
    pub fn gelu(&self) -> Tensor {
        self.activation(Activation::Gelu)
    }

    /// [`Tensor::activation`] by the hyperbolic tangent.
    pub fn tanh(&self) -> Tensor {
        self.activation(Activation::Tanh)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Case, Random};

    pub(crate) fn cases() -> Vec<Case> {
        // Away from the kink of ReLU.
        let away: Vec<f32> = Random::new(1).vector(15).iter().map(|value| value + 0.2f32.copysign(*value)).collect();
        vec![
            Case::new("gelu", &[&[3, 7]], |x| x[0].gelu()),
            Case::new("gelu by tanh", &[&[3, 7]], |x| x[0].activation(Activation::GeluTanh)),
            Case::on("relu", vec![Tensor::from_vec([3, 5], &away)], |x| x[0].activation(Activation::Relu)),
            Case::new("silu", &[&[3, 7]], |x| x[0].activation(Activation::Silu)),
            Case::new("tanh", &[&[3, 7]], |x| x[0].tanh()),
            Case::new("an activation that is made again", &[&[3, 7]], |x| {
                let y = x[0].scale(2.0).activation(Activation::Silu);
                y.multiply(&y)
            }),
        ]
    }

    #[test]
    fn values_are_those_of_the_formulas() {
        let x = Tensor::from_vec([2], &[1.0, -2.0]);
        let expect = |activation, expected: [f32; 2]| {
            for (value, expected) in x.activation(activation).data().iter().zip(expected) {
                assert!((value - expected).abs() < 2e-6, "{activation:?}: {value}, expected {expected}");
            }
        };
        expect(Activation::Gelu, [0.841_344_8, -0.045_500_26]);
        expect(Activation::GeluTanh, [0.841_192, -0.045_402_3]);
        expect(Activation::Relu, [1.0, 0.0]);
        expect(Activation::Silu, [0.731_058_6, -0.238_405_84]);
        expect(Activation::Tanh, [0.761_594_2, -0.964_027_6]);
    }
}
