//! Models as artifacts: a Hugging Face folder, and beside it how features are hashed.

use std::path::Path;

use bantam_kernels::gemm::Precision;
use bantam_kernels::isa::Isa;
use bantam_model::architectures::encoder::{Encoder, EncoderConfig};
use bantam_model::architectures::{Architecture, Classifier, FeatureShape};
use bantam_model::folder::{labelled_config, read_classifier, write_classifier};
use bantam_model::layers::Pooling;
use bantam_model::{TextEncoder, Weights};
use bantam_runtime::TextClassifier;
use bantam_tokens::{NgramHasher, Tokenizer};

use crate::{Error, ModelSection};

/// The precision that training products are computed in on this machine.
pub(crate) fn training_precision() -> Precision {
    if Isa::current().bf16_is_fast() { Precision::Bf16 } else { Precision::F32 }
}

/// The encoder that a section describes.
pub(crate) fn encoder_config(section: &ModelSection, vocabulary: usize, labels: usize) -> EncoderConfig {
    EncoderConfig {
        vocab_size: vocabulary,
        hidden_size: section.width,
        intermediate_size: section.channels,
        num_hidden_layers: section.layers,
        num_attention_heads: section.heads,
        head_dim: None,
        max_position_embeddings: section.max_tokens,
        global_rope_theta: 10_000.0,
        norm_eps: 1e-5,
        classifier_pooling: Pooling::First,
        num_labels: labels,
        features: (section.buckets > 0)
            .then_some(FeatureShape { buckets: section.buckets as usize, width: section.feature_width }),
        windows: None,
    }
}

/// The hasher that feeds a section's feature table.
pub(crate) fn hasher(section: &ModelSection) -> Option<NgramHasher> {
    (section.buckets > 0).then(|| NgramHasher { buckets: section.buckets, ..NgramHasher::default() })
}

/// The text encoder of a section.
pub(crate) fn text_encoder(section: &ModelSection, tokenizer: Tokenizer) -> TextEncoder {
    TextEncoder::new(tokenizer, hasher(section), section.max_tokens)
}

/// A fresh encoder of a section's sizes, with what feeds it.
pub(crate) fn fresh(
    section: &ModelSection,
    tokenizer: &Tokenizer,
    labels: usize,
    seed: u64,
) -> (Encoder, TextEncoder, Weights) {
    let model = Encoder::new(encoder_config(section, tokenizer.vocabulary_size(), labels));
    let weights = Weights::initialise(model.schema(), seed, training_precision());
    (model, text_encoder(section, tokenizer.clone()), weights)
}

/// Writes a classifier's folder.
pub(crate) fn save(
    folder: &Path,
    model: &dyn Classifier,
    weights: &Weights,
    encoder: &TextEncoder,
    columns: &[String],
) -> Result<(), Error> {
    let (config, arrays) = (labelled_config(model, columns), weights.to_arrays());
    Ok(write_classifier(folder, &config, &arrays, encoder.tokenizer(), encoder.hasher())?)
}

/// Reads a classifier's folder.
pub(crate) fn load(folder: &Path, precision: Precision) -> Result<TextClassifier, Error> {
    let read = read_classifier(folder, precision)?;
    let max_tokens = read.architecture.max_tokens();
    let encoder = TextEncoder::new(read.tokenizer, read.hasher, max_tokens);
    Ok(TextClassifier { architecture: read.architecture, weights: read.weights, encoder, labels: read.labels })
}
