//! `POST /v1/embeddings`.

use bantam_server::ServedModel;
use base64::Engine;
use serde_json::{Value, json};

use super::client::{POSITIONS, Server, bundle, language, tokenizer};

const PATH: &str = "/v1/embeddings";

fn numbers(value: &Value) -> Vec<f32> {
    serde_json::from_value(value["embedding"].clone()).unwrap()
}

fn close(found: &[f32], expected: &[f32]) {
    let length = expected.iter().map(|number| number * number).sum::<f32>().sqrt();
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).for_each(|(a, b)| assert!((a - b / length).abs() < 1e-5, "{a} {}", b / length));
}

#[test]
fn embeddings_are_the_models_states_at_the_length_of_1() {
    let server = Server::both();
    let text = "where is my order";
    let ids = [tokenizer().around().0, &tokenizer().encode_content(text)].concat();
    let ServedModel::Language(model) = language().model else { unreachable!() };
    let found = server.fine(PATH, &json!({"model": "tiny", "input": [text, "refund"]}));
    close(&numbers(&found["data"][0]), &model.mean_state(&ids));
    assert_eq!((&found["data"][1]["index"], &found["object"]), (&json!(1), &json!("list")));
    let by_ids = server.fine(PATH, &json!({"model": "tiny", "input": ids}));
    assert_eq!(by_ids["data"][0], found["data"][0]);
    assert_eq!(by_ids["usage"]["prompt_tokens"], ids.len());

    let ServedModel::Bundle(assistant) = bundle().model else { unreachable!() };
    let found = server.fine(PATH, &json!({"model": "sample", "input": text}));
    close(&numbers(&found["data"][0]), &assistant.embeddings(&[text]).0[0]);
}

#[test]
fn fewer_numbers_and_base64_are_the_same_numbers() {
    let server = Server::both();
    let ask = |fields: Value| {
        let mut body = json!({"model": "tiny", "input": "where is my order"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        server.fine(PATH, &body)["data"][0].clone()
    };
    let all = numbers(&ask(json!({})));
    let coded = ask(json!({"encoding_format": "base64"}));
    let bytes = base64::prelude::BASE64_STANDARD.decode(coded["embedding"].as_str().unwrap()).unwrap();
    let decoded: Vec<f32> = bytes.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(decoded, all);
    close(&numbers(&ask(json!({"dimensions": 8}))), &all[..8]);
}

#[test]
fn what_cannot_be_asked_is_refused_by_its_field() {
    let server = Server::both();
    for (fields, field) in [
        (json!({"input": null}), "input"),
        (json!({"input": []}), "input"),
        (json!({"input": [4_000_000]}), "input"),
        (json!({"input": vec![5; POSITIONS + 1]}), "input"),
        (json!({"model": "sample", "input": [1, 2]}), "input"),
        (json!({"dimensions": 0}), "dimensions"),
        (json!({"dimensions": 65}), "dimensions"),
        (json!({"encoding_format": "hex"}), "encoding_format"),
    ] {
        let mut body = json!({"model": "tiny", "input": "a"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let (found, _) = server.refused(PATH, &body, 400);
        assert_eq!(found, field, "{body}");
    }
}
