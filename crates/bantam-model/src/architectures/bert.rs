//! BERT (Devlin et al. 2019): post-norm encoder with learned positions, read from Hugging Face folders as a teacher or for a task.
//!
//! RoBERTa (Liu et al. 2019) and DistilBERT (Sanh et al. 2019) compute the same under other names; config keys are those of BERT in
//! `transformers`.

use std::borrow::Cow;
use std::sync::Arc;

use bantam_kernels::activation::Activation;
use bantam_kernels::encoder::Queries;
use bantam_tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Architecture, Classification, Classifier, FeatureShape, Head, Prunable, Sizes, TaskEncoder};
use crate::batch::Batch;
use crate::layers::{
    Attention, AttentionConfig, Embedding, FeedForward, FeedForwardConfig, FeedForwardNames, Norm, NormKind, Pooling,
    vocabulary_axis, width_axis,
};
use crate::pass::{Pass, Wanted};
use crate::schema::{Axis, Initial, MatrixId, Schema, TableId, VectorId};
use crate::weights::Weights;

/// What RoBERTa's padding is where a config is silent.
const ROBERTA_PADDING: u32 = 1;

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
    /// The id of padding: RoBERTa's positions begin behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_token_id: Option<u32>,
}

/// Whose names and inputs a BERT has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BertFamily {
    /// BERT's own.
    Bert,
    /// RoBERTa's: positions begin behind the id of padding, and heads have other names.
    Roberta,
    /// DistilBERT's: without kinds of segment, and all weights have other names.
    DistilBert,
}

