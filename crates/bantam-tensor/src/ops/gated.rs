//! Gated units (SwiGLU, GeGLU): `y = act(gate) * up`, where a row of the input is `[gate, up]`.

use crate::kept::Keep;
use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::activation::{self, Activation};
use bantam_kernels::memory::Buffer;

impl Tensor {
    /// `act(gate) * up`: `[.., 2f]` becomes `[.., f]`. Keeps its input; later ops keep nothing of the result, and make it again from that
    /// input.
    pub fn gated(&self, activation: Activation) -> Tensor {
        let width = self.width();
        assert!(width.is_multiple_of(2), "gated: shape {:?} has no two halves", self.shape());
        let half = width / 2;
        let shape = self.sizes().with_width(half);
        let mut out = Buffer::scratch(shape.length());
        activation::gated(activation, self.data(), half, &mut out);
        Tensor::from_op(shape, out, &[self], |keep| {
            let gate_up = self.keep();
            let source = gate_up.clone();
            *keep = Keep::again(move || {
                let gate_up = source.load();
                let mut out = Buffer::scratch(gate_up.len() / 2);
                activation::gated(activation, &gate_up, half, &mut out);
                out
            });
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                let mut gradient = Buffer::scratch(2 * upstream.len());
                activation::gated_backward(activation, &gate_up.load(), half, &upstream, &mut gradient);
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
