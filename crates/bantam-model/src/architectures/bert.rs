//! BERT (Devlin et al. 2019): post-norm encoder with learned positions, read from Hugging Face folders as a teacher.
//!
//! Names and config keys are those of `BertForSequenceClassification` in `transformers`.

use std::sync::Arc;

use bantam_kernels::activation::Activation;
use bantam_kernels::encoder::Queries;
use bantam_tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Architecture, Classification, Classifier, FeatureShape, Prunable, Sizes};
use crate::batch::Batch;
use crate::layers::{
    Attention, AttentionConfig, Embedding, FeedForward, FeedForwardConfig, FeedForwardNames, Norm, NormKind, Pooling,
    width_axis,
};
use crate::pass::Pass;
use crate::schema::{Axis, Initial, MatrixId, Schema, TableId, VectorId};
use crate::weights::Weights;

/// The keys of `config.json` that shape a BERT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BertConfig {
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
    /// The most tokens in one document.
    pub max_position_embeddings: usize,
    /// Kinds of segment; a single text is all of kind 0.
    #[serde(default = "default_types")]
    pub type_vocab_size: usize,
    /// Added to the variance before the root.
    #[serde(default = "default_epsilon")]
    pub layer_norm_eps: f32,
    /// `gelu`, `gelu_new` or `relu`.
    #[serde(default = "default_activation")]
    pub hidden_act: String,
    /// Labels.
    #[serde(default)]
    pub num_labels: usize,
}

fn default_types() -> usize {
    2
}

fn default_epsilon() -> f32 {
    1e-12
}

fn default_activation() -> String {
    "gelu".to_owned()
}

/// A BERT with its classification head.
pub struct Bert {
    config: BertConfig,
    schema: Arc<Schema>,
    embedding: Embedding,
    types: TableId,
    embedding_norm: Norm,
    layers: Vec<Layer>,
    pooler: (MatrixId, VectorId),
    classifier: (MatrixId, VectorId),
}

struct Layer {
    attention: Attention,
    attention_norm: Norm,
    feed_forward: FeedForward,
    feed_forward_norm: Norm,
}

impl Bert {
    /// Declares a BERT of the given sizes; `None` when its activation is none that Bantam computes.
    pub fn new(config: BertConfig) -> Option<Self> {
        let activation = match config.hidden_act.as_str() {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            _ => return None,
        };
        let mut schema = Schema::new();
        let (width, epsilon, deviation) = (config.hidden_size, config.layer_norm_eps, 0.02);
        let norm = |schema: &mut Schema, name: &str| Norm::new(schema, name, NormKind::LayerWithBias, width, epsilon);
        let (embedding, types, embedding_norm, layers, pooler) = schema.within("bert", |schema| {
            let (embedding, types, embedding_norm) = schema.within("embeddings", |schema| {
                let tokens = Embedding::new(schema, "word_embeddings.weight", config.vocab_size, width, deviation);
                let limit = config.max_position_embeddings;
                let both = tokens.with_positions(schema, "position_embeddings.weight", limit, width, deviation);
                let kinds = Axis::new("types", config.type_vocab_size);
                let initial = Initial::Normal(deviation);
                let types = schema.table("token_type_embeddings.weight", kinds, width_axis(width), initial);
                (both, types, norm(schema, "LayerNorm"))
            });
            let layers = (0..config.num_hidden_layers)
                .map(|index| {
                    let axes = format!("layers.{index}");
                    schema.within(format!("encoder.layer.{index}"), |schema| Layer {
                        attention: Attention::new(
                            schema,
                            &AttentionConfig {
                                width,
                                heads: config.num_attention_heads,
                                kv_heads: config.num_attention_heads,
                                head_dim: width / config.num_attention_heads.max(1),
                                causal: false,
                                rotary_base: None,
                                bias: true,
                                deviations: [deviation; 2],
                                names: [
                                    "attention.self.query",
                                    "attention.self.key",
                                    "attention.self.value",
                                    "attention.output.dense",
                                ],
                                axes: &axes,
                            },
                        ),
                        attention_norm: norm(schema, "attention.output.LayerNorm"),
                        feed_forward: FeedForward::new(
                            schema,
                            FeedForwardNames::Plain { up: "intermediate.dense", down: "output.dense" },
                            activation,
                            FeedForwardConfig {
                                width,
                                channels: config.intermediate_size,
                                bias: true,
                                deviations: [deviation; 2],
                                axes: &axes,
                            },
                        ),
                        feed_forward_norm: norm(schema, "output.LayerNorm"),
                    })
                })
                .collect();
            (embedding, types, embedding_norm, layers, dense(schema, "pooler.dense", width_axis(width), width))
        });
        let classifier = dense(&mut schema, "classifier", Axis::new("labels", config.num_labels), width);
        Some(Self { config, schema: Arc::new(schema), embedding, types, embedding_norm, layers, pooler, classifier })
    }
}

