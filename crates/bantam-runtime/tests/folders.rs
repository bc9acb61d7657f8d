//! Classifiers in the layout of Hugging Face, as the runtime opens them.

use std::path::Path;

use bantam_kernels::gemm::{PackedFormat, Precision};
use bantam_model::architectures::bert::{Bert, BertConfig};
use bantam_model::architectures::encoder::{Encoder, EncoderConfig};
use bantam_model::architectures::{Architecture, Classifier, FeatureShape};
use bantam_model::folder::{self, labelled_config};
use bantam_model::layers::Pooling;
use bantam_model::{Batch, Pass, Random, Weights};
use bantam_runtime::Assistant;
use bantam_runtime::sample::{TEXTS, parts};

const LABELS: usize = 20;

/// A BERT with random weights, and sizes that make several pieces of its heads and channels.
fn write(path: &Path) -> Bert {
    let tokenizer = parts().tokenizer;
    let bert = Bert::new(BertConfig {
        pad_token_id: None,
        vocab_size: tokenizer.vocabulary_size(),
        hidden_size: 256,
        intermediate_size: 1024,
        num_hidden_layers: 3,
        num_attention_heads: 8,
        max_position_embeddings: 64,
        type_vocab_size: 2,
        layer_norm_eps: 1e-12,
        hidden_act: "gelu".to_owned(),
        num_labels: LABELS,
    })
    .unwrap();
    let mut weights = Weights::initialise(bert.schema(), 5, Precision::F32);
    // As large as those of trained models, so that tokens look at one another and channels bend.
    for (_, tensor) in weights.tensors_mut().filter(|(entry, _)| !entry.name().contains("Norm")) {
        *tensor = tensor.scale(3.0);
    }
    let labels: Vec<String> = (0..LABELS).map(|label| format!("label {label}")).collect();
    folder::write(path, &labelled_config(&bert, &labels), &weights.to_arrays(), &tokenizer).unwrap();
    bert
}

fn best(scores: &[f32]) -> usize {
    (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap()
}

#[test]
fn a_folder_in_int8_answers_as_it_does_in_f32() {
    let place = tempfile::tempdir().unwrap();
    let bert = write(place.path());
    let open = |format| Assistant::open(place.path(), format).unwrap();
    let (exact, rounded) = (open(PackedFormat::F32), open(PackedFormat::Int8));
    assert!(rounded.bytes() < exact.bytes() / 2);
    let mut random = Random::new(9, 0);
    let documents: Vec<Vec<u32>> =
        (0..300).map(|_| (0..1 + random.below(40)).map(|_| random.below(bert.vocabulary()) as u32).collect()).collect();
    let batch = Batch::new(documents.iter().map(Vec::as_slice));
    let scores = |assistant: &Assistant| assistant.classifier().classify_batch(&batch).logits.data().to_vec();
    let (exact_scores, rounded_scores) = (scores(&exact), scores(&rounded));
    // Nothing of the fast path: the definition, all tokens of all layers.
    let read = folder::read_classifier(place.path(), Precision::F32).unwrap();
    let plain = bert.classify(&read.weights, &batch, &mut Pass::plain()).logits;
    for (a, b) in plain.data().iter().zip(&exact_scores) {
        assert!((a - b).abs() < 1e-3, "{a} and {b}");
    }
    let (mut agreeing, mut worst) = (0, 1.0f32);
    for (a, b) in exact_scores.chunks(LABELS).zip(rounded_scores.chunks(LABELS)) {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        worst = worst.min(dot(a, b) / (dot(a, a) * dot(b, b)).sqrt());
        agreeing += usize::from(best(a) == best(b));
    }
    assert!(worst > 0.99 && agreeing >= 285, "cosine {worst} at worst, {agreeing} of 300 labels agree");
    // Alone as in company.
    for (document, together) in documents.iter().zip(rounded_scores.chunks(LABELS)).step_by(29) {
        let alone = rounded.classifier().classify_batch(&Batch::new([&document[..]])).logits;
        for (a, b) in alone.data().iter().zip(together) {
            assert!((a - b).abs() < 1e-4, "{a} alone, {b} in company");
        }
    }
}

#[test]
fn a_folder_is_an_assistant_whose_answers_all_count() {
    let place = tempfile::tempdir().unwrap();
    write(place.path());
    let assistant = Assistant::load(place.path()).unwrap();
    for answer in assistant.answer_all(&TEXTS) {
        assert!(answer.label.starts_with("label ") && answer.in_scope && answer.reply.is_none(), "{answer:?}");
        assert!(answer.confidence > 0.0 && answer.alternatives.len() == 3);
        assert_eq!(answer.out_of_scope.to_string(), "0");
    }
    std::fs::remove_file(place.path().join("tokenizer.json")).unwrap();
    let fault = Assistant::load(place.path()).err().unwrap().to_string();
    assert!(fault.contains("tokenizer.json"), "{fault}");
}

#[test]
fn a_folder_with_hashed_features_answers_as_the_bundle_of_the_same_parts() {
    let (place, parts) = (tempfile::tempdir().unwrap(), parts());
    let hasher = parts.hasher.clone();
    folder::write_classifier(place.path(), &parts.config, &parts.arrays, &parts.tokenizer, hasher.as_ref()).unwrap();
    let found = Assistant::open(place.path(), PackedFormat::F32).unwrap().classifier().logits(&TEXTS);
    let expected = Assistant::from_parts(parts).unwrap().classifier().logits(&TEXTS);
    for (a, b) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!((a - b).abs() < 1e-4, "{a} and {b}");
    }
    let path = place.path().join("features.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("64", "65")).unwrap();
    let fault = Assistant::load(place.path()).err().unwrap().to_string();
    assert!(fault.contains("features.json") && fault.contains("65 buckets"), "{fault}");
}

#[test]
fn folders_that_could_not_answer_are_refused() {
    let tokenizer = parts().tokenizer;
    let refusal = |change: &dyn Fn(&mut EncoderConfig)| {
        let mut config = EncoderConfig {
            vocab_size: tokenizer.vocabulary_size(),
            hidden_size: 8,
            intermediate_size: 8,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            head_dim: None,
            max_position_embeddings: 16,
            global_rope_theta: 10_000.0,
            norm_eps: 1e-5,
            classifier_pooling: Pooling::Mean,
            num_labels: 2,
            features: None,
            windows: None,
        };
        change(&mut config);
        let (model, place) = (Encoder::new(config), tempfile::tempdir().unwrap());
        let arrays = Weights::initialise(model.schema(), 1, Precision::F32).to_arrays();
        let labels = ["a", "b"].map(str::to_owned);
        folder::write(place.path(), &labelled_config(&model, &labels), &arrays, &tokenizer).unwrap();
        let found = Assistant::load(place.path()).map(|assistant| assistant.answer("where is my order?"));
        found.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(refusal(&|_| ()), "");
    let features = Some(FeatureShape { buckets: 64, width: 4 });
    assert!(refusal(&|config| config.features = features).contains("nothing hashes any"));
    assert!(refusal(&|config| config.max_position_embeddings = 0).contains("no token at all"));
    assert!(refusal(&|config| config.vocab_size -= 1).contains("ids"));
}
