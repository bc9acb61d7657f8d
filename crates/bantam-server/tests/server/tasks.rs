//! Encoders at their tasks, beside what the pipelines of `transformers` answer; `tests/tasks/make.py` made both.

use std::path::{Path, PathBuf};

use bantam_kernels::gemm::{PackedFormat, Precision};
use bantam_model::Weights;
use bantam_model::architectures::bert::{Bert, BertConfig, BertFamily};
use bantam_model::architectures::{Architecture, Head};
use bantam_runtime::tasks::TaskModel;
use bantam_server::{Served, ServedModel};
use bantam_tokens::Tokenizer;
use serde_json::{Value, json};

use super::client::{JSON, Server, bundle, language, options};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tasks").join(name)
}

pub(crate) fn encoder(name: &str) -> Served {
    opened(name, &folder(name), PackedFormat::F32)
}

fn opened(name: &str, folder: &Path, format: PackedFormat) -> Served {
    let model = TaskModel::open(folder, format).unwrap_or_else(|error| panic!("{name}: {error}"));
    Served { name: name.to_owned(), model: ServedModel::Encoder(Box::new(model)) }
}

/// A model of hidden tokens with a vocabulary far larger than its tokenizer's.
fn of_many_tokens() -> Served {
    let bert = Bert::with_head(
        BertConfig {
            vocab_size: 40_000,
            hidden_size: 4,
            intermediate_size: 4,
            num_hidden_layers: 1,
            num_attention_heads: 1,
            max_position_embeddings: 48,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            hidden_act: "gelu".to_owned(),
            num_labels: 0,
            pad_token_id: None,
        },
        BertFamily::Bert,
        Head::Vocabulary,
    );
    let bert = bert.unwrap();
    let arrays = Weights::initialise(bert.schema(), 1, Precision::F32).to_arrays();
    let tokenizer = Tokenizer::load(folder("bert_masked").join("tokenizer.json")).unwrap();
    let place = tempfile::tempdir().unwrap();
    bantam_model::folder::write(place.path(), &bert.config(), &arrays, &tokenizer).unwrap();
    opened("many", place.path(), PackedFormat::F32)
}

fn serving(names: &[&str]) -> Server {
    Server::start(names.iter().map(|name| encoder(name)).collect(), options())
}

/// f32 sums in another order differ in the last places; all else is the same.
fn assert_same(found: &Value, expected: &Value, place: &str) {
    match (found, expected) {
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{place}: {found:?}\nnot {expected:?}");
            for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
                assert_same(found, expected, &format!("{place}[{index}]"));
            }
        }
        (Value::Object(found), Value::Object(expected)) => {
            let keys =
                |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<std::collections::BTreeSet<_>>();
            assert_eq!(keys(found), keys(expected), "{place}");
            expected.iter().for_each(|(key, expected)| assert_same(&found[key], expected, &format!("{place}.{key}")));
        }
        (Value::Number(number), Value::Number(wanted)) if wanted.is_f64() => {
            let (number, wanted) = (number.as_f64().unwrap(), wanted.as_f64().unwrap());
            assert!((number - wanted).abs() <= 2e-6 + 1e-5 * wanted.abs(), "{place}: {number}, not {wanted}");
        }
        _ => assert_eq!(found, expected, "{place}"),
    }
}

fn check(name: &str) {
    let server = serving(&[name]);
    let cases: Vec<Value> =
        serde_json::from_slice(&std::fs::read(folder(name).join("expected.json")).unwrap()).unwrap();
    assert!(!cases.is_empty());
    for case in &cases {
        let own = format!("/models/{name}");
        let path = case["path"].as_str().filter(|path| !path.is_empty()).unwrap_or(&own);
        let found = server.fine(path, &case["body"]);
        assert_same(&found, &case["answer"], &format!("{name} {path} {}: ", case["body"]));
    }
}

#[test]
fn texts_are_labelled_as_by_transformers() {
    ["bert_labels", "bert_rank", "distilbert_labels", "roberta_labels"].iter().for_each(|name| check(name));
}

