//! A tiny bundle with random weights, for tests and for trying the tools: it has every part, and knows nothing.

use bantam_kernels::gemm::{Precision, quantize_rows};
use bantam_model::Weights;
use bantam_model::architectures::encoder::{Encoder, EncoderConfig};
use bantam_model::architectures::{Architecture, FeatureShape};
use bantam_model::arrays::{Array, Arrays, Values};
use bantam_model::folder::labelled_config;
use bantam_model::layers::Pooling;
use bantam_tokens::{Kind, NgramHasher, Tokenizer, TrainOptions};

use crate::BundleParts;

/// Texts that the sample's tokenizer was trained on.
pub const TEXTS: [&str; 6] = [
    "where is my order",
    "i want a refund for my order",
    "change my address please",
    "my card was declined",
    "what is the weather like",
    "please track my parcel",
];

const LABELS: [&str; 3] = ["order_status", "refund", "change_address"];

/// The parts, with three labels and one column of scores for "none of these". Every answer counts as sure.
pub fn parts() -> BundleParts {
    let options = TrainOptions { vocabulary: 90, min_frequency: 1, ..TrainOptions::default() };
    let tokenizer = Tokenizer::train(Kind::WordPiece, TEXTS, &options).expect("the sample texts train a tokenizer");
    let hasher = NgramHasher { buckets: 64, ..NgramHasher::default() };
    let encoder = Encoder::new(EncoderConfig {
        vocab_size: tokenizer.vocabulary_size(),
        hidden_size: 16,
        intermediate_size: 24,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        head_dim: None,
        max_position_embeddings: 32,
        global_rope_theta: 10_000.0,
        norm_eps: 1e-5,
        classifier_pooling: Pooling::Mean,
        num_labels: LABELS.len() + 1,
        features: Some(FeatureShape { buckets: 64, width: 8 }),
        windows: None,
    });
    let labels: Vec<String> = LABELS.iter().map(|&label| label.to_owned()).collect();
    let columns: Vec<String> = labels.iter().cloned().chain(["out_of_scope".to_owned()]).collect();
    let weights = Weights::initialise(encoder.schema(), 7, Precision::F32);
    BundleParts {
        name: "sample".to_owned(),
        replies: labels.iter().map(|label| (label.clone(), format!("This is about {label}."))).collect(),
        labels,
        config: labelled_config(&encoder, &columns),
        hasher: Some(hasher),
        max_tokens: 32,
        temperature: 1.0,
        threshold: Some(0.0),
        licence: "MIT".to_owned(),
        made_by: "bantam".to_owned(),
        languages: vec!["en".to_owned()],
        arrays: weights.to_arrays(),
        tokenizer,
        hand_over: String::new(),
        card: "# sample\n".to_owned(),
    }
}

/// The same with its matrices and tables as int8 codes.
pub fn quantised_parts() -> BundleParts {
    let parts = parts();
    let arrays: Arrays = parts.arrays.iter().map(|(name, array)| (name.clone(), quantised(array))).collect();
    BundleParts { arrays, ..parts }
}

fn quantised(array: &Array) -> Array {
    if array.shape.len() != 2 {
        return array.clone();
    }
    let (codes, scales) = quantize_rows(&array.to_f32(), array.rows(), array.row_len());
    Array { shape: array.shape.clone(), values: Values::Int8 { codes, scales } }
}
