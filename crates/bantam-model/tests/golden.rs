//! Agreement with `transformers` on tiny models of each family; `golden/models.py` made the folders.
//!
//! With `BANTAM_GOLDEN_FOLDER` set, what is written goes there, for `models.py --check` to load.

use std::fs;
use std::path::{Path, PathBuf};

use bantam_kernels::gemm::Precision;
use bantam_model::architectures::LlamaFamily;
use bantam_model::arrays::{Arrays, read_safetensors};
use bantam_model::folder::{self, classifier_of, labelled_config, predictor_of, read_classifier, read_predictor};
use bantam_model::task_folder::task_encoder_of;
use bantam_model::{Batch, Pass};
use serde_json::{Value, json};

/// Keys that change nothing in what a model computes: provenance, training, and generation.
const WITHOUT_EFFECT: &[&str] = &[
    "attention_dropout",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "deterministic_flash_attn",
    "dtype",
    "embedding_dropout",
    "hidden_dropout_prob",
    "initializer_cutoff_factor",
    "initializer_range",
    "max_window_layers",
    "mlp_dropout",
    "pretraining_tp",
    "sparse_pred_ignore_index",
    "sparse_prediction",
    "transformers_version",
    "use_cache",
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).expect("the file is JSON")
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number") as f32).collect()
}

/// A folder's logits, all documents in one batch, and what the writer takes.
fn read(folder: &Path, ids: &[Vec<u32>]) -> (Vec<f32>, Value, Arrays, bantam_tokens::Tokenizer) {
    let batch = Batch::new(ids.iter().map(Vec::as_slice));
    let family = json_of(&folder.join("config.json"))["architectures"][0].as_str().unwrap().to_owned();
    let pass = &mut Pass::plain();
    if family.ends_with("ForSequenceClassification") {
        let model = read_classifier(folder, Precision::F32).unwrap();
        let logits = model.architecture.classify(&model.weights, &batch, pass).logits;
        let config = labelled_config(model.architecture.as_ref(), &model.labels);
        (logits.data().to_vec(), config, model.weights.to_arrays(), model.tokenizer)
    } else {
        let model = read_predictor(folder, Precision::F32).unwrap();
        let hidden = model.architecture.hidden(&model.weights, &batch, pass);
        let last = model.architecture.before_head(&model.weights, hidden.last().unwrap(), pass);
        let logits = last.linear(&model.architecture.head(&model.weights), None);
        (logits.data().to_vec(), model.architecture.config(), model.weights.to_arrays(), model.tokenizer.unwrap())
    }
}

/// f32 sums in another order differ in the last places: 4.2e-6 was the most, beside logits up to 4.9.
fn assert_close(logits: &[f32], expected: &[f32], name: &str) {
    assert_eq!(logits.len(), expected.len(), "{name}");
    let largest = logits.iter().zip(expected).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f32::max);
    assert!(largest <= 1e-5, "{name}: {largest} away from transformers");
}