#[test]
fn tokens_are_labelled_as_by_transformers() {
    ["bert_tokens", "roberta_tokens", "modernbert_tokens"].iter().for_each(|name| check(name));
}

#[test]
fn hidden_tokens_are_found_as_by_transformers() {
    ["bert_masked", "distilbert_masked", "roberta_masked", "modernbert_masked"].iter().for_each(|name| check(name));
}

#[test]
fn answers_are_found_as_by_transformers() {
    ["bert_spans", "distilbert_spans", "roberta_spans"].iter().for_each(|name| check(name));
}

#[test]
fn unseen_labels_are_judged_as_by_transformers() {
    check("bert_nli");
}

#[test]
fn texts_become_numbers_as_by_transformers() {
    ["bert_plain", "bert_first"].iter().for_each(|name| check(name));
}

#[test]
fn all_addresses_of_a_model_lead_to_it() {
    let server = serving(&["bert_labels", "bert_plain"]);
    let body = json!({"inputs": "my card was stolen"});
    let labels = server.fine("/models/bert_labels", &body);
    assert_eq!(labels[0].as_array().unwrap().len(), 3);
    for path in ["/", "/models/bert_labels/pipeline/text-classification", "/pipeline/sentiment-analysis/bert_labels"] {
        assert_eq!(server.fine(path, &body), labels, "{path}");
    }
    let numbers = server.fine("/models/bert_plain", &body);
    for path in ["/embed", "/pipeline/feature-extraction/bert_plain", "/models/bert_plain/pipeline/feature-extraction"]
    {
        assert_eq!(server.fine(path, &body), numbers, "{path}");
    }
    // A client of OpenAI's interface gets the same numbers.
    let openai = server.fine("/v1/embeddings", &json!({"model": "bert_plain", "input": "my card was stolen"}));
    assert_same(&openai["data"][0]["embedding"], &numbers[0], "/v1/embeddings");
    // feature-extraction has its parameters beside the inputs.
    let short = server.fine("/models/bert_plain", &json!({"inputs": ["my"], "dimensions": 2, "normalize": true}));
    let [x, y] = [0, 1].map(|index| short[0][index].as_f64().unwrap());
    assert!((x * x + y * y - 1.0).abs() < 1e-6 && short[0].as_array().unwrap().len() == 2);
    assert_eq!(server.get("/models/bert_plain/health").status, 200);
}

#[test]
fn bundles_and_language_models_have_tasks_too() {
    let server = Server::start(vec![language(), bundle()], options());
    let classified = server.fine("/v1/classify", &json!({"text": "where is my order?"}));
    assert!(classified["in_scope"] == true && classified["hand_over"].is_null(), "{classified}");
    let empty = server.fine("/v1/classify", &json!({"texts": [" "]}));
    assert!(empty["answers"][0]["in_scope"] == false && empty["answers"][0]["hand_over"] == "out_of_scope", "{empty}");
    let labels = server.fine("/", &json!({"inputs": "where is my order?"}));
    assert_eq!(labels[0].as_array().unwrap().len(), 3);
    assert_eq!(labels[0][0]["label"], classified["label"]);
    assert_same(&labels[0][0]["score"], &classified["confidence"], "calibrated");
    let predicted = server.fine("/predict", &json!({"inputs": [["where is my order?"]]}));
    assert_same(&predicted[0][0]["score"], &classified["confidence"], "/predict");
    let raw =
        server.fine("/models/sample", &json!({"inputs": "a", "parameters": {"function_to_apply": "none", "top_k": 1}}));
    assert_eq!(raw[0].as_array().unwrap().len(), 1);
    let numbers = server.fine("/embed", &json!({"inputs": "Hello", "model": "tiny"}));
    let openai = server.fine("/v1/embeddings", &json!({"model": "tiny", "input": "Hello"}));
    assert_same(&numbers[0], &openai["data"][0]["embedding"], "/embed");
}

