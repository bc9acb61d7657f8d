//! Gated units (SwiGLU, GeGLU): `y = act(gate) * up`, where a row of the input is `[gate, up]`.

use crate::kept::Keep;
use crate::maker::Maker;
use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::activation::{self, Activation};
use bantam_kernels::gemm::grouped::{self, GatedLayer};
use std::ops::Range;

impl Tensor {
    /// `act(gate) * up`: `[.., 2f]` becomes `[.., f]`, when it is read. Keeps its input; later ops keep nothing of the result, and make it again
    /// from that input.
    pub fn gated(&self, activation: Activation) -> Tensor {
        let width = self.width();
        assert!(width.is_multiple_of(2), "gated: shape {:?} has no two halves", self.shape());
        let channels = width / 2;
        let shape = self.sizes().with_width(channels);
        let value = |gate_up: Shared| {
            move |numbers: Range<usize>, out: &mut [f32]| {
                let both = 2 * numbers.start..2 * numbers.end;
                gate_up.reading(width).with(both, |both| activation::gated(activation, both, channels, out));
            }
        };
        let out = Shared::made(Maker::rows(channels, value(self.shared())), shape.length());
        Tensor::from_op(shape, out, &[self], |keep| {
            let gate_up = self.keep();
            *keep = Keep::Again(Maker::rows(channels, value(gate_up.load())));
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                let (gate_up, length) = (gate_up.load(), 2 * upstream.len());
                let gradient = Maker::rows(width, move |numbers, out| {
                    let upstream = upstream.reading(channels);
                    upstream.with(numbers.start / 2..numbers.end / 2, |d_out| {
                        gate_up.reading(width).with(numbers, |both| {
                            activation::gated_backward(activation, both, channels, d_out, out);
                        });
                    });
                });
                inputs.give(0, Shared::made(gradient, length));
            }
        })
    }

    /// `residual` and a whole gated layer on top of it, `[rows, width]` all three, for inference: the rows from `first` on are those of prompts, as
    /// in [`Tensor::linear_prompt`].
    pub fn gated_layer(&self, layer: &GatedLayer<'_>, residual: &Tensor, first: usize) -> Tensor {
        assert!(
            !self.is_tracked() && !residual.is_tracked(),
            "gated_layer takes no gradient: use the ops that it is made of"
        );
        let mut out = self.scratch();
        grouped::gated_layer(layer, self.shared().reading(self.width()), first, residual.data(), &mut out);
        Tensor::new(self.sizes(), out)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::Case;

    pub(crate) fn cases() -> Vec<Case> {
        vec![
            Case::new("gated by silu", &[&[3, 10]], |x| x[0].gated(Activation::Silu)),
            Case::new("gated by gelu", &[&[2, 2, 6]], |x| x[0].gated(Activation::Gelu)),
            Case::new("a gated unit that is made again", &[&[3, 10]], |x| {
                let y = x[0].gated(Activation::Silu);
                y.multiply(&y)
            }),
        ]
    }

    #[test]
    fn the_first_half_gates_the_second() {
        let y = Tensor::from_vec([1, 4], &[1.0, -2.0, 3.0, 5.0]).gated(Activation::Relu);
        assert_eq!((y.shape(), y.data()), (&[1, 2][..], &[3.0, 0.0][..]));
    }

    #[test]
    #[should_panic(expected = "gated: shape [2, 3] has no two halves")]
    fn the_width_must_be_even() {
        Tensor::zeros([2, 3]).gated(Activation::Silu);
    }
}
