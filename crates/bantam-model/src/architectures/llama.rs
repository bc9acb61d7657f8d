//! The Llama family of decoders (Touvron et al. 2023): RMSNorm, rotary positions, grouped heads, SwiGLU.
//!
//! Names and config keys are those of `LlamaForCausalLM` in `transformers`.

use std::sync::Arc;

use bantam_kernels::activation::Activation;
use bantam_tensor::{Matrix, Tensor};
use serde::{Deserialize, Serialize};

use super::{Architecture, TokenPredictor};
use crate::batch::Batch;
use crate::layers::{
    Attention, AttentionConfig, Embedding, FeedForward, FeedForwardConfig, FeedForwardNames, Norm, NormKind,
    vocabulary_axis, width_axis,
};
use crate::pass::Pass;
use crate::schema::{Entry, Initial, MatrixId, Schema};
use crate::weights::Weights;

/// The keys of `config.json` that shape a Llama.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlamaConfig {
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Numbers per token in the residual stream.
    pub hidden_size: usize,
    /// Feed-forward channels.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; as many as query heads when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_key_value_heads: Option<usize>,
    /// Numbers per head; width divided by heads when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
    /// The most tokens in one document.
    #[serde(default = "default_positions")]
    pub max_position_embeddings: usize,
    /// Added to the mean square before the root.
    #[serde(default = "default_epsilon")]
    pub rms_norm_eps: f32,
    /// Base of the rotary positions.
    #[serde(default = "default_base")]
    pub rope_theta: f32,
    /// Whether the head is the token table.
    #[serde(default)]
    pub tie_word_embeddings: bool,
}

fn default_positions() -> usize {
    2048
}

fn default_epsilon() -> f32 {
    1e-6
}

fn default_base() -> f32 {
    10_000.0
}

/// A decoder of the Llama family.
pub struct Llama {
    config: LlamaConfig,
    schema: Arc<Schema>,
    embedding: Embedding,
    layers: Vec<Layer>,
    norm: Norm,
    head: Option<MatrixId>,
}

struct Layer {
    attention_norm: Norm,
    attention: Attention,
    feed_forward_norm: Norm,
    feed_forward: FeedForward,
}

impl Llama {
    /// Declares a Llama of the given sizes.
    pub fn new(config: LlamaConfig) -> Self {
        let mut schema = Schema::new();
        let (width, deviation) = (config.hidden_size, 0.02);
        // Outputs into the residual stream start smaller, so that its variance does not grow with depth (GPT-2).
        let outer = deviation / (2.0 * config.num_hidden_layers as f32).sqrt();
        let norm = |schema: &mut Schema, name: &str| {
            Norm::new(schema, name, NormKind::RootMeanSquare, width, config.rms_norm_eps)
        };
        let heads = config.num_attention_heads;
        let (embedding, layers, last) = schema.within("model", |schema| {
            let embedding = Embedding::new(schema, "embed_tokens.weight", config.vocab_size, width, deviation);
            let layers = (0..config.num_hidden_layers)
                .map(|index| {
                    let axes = format!("layers.{index}");
                    schema.within(&axes, |schema| Layer {
                        attention_norm: norm(schema, "input_layernorm"),
                        attention: Attention::new(
                            schema,
                            &AttentionConfig {
                                width,
                                heads,
                                kv_heads: config.num_key_value_heads.unwrap_or(heads),
                                head_dim: config.head_dim.unwrap_or(width / heads),
                                causal: true,
                                window: None,
                                rotary_base: Some(config.rope_theta),
                                bias: false,
                                deviations: [deviation, outer],
                                names: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"],
                                axes: &axes,
                            },
                        ),
                        feed_forward_norm: norm(schema, "post_attention_layernorm"),
                        feed_forward: FeedForward::new(
                            schema,
                            FeedForwardNames::Gated { gate: "mlp.gate_proj", up: "mlp.up_proj", down: "mlp.down_proj" },
                            Activation::Silu,
                            FeedForwardConfig {
                                width,
                                channels: config.intermediate_size,
                                bias: false,
                                deviations: [deviation, outer],
                                axes: &axes,
                            },
                        ),
                    })
                })
                .collect();
            (embedding, layers, norm(schema, "norm"))
        });
        let head = (!config.tie_word_embeddings).then(|| {
            schema.matrix(
                "lm_head.weight",
                vocabulary_axis(config.vocab_size),
                width_axis(width),
                Initial::Normal(deviation),
            )
        });
        Self { config, schema: Arc::new(schema), embedding, layers, norm: last, head }
    }
}

impl Architecture for Llama {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn config(&self) -> serde_json::Value {
        let mut config = serde_json::to_value(&self.config).expect("a config of plain numbers is JSON");
        config["architectures"] = serde_json::json!(["LlamaForCausalLM"]);
        config["model_type"] = "llama".into();
        config["hidden_act"] = "silu".into();
        config
    }

    fn max_tokens(&self) -> usize {
        self.config.max_position_embeddings
    }

    fn vocabulary(&self) -> usize {
        self.config.vocab_size
    }

    fn hidden(&self, weights: &Weights, batch: &Batch, pass: &mut Pass) -> Vec<Tensor> {
        let mut x = self.embedding.forward(weights, batch.tokens(), batch.positions()).dropout(&mut pass.noise);
        let mut states = vec![x.clone()];
        for layer in &self.layers {
            let normed = layer.attention_norm.forward(weights, &x);
            x = layer.attention.forward(weights, &normed, &x, batch, pass);
            let normed = layer.feed_forward_norm.forward(weights, &x);
            x = layer.feed_forward.forward(weights, &normed, &x, pass);
            pass.keep(&mut states, &x);
        }
        pass.keep(&mut states, &self.norm.forward(weights, &x));
        states
    }
}

impl TokenPredictor for Llama {
    fn before_head(&self, _: &Weights, hidden: &Tensor, _: &mut Pass) -> Tensor {
        hidden.clone()
    }

    fn head(&self, weights: &Weights) -> Matrix {
        match self.head {
            Some(head) => weights.matrix(head).clone(),
            None => weights.projection(self.embedding.tokens()),
        }
    }

    fn head_entry(&self) -> &Entry {
        match self.head {
            Some(head) => self.schema.matrix_entry(head),
            None => self.schema.table_entry(self.embedding.tokens()),
        }
    }
}
