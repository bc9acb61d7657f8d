//! Multi-head attention with one fused matrix for query, key and value.

use bantam_kernels::attention::AttentionShape;
use bantam_kernels::encoder::{AttentionLayer, Queries};
use bantam_kernels::rotary::Frequencies;
use bantam_tensor::{Matrix, Tensor};

use super::{Norm, NormKind, Pooling, bias, borrowed, width_axis};
use crate::batch::Batch;
use crate::pass::{Pass, Wanted};
use crate::schema::{Axis, Initial, MatrixId, Schema, VectorId};
use crate::weights::Weights;

/// What distinguishes one attention layer from another.
#[derive(Debug, Clone)]
pub struct AttentionConfig<'a> {
    /// Numbers per token in the residual stream.
    pub width: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; each serves `heads / kv_heads` query heads.
    pub kv_heads: usize,
    /// Numbers per head.
    pub head_dim: usize,
    /// Whether a token sees only itself and what came before.
    pub causal: bool,
    /// How many of the nearest tokens on each side a token sees, itself included; `None` for all.
    pub window: Option<usize>,
    /// How fast rotary positions turn (Su et al. 2021); `None` where positions are added to the embedding.
    pub rotary: Option<Frequencies>,
    /// Whether the projections have biases: those to query, key and value, and that of the output.
    pub biases: [bool; 2],
    /// How each head of queries and of keys is normalised, before positions turn it; `None` where they stay as they are.
    pub head_norms: Option<AttentionNorms<'a>>,
    /// Standard deviations at initialisation: of the inputs' projections and of the output's.
    pub deviations: [f32; 2],
    /// Names of query, key, value and output in files, without `.weight`. One name for the first three means that
    /// the file holds them fused.
    pub names: [&'a str; 4],
    /// Prefix of this layer's axes, for example `layers.3`.
    pub axes: &'a str,
}

/// The root mean square norms of heads.
#[derive(Debug, Clone, Copy)]
pub struct AttentionNorms<'a> {
    /// Names in files, of queries' and keys', without `.weight`.
    pub names: [&'a str; 2],
    /// Added to the mean square before the root.
    pub epsilon: f32,
}

/// One attention layer.
#[derive(Debug, Clone)]
pub struct Attention {
    input: MatrixId,
    input_bias: Option<VectorId>,
    head_norms: Option<[Norm; 2]>,
    output: MatrixId,
    output_bias: Option<VectorId>,
    shape: AttentionShape,
    rotary: Option<Frequencies>,
}

impl Attention {
    /// Declares the layer's weights.
    pub fn new(schema: &mut Schema, config: &AttentionConfig) -> Self {
        let query = Axis::new(format!("{}.heads", config.axes), config.heads * config.head_dim);
        let shared = Axis::new(format!("{}.kv_heads", config.axes), config.kv_heads * config.head_dim);
        let [q, k, v, o] = config.names;
        let fused = |suffix: &str| -> Vec<(String, Axis)> {
            if q == k {
                let rows = query.size + 2 * shared.size;
                return vec![(format!("{q}.{suffix}"), Axis::new(format!("{}.query_key_value", config.axes), rows))];
            }
            [(q, &query), (k, &shared), (v, &shared)]
                .map(|(name, axis)| (format!("{name}.{suffix}"), axis.clone()))
                .into()
        };
        let (matrix_parts, bias_parts) = (fused("weight"), fused("bias"));
        let [inner, outer] = config.deviations.map(Initial::Normal);
        Self {
            input: schema.fused_matrix(&borrowed(&matrix_parts), width_axis(config.width), inner),
            input_bias: bias(schema, config.biases[0], &bias_parts),
            head_norms: config.head_norms.map(|AttentionNorms { names, epsilon }| {
                let axis = || Axis::new(format!("{}.head", config.axes), config.head_dim);
                names.map(|name| Norm::over(schema, name, NormKind::RootMeanSquare, axis(), epsilon))
            }),
            output: schema.matrix(&format!("{o}.weight"), width_axis(config.width), query, outer),
            output_bias: bias(schema, config.biases[1], &[(format!("{o}.bias"), width_axis(config.width))]),
            shape: AttentionShape {
                heads: config.heads,
                kv_heads: config.kv_heads,
                head_dim: config.head_dim,
                causal: config.causal,
                window: config.window,
                scale: (config.head_dim as f32).sqrt().recip(),
            },
            rotary: config.rotary.clone(),
        }
    }

