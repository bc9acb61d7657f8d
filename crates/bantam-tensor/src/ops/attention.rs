//! Attention of each document's tokens to one another: `y = softmax(q·kᵀ * scale + mask)·v`, head by head.

use super::expect_starts;
use crate::kept::{Keep, Kept};
use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::attention::{self, AttentionShape};
use bantam_kernels::gemm::Precision;
use bantam_kernels::memory::Buffer;

impl Tensor {
    /// Attention over rows `[queries, keys, values]`: `[tokens, (heads + 2 * kv_heads) * head_dim]` becomes `[tokens, heads * head_dim]`.
    /// The documents `starts` are blind to one another; the mask is the shape's. Where the input is only as exact as bf16, so
    /// are the products. Keeps input, result (rounded if the input is)
    /// and one number per token and head.
    pub fn attention(&self, shape: &AttentionShape, starts: &[usize]) -> Tensor {
        let tokens = self.rows();
        let widths = ((shape.heads + 2 * shape.kv_heads) * shape.head_dim, shape.heads * shape.head_dim);
        assert_eq!(self.width(), widths.0, "attention: shape {:?} for {shape:?}", self.shape());
        expect_starts("attention", self, starts);
        let (mut out, mut log_sum) = (Buffer::scratch(tokens * widths.1), Buffer::scratch(tokens * shape.heads));
        let (precision, keeping) = match self.is_rounded() {
            true => (Precision::Bf16, Keep::Half),
            false => (Precision::F32, Keep::Whole),
        };
        attention::forward(shape, precision, self.data(), starts, &mut out, &mut log_sum);
        let out = Shared::from(out);
        Tensor::from_op(self.sizes().with_width(widths.1), out.clone(), &[self], |keep| {
            let (qkv, shape, starts) = (self.keep(), *shape, starts.to_vec());
            // The result is as exact as the input, and the product after it shares what is kept here.
            let out = Kept::new(&out, &keeping);
            *keep = out.shared();
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                let qkv = qkv.load();
                let mut gradient = Buffer::scratch(qkv.len());
                attention::backward(&shape, precision, &qkv, &starts, &out.load(), &log_sum, &upstream, &mut gradient);
                inputs.give(0, gradient);
            }
        })
    }

    /// What [`Tensor::attention`] makes of the first token of each document: `[documents, heads * head_dim]`. No document may be empty. Keeps input
    /// (as it was rounded), result, and one number per document and head.
    pub fn first_attention(&self, shape: &AttentionShape, starts: &[usize]) -> Tensor {
        let (documents, width) = (starts.len() - 1, shape.heads * shape.head_dim);
        assert_eq!(self.width(), shape.row_width(), "first_attention: shape {:?} for {shape:?}", self.shape());
        expect_starts("first_attention", self, starts);
        let (mut out, mut log_sum) = (Buffer::scratch(documents * width), Buffer::scratch(documents * shape.heads));
        attention::forward_first(shape, self.data(), starts, &mut out, &mut log_sum);
        let out = Shared::from(out);
        Tensor::from_op([documents, width], out.clone(), &[self], |_| {
            let (qkv, shape, starts) = (self.keep(), *shape, starts.to_vec());
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                let qkv = qkv.load();
                let mut gradient = Buffer::scratch(qkv.len());
                attention::backward_first(&shape, &qkv, &starts, &out, &log_sum, &upstream, &mut gradient);
                inputs.give(0, gradient);
            }
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::Case;

    const SHAPE: AttentionShape =
        AttentionShape { heads: 2, kv_heads: 1, head_dim: 4, causal: false, window: None, scale: 0.5 };

    pub(crate) fn cases() -> Vec<Case> {
        vec![
            Case::new("attention", &[&[7, 16]], |x| x[0].attention(&SHAPE, &[0, 4, 4, 5, 7])),
            Case::new("causal attention", &[&[7, 16]], |x| {
                x[0].attention(&AttentionShape { causal: true, ..SHAPE }, &[0, 5, 7])
            }),
            Case::new("first_attention", &[&[7, 16]], |x| x[0].first_attention(&SHAPE, &[0, 4, 5, 7])),
            Case::new("attention in a window", &[&[7, 16]], |x| {
                x[0].attention(&AttentionShape { causal: true, window: Some(2), ..SHAPE }, &[0, 7])
            }),
        ]
    }

    #[test]
    fn the_first_token_sees_itself_only() {
        let qkv: Vec<f32> = (0..32).map(|value| value as f32 / 10.0).collect();
        let y = Tensor::from_vec([2, 16], &qkv).attention(&AttentionShape { causal: true, ..SHAPE }, &[0, 2]);
        assert_eq!(y.shape(), [2, 8]);
        for (value, expected) in y.data().iter().zip(qkv[12..16].iter().chain(&qkv[12..16])) {
            assert!((value - expected).abs() < 1e-6, "{value}, expected {expected}");
        }
    }

    #[test]
    #[should_panic(expected = "attention: the starts [0, 3] do not cut shape [4, 16] into documents")]
    fn documents_cover_the_tokens() {
        Tensor::zeros([4, 16]).attention(&SHAPE, &[0, 3]);
    }
}
