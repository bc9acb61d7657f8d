//! The Llama family of decoders (Touvron et al. 2023): RMSNorm, rotary positions, grouped heads, SwiGLU.
//!
//! Names and config keys are those of `LlamaForCausalLM` in `transformers`. Mistral and Qwen are the same but for what
//! [`LlamaVariant`] says.

use std::sync::Arc;

use bantam_kernels::activation::Activation;
use bantam_kernels::rotary::Frequencies;
use bantam_tensor::{Matrix, Tensor};
use serde::{Deserialize, Serialize};

use super::{Architecture, LlamaFamily, LlamaVariant, TokenPredictor};
use crate::batch::Batch;
use crate::layers::{
    Attention, AttentionConfig, AttentionNorms, Embedding, FeedForward, FeedForwardConfig, FeedForwardNames, Norm,
    NormKind, vocabulary_axis, width_axis,
};
use crate::pass::{Pass, Wanted};
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
    /// The family, and what it has of its own.
    #[serde(flatten)]
    pub variant: LlamaVariant,
}

impl LlamaConfig {
    /// Key and value heads.
    pub fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Numbers per head.
    pub fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// The most tokens of a text: no more than a token sees, where all that is before a token is all that it sees.
    pub fn max_tokens(&self) -> usize {
        self.variant.sliding_window.unwrap_or(usize::MAX).min(self.max_position_embeddings)
    }

    /// How fast positions turn, before they are slowed down.
    pub(crate) fn frequencies(&self) -> Frequencies {
        Frequencies::new(self.rope_theta, self.head_dim())
    }
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
        let (family, plain) = (config.variant.family, config.frequencies());
        let frequencies = match &config.variant.rope_scaling {
            Some(scaling) => plain.divided(&scaling.factors(&plain)),
            None => plain,
        };
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
                                heads: config.num_attention_heads,
                                kv_heads: config.kv_heads(),
                                head_dim: config.head_dim(),
                                causal: true,
                                window: None,
                                rotary: Some(frequencies.clone()),
                                biases: [family.has_biases(), false],
                                head_norms: family.has_head_norms().then_some(AttentionNorms {
                                    names: ["self_attn.q_norm", "self_attn.k_norm"],
                                    epsilon: config.rms_norm_eps,
                                }),
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
        let family = self.config.variant.family;
        config["architectures"] = serde_json::json!([family.class()]);
        config["hidden_act"] = "silu".into();
        if family == LlamaFamily::Mistral {
            // Silence would mean a window of 4,096 tokens.
            config["sliding_window"] = self.config.variant.sliding_window.into();
        }
        config
    }

    fn max_tokens(&self) -> usize {
        self.config.max_tokens()
    }

    fn vocabulary(&self) -> usize {
        self.config.vocab_size
    }

    fn hidden(&self, weights: &Weights, batch: &Batch, pass: &mut Pass) -> Vec<Tensor> {
        let mut x = self.embedding.forward(weights, batch.tokens(), batch.positions()).dropout(&mut pass.noise);
        let mut states = vec![x.clone()];
        for layer in &self.layers {
            let normed = layer.attention_norm.forward(weights, &x);
            x = layer.attention.forward(weights, &normed, &x, batch, &Wanted::All, pass);
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