    /// `residual` and what attention from `x`, both `[tokens, width]`, adds to it: a row for each token that is wanted.
    pub fn forward(
        &self,
        weights: &Weights,
        x: &Tensor,
        residual: &Tensor,
        batch: &Batch,
        wanted: &Wanted,
        pass: &mut Pass,
    ) -> Tensor {
        let attended = self.attended(weights, x, batch, wanted, pass);
        let residual = match wanted {
            Wanted::All => residual.clone(),
            Wanted::First => Pooling::First.forward(residual, batch),
            Wanted::Rows(rows) => residual.select_rows(rows),
        };
        let bias = self.output_bias.map(|id| weights.vector(id));
        pass.linear_onto(&residual, &attended, weights, self.output, bias)
    }

    /// What the heads make of `x`: `[tokens, heads * head_dim]`, a row for each token that is wanted.
    fn attended(&self, weights: &Weights, x: &Tensor, batch: &Batch, wanted: &Wanted, pass: &mut Pass) -> Tensor {
        let bias = self.input_bias.map(|id| weights.vector(id));
        let mut fused = pass.linear_rounded(x, weights, self.input, bias);
        if let Some(norms) = &self.head_norms {
            fused = self.normalised(weights, norms, &fused);
        }
        if let Some(pasts) = &mut pass.pasts {
            // They turn what they read, which spares a pass over all rows.
            return pasts.attend(&self.shape, &fused, self.rotary.as_ref(), batch.starts(), pass.first_prompt_row);
        }
        if let Some(frequencies) = &self.rotary {
            fused = fused.rotary(self.shape.heads + self.shape.kv_heads, batch.positions(), frequencies);
        }
        match wanted {
            Wanted::All => fused.attention(&self.shape, batch.starts()),
            Wanted::First => fused.first_attention(&self.shape, batch.starts()),
            Wanted::Rows(rows) => fused.attention(&self.shape, batch.starts()).select_rows(rows),
        }
    }

    /// Rows of queries, keys and values, with each head of the first two normalised.
    fn normalised(&self, weights: &Weights, norms: &[Norm; 2], fused: &Tensor) -> Tensor {
        let AttentionShape { heads, kv_heads, head_dim, .. } = self.shape;
        let (queries, keys, rows) = (heads * head_dim, kv_heads * head_dim, fused.rows());
        let part = |norm: &Norm, start: usize, count: usize| {
            let heads = fused.columns(start, count).reshape([rows * count / head_dim, head_dim]);
            norm.forward(weights, &heads).reshape([rows, count])
        };
        let (query, key) = (part(&norms[0], 0, queries), part(&norms[1], queries, keys));
        Tensor::concat(&[&query, &key, &fused.columns(queries + keys, keys)])
    }

    /// The form for layers that normalise after themselves: `norm(x + attention(x))`, a row for each token or for the first of each document.
    pub fn forward_normed(
        &self,
        weights: &Weights,
        norm: &Norm,
        x: &Tensor,
        batch: &Batch,
        queries: Queries,
        pass: &mut Pass,
    ) -> Tensor {
        if let Some(layer) = self.fused(weights, norm, x, pass) {
            return x.attention_layer(&layer, batch.starts(), queries);
        }
        let wanted = match queries {
            Queries::All => Wanted::All,
            Queries::First => Wanted::First,
        };
        norm.forward(weights, &self.forward(weights, x, x, batch, &wanted, pass))
    }

    /// The layer as one kernel, where there is one for it.
    fn fused<'a>(&self, weights: &'a Weights, norm: &Norm, x: &Tensor, pass: &Pass) -> Option<AttentionLayer<'a>> {
        let (Matrix::Packed(input), Matrix::Packed(output)) = (weights.matrix(self.input), weights.matrix(self.output))
        else {
            return None;
        };
        let bias = |id: Option<VectorId>| id.map(|id| weights.vector(id).data());
        let layer = AttentionLayer {
            shape: self.shape,
            input,
            input_bias: bias(self.input_bias),
            output,
            output_bias: bias(self.output_bias),
            norm: norm.at_end(weights)?,
        };
        (pass.is_plain() && !x.is_tracked() && self.rotary.is_none() && self.head_norms.is_none() && layer.fits())
            .then_some(layer)
    }

    /// The matrix whose inputs are the heads' outputs: what the importance of heads is measured on.
    pub fn output(&self) -> MatrixId {
        self.output
    }
}
