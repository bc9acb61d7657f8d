//! Models as artifacts: a Hugging Face folder, and beside it how features are hashed.

use std::path::Path;

use bantam_artifact::{Artifact, write_atomic};
use bantam_kernels::gemm::Precision;
use bantam_kernels::isa::Isa;
use bantam_model::architectures::encoder::{Encoder, EncoderConfig};
use bantam_model::architectures::{Architecture, Classifier, FeatureShape};
use bantam_model::folder::{labelled_config, read_classifier, write};
use bantam_model::layers::Pooling;
use bantam_model::{TextEncoder, Weights};
use bantam_runtime::TextClassifier;
use bantam_tokens::{NgramHasher, Tokenizer};

use super::corpus::read_json;
use crate::{Error, ModelSection};

/// What only Bantam's own models have: how texts are hashed into features.
const FEATURES: &str = "features.json";

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
        classifier_pooling: Pooling::Mean,
        num_labels: labels,
        features: (section.buckets > 0)
            .then_some(FeatureShape { buckets: section.buckets as usize, width: section.feature_width }),
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
    write(folder, &labelled_config(model, columns), &weights.to_arrays(), encoder.tokenizer())?;
    if let Some(hasher) = encoder.hasher() {
        let text = serde_json::to_vec(hasher).expect("a hasher is plain data");
        write_atomic(&folder.join(FEATURES), &text)?;
    }
    Ok(())
}

/// Reads the folders of classifiers that answer together.
pub(crate) fn load_all(artifacts: &[Artifact], precision: Precision) -> Result<Vec<TextClassifier>, Error> {
    artifacts.iter().map(|artifact| load(artifact.folder(), precision)).collect()
}

/// Scores of each text by classifiers that answer together: those of a single one, or the logarithms of their mean probabilities.
pub(crate) fn joint_logits(members: &[TextClassifier], texts: &[&str]) -> Vec<Vec<f32>> {
    if let [only] = members {
        return only.logits(texts);
    }
    let mut sums: Vec<Vec<f32>> = Vec::new();
    for member in members {
        let probabilities = member.logits(texts).into_iter().map(|scores| softmax(&scores));
        if sums.is_empty() {
            sums = probabilities.collect();
        } else {
            for (sum, row) in sums.iter_mut().zip(probabilities) {
                sum.iter_mut().zip(row).for_each(|(sum, probability)| *sum += probability);
            }
        }
    }
    // Not even all members together are surer than single precision can tell.
    let logarithm = |sum: f32| (sum / members.len() as f32).max(f32::MIN_POSITIVE).ln();
    sums.into_iter().map(|row| row.into_iter().map(logarithm).collect()).collect()
}

fn softmax(scores: &[f32]) -> Vec<f32> {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores.iter().map(|score| (score - top).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// Reads a classifier's folder.
pub(crate) fn load(folder: &Path, precision: Precision) -> Result<TextClassifier, Error> {
    let read = read_classifier(folder, precision)?;
    let hasher = match read.architecture.features() {
        Some(shape) => {
            let hasher: NgramHasher = read_json(&folder.join(FEATURES))?;
            if hasher.buckets as usize != shape.buckets {
                let what = format!("{} buckets, but the model has {}", hasher.buckets, shape.buckets);
                return Err(Error::Damaged { path: folder.join(FEATURES), what });
            }
            Some(hasher)
        }
        None => None,
    };
    let max_tokens = read.architecture.max_tokens();
    let encoder = TextEncoder::new(read.tokenizer, hasher, max_tokens);
    Ok(TextClassifier { architecture: read.architecture, weights: read.weights, encoder, labels: read.labels })
}

#[cfg(test)]
mod tests {
    use bantam_model::arrays::Array;
    use bantam_runtime::sample;

    use super::*;

    fn classifier(temper: f32) -> TextClassifier {
        let mut parts = sample::parts();
        for (name, array) in &mut parts.arrays {
            if name.contains("classifier") {
                let values = array.to_f32().iter().map(|value| value * temper).collect();
                *array = Array::plain(array.shape.clone(), values);
            }
        }
        parts.classifier(Path::new("sample")).unwrap()
    }

    #[test]
    fn joint_scores_are_the_logarithms_of_mean_probabilities() {
        let members = [classifier(1.0), classifier(-2.0)];
        let texts = [sample::TEXTS[0], sample::TEXTS[3]];
        assert_eq!(joint_logits(&members[..1], &texts), members[0].logits(&texts));
        let joint = joint_logits(&members, &texts);
        for (index, text) in texts.iter().enumerate() {
            let probabilities = members.each_ref().map(|member| {
                let powers: Vec<f64> = member.logits(&[text])[0].iter().map(|&score| f64::from(score).exp()).collect();
                let sum: f64 = powers.iter().sum();
                powers.into_iter().map(move |power| power / sum).collect::<Vec<f64>>()
            });
            assert!(probabilities[0] != probabilities[1]);
            for (column, score) in joint[index].iter().enumerate() {
                let mean = (probabilities[0][column] + probabilities[1][column]) / 2.0;
                assert!((f64::from(*score) - mean.ln()).abs() < 1e-4, "{score} is not the logarithm of {mean}");
            }
        }
    }
}
