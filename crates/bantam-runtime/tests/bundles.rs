//! Bundles as their users meet them: written, loaded, answering, damaged.

use std::path::Path;

use bantam_kernels::gemm::Precision;
use bantam_model::folder::classifier_of;
use bantam_model::{Pass, TextEncoder, Weights};
use bantam_runtime::sample::{TEXTS, parts, quantised_parts};
use bantam_runtime::{Assistant, BundleParts, HandOver, LoadError};

fn from_bytes(bytes: &[u8]) -> Result<Assistant, LoadError> {
    BundleParts::from_bytes(bytes, Path::new("x.bantam")).and_then(Assistant::from_parts)
}

fn message(bytes: &[u8]) -> String {
    from_bytes(bytes).err().expect("it should be refused").to_string()
}

/// The scores of the model that the parts were made from, without a bundle.
fn unbundled(parts: &BundleParts) -> Vec<Vec<f32>> {
    let model = classifier_of(&parts.config, Path::new("config")).unwrap();
    let weights = Weights::from_arrays(model.schema(), &parts.arrays, Precision::F32).unwrap();
    let encoder = TextEncoder::new(parts.tokenizer.clone(), parts.hasher.clone(), parts.max_tokens);
    let logits = model.classify(&weights, &encoder.batch(TEXTS), &mut Pass::plain()).logits;
    logits.data().chunks(4).map(<[f32]>::to_vec).collect()
}

#[test]
fn a_loaded_bundle_answers_as_the_model_did() {
    let folder = tempfile::tempdir().unwrap();
    for (name, parts) in [("plain", parts()), ("int8", quantised_parts())] {
        let path = folder.path().join(name);
        parts.write(&path).unwrap();
        let assistant = Assistant::load(&path).unwrap();
        assert_eq!(assistant.bytes(), std::fs::metadata(&path).unwrap().len());
        for (text, scores) in TEXTS.iter().zip(unbundled(&parts)) {
            let powers: Vec<f32> = scores.iter().map(|score| score.exp()).collect();
            let sum: f32 = powers.iter().sum();
            let best = (0..3).max_by(|&a, &b| powers[a].total_cmp(&powers[b])).unwrap();
            let answer = assistant.answer(text);
            assert_eq!(answer.label, parts.labels[best], "{name}: {text}");
            assert!((answer.confidence - powers[best] / sum).abs() < 1e-4, "{name}: {answer:?}");
            assert!(answer.in_scope && answer.reply == parts.replies.get(&answer.label).cloned());
            assert_eq!(answer.alternatives.len(), 3);
        }
    }
}

