//! Bantam's own encoder: ModernBERT's layers (Warner et al. 2024: pre-norm, rotary positions, gated GELU, no biases)
//! and beside them an optional bag of hashed features (wide and deep). Attention is full in every layer, or in some of them only sees a window.
//!
//! Without features the names and config keys are those of `ModernBertForSequenceClassification` and
//! `ModernBertForMaskedLM` in `transformers`, which loads such a model unchanged.

use std::num::NonZeroUsize;
use std::sync::Arc;

use bantam_kernels::activation::Activation;
use bantam_kernels::rotary::Frequencies;
use bantam_tensor::{Matrix, Tensor};
use serde::{Deserialize, Serialize};

use super::{
    Architecture, Classification, Classifier, FeatureShape, Head, Prunable, Sizes, TaskEncoder, TokenPredictor,
};
use crate::batch::Batch;
use crate::layers::{
    Attention, AttentionConfig, Embedding, FeatureBag, FeedForward, FeedForwardConfig, FeedForwardNames, Norm,
    NormKind, Pooling, width_axis,
};
use crate::pass::{Pass, Wanted};
use crate::schema::{Axis, Entry, Initial, MatrixId, Schema, VectorId};
use crate::weights::Weights;

/// The keys of `config.json` that shape an encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncoderConfig {
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Numbers per token in the residual stream.
    pub hidden_size: usize,
    /// Feed-forward channels.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads.
    pub num_attention_heads: usize,
    /// Numbers per head; width divided by heads when absent. Present once heads were pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
    /// The most tokens in one document.
    pub max_position_embeddings: usize,
    /// Base of the rotary positions.
    #[serde(default = "default_base")]
    pub global_rope_theta: f32,
    /// Added to the variance before the root.
    #[serde(default = "default_epsilon")]
    pub norm_eps: f32,
    /// How tokens become one vector.
    #[serde(default = "default_pooling")]
    pub classifier_pooling: Pooling,
    /// Labels; 0 for a model that only predicts masked tokens.
    #[serde(default)]
    pub num_labels: usize,
    /// The bag of hashed features, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<FeatureShape>,
    /// The layers that do not see all of a document, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,
}

/// Layers whose tokens see only their neighbours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    /// Their numbers, in order.
    pub layers: Vec<usize>,
    /// How many of the nearest tokens on each side a token sees, itself included; at least 1.
    pub tokens: NonZeroUsize,
    /// Base of their rotary positions.
    pub rotary_base: f32,
}

impl Windows {
    /// The number `every` where just the layers whose number it divides see all, of so many: how `transformers` tells of them.
    fn every(&self, layers: usize) -> Option<usize> {
        let full = |layer: &usize| !self.layers.contains(layer);
        let every = (1..layers).find(full).unwrap_or(layers);
        (0..layers).all(|layer| full(&layer) == layer.is_multiple_of(every)).then_some(every)
    }

    /// The same of the layers that are kept; none where each of these sees all.
    fn of(&self, kept: &[usize]) -> Option<Self> {
        let layers: Vec<usize> = (0..kept.len()).filter(|&layer| self.layers.contains(&kept[layer])).collect();
        (!layers.is_empty()).then(|| Self { layers, ..self.clone() })
    }
}

// What `transformers` takes where a config of ModernBERT is silent.
pub(crate) fn default_base() -> f32 {
    160_000.0
}

fn default_epsilon() -> f32 {
    1e-5
}

fn default_pooling() -> Pooling {
    Pooling::First
}

/// An encoder with the heads that its config asks for.
pub struct Encoder {
    config: EncoderConfig,
    schema: Arc<Schema>,
    embedding: Embedding,
    embedding_norm: Norm,
    layers: Vec<Layer>,
    norm: Norm,
    finish: Option<Finish>,
    features: Option<FeatureBag>,
    head: Head,
    end: End,
}

struct Layer {
    /// The first layer has none: the embedding is normalised already.
    attention_norm: Option<Norm>,
    attention: Attention,
    feed_forward_norm: Norm,
    feed_forward: FeedForward,
}

/// What stands between the last layer and a head.
struct Finish {
    dense: MatrixId,
    norm: Norm,
}

enum End {
    Labels { matrix: MatrixId, bias: VectorId },
    Tokens,
}

impl Encoder {
    /// Declares an encoder of the given sizes, with a head for its labels, or else for masked tokens.
    pub fn new(config: EncoderConfig) -> Self {
        let head = if config.num_labels == 0 { Head::Vocabulary } else { Head::Labels(config.num_labels) };
        Self::with_head(config, head)
    }

