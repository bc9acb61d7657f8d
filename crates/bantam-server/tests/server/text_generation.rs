//! `text-generation` in the way of text-generation-inference.

use serde_json::{Value, json};

use super::client::{Server, bundle, language, options};
use super::tasks::encoder;

const PROMPT: &str = "where is my order";

fn completion(server: &Server, fields: &Value) -> Value {
    let mut body = json!({"model": "tiny", "prompt": PROMPT, "max_tokens": 6, "temperature": 0, "logprobs": 2});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    server.fine("/v1/completions", &body)["choices"][0].clone()
}

#[test]
fn a_text_is_gone_on_with_as_a_completion_is() {
    let server = Server::start(vec![encoder("bert_rank"), bundle(), language()], options());
    let expected = completion(&server, &json!({}));
    // The first model that generates, though others stand before it; greedy, unless something asks to draw.
    for (path, parameters) in [
        ("/", json!({"max_new_tokens": 6})),
        ("/models/tiny", json!({"max_new_tokens": 6, "top_k": null})),
        ("/models/tiny/pipeline/text-generation", json!({"max_new_tokens": 6, "top_p": 1.0})),
    ] {
        let found = server.fine(path, &json!({"inputs": PROMPT, "parameters": parameters}));
        assert_eq!(found, json!([{"generated_text": expected["text"]}]), "{path}");
    }
    let drawn = completion(&server, &json!({"temperature": 1.5, "seed": 4}));
    let parameters = json!({"max_new_tokens": 6, "temperature": 1.5, "seed": 4, "return_full_text": true});
    let found = server.fine("/", &json!({"inputs": PROMPT, "parameters": parameters}));
    assert_eq!(found[0]["generated_text"], format!("{PROMPT}{}", drawn["text"].as_str().unwrap()));

    let parameters = json!({"max_new_tokens": 6, "details": true, "top_n_tokens": 2});
    let body = json!({"inputs": PROMPT, "parameters": parameters});
    let details = server.fine("/", &body)[0]["details"].clone();
    assert_eq!((&details["finish_reason"], &details["generated_tokens"]), (&json!("length"), &json!(6)));
    let logs: Vec<&Value> = details["tokens"].as_array().unwrap().iter().map(|token| &token["logprob"]).collect();
    assert_eq!(json!(logs), expected["logprobs"]["token_logprobs"]);
    assert_eq!(details["top_tokens"][0].as_array().unwrap().len(), 2);

    let mut streamed = body.clone();
    streamed["stream"] = true.into();
    let events = server.post("/", &streamed).events();
    assert_eq!(events.len(), 6);
    let text: String = events.iter().map(|event| event["token"]["text"].as_str().unwrap()).collect();
    let last = events.last().unwrap();
    assert_eq!((json!(text), &last["generated_text"]), (expected["text"].clone(), &expected["text"]));
    assert_eq!(last["details"]["finish_reason"], "length");
    assert!(events[..5].iter().all(|event| event["generated_text"].is_null()));

    let pattern = json!({"max_new_tokens": 20, "grammar": {"type": "regex", "value": "yes|no"}});
    let found = server.fine("/", &json!({"inputs": PROMPT, "parameters": pattern}));
    assert!(["yes", "no"].contains(&found[0]["generated_text"].as_str().unwrap()), "{found}");
}

#[test]
fn models_that_do_not_generate_say_so() {
    let server = Server::start(vec![encoder("bert_rank"), bundle()], options());
    let body = json!({"inputs": PROMPT, "parameters": {"max_new_tokens": 5}});
    for (path, status) in [("/", 404), ("/models/bert_rank", 400), ("/models/sample", 400)] {
        let reply = server.post(path, &body);
        assert_eq!(reply.status, status, "{path}: {}", reply.body);
        assert!(reply.json()["error"].as_str().unwrap().contains("text-generation"), "{}", reply.body);
    }
    let server = Server::both();
    for parameters in
        [json!({"watermark": true}), json!({"best_of": 2}), json!({"grammar": "a"}), json!({"temperature": -1})]
    {
        let reply = server.post("/models/tiny", &json!({"inputs": "a", "parameters": parameters}));
        assert_eq!(reply.status, 400, "{}", reply.body);
    }
}

#[test]
fn a_chat_can_be_had_at_the_address_of_a_model() {
    let server = Server::both();
    let body = json!({
        "model": "tgi", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 4, "temperature": 0,
    });
    let found = server.fine("/models/tiny/v1/chat/completions", &body);
    let mut named = body.clone();
    named["model"] = "tiny".into();
    assert_eq!(found["model"], "tiny");
    assert_eq!(found["choices"], server.fine("/v1/chat/completions", &named)["choices"]);
    assert_eq!(server.post("/models/nowhere/v1/chat/completions", &body).status, 404);
}