/// The names of a family's weights.
struct Names {
    model: &'static str,
    layers: &'static str,
    attention: [&'static str; 4],
    attention_norm: &'static str,
    feed_forward: [&'static str; 2],
    feed_forward_norm: &'static str,
    pooled: [&'static str; 2],
    hidden_tokens: [&'static str; 3],
}

impl BertFamily {
    const fn names(self) -> Names {
        let bert = Names {
            model: "bert",
            layers: "encoder.layer",
            attention: ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"],
            attention_norm: "attention.output.LayerNorm",
            feed_forward: ["intermediate.dense", "output.dense"],
            feed_forward_norm: "output.LayerNorm",
            pooled: ["bert.pooler.dense", "classifier"],
            hidden_tokens: [
                "cls.predictions.transform.dense",
                "cls.predictions.transform.LayerNorm",
                "cls.predictions.bias",
            ],
        };
        match self {
            Self::Bert => bert,
            Self::Roberta => Names {
                model: "roberta",
                pooled: ["classifier.dense", "classifier.out_proj"],
                hidden_tokens: ["lm_head.dense", "lm_head.layer_norm", "lm_head.bias"],
                ..bert
            },
            Self::DistilBert => Names {
                model: "distilbert",
                layers: "transformer.layer",
                attention: ["attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"],
                attention_norm: "sa_layer_norm",
                feed_forward: ["ffn.lin1", "ffn.lin2"],
                feed_forward_norm: "output_layer_norm",
                pooled: ["pre_classifier", "classifier"],
                hidden_tokens: ["vocab_transform", "vocab_layer_norm", "vocab_projector.bias"],
            },
        }
    }

    /// The first part of its models' names in `transformers`.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Bert => "Bert",
            Self::Roberta => "Roberta",
            Self::DistilBert => "DistilBert",
        }
    }
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

/// A BERT with the head of a task.
pub struct Bert {
    config: BertConfig,
    family: BertFamily,
    head: Head,
    schema: Arc<Schema>,
    embedding: Embedding,
    types: Option<TableId>,
    embedding_norm: Norm,
    layers: Vec<Layer>,
    end: End,
}

struct Layer {
    attention: Attention,
    attention_norm: Norm,
    feed_forward: FeedForward,
    feed_forward_norm: Norm,
}

#[derive(Clone, Copy)]
struct Dense {
    matrix: MatrixId,
    bias: VectorId,
}

/// What is computed behind the last layer.
enum End {
    Nothing,
    Pooled { dense: Dense, activation: Activation, labels: Dense },
    EachToken(Dense),
    HiddenTokens { dense: Dense, activation: Activation, norm: Norm, bias: VectorId },
}

impl Bert {
    /// Declares a classifier of the given sizes; `None` when its activation is none that Bantam computes.
    pub fn new(config: BertConfig) -> Option<Self> {
        let head = Head::Labels(config.num_labels);
        Self::with_head(config, BertFamily::Bert, head)
    }

    /// Declares a model of the family with that head; `None` when its activation is none that Bantam computes.
    pub fn with_head(config: BertConfig, family: BertFamily, head: Head) -> Option<Self> {
        let activation = match config.hidden_act.as_str() {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            _ => return None,
        };
        let names = family.names();
        let mut schema = Schema::new();
        let (width, epsilon, deviation) = (config.hidden_size, config.layer_norm_eps, 0.02);
        let norm = |schema: &mut Schema, name: &str| Norm::new(schema, name, NormKind::LayerWithBias, width, epsilon);
        let (embedding, types, embedding_norm, layers) = schema.within(names.model, |schema| {
            let (embedding, types, embedding_norm) = schema.within("embeddings", |schema| {
                let tokens = Embedding::new(schema, "word_embeddings.weight", config.vocab_size, width, deviation);
                let limit = config.max_position_embeddings;
                let both = tokens.with_positions(schema, "position_embeddings.weight", limit, width, deviation);
                let types = (family != BertFamily::DistilBert).then(|| {
                    let kinds = Axis::new("types", config.type_vocab_size);
                    let initial = Initial::Normal(deviation);
                    schema.table("token_type_embeddings.weight", kinds, width_axis(width), initial)
                });
                (both, types, norm(schema, "LayerNorm"))
            });
            let layers = (0..config.num_hidden_layers)
                .map(|index| {
                    let axes = format!("layers.{index}");
                    schema.within(format!("{}.{index}", names.layers), |schema| Layer {
                        attention: Attention::new(
                            schema,
                            &AttentionConfig {
                                width,
                                heads: config.num_attention_heads,
                                kv_heads: config.num_attention_heads,
                                head_dim: width / config.num_attention_heads.max(1),
                                causal: false,
                                window: None,
                                rotary: None,
                                head_norms: None,
                                biases: [true; 2],
                                deviations: [deviation; 2],
                                names: names.attention,
                                axes: &axes,
                            },
                        ),
                        attention_norm: norm(schema, names.attention_norm),
                        feed_forward: FeedForward::new(
                            schema,
                            FeedForwardNames::Plain { up: names.feed_forward[0], down: names.feed_forward[1] },
                            activation,
                            FeedForwardConfig {
                                width,
                                channels: config.intermediate_size,
                                bias: true,
                                deviations: [deviation; 2],
                                axes: &axes,
                            },
                        ),
                        feed_forward_norm: norm(schema, names.feed_forward_norm),
                    })
                })
                .collect();
            (embedding, types, embedding_norm, layers)
        });
        let labels = Axis::new("labels", head.labels());
        let end = match head {
            Head::Nothing => End::Nothing,
            Head::Labels(_) => End::Pooled {
                dense: dense(&mut schema, names.pooled[0], width_axis(width), width),
                activation: if family == BertFamily::DistilBert { Activation::Relu } else { Activation::Tanh },
                labels: dense(&mut schema, names.pooled[1], labels, width),
            },
            Head::TokenLabels(_) => End::EachToken(dense(&mut schema, "classifier", labels, width)),
            Head::Span => End::EachToken(dense(&mut schema, "qa_outputs", labels, width)),
            Head::Vocabulary => End::HiddenTokens {
                dense: dense(&mut schema, names.hidden_tokens[0], width_axis(width), width),
                activation: if family == BertFamily::Roberta { Activation::Gelu } else { activation },
                norm: norm(&mut schema, names.hidden_tokens[1]),
                bias: schema.vector(names.hidden_tokens[2], vocabulary_axis(config.vocab_size), Initial::Zeros),
            },
        };
        let schema = Arc::new(schema);
        Some(Self { config, family, head, schema, embedding, types, embedding_norm, layers, end })
    }

    /// What is looked up as the place of each token. Where a text spells padding out, RoBERTa does not count it.
    fn positions<'a>(&self, batch: &'a Batch) -> Cow<'a, [u32]> {
        let padding = match (self.family, self.config.pad_token_id) {
            (BertFamily::Roberta, padding) => padding.unwrap_or(ROBERTA_PADDING),
            _ => return Cow::Borrowed(batch.positions()),
        };
        let mut positions = Vec::with_capacity(batch.tokens().len());
        for ends in batch.starts().windows(2) {
            let mut last = padding;
            positions.extend(batch.tokens()[ends[0]..ends[1]].iter().map(|&token| {
                last += u32::from(token != padding);
                if token == padding { padding } else { last }
            }));
        }
        Cow::Owned(positions)
    }

    /// The kind of segment of each token. Models with one kind only know no other.
    fn kinds(&self, batch: &Batch) -> Vec<u32> {
        let last = self.config.type_vocab_size.saturating_sub(1) as u32;
        match batch.kinds() {
            [] => vec![0; batch.tokens().len()],
            kinds => kinds.iter().map(|&kind| kind.min(last)).collect(),
        }
    }
}

fn dense(schema: &mut Schema, name: &str, rows: Axis, width: usize) -> Dense {
    schema.within(name, |schema| Dense {
        matrix: schema.matrix("weight", rows.clone(), width_axis(width), Initial::Normal(0.02)),
        bias: schema.vector("bias", rows, Initial::Zeros),
    })
}

impl Dense {
    fn forward(self, weights: &Weights, x: &Tensor, pass: &mut Pass) -> Tensor {
        pass.linear(x, weights, self.matrix, Some(weights.vector(self.bias)))
    }
}

impl Architecture for Bert {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn config(&self) -> serde_json::Value {
        let mut config = serde_json::to_value(&self.config).expect("a config of plain numbers is JSON");
        let architecture = format!("{}{}", self.family.prefix(), self.head.family_suffix());
        config["architectures"] = serde_json::json!([architecture]);
        config["model_type"] = self.family.names().model.into();
        config
    }