    /// Declares an encoder of the given sizes with that head.
    pub fn with_head(config: EncoderConfig, head: Head) -> Self {
        let mut schema = Schema::new();
        let (width, epsilon, deviation) = (config.hidden_size, config.norm_eps, 0.02);
        let outer = deviation / (2.0 * config.num_hidden_layers.max(1) as f32).sqrt();
        let norm = |schema: &mut Schema, name: &str| Norm::new(schema, name, NormKind::Layer, width, epsilon);
        let (embedding, embedding_norm, layers, last) = schema.within("model", |schema| {
            let (embedding, embedding_norm) = schema.within("embeddings", |schema| {
                let table = Embedding::new(schema, "tok_embeddings.weight", config.vocab_size, width, deviation);
                (table, norm(schema, "norm"))
            });
            let layers = (0..config.num_hidden_layers)
                .map(|index| {
                    let axes = format!("layers.{index}");
                    let windows = config.windows.as_ref().filter(|windows| windows.layers.contains(&index));
                    schema.within(&axes, |schema| Layer {
                        attention_norm: (index > 0).then(|| norm(schema, "attn_norm")),
                        attention: Attention::new(
                            schema,
                            &AttentionConfig {
                                width,
                                heads: config.num_attention_heads,
                                kv_heads: config.num_attention_heads,
                                head_dim: config.head_dim(),
                                causal: false,
                                window: windows.map(|windows| windows.tokens.get()),
                                rotary: Some(Frequencies::new(
                                    windows.map_or(config.global_rope_theta, |windows| windows.rotary_base),
                                    config.head_dim(),
                                )),
                                head_norms: None,
                                biases: [false; 2],
                                deviations: [deviation, outer],
                                names: ["attn.Wqkv", "attn.Wqkv", "attn.Wqkv", "attn.Wo"],
                                axes: &axes,
                            },
                        ),
                        feed_forward_norm: norm(schema, "mlp_norm"),
                        feed_forward: FeedForward::new(
                            schema,
                            FeedForwardNames::Fused { both: "mlp.Wi", down: "mlp.Wo" },
                            Activation::Gelu,
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
            (embedding, embedding_norm, layers, norm(schema, "final_norm"))
        });
        let finish = (head != Head::Nothing).then(|| {
            schema.within("head", |schema| Finish {
                dense: schema.matrix("dense.weight", width_axis(width), width_axis(width), Initial::Normal(deviation)),
                norm: norm(schema, "norm"),
            })
        });
        let features = config.features.map(|shape| FeatureBag::new(&mut schema, shape.buckets, shape.width, 0.1));
        let end = if head.labels() == 0 {
            End::Tokens
        } else {
            let labels = Axis::new("labels", head.labels());
            let pooled = width + config.features.map_or(0, |shape| shape.width);
            End::Labels {
                matrix: schema.matrix(
                    "classifier.weight",
                    labels.clone(),
                    Axis::new("pooled", pooled),
                    Initial::Normal(deviation),
                ),
                bias: schema.vector("classifier.bias", labels, Initial::Zeros),
            }
        };
        Self {
            config,
            schema: Arc::new(schema),
            embedding,
            embedding_norm,
            layers,
            norm: last,
            finish,
            features,
            head,
            end,
        }
    }

    /// The config this encoder was made from.
    pub fn shape(&self) -> &EncoderConfig {
        &self.config
    }

    fn finish(&self, weights: &Weights, x: &Tensor, pass: &mut Pass) -> Tensor {
        let Some(finish) = &self.finish else { return x.clone() };
        let dense = pass.linear(x, weights, finish.dense, None).activation(Activation::Gelu);
        finish.norm.forward(weights, &dense)
    }
}

impl EncoderConfig {
    /// Numbers per head.
    pub fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Which layers have full attention, the first and each so many after it, where `transformers` knows this very shape.
    fn modern_bert(&self) -> Option<usize> {
        let is_known = self.features.is_none() && self.head_dim() * self.num_attention_heads == self.hidden_size;
        let every = self.windows.as_ref().map_or(Some(1), |windows| windows.every(self.num_hidden_layers));
        every.filter(|_| is_known)
    }
}

impl Architecture for Encoder {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn config(&self) -> serde_json::Value {
        let mut config = serde_json::to_value(&self.config).expect("a config of plain numbers is JSON");
        let modern_bert = self.config.modern_bert();
        if let (Some(_), Some(keys)) = (modern_bert, config.as_object_mut()) {
            // `transformers` has words of its own for them, below.
            keys.remove("windows");
        }
        let mut set = |key: &str, value: serde_json::Value| config[key] = value;
        if let Some(every) = modern_bert {
            set("architectures", serde_json::json!([format!("ModernBert{}", self.head.family_suffix())]));
            set("model_type", "modernbert".into());
            set("global_attn_every_n_layers", every.into());
            set("local_rope_theta", self.config.global_rope_theta.into());
            if let Some(windows) = &self.config.windows {
                set("local_attention", (2 * (windows.tokens.get() - 1)).into());
                set("local_rope_theta", windows.rotary_base.into());
            }
            set("hidden_activation", "gelu".into());
            set("classifier_activation", "gelu".into());
            for absent in ["attention_bias", "mlp_bias", "norm_bias", "classifier_bias", "decoder_bias"] {
                set(absent, false.into());
            }
        } else {
            set("architectures", serde_json::json!(["BantamEncoder"]));
            set("model_type", "bantam_encoder".into());
        }
        config
    }

    fn max_tokens(&self) -> usize {
        self.config.max_position_embeddings
    }

    fn vocabulary(&self) -> usize {
        self.config.vocab_size
    }

    fn hidden(&self, weights: &Weights, batch: &Batch, pass: &mut Pass) -> Vec<Tensor> {
        let embedded = self.embedding.forward(weights, batch.tokens(), batch.positions());
        let mut x = self.embedding_norm.forward(weights, &embedded).dropout(&mut pass.noise);
        let mut states = vec![x.clone()];
        for (index, layer) in self.layers.iter().enumerate() {
            let normed = layer.attention_norm.as_ref().map_or_else(|| x.clone(), |norm| norm.forward(weights, &x));
            let is_last = index + 1 == self.layers.len();
            let wanted = match pass.wanted() {
                Wanted::First if self.config.classifier_pooling != Pooling::First => Wanted::All,
                wanted if is_last => wanted.clone(),
                _ => Wanted::All,
            };
            x = layer.attention.forward(weights, &normed, &x, batch, &wanted, pass);
            let normed = layer.feed_forward_norm.forward(weights, &x);
            x = layer.feed_forward.forward(weights, &normed, &x, pass);
            pass.keep(&mut states, &x);
        }
        pass.keep(&mut states, &self.norm.forward(weights, &x));
        states
    }
}

impl Classifier for Encoder {
    fn labels(&self) -> usize {
        self.config.num_labels
    }

    fn classify(&self, weights: &Weights, batch: &Batch, pass: &mut Pass) -> Classification {
        let End::Labels { matrix, bias } = self.end else {
            unreachable!("an encoder without labels is loaded as a token predictor only")
        };
        let hidden = self.hidden(weights, batch, pass);
        let last = hidden.last().expect("there is always the embedding");
        let read = pass.pooled(self.config.classifier_pooling, last, batch);
        let mut pooled = self.finish(weights, &read, pass);
        if let Some(features) = &self.features {
            pooled = Tensor::concat(&[&pooled, &features.forward(weights, batch)]);
        }
        let noisy = pooled.dropout(&mut pass.noise);
        let logits = pass.linear(&noisy, weights, matrix, Some(weights.vector(bias)));
        Classification { logits, pooled, hidden }
    }

    fn prunable(&self) -> Vec<Prunable> {
        let layers = self.layers.iter().enumerate();
        layers
            .map(|(index, layer)| Prunable {
                layer: format!("layers.{index}"),
                heads: layer.attention.output(),
                head_dim: self.config.head_dim(),
                channels: layer.feed_forward.output(),
            })
            .collect()
    }

    fn features(&self) -> Option<FeatureShape> {
        self.config.features
    }

    fn resized(&self, sizes: &Sizes) -> Box<dyn Classifier> {
        let head_dim = self.config.head_dim();
        Box::new(Self::new(EncoderConfig {
            vocab_size: sizes.vocabulary,
            num_hidden_layers: sizes.layers.len(),
            windows: self.config.windows.as_ref().and_then(|windows| windows.of(&sizes.layers)),
            num_attention_heads: sizes.heads,
            intermediate_size: sizes.channels,
            head_dim: (head_dim * sizes.heads != self.config.hidden_size).then_some(head_dim),
            ..self.config.clone()
        }))
    }
}

impl TokenPredictor for Encoder {
    fn before_head(&self, weights: &Weights, hidden: &Tensor, pass: &mut Pass) -> Tensor {
        self.finish(weights, hidden, pass)
    }

    fn head(&self, weights: &Weights) -> Matrix {
        weights.projection(self.embedding.tokens())
    }

    fn head_entry(&self) -> &Entry {
        self.schema.table_entry(self.embedding.tokens())
    }
}

impl TaskEncoder for Encoder {
    fn head_kind(&self) -> Head {
        self.head
    }

    fn pooling(&self) -> Pooling {
        self.config.classifier_pooling
    }

    fn score(&self, weights: &Weights, rows: &Tensor, pass: &mut Pass) -> Tensor {
        let finished = self.finish(weights, rows, pass);
        match (&self.end, self.head) {
            (_, Head::Nothing) => finished,
            (End::Tokens, _) => finished.linear(&self.head(weights), None),
            (End::Labels { matrix, bias }, _) => pass.linear(&finished, weights, *matrix, Some(weights.vector(*bias))),
        }
    }
}
