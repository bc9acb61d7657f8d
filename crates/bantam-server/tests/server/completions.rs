//! `POST /v1/completions`.

use serde_json::{Value, json};

use super::client::{POSITIONS, Server, tokenizer};

const PATH: &str = "/v1/completions";

fn with(fields: &Value) -> Value {
    let mut body =
        json!({"model": "tiny", "prompt": "where is my order", "max_tokens": 24, "seed": 5, "ignore_eos": true});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

/// The texts of a stream's answers, and why each ended.
fn streamed(server: &Server, fields: &Value, count: usize) -> (Vec<String>, Vec<String>, Vec<Value>) {
    let reply = server.post(PATH, &with(fields));
    assert!(reply.body.ends_with("data: [DONE]\n\n"), "{}", reply.body);
    let (mut texts, mut reasons) = (vec![String::new(); count], vec![String::new(); count]);
    let events = reply.events();
    for choice in events.iter().flat_map(|event| event["choices"].as_array().unwrap()) {
        let index = choice["index"].as_u64().unwrap() as usize;
        assert_eq!(reasons[index], "", "nothing follows the end");
        texts[index] += choice["text"].as_str().unwrap();
        reasons[index] += choice["finish_reason"].as_str().unwrap_or_default();
    }
    (texts, reasons, events)
}

fn texts(value: &Value) -> Vec<String> {
    value["choices"].as_array().unwrap().iter().map(|choice| choice["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_streamed_answer_is_the_answer() {
    let server = Server::both();
    for fields in [
        json!({}),
        json!({"temperature": 0}),
        json!({"n": 3, "temperature": 1.5}),
        json!({"prompt": ["a", "my order"]}),
    ] {
        let whole = server.fine(PATH, &with(&fields));
        let expected = texts(&whole);
        let mut fields = fields;
        fields["stream"] = true.into();
        fields["stream_options"] = json!({"include_usage": true});
        let (found, reasons, events) = streamed(&server, &fields, expected.len());
        assert_eq!(found, expected, "{fields}");
        assert!(reasons.iter().all(|reason| reason == "length"), "{reasons:?}");
        let usage = &events.last().unwrap()["usage"];
        for key in ["prompt_tokens", "completion_tokens", "total_tokens"] {
            assert_eq!(usage[key], whole["usage"][key], "{key}");
        }
    }
    let whole = server.fine(PATH, &with(&json!({"n": 3})));
    let prompt = tokenizer().encode_content("where is my order").len() + 1;
    assert_eq!(whole["usage"]["prompt_tokens"], prompt);
    assert_eq!(whole["usage"]["completion_tokens"], 3 * 24);
    assert_eq!((&whole["object"], &whole["model"]), (&json!("text_completion"), &json!("tiny")));
}

#[test]
fn a_prompt_is_the_same_in_all_its_spellings() {
    let server = Server::both();
    let text = "where is my order";
    let ids = [tokenizer().around().0, &tokenizer().encode_content(text)].concat();
    let answer = |prompt: Value| texts(&server.fine(PATH, &with(&json!({"prompt": prompt}))));
    let expected = answer(json!(text));
    assert_eq!(answer(json!([text])), expected);
    assert_eq!(answer(json!(ids)), expected);
    assert_eq!(answer(json!([ids, ids])), [expected.clone(), expected].concat());
}

#[test]
fn seeds_repeat_and_answers_to_one_prompt_differ() {
    let server = Server::both();
    let answer = |fields: Value| texts(&server.fine(PATH, &with(&fields)));
    let several = answer(json!({"n": 3, "temperature": 1.5}));
    assert_eq!(answer(json!({"n": 3, "temperature": 1.5})), several);
    assert!(several[0] != several[1] && several[1] != several[2]);
    assert_eq!(answer(json!({"temperature": 1.5}))[0], several[0]);
    assert_ne!(answer(json!({"seed": null, "temperature": 1.5})), answer(json!({"seed": null, "temperature": 1.5})));
}

#[test]
fn settings_do_what_they_are_called_by() {
    let server = Server::both();
    let greedy = json!({"temperature": 0, "logprobs": 2, "max_tokens": 12});
    let first = server.fine(PATH, &with(&greedy));
    let logs = &first["choices"][0]["logprobs"];
    let told: Vec<&str> = logs["tokens"].as_array().unwrap().iter().map(|token| token.as_str().unwrap()).collect();
    assert_eq!(told.len(), 12);
    for (index, top) in logs["top_logprobs"].as_array().unwrap().iter().enumerate() {
        let best = top.as_object().unwrap().values().map(|value| value.as_f64().unwrap()).fold(f64::MIN, f64::max);
        assert_eq!(logs["token_logprobs"][index].as_f64().unwrap(), best, "the likeliest was taken");
        assert!(best <= 0.0);
    }
    // A stop string is where the answer ends, and is not part of it.
    let text = first["choices"][0]["text"].as_str().unwrap();
    let stop = text.chars().nth(5).unwrap().to_string();
    let cut = server.fine(PATH, &with(&json!({"temperature": 0, "stop": [stop]})));
    assert_eq!(cut["choices"][0]["text"], text[..text.find(&stop).unwrap()]);
    assert_eq!(cut["choices"][0]["finish_reason"], "stop");
    // A token that is all but forced comes every time.
    let token = tokenizer().encode_content("please")[0];
    let forced = server.fine(PATH, &with(&json!({"logit_bias": {token.to_string(): 100}, "max_tokens": 3})));
    assert_eq!(forced["choices"][0]["text"], tokenizer().decode(&[token]).repeat(3));
    // Positions that the model knows bound the answer.
    let long = server.fine(PATH, &with(&json!({"max_tokens": 100_000, "temperature": 0})));
    assert_eq!(long["choices"][0]["finish_reason"], "length");
    assert_eq!(long["usage"]["total_tokens"], POSITIONS);
}

#[test]
fn what_cannot_be_asked_is_refused_by_its_field() {
    let server = Server::both();
    let long: Vec<u32> = vec![5; POSITIONS];
    let cases = [
        (json!({"model": "none"}), 404, "model"),
        (json!({"model": "sample"}), 400, "model"),
        (json!({"model": 5}), 400, "model"),
        (json!({"prompt": null}), 400, "prompt"),
        (json!({"prompt": []}), 400, "prompt"),
        (json!({"prompt": [[]]}), 400, "prompt"),
        (json!({"prompt": {"text": "a"}}), 400, "prompt"),
        (json!({"prompt": [4_000_000]}), 400, "prompt"),
        (json!({"prompt": long}), 400, "prompt"),
        (json!({"prompt": vec!["a"; 129]}), 400, "prompt"),
        (json!({"temperature": -1}), 400, "temperature"),
        (json!({"temperature": "warm"}), 400, "temperature"),
        (json!({"top_p": 2}), 400, "top_p"),
        (json!({"top_k": -5}), 400, "top_k"),
        (json!({"max_tokens": -1}), 400, "max_tokens"),
        (json!({"n": 0}), 400, "n"),
        (json!({"n": 1000}), 400, "n"),
        (json!({"logprobs": 21}), 400, "logprobs"),
        (json!({"logit_bias": {"a": 1}}), 400, "logit_bias"),
        (json!({"logit_bias": {"4000000": 1}}), 400, "logit_bias"),
        (json!({"logit_bias": {"1": 101}}), 400, "logit_bias"),
        (json!({"stop": vec!["a"; 17]}), 400, "stop"),
        (json!({"echo": true}), 400, "echo"),
        (json!({"suffix": "end"}), 400, "suffix"),
        (json!({"best_of": 4}), 400, "best_of"),
        (json!({"stream": "yes"}), 400, "stream"),
        (json!({"response_format": {"type": "xml"}}), 400, "response_format"),
        (json!({"structured_outputs": {"regex": "("}}), 400, "structured_outputs"),
    ];
    for (fields, status, field) in cases {
        assert_eq!(server.refused(PATH, &with(&fields), status).0, field, "{fields}");
    }
    assert_eq!(server.refused(PATH, &with(&json!({"model": "none"})), 404).1, "model_not_found");
    assert_eq!(server.refused(PATH, &with(&json!({"prompt": long})), 400).1, "context_length_exceeded");
    // What other servers have and this one need not know is passed over.
    server.fine(
        PATH,
        &with(&json!({"user": "me", "echo": false, "suffix": null, "best_of": 1, "use_beam_search": false})),
    );
}