    fn max_tokens(&self) -> usize {
        let before = match self.family {
            BertFamily::Roberta => self.config.pad_token_id.unwrap_or(ROBERTA_PADDING) as usize + 1,
            _ => 0,
        };
        self.config.max_position_embeddings.saturating_sub(before)
    }

    fn vocabulary(&self) -> usize {
        self.config.vocab_size
    }

    fn hidden(&self, weights: &Weights, batch: &Batch, pass: &mut Pass) -> Vec<Tensor> {
        let (positions, kinds) = (self.positions(batch), self.kinds(batch));
        let kinds = self.types.map(|types| (types, &kinds[..]));
        let norm = &self.embedding_norm;
        let mut x = self
            .embedding
            .forward_normed(weights, batch.tokens(), &positions, kinds, norm, pass)
            .dropout(&mut pass.noise);
        let mut states = vec![x.clone()];
        for (index, layer) in self.layers.iter().enumerate() {
            // The head reads the first token of each document.
            let is_last = index + 1 == self.layers.len();
            let queries = if is_last && *pass.wanted() == Wanted::First { Queries::First } else { Queries::All };
            x = layer.attention.forward_normed(weights, &layer.attention_norm, &x, batch, queries, pass);
            x = layer.feed_forward.forward_normed(weights, &layer.feed_forward_norm, &x, pass);
            pass.keep(&mut states, &x);
        }
        states
    }
}

impl Classifier for Bert {
    fn labels(&self) -> usize {
        self.head.labels()
    }

    fn classify(&self, weights: &Weights, batch: &Batch, pass: &mut Pass) -> Classification {
        let End::Pooled { dense, activation, labels } = self.end else {
            unreachable!("a BERT is loaded as a classifier with that head only")
        };
        let hidden = self.hidden(weights, batch, pass);
        let last = hidden.last().expect("there is always the embedding");
        let first = pass.pooled(Pooling::First, last, batch);
        let pooled = dense.forward(weights, &first, pass).activation(activation);
        let noisy = pooled.dropout(&mut pass.noise);
        let logits = labels.forward(weights, &noisy, pass);
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
            num_hidden_layers: sizes.layers.len(),
            num_attention_heads: sizes.heads,
            intermediate_size: sizes.channels,
            ..self.config.clone()
        };
        Box::new(Self::with_head(config, self.family, self.head).expect("the activation has not changed"))
    }
}

impl TaskEncoder for Bert {
    fn head_kind(&self) -> Head {
        self.head
    }

    fn pooling(&self) -> Pooling {
        Pooling::First
    }

    fn score(&self, weights: &Weights, rows: &Tensor, pass: &mut Pass) -> Tensor {
        match &self.end {
            End::Nothing => rows.clone(),
            End::Pooled { dense, activation, labels } => {
                let pooled = dense.forward(weights, rows, pass).activation(*activation);
                labels.forward(weights, &pooled, pass)
            }
            End::EachToken(labels) => labels.forward(weights, rows, pass),
            End::HiddenTokens { dense, activation, norm, bias } => {
                let bent = norm.forward(weights, &dense.forward(weights, rows, pass).activation(*activation));
                bent.linear(&weights.projection(self.embedding.tokens()), Some(weights.vector(*bias)))
            }
        }
    }
}