/// Asserts that `transformers` takes the same settings from `written` as from its own `config`.
fn assert_same_settings(written: &Value, config: &Value, name: &str) {
    // What transformers takes where a key is absent; for the begin and end of a text, in BERT only.
    let silent = json!({
        "add_cross_attention": false,
        "attention_bias": false,
        "bos_token_id": null,
        "eos_token_id": null,
        "is_decoder": false,
        "mlp_bias": false,
        "sliding_window": null,
        "tie_word_embeddings": LlamaFamily::of(written).is_none(),
        "use_sliding_window": false,
    });
    let every = written["global_attn_every_n_layers"].as_u64().unwrap_or(1) as usize;
    for (key, expected) in config.as_object().unwrap() {
        // transformers reads the keys of its earlier versions, which Bantam writes so that those load the model, too.
        let (key, expected) = match key.as_str() {
            "rope_parameters" if LlamaFamily::of(written).is_some() => {
                let mut both = written.get("rope_scaling").cloned().unwrap_or(json!({"rope_type": "default"}));
                both["rope_theta"] = written["rope_theta"].clone();
                assert!(both == *expected, "{name}: {both}");
                continue;
            }
            "rope_parameters" => {
                let local = &expected["sliding_attention"]["rope_theta"];
                assert!(every == 1 || written["local_rope_theta"] == *local, "{name}: {written}");
                ("global_rope_theta", &expected["full_attention"]["rope_theta"])
            }
            "layer_types" => {
                let is_full = |(layer, kind): (usize, &Value)| (layer % every == 0) == (kind == "full_attention");
                assert!(expected.as_array().unwrap().iter().enumerate().all(is_full), "{name}: {written}");
                continue;
            }
            // Windows that no layer has.
            "local_attention" if every == 1 => continue,
            key => (key, expected),
        };
        if WITHOUT_EFFECT.contains(&key) {
            continue;
        }
        let found = written.get(key).unwrap_or(&silent[key]);
        // A number that went through f32 is the same setting.
        let same = match (found.as_f64(), expected.as_f64()) {
            (Some(found), Some(expected)) => found as f32 == expected as f32,
            _ => found == expected,
        };
        assert!(same, "{name}: {key} is {found}, and was {expected}");
    }
}

fn check(name: &str) {
    let source = fixture(name);
    let golden = json_of(&source.join("expected.json"));
    let ids: Vec<Vec<u32>> = serde_json::from_value(golden["ids"].clone()).unwrap();
    let expected: Vec<f32> = golden["logits"].as_array().unwrap().iter().flat_map(numbers).collect();
    let (logits, config, arrays, tokenizer) = read(&source, &ids);
    assert_close(&logits, &expected, name);

    let temporary = tempfile::tempdir().unwrap();
    let place = std::env::var_os("BANTAM_GOLDEN_FOLDER").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let target = place.join(name);
    folder::write(&target, &config, &arrays, &tokenizer).unwrap();
    fs::copy(source.join("expected.json"), target.join("expected.json")).unwrap();
    let tensors = |folder: &Path| read_safetensors(&fs::read(folder.join("model.safetensors")).unwrap()).unwrap();
    assert!(tensors(&target) == tensors(&source), "{name}: the tensors are not those that were read");
    assert_same_settings(&json_of(&target.join("config.json")), &json_of(&source.join("config.json")), name);
    assert_eq!(read(&target, &ids).0, logits, "{name}: what was written does not compute the same");
}

#[test]
fn llama_agrees_with_transformers() {
    check("llama_tied");
    check("llama_untied");
}

#[test]
fn slowed_positions_agree_with_transformers() {
    check("llama_3");
    check("llama_linear");
}

#[test]
fn families_that_are_built_like_llama_agree_with_transformers() {
    check("mistral");
    check("qwen2");
    check("qwen3");
}

#[test]
fn modernbert_agrees_with_transformers() {
    check("modernbert_classifier");
    check("modernbert_masked");
    check("modernbert_windows");
    let path = fixture("modernbert_windows").join("config.json");
    assert!(task_encoder_of(&json_of(&path), &path).is_ok());
}

#[test]
fn bert_agrees_with_transformers() {
    check("bert_classifier");
}

#[test]
fn adapters_change_models_as_in_peft() {
    for (base, adapter) in [("llama_tied", "llama_adapter"), ("bert_classifier", "bert_adapter")] {
        let golden = json_of(&fixture(adapter).join("expected.json"));
        let ids: Vec<Vec<u32>> = serde_json::from_value(golden["ids"].clone()).unwrap();
        let expected: Vec<f32> = golden["logits"].as_array().unwrap().iter().flat_map(numbers).collect();
        let both = PathBuf::from(format!("{}+{}", fixture(base).display(), fixture(adapter).display()));
        let batch = Batch::new(ids.iter().map(Vec::as_slice));
        let logits = if base == "llama_tied" {
            let model = read_predictor(&both, Precision::F32).unwrap();
            let hidden = model.architecture.hidden(&model.weights, &batch, &mut Pass::plain());
            hidden.last().unwrap().linear(&model.architecture.head(&model.weights), None)
        } else {
            let model = read_classifier(&both, Precision::F32).unwrap();
            model.architecture.classify(&model.weights, &batch, &mut Pass::plain()).logits
        };
        assert_close(logits.data(), &expected, adapter);
    }
}