#[test]
fn many_answers_are_the_single_ones_in_order() {
    let assistant = Assistant::from_parts(quantised_parts()).unwrap();
    let texts: Vec<String> = (0..150).map(|n| TEXTS[n % 6].repeat(1 + n % 4)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for (text, answer) in texts.iter().zip(assistant.answer_all(&texts)) {
        let single = assistant.answer(text);
        assert_eq!((answer.label, answer.entities), (single.label, single.entities));
        assert!((answer.confidence - single.confidence).abs() < 1e-4);
    }
    assert!(assistant.answer_all(&[]).is_empty());
}

#[test]
fn the_threshold_decides_and_nothing_is_never_answered() {
    let strict = Assistant::from_parts(BundleParts { threshold: None, ..parts() }).unwrap();
    let answer = strict.answer(TEXTS[0]);
    assert!(answer.hand_over.is_some() && answer.reply == Some(strict.hand_over()), "{answer:?}");
    let assistant = Assistant::from_parts(parts()).unwrap();
    for nothing in ["", "  \n\t"] {
        let answer = assistant.answer(nothing);
        assert_eq!((answer.in_scope, answer.confidence, answer.out_of_scope), (false, 0.0, 1.0));
        assert_eq!(answer.hand_over, Some(HandOver::OutOfScope));
        assert!(answer.alternatives.iter().all(|(_, share)| *share == 0.0), "{answer:?}");
    }
    for strange in ["\u{0}", "\u{1f600}\u{200d}", "[CLS] [PAD] [MASK]", &"x".repeat(1_000_000), &"é ".repeat(50_000)] {
        assert!(assistant.answer(strange).confidence.is_finite());
    }
}

/// The sample's answer where its last layer has these scores for three labels and "none of these".
fn biased(scores: [f32; 4], threshold: f32) -> bantam_runtime::Answer {
    let mut parts = BundleParts { threshold: Some(threshold), ..parts() };
    let numbers = |values: Vec<f32>| bantam_model::arrays::Values::F32(values);
    let weight = parts.arrays.get_mut("classifier.weight").unwrap();
    weight.values = numbers(vec![0.0; weight.shape.iter().product()]);
    parts.arrays.get_mut("classifier.bias").unwrap().values = numbers(scores.to_vec());
    Assistant::from_parts(parts).unwrap().answer("where is my order")
}

#[test]
fn being_unsure_and_being_out_of_scope_are_told_apart() {
    // Probabilities 0.76, 0.10, 0.10 and 0.04.
    let likely = biased([3.0, 1.0, 1.0, 0.0], 0.9);
    assert!(likely.confidence > 0.7 && likely.out_of_scope < 0.1, "{likely:?}");
    assert_eq!((likely.in_scope, likely.hand_over), (true, Some(HandOver::Unsure)));
    let foreign = biased([1.0, 0.0, 0.0, 3.0], 0.9);
    assert_eq!((foreign.in_scope, foreign.hand_over), (false, Some(HandOver::OutOfScope)));
    let sure = biased([3.0, 1.0, 1.0, 0.0], 0.7);
    assert_eq!((sure.in_scope, sure.hand_over), (true, None));
    let told = |answer| serde_json::to_value(answer).unwrap()["hand_over"].clone();
    assert_eq!(
        [told(likely), told(foreign), told(sure)],
        ["unsure".into(), "out_of_scope".into(), serde_json::Value::Null]
    );
}

#[test]
fn weights_that_are_no_numbers_give_no_answer() {
    let mut parts = parts();
    let bias = parts.arrays.get_mut("classifier.bias").unwrap();
    bias.values = bantam_model::arrays::Values::F32(vec![f32::NAN; 4]);
    let answer = Assistant::from_parts(parts).unwrap().answer("where is my order");
    assert_eq!((answer.in_scope, answer.confidence), (false, 0.0));
    assert!(answer.alternatives.iter().all(|(_, share)| share.is_finite()));
}

#[test]
fn what_is_cut_off_foreign_or_damaged_is_refused_by_name() {
    let bytes = parts().to_bytes();
    for length in (0..bytes.len()).step_by(64) {
        let message = message(&bytes[..length]);
        assert!(message.starts_with("x.bantam: "), "{length}: {message}");
    }
    assert!(message(b"GGUF....").contains("not a Bantam bundle"));
    let missing = Assistant::load(Path::new("/nowhere/x.bantam")).err().unwrap().to_string();
    assert!(missing.contains("/nowhere/x.bantam") && missing.contains(".bantam file"), "{missing}");
}

#[test]
fn a_flipped_bit_anywhere_is_refused_by_name() {
    let bytes = parts().to_bytes();
    let reader = bantam_artifact::bundle::Reader::new(&bytes).unwrap();
    // The sections begin after the header, and every one of its bits is tried.
    let body = reader.names().map(|name| reader.section(name).unwrap().as_ptr() as usize).min().unwrap();
    let body = body - bytes.as_ptr() as usize;
    for bit in (0..8 * body).chain((8 * body..8 * bytes.len()).step_by(997)) {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let message = message(&damaged);
        assert!(message.starts_with("x.bantam: "), "{bit}: {message}");
    }
}

/// Why parts with one change are refused.
fn refusal(change: impl FnOnce(&mut BundleParts)) -> String {
    let mut parts = parts();
    change(&mut parts);
    message(&parts.to_bytes())
}

#[test]
fn parts_that_contradict_each_other_are_refused() {
    let has = |message: &str, expected: &str| assert!(message.contains(expected), "{message}");
    has(&refusal(|parts| parts.labels.clear()), "no labels");
    has(&refusal(|parts| parts.labels.extend(["a".to_owned(), "b".to_owned()])), "5 labels for 4 columns");
    has(&refusal(|parts| parts.labels.swap(0, 1)), "stands where its config has");
    has(&refusal(|parts| parts.hasher = None), "nothing hashes any");
    has(&refusal(|parts| parts.hasher.as_mut().unwrap().buckets = 65), "65 buckets");
    has(&refusal(|parts| parts.temperature = 0.0), "temperature");
    has(&refusal(|parts| parts.max_tokens = 0), "max_tokens");
    has(&refusal(|parts| parts.config["vocab_size"] = 5.into()), "5 rows");
    has(&refusal(|parts| parts.config["hidden_size"] = 32.into()), "should have shape");
    has(&refusal(|parts| parts.config["num_hidden_layers"] = 1_000_000.into()), "more layers");
    has(&refusal(|parts| parts.config["model_type"] = "gpt".into()), "gpt");
    has(&refusal(|parts| drop(parts.arrays.remove("classifier.bias"))), "missing: classifier.bias");
    for key in ["hidden_size", "num_attention_heads", "intermediate_size", "max_position_embeddings", "num_labels"] {
        for value in [0u64, 1, 3, 1 << 27, u64::MAX] {
            // Whatever stands there: an error or an answer, never a panic.
            let mut parts = parts();
            parts.config[key] = value.into();
            if let Ok(assistant) = from_bytes(&parts.to_bytes()) {
                assistant.answer("where is my order");
            }
        }
    }
}

#[test]
fn assistants_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Assistant>();
}
