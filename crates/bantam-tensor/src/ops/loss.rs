//! Losses whose gradient is made together with their value, so that a backward pass only scales it.

use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::memory::Buffer;
use bantam_kernels::vector;

/// A loss with its gradients with respect to `inputs`: `None` for those that need none. Keeps the gradients only.
pub(super) fn ready<const N: usize>(value: f64, inputs: [&Tensor; N], gradients: [Option<Buffer>; N]) -> Tensor {
    Tensor::from_op([1], Buffer::from_slice(&[value as f32]), &inputs, |_| {
        move |upstream: Shared, inputs: &mut Inputs<'_>| {
            for (input, gradient) in gradients.into_iter().enumerate() {
                let Some(mut gradient) = gradient else { continue };
                if upstream[0] != 1.0 {
                    vector::scale(&mut gradient, upstream[0]);
                }
                inputs.give(input, gradient);
            }
        }
    })
}

/// The sum of `weights`, one per row of `input`; the number of rows where there are none.
#[track_caller]
pub(super) fn total_weight(op: &str, input: &Tensor, weights: Option<&[f32]>) -> f64 {
    let Some(weights) = weights else { return input.rows() as f64 };
    assert_eq!(
        weights.len(),
        input.rows(),
        "{op}: {} weights for the rows of shape {:?}",
        weights.len(),
        input.shape()
    );
    weights.iter().map(|&weight| f64::from(weight)).sum()
}