#[test]
fn nearness_stands_in_for_labels_where_no_model_judges_hypotheses() {
    let server = serving(&["bert_plain"]);
    let labels = ["stolen card", "the bill is due"];
    let body = json!({"inputs": "the bill is due", "parameters": {"candidate_labels": labels}});
    let found = server.fine("/models/bert_plain", &body);
    let sum: f64 = found.as_array().unwrap().iter().map(|found| found["score"].as_f64().unwrap()).sum();
    assert!(found[0]["label"] == "the bill is due" && (sum - 1.0).abs() < 1e-6, "{found}");
    let body = json!({"inputs": ["the bill is due"], "parameters": {"candidate_labels": labels, "multi_label": true}});
    let found = server.fine("/models/bert_plain", &body);
    assert_same(&found[0][0]["score"], &json!(1.0), "equal texts");
}

#[test]
fn refusals_are_texts_and_say_what_there_is() {
    let server = serving(&["bert_tokens", "bert_masked", "bert_spans", "bert_nli"]);
    let long = "my card ".repeat(40);
    let refused = |path: &str, body: Value, status: u16, word: &str| {
        let reply = server.post(path, &body);
        assert_eq!(reply.status, status, "{path} {body}: {}", reply.body);
        let found = reply.json();
        let error = found["error"].as_str().unwrap_or_else(|| panic!("{path}: {found}"));
        assert!(error.contains(word) && found["error_type"].is_string(), "{path} {body}: {error}");
    };
    refused("/models/nobody", json!({"inputs": "a"}), 404, "bert_tokens, bert_masked");
    refused("/pipeline/fill-mask/bert_tokens", json!({"inputs": "a"}), 400, "token-classification");
    refused("/pipeline/juggling/bert_tokens", json!({"inputs": "a"}), 404, "fill-mask");
    refused("/models/bert_tokens", json!({"inputs": {"question": "a", "context": "b"}}), 400, "token-classification");
    refused("/models/bert_tokens", json!({"parameters": {}}), 400, "inputs");
    refused("/models/bert_tokens", json!({"inputs": 5}), 400, "send a text");
    refused("/models/bert_tokens", json!({"inputs": long}), 413, "truncate");
    refused("/models/bert_tokens", json!({"inputs": vec!["a"; 1025]}), 413, "1024");
    refused(
        "/models/bert_tokens",
        json!({"inputs": "a", "parameters": {"aggregation_strategy": "odd"}}),
        400,
        "average",
    );
    refused("/models/bert_tokens", json!({"inputs": long, "parameters": {"stride": 46}}), 400, "overlap");
    refused("/models/bert_masked", json!({"inputs": "my card"}), 400, "[MASK]");
    refused("/models/bert_masked", json!({"inputs": "[MASK]", "parameters": {"top_k": 0}}), 400, "top_k");
    refused("/models/bert_masked", json!({"inputs": "[MASK]", "parameters": {"targets": []}}), 400, "targets");
    refused("/models/bert_spans", json!({"inputs": "a"}), 400, "question");
    let question = json!({"question": long, "context": "Anna works."});
    refused("/models/bert_spans", json!({"inputs": question}), 413, "48");
    let question = json!({"question": "who?", "context": "a ".repeat(4000)});
    let parameters = json!({"max_seq_len": 48, "doc_stride": 42});
    refused("/models/bert_spans", json!({"inputs": question, "parameters": parameters}), 413, "windows");
    let unfilled = json!({"candidate_labels": ["a"], "hypothesis_template": "It is so."});
    refused("/models/bert_nli", json!({"inputs": "a", "parameters": unfilled}), 400, "{}");
    refused("/models/bert_nli", json!({"inputs": "a", "parameters": {"candidate_labels": []}}), 400, "no label");
    refused("/predict", json!({"inputs": []}), 400, "empty");
    refused("/predict", json!({"inputs": "a", "model": "bert_tokens"}), 424, "token-classification");
    refused("/rerank", json!({"query": "a", "texts": ["b"]}), 424, "re-ranker");
    refused("/embed", json!({"inputs": []}), 400, "empty");
    refused("/embed", json!({"inputs": long}), 413, "truncate");
    // OpenAI's interface has another name for them, and no field that cuts them.
    let long_input = json!({"model": "bert_masked", "input": long});
    assert_eq!(server.refused("/v1/embeddings", &long_input, 413).0, "input");
    assert!(!server.post("/v1/embeddings", &long_input).body.contains("or send"));
    // Cut as asked, they are read.
    let cut = |direction: &str| {
        let body =
            json!({"inputs": format!("lost {long} stolen"), "truncate": true, "truncation_direction": direction});
        server.fine("/embed", &body)
    };
    assert_ne!(cut("left"), cut("Right"));
    let body = json!({"inputs": long, "parameters": {"truncation": true}});
    assert!(server.fine("/models/bert_tokens", &body).is_array());
}