#[test]
fn adapters_of_other_models_and_kinds_are_refused_by_name() {
    let both = |base: &str, adapter: &Path| PathBuf::from(format!("{}+{}", fixture(base).display(), adapter.display()));
    let refusal = |path: &Path| read_predictor(path, Precision::F32).err().unwrap().to_string();
    let foreign = refusal(&both("llama_tied", &fixture("bert_adapter")));
    assert!(foreign.contains("the model has no bert.encoder.layer.0"), "{foreign}");
    let place = tempfile::tempdir().unwrap();
    let weights = "adapter_model.safetensors";
    fs::copy(fixture("llama_adapter").join(weights), place.path().join(weights)).unwrap();
    let mut config = json_of(&fixture("llama_adapter").join("adapter_config.json"));
    for (key, value) in
        [("use_dora", json!(true)), ("alpha_pattern", json!({"q_proj": 3})), ("peft_type", json!("IA3"))]
    {
        let before = std::mem::replace(&mut config[key], value);
        fs::write(place.path().join("adapter_config.json"), config.to_string()).unwrap();
        let message = refusal(&both("llama_tied", place.path()));
        assert!(message.contains(key), "{message}");
        config[key] = before;
    }
}

#[test]
fn settings_that_are_not_computed_are_refused_by_name() {
    let refusal = |name: &str, key: &str, value: Value| {
        let path = fixture(name).join("config.json");
        let mut config = json_of(&path);
        config[key] = value;
        let message = if name == "modernbert_classifier" {
            classifier_of(&config, &path).err().map(|error| error.to_string())
        } else {
            predictor_of(&config, &path).err().map(|error| error.to_string())
        };
        let message = message.unwrap_or_else(|| panic!("{name} with another {key} was accepted"));
        assert!(message.contains(key), "{message}");
    };
    refusal("llama_tied", "hidden_act", json!("gelu"));
    refusal("llama_tied", "rope_parameters", json!({"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0}));
    refusal("llama_tied", "rope_scaling", json!({"type": "yarn", "factor": 2.0}));
    refusal("llama_tied", "rope_scaling", json!({"type": "linear", "factor": 0.0}));
    refusal("mistral", "sliding_window", json!(0));
    refusal("qwen2", "use_sliding_window", json!(true));
    refusal("qwen3", "layer_types", json!(["sliding_attention"]));
    refusal("llama_tied", "model_type", json!("gemma"));
    let path = fixture("llama_tied").join("config.json");
    let told = predictor_of(&json!({"model_type": "gemma"}), &path).err().unwrap().to_string();
    assert!(
        told.contains("model_type \"gemma\" is not supported here; supported: model_type llama, mistral"),
        "{told}"
    );
    refusal("modernbert_classifier", "hidden_activation", json!("relu"));
    refusal("modernbert_classifier", "layer_types", json!(["full_attention", "linear_attention"]));
    refusal("modernbert_classifier", "layer_types", json!(["full_attention"]));
    refusal("modernbert_windows", "local_attention", json!(-1));
    refusal("modernbert_masked", "tie_word_embeddings", json!(false));
}

#[test]
fn a_window_is_as_long_as_texts_may_be_and_silent_configs_mean_what_transformers_takes() {
    let path = fixture("mistral").join("config.json");
    let max_tokens = |key: &str, value: Option<Value>| {
        let mut config = json_of(&path);
        config.as_object_mut().unwrap().remove(key);
        value.into_iter().for_each(|value| config[key] = value);
        config["max_position_embeddings"] = json!(9000);
        predictor_of(&config, &path).unwrap().max_tokens()
    };
    assert_eq!(max_tokens("sliding_window", Some(json!(8))), 8);
    assert_eq!(max_tokens("sliding_window", Some(Value::Null)), 9000);
    assert_eq!(max_tokens("sliding_window", None), 4096);
}

#[test]
fn sizes_that_no_attention_has_are_errors() {
    let predictor = |name: &str, changes: &[(&str, u64)]| {
        let path = fixture(name).join("config.json");
        let mut config = json_of(&path);
        changes.iter().for_each(|(key, value)| config[key] = json!(value));
        predictor_of(&config, &path).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(predictor("llama_tied", &[("num_key_value_heads", 3)]).contains("among 3 heads of keys and values"));
    assert!(predictor("llama_tied", &[("num_key_value_heads", 0)]).contains("among 0 heads of keys and values"));
    assert!(predictor("llama_tied", &[("head_dim", 3)]).contains("3 numbers per head"));
    assert!(predictor("modernbert_masked", &[("num_attention_heads", 0)]).contains("among 0 heads"));
}

#[test]
fn tables_that_cannot_be_read_are_errors() {
    let config = |name: &str, key: &str, value: Value| {
        let path = fixture(name).join("config.json");
        let mut config = json_of(&path);
        config[key] = value;
        (config, path)
    };
    let classifier = |(config, path): (Value, PathBuf)| classifier_of(&config, &path).err().unwrap().to_string();
    let encoder = |(config, path): (Value, PathBuf)| task_encoder_of(&config, &path).err().unwrap().to_string();
    for key in ["type_vocab_size", "max_position_embeddings"] {
        let changed = config("bert_classifier", key, json!(0));
        let (message, same) = (classifier(changed.clone()), encoder(changed));
        assert!(message.contains(key) && same == message, "{message}\n{same}");
    }
    let bent = config("bert_classifier", "hidden_act", json!("mish"));
    assert!(classifier(bent.clone()).contains("gelu_new") && encoder(bent).contains("gelu_new"));
    // Nothing hashes features where an encoder is read for a task.
    let features = config("modernbert_classifier", "features", json!({"buckets": 8, "width": 4}));
    assert!(encoder(features).contains("features"));
}

#[test]
fn gradients_agree_with_pytorch() {
    for name in ["llama_tied", "llama_untied", "llama_3", "llama_linear", "mistral", "qwen2", "qwen3"] {
        let source = fixture(name);
        let golden = json_of(&source.join("expected.json"));
        let ids: Vec<Vec<u32>> = serde_json::from_value(golden["ids"].clone()).unwrap();
        let norm = |name: &str| golden["gradient_norms"][name].as_f64().unwrap();
        let model = read_predictor(&source, Precision::F32).unwrap();
        let (architecture, weights) = (model.architecture.as_ref(), model.weights.tracked(|_| true));
        let next = |row: &Vec<u32>| row[1..].iter().copied().chain([u32::MAX]).collect::<Vec<_>>();
        let targets: Vec<u32> = ids.iter().flat_map(next).collect();
        let hidden = architecture.hidden(&weights, &Batch::new(ids.iter().map(Vec::as_slice)), &mut Pass::plain());
        let loss = hidden.last().unwrap().linear_cross_entropy(&architecture.head(&weights), &targets, 0.0, None);
        let gradients = loss.backward();
        for (entry, tensor) in weights.tensors() {
            // Fused matrices carry the name of their first part.
            let parts = |all: &[&str]| {
                let first = all[0];
                all.iter().map(|part| norm(&entry.name().replace(first, part)).powi(2)).sum::<f64>().sqrt()
            };
            let expected = match entry.name() {
                fused if fused.contains("q_proj") => parts(&["q_proj", "k_proj", "v_proj"]),
                fused if fused.contains("gate_proj") => parts(&["gate_proj", "up_proj"]),
                single => norm(single),
            };
            let gradient = gradients.get(tensor).unwrap_or_else(|| panic!("{name}: {} has no gradient", entry.name()));
            let found = gradient.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            assert!((found - expected).abs() < 1e-5 * expected, "{name}: {} {found}, not {expected}", entry.name());
        }
    }
}

#[test]
fn a_folder_says_how_conversations_are_written_and_what_ends_answers() {
    let golden = fixture("llama_tied");
    let temporary = tempfile::tempdir().unwrap();
    let place = |name: &str| temporary.path().join(name);
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(golden.join(name), place(name)).unwrap();
    }
    let read = || folder::read_predictor(temporary.path(), Precision::F32);
    let (template, ends) = read().map(|read| (read.chat_template, read.ends)).unwrap();
    assert_eq!((template, ends), (None, vec![3]), "config.json has eos_token_id 3");

    fs::write(place("generation_config.json"), r#"{"eos_token_id": [4, 5, 99999]}"#).unwrap();
    fs::write(
        place("tokenizer_config.json"),
        r#"{"chat_template": "one", "bos_token": {"content": "when"}, "eos_token": "now"}"#,
    )
    .unwrap();
    let found = read().unwrap();
    assert_eq!((found.chat_template.as_deref(), found.ends), (Some("one"), vec![4, 5]));
    let tokenizer = found.tokenizer.unwrap();
    assert_eq!((tokenizer.special().begin, tokenizer.special().end), (tokenizer.id("when"), tokenizer.id("now")));

    let named = r#"{"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]}"#;
    fs::write(place("tokenizer_config.json"), named).unwrap();
    assert_eq!(read().unwrap().chat_template.as_deref(), Some("{% if tools %}T{% else %}D{% endif %}"));
    fs::write(place("tokenizer_config.json"), r#"{"chat_template": 5}"#).unwrap();
    assert!(read().err().unwrap().to_string().contains("tokenizer_config.json: chat_template"));
    fs::write(place("chat_template.jinja"), "file").unwrap();
    assert_eq!(read().unwrap().chat_template.as_deref(), Some("file"));

    let copy = temporary.path().join("copy");
    let found = read().unwrap();
    let (config, arrays) = (found.architecture.config(), found.weights.to_arrays());
    folder::write_predictor(
        &copy,
        &config,
        &arrays,
        &found.tokenizer.unwrap(),
        found.chat_template.as_deref(),
        &found.ends,
    )
    .unwrap();
    let back = folder::read_predictor(&copy, Precision::F32).unwrap();
    assert_eq!((back.chat_template.as_deref(), back.ends), (Some("file"), vec![4, 5]));
}

#[test]
fn a_written_folder_tells_transformers_what_its_special_tokens_are_for() {
    let temporary = tempfile::tempdir().unwrap();
    let place = std::env::var_os("BANTAM_GOLDEN_FOLDER").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let folder = place.join("chat");
    let model = read_predictor(&fixture("mistral"), Precision::F32).unwrap();
    let tokenizer = model.tokenizer.unwrap().with_begin_and_end(Some("when"), Some("now"));
    let template = "{{ bos_token }}{% for message in messages %}{{ message.content }}{{ eos_token }}{% endfor %}";
    let (config, arrays) = (model.architecture.config(), model.weights.to_arrays());
    folder::write_predictor(&folder, &config, &arrays, &tokenizer, Some(template), &[4]).unwrap();
    let expected = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "when",
        "eos_token": "now",
        "unk_token": "[UNK]",
        "pad_token": "[PAD]",
        "clean_up_tokenization_spaces": false,
        "model_max_length": 32,
        "chat_template": template,
    });
    assert_eq!(json_of(&folder.join("tokenizer_config.json")), expected);
    let back = read_predictor(&folder, Precision::F32).unwrap().tokenizer.unwrap().special();
    assert_eq!((back.begin, back.end), (tokenizer.id("when"), tokenizer.id("now")));
}
