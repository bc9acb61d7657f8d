//! One folder-less file per architecture, each the only definition of its forward pass.

use std::sync::Arc;

use bantam_tensor::{Matrix, Tensor};

use crate::batch::Batch;
use crate::pass::Pass;
use crate::schema::{Entry, MatrixId, Schema};
use crate::weights::Weights;

pub mod bert;
pub mod encoder;
mod heads;
pub mod llama;
mod llama_variant;
mod rotary_scaling;

pub use heads::{Head, TaskEncoder};
pub use llama_variant::{LlamaFamily, LlamaVariant};
pub use rotary_scaling::RotaryScaling;

/// A family of models: which weights there are, and what is computed with them.
pub trait Architecture: Send + Sync {
    /// The declaration of the weights.
    fn schema(&self) -> &Arc<Schema>;

    /// The `config.json` that describes this model to Bantam and, where the family is known there, to `transformers`.
    fn config(&self) -> serde_json::Value;

    /// The most tokens in one document.
    fn max_tokens(&self) -> usize;

    /// Rows of the token table.
    fn vocabulary(&self) -> usize;

    /// The residual stream before the first layer, after each layer, and at last normalised: each `[tokens, width]`. A pass that
    /// continues pasts or does not want all states keeps the last of them only, perhaps for the tokens that it wants.
    fn hidden(&self, weights: &Weights, batch: &Batch, pass: &mut Pass) -> Vec<Tensor>;
}

/// What a classifier answers for a batch.
pub struct Classification {
    /// One score per label: `[documents, labels]`.
    pub logits: Tensor,
    /// What the last matrix multiplied: `[documents, features]`.
    pub pooled: Tensor,
    /// What [`Architecture::hidden`] gave; the last of it, perhaps with a row for each document only, where the pass wants the answer only.
    pub hidden: Vec<Tensor>,
}

/// An architecture with a classification head.
pub trait Classifier: Architecture {
    /// How many labels there are.
    fn labels(&self) -> usize;

    /// Scores every document of the batch.
    fn classify(&self, weights: &Weights, batch: &Batch, pass: &mut Pass) -> Classification;

    /// What can be pruned, layer by layer.
    fn prunable(&self) -> Vec<Prunable>;

    /// The number of hashed features and their table, where the model has one.
    fn features(&self) -> Option<FeatureShape>;

    /// The same architecture with other sizes.
    fn resized(&self, sizes: &Sizes) -> Box<dyn Classifier>;
}

/// The sizes that pruning may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    /// Rows of the token table.
    pub vocabulary: usize,
    /// Which layers stay, in order.
    pub layers: Vec<usize>,
    /// Heads in each layer.
    pub heads: usize,
    /// Feed-forward channels in each layer.
    pub channels: usize,
}

/// One layer's matrices whose inputs can be cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prunable {
    /// Prefix of the layer's axes and names.
    pub layer: String,
    /// Multiplies the heads' outputs.
    pub heads: MatrixId,
    /// Numbers per head.
    pub head_dim: usize,
    /// Multiplies the feed-forward channels.
    pub channels: MatrixId,
}

/// The wide half of a classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureShape {
    /// Rows of the hashed table.
    pub buckets: usize,
    /// Numbers per row.
    pub width: usize,
}

/// An architecture that predicts tokens from hidden states.
pub trait TokenPredictor: Architecture {
    /// The state that the head multiplies, `[tokens, width]`, from the last of [`Architecture::hidden`].
    fn before_head(&self, weights: &Weights, hidden: &Tensor, pass: &mut Pass) -> Tensor;

    /// The head: `[vocabulary, width]`.
    fn head(&self, weights: &Weights) -> Matrix;

    /// How the head's weight is declared: a matrix of its own, or the table of tokens.
    fn head_entry(&self) -> &Entry;
}