#[test]
fn small_requests_cannot_ask_for_more_than_memory_holds() {
    let server = Server::start(vec![of_many_tokens(), encoder("bert_masked"), encoder("bert_spans")], options());
    let masks = |count: usize| "[MASK]".repeat(count);
    let ask = |name: &str, texts: Vec<String>, most: usize| {
        let reply = server.post(&format!("/models/{name}"), &json!({"inputs": texts, "parameters": {"top_k": most}}));
        (reply.status, reply.json()["error"].as_str().unwrap_or_default().to_owned())
    };
    // 46 rows of 40,000 numbers for each text.
    assert_eq!(ask("many", vec![masks(46); 2], 1).0, 200);
    let (status, error) = ask("many", vec![masks(46); 20], 1);
    assert!(status == 413 && error.contains("33554432 numbers") && error.contains("fewer texts"), "{status} {error}");
    // 46 places with 85 proposals, each a text of 48 tokens.
    assert_eq!(ask("bert_masked", vec![masks(46); 20], 1000).0, 200);
    let (status, error) = ask("bert_masked", vec![masks(46); 40], 1000);
    assert!(status == 413 && error.contains("4194304 tokens") && error.contains("top_k"), "{status} {error}");
    // A word of three million letters is one token, and part of most answers.
    let context = format!("a b c {} d e f", "x".repeat(3_000_000));
    let body = json!({"inputs": {"question": "who?", "context": context}, "parameters": {"top_k": 1000}});
    let reply = server.post("/models/bert_spans", &body);
    let error = reply.json()["error"].as_str().unwrap_or_default().to_owned();
    assert!(reply.status == 413 && error.contains("268435456 bytes"), "{} {error:.200}", reply.status);
    // What is told of one hidden token in each of many texts stays.
    assert_eq!(ask("bert_masked", vec![masks(1); 1024], 5).0, 200);
}

#[test]
fn many_answers_in_a_long_text_are_found_in_time() {
    let server = serving(&["bert_spans"]);
    let context: Vec<String> = (0..3000).map(|word| word.to_string()).collect();
    let parameters = json!({"top_k": 1000, "max_answer_len": 40});
    let body = json!({"inputs": {"question": "who?", "context": context.join(" ")}, "parameters": parameters});
    let headers = format!("{JSON}x-deadline-seconds: 10\r\n");
    let reply = server.ask("POST", "/models/bert_spans", &headers, &body.to_string());
    assert_eq!((reply.status, reply.json().as_array().map(Vec::len)), (200, Some(1000)), "{:.200}", reply.body);
}

#[test]
fn what_is_served_is_told_in_all_forms() {
    let server = serving(&["bert_rank", "bert_labels", "bert_first"]);
    let first = server.get("/info").json();
    assert_eq!((&first["model_id"], &first["max_input_length"]), (&json!("bert_rank"), &json!(48)));
    assert_eq!(first["model_type"]["reranker"]["id2label"], json!({"0": "LABEL_0"}));
    let info = |name: &str| server.get(&format!("/models/{name}/info")).json()["model_type"].clone();
    assert_eq!(info("bert_labels")["classifier"]["label2id"]["good"], 2);
    assert_eq!(info("bert_first"), json!({"embedding": {"pooling": "cls"}}));
    let models = server.get("/v1/models").json();
    assert_eq!(models["data"][1]["task"], "text-classification");
    assert_eq!(
        models["data"][2]["tasks"],
        json!(["feature-extraction", "sentence-similarity", "zero-shot-classification"])
    );
    let paths = server.get("/openapi.json").json()["paths"].clone();
    assert!(paths["/"]["post"].is_object() && paths["/"]["get"].is_object() && paths["/rerank"]["post"].is_object());
}