fn dense(schema: &mut Schema, name: &str, rows: Axis, width: usize) -> (MatrixId, VectorId) {
    schema.within(name, |schema| {
        let matrix = schema.matrix("weight", rows.clone(), width_axis(width), Initial::Normal(0.02));
        (matrix, schema.vector("bias", rows, Initial::Zeros))
    })
}

impl Architecture for Bert {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn config(&self) -> serde_json::Value {
        let mut config = serde_json::to_value(&self.config).expect("a config of plain numbers is JSON");
        config["architectures"] = serde_json::json!(["BertForSequenceClassification"]);
        config["model_type"] = "bert".into();
        config
    }

    fn max_tokens(&self) -> usize {
        self.config.max_position_embeddings
    }

    fn vocabulary(&self) -> usize {
        self.config.vocab_size
    }

    fn hidden(&self, weights: &Weights, batch: &Batch, pass: &mut Pass) -> Vec<Tensor> {
        let types = weights.table(self.types).gather(&vec![0; batch.tokens().len()]);
        let embedded = self.embedding.forward(weights, batch.tokens(), batch.positions()).add(&types);
        let mut x = self.embedding_norm.forward(weights, &embedded).dropout(&mut pass.noise);
        let mut states = vec![x.clone()];
        for (index, layer) in self.layers.iter().enumerate() {
            // The head reads the first token of each document.
            let is_last = index + 1 == self.layers.len();
            let queries = if is_last && pass.is_answer() { Queries::First } else { Queries::All };
            x = layer.attention.forward_normed(weights, &layer.attention_norm, &x, batch, queries, pass);
            x = layer.feed_forward.forward_normed(weights, &layer.feed_forward_norm, &x, pass);
            pass.keep(&mut states, &x);
        }
        states
    }
}

impl Classifier for Bert {
    fn labels(&self) -> usize {
        self.config.num_labels
    }

    fn classify(&self, weights: &Weights, batch: &Batch, pass: &mut Pass) -> Classification {
        let hidden = self.hidden(weights, batch, pass);
        let last = hidden.last().expect("there is always the embedding");
        // An answer's last layer gives a row for each document, not for each token.
        let is_first = pass.is_answer() && !self.layers.is_empty();
        let first = if is_first { last.clone() } else { Pooling::First.forward(last, batch) };
        let (matrix, bias) = self.pooler;
        let pooled = pass.linear(&first, weights, matrix, Some(weights.vector(bias))).activation(Activation::Tanh);
        let (matrix, bias) = self.classifier;
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
                head_dim: self.config.hidden_size / self.config.num_attention_heads.max(1),
                channels: layer.feed_forward.output(),
            })
            .collect()
    }

    fn features(&self) -> Option<FeatureShape> {
        None
    }

    fn resized(&self, sizes: &Sizes) -> Box<dyn Classifier> {
        let config = BertConfig {
            vocab_size: sizes.vocabulary,
            num_hidden_layers: sizes.layers,
            num_attention_heads: sizes.heads,
            intermediate_size: sizes.channels,
            ..self.config.clone()
        };
        Box::new(Self::new(config).expect("the activation has not changed"))
    }
}