#[test]
fn the_numbers_that_models_are_stored_in_are_told() {
    let rounded = opened("rounded", &folder("bert_rank"), PackedFormat::Int8);
    let server = Server::start(vec![encoder("bert_rank"), rounded, language(), bundle()], options());
    let told = |name: &str| server.get(&format!("/models/{name}/info")).json()["model_dtype"].clone();
    assert_eq!(["bert_rank", "rounded", "tiny", "sample"].map(told), ["float32", "int8", "float32", "int8"]);
}

#[test]
fn errors_have_the_form_that_is_described() {
    let server = serving(&["bert_labels"]);
    let described = server.get("/openapi.json").json();
    let schemas = |path: &str| {
        let response = &described["paths"][path]["post"]["responses"]["default"];
        let schema = &response["content"]["application/json"]["schema"];
        let any = schema["anyOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
        let named = any.iter().map(|schema| schema["$ref"].as_str().unwrap().replace("#/components/schemas/", ""));
        named.map(|name| described["components"]["schemas"][name]["properties"].clone()).collect::<Vec<_>>()
    };
    for path in ["/", "/embed", "/predict", "/rerank", "/similarity", "/v1/embeddings", "/v1/classify"] {
        let found = server.post(path, &json!({"model": "nobody"})).json();
        let is_text = found["error"].is_string();
        let fits = |properties: &Value| {
            let kind = if is_text { "string" } else { "object" };
            properties["error"]["type"] == kind
                && found.as_object().unwrap().keys().all(|key| properties.get(key).is_some())
        };
        assert!(schemas(path).iter().any(fits), "{path}: {found}");
    }
}

#[test]
fn requests_that_wait_together_are_read_together() {
    let server = serving(&["bert_labels"]);
    let text = |index: usize| format!("my card number {index} was stolen {}", "today ".repeat(index % 7));
    let alone: Vec<Value> = (0..24).map(|index| server.fine("/", &json!({"inputs": text(index)}))).collect();
    let batches = server.metric("bantam_read_batches_total");
    assert_eq!((batches, server.metric("bantam_read_texts_total")), (24.0, 24.0));
    let all: Vec<String> = (0..24).map(text).collect();
    let together = server.fine("/", &json!({"inputs": all}));
    for (index, alone) in alone.iter().enumerate() {
        assert_eq!(together[index], alone[0], "text {index} is answered otherwise among others");
    }
    assert_eq!(server.metric("bantam_read_batches_total"), batches + 1.0);
    std::thread::scope(|scope| {
        let ask = |index: usize| {
            let server = &server;
            scope.spawn(move || server.fine("/", &json!({"inputs": text(index)})))
        };
        let asked: Vec<_> = (0..24).map(ask).collect();
        for (asked, alone) in asked.into_iter().zip(&alone) {
            assert_eq!(&asked.join().unwrap(), alone);
        }
    });
    assert_eq!((server.metric("bantam_read_texts_total"), server.metric("bantam_waiting_texts")), (72.0, 0.0));
}

#[test]
fn keys_and_limits_are_the_same_as_elsewhere() {
    let mut with_key = options();
    with_key.keys = vec!["secret".to_owned()];
    with_key.body_bytes = 200;
    let server = Server::start(vec![encoder("bert_labels")], with_key);
    let body = json!({"inputs": "my card"});
    for path in ["/", "/models/bert_labels", "/predict"] {
        assert_eq!(server.post(path, &body).status, 401, "{path}");
        let shown = format!("{JSON}Authorization: Bearer secret\r\n");
        assert_eq!(server.ask("POST", path, &shown, &body.to_string()).status, 200, "{path}");
        let large = json!({"inputs": "card ".repeat(100)}).to_string();
        assert_eq!(server.ask("POST", path, &shown, &large).status, 413, "{path}");
        let late = format!("{shown}x-deadline-seconds: 0\r\n");
        assert_eq!(server.ask("POST", path, &late, &body.to_string()).status, 504, "{path}");
    }
    assert_eq!(server.get("/").status, 200);
}
