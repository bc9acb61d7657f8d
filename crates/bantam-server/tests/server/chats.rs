//! `POST /v1/chat/completions`.

use serde_json::{Value, json};

use super::client::{POSITIONS, Server, language, options, tokenizer};

const PATH: &str = "/v1/chat/completions";

fn with(fields: &Value) -> Value {
    let mut body = json!({
        "model": "tiny", "max_completion_tokens": 400, "seed": 5,
        "messages": [{"role": "system", "content": "help"}, {"role": "user", "content": "where is my order"}],
    });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

fn tools() -> Value {
    let parameters = json!({"type": "object", "properties": {"kind": {"enum": ["order", "refund"]}},
        "required": ["kind"], "additionalProperties": false});
    json!([{"type": "function", "function": {"name": "track", "description": "Tracks", "parameters": parameters}},
        {"type": "function", "function": {"name": "wait", "parameters": parameters}}])
}

/// The message that a stream's pieces make, and why it ended.
fn joined(events: &[Value]) -> (Value, Value) {
    let (mut content, mut calls, mut reason) = (String::new(), Vec::new(), Value::Null);
    for choice in events.iter().flat_map(|event| event["choices"].as_array().unwrap()) {
        assert!(reason.is_null(), "nothing follows the end");
        content += choice["delta"]["content"].as_str().unwrap_or_default();
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            assert_eq!(call["index"], calls.len());
            calls.push(call["function"].clone());
        }
        reason = choice["finish_reason"].clone();
    }
    (json!({"content": content, "calls": calls}), reason)
}

fn message(whole: &Value) -> (Value, Value) {
    let choice = &whole["choices"][0];
    let calls = choice["message"]["tool_calls"].as_array().into_iter().flatten();
    let calls: Vec<&Value> = calls.map(|call| &call["function"]).collect();
    let content = choice["message"]["content"].as_str().unwrap_or_default();
    (json!({"content": content, "calls": calls}), choice["finish_reason"].clone())
}

#[test]
fn a_streamed_message_is_the_message() {
    let server = Server::both();
    let schema = json!({"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"],
        "additionalProperties": false});
    for fields in [
        json!({"ignore_eos": true}),
        json!({"temperature": 0}),
        json!({"tools": tools()}),
        json!({"tools": tools(), "tool_choice": "required"}),
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}}),
    ] {
        let whole = server.fine(PATH, &with(&fields));
        let mut fields = fields;
        fields["stream"] = true.into();
        fields["stream_options"] = json!({"include_usage": true});
        let reply = server.post(PATH, &with(&fields));
        assert!(reply.body.ends_with("data: [DONE]\n\n"), "{}", reply.body);
        let events = reply.events();
        assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
        assert!(
            events.iter().all(|event| event["object"] == "chat.completion.chunk" && event["id"] == events[0]["id"])
        );
        assert_eq!(joined(&events), message(&whole), "{fields}");
        let usage = &events.last().unwrap()["usage"];
        assert_eq!(usage["completion_tokens"], whole["usage"]["completion_tokens"]);
        assert_eq!(usage["prompt_tokens"], whole["usage"]["prompt_tokens"]);
    }
}

#[test]
fn answers_have_the_form_that_was_asked_for() {
    let server = Server::both();
    let answer = |fields: Value| {
        let whole = server.fine(PATH, &with(&fields));
        assert_eq!(whole["choices"][0]["finish_reason"], "stop", "{whole}");
        whole["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    };
    let schema = json!({"type": "object", "properties": {"label": {"enum": ["yes", "no"]}, "sure": {"type": "boolean"}},
        "required": ["label", "sure"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}});
    let value: Value = serde_json::from_str(&answer(json!({"response_format": format}))).unwrap();
    assert!(["yes", "no"].contains(&value["label"].as_str().unwrap()) && value["sure"].is_boolean(), "{value}");
    let choice = answer(json!({"structured_outputs": {"choice": ["re: fund?", "order*"]}}));
    assert!(["re: fund?", "order*"].contains(&choice.as_str()), "{choice}");
    let pattern = answer(json!({"structured_outputs": {"regex": "[ab]{3}-[0-9]{2}"}}));
    assert!(pattern.len() == 6 && pattern.as_bytes()[3] == b'-', "{pattern}");
    let grammar = answer(json!({"structured_outputs": {"grammar": "start: \"one\" | \"two\""}}));
    assert!(["one", "two"].contains(&grammar.as_str()), "{grammar}");
}

#[test]
fn tools_are_called_when_they_must_be() {
    let server = Server::both();
    for (choice, names) in [
        (json!("required"), &["track", "wait"][..]),
        (json!({"type": "function", "function": {"name": "wait"}}), &["wait"]),
    ] {
        let whole = server.fine(PATH, &with(&json!({"tools": tools(), "tool_choice": choice})));
        let chosen = &whole["choices"][0];
        assert_eq!(chosen["finish_reason"], "tool_calls", "{whole}");
        let call = &chosen["message"]["tool_calls"][0];
        assert!(call["id"].as_str().unwrap().starts_with("call_") && call["type"] == "function");
        assert!(names.contains(&call["function"]["name"].as_str().unwrap()));
        let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
        assert!(["order", "refund"].contains(&arguments["kind"].as_str().unwrap()), "{arguments}");
        // The conversation goes on with what came of it.
        let answered = json!({"role": "tool", "tool_call_id": call["id"], "content": "on its way"});
        server.fine(PATH, &with(&json!({"messages": [{"role": "user", "content": "a"}, chosen["message"], answered]})));
    }
    let none = server.fine(PATH, &with(&json!({"tools": tools(), "tool_choice": "none"})));
    let without = server.fine(PATH, &with(&json!({})));
    assert_eq!(message(&none), message(&without));
}

#[test]
fn tokens_are_told_with_their_probabilities_and_bytes() {
    let server = Server::both();
    let fields = json!({"logprobs": true, "top_logprobs": 3, "temperature": 0, "ignore_eos": true,
        "max_completion_tokens": 40});
    let whole = server.fine(PATH, &with(&fields));
    let content = whole["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert_eq!(content.len(), 40);
    let bytes: Vec<u8> =
        content.iter().flat_map(|token| serde_json::from_value::<Vec<u8>>(token["bytes"].clone()).unwrap()).collect();
    let special = ["<s>", "</s>", "<pad>", "<unk>"];
    if !content.iter().any(|token| special.contains(&token["token"].as_str().unwrap())) {
        assert_eq!(whole["choices"][0]["message"]["content"], String::from_utf8_lossy(&bytes).as_ref());
    }
    for token in content {
        let top = token["top_logprobs"].as_array().unwrap();
        assert!(
            top.len() == 3
                && top[0]["logprob"] == token["logprob"]
                && top[1]["logprob"].as_f64() <= top[0]["logprob"].as_f64()
        );
    }
}

#[test]
fn what_was_read_before_is_told_and_parts_are_one_text() {
    let server = Server::both();
    let long = "where is my order please ".repeat(20);
    let ask = |content: Value| {
        server.fine(PATH, &with(&json!({"messages": [{"role": "user", "content": content}], "temperature": 0})))
    };
    let first = ask(json!(long));
    assert_eq!(first["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
    let parts = json!([{"type": "text", "text": long[..50]}, {"type": "text", "text": long[50..]}]);
    let again = ask(parts);
    assert_eq!(message(&again), message(&first));
    let (read, prompt) = (&again["usage"]["prompt_tokens_details"]["cached_tokens"], &again["usage"]["prompt_tokens"]);
    assert!(read.as_u64().unwrap() > 0 && read.as_u64() < prompt.as_u64(), "{read} of {prompt}");
    assert!(prompt.as_u64().unwrap() as usize >= tokenizer().encode_content(&long).len());
}

#[test]
fn what_cannot_be_asked_is_refused_by_its_field() {
    let server = Server::both();
    let user = |content: Value| json!([{"role": "user", "content": content}]);
    let cases = [
        (json!({"model": "none"}), 404, "model"),
        (json!({"model": "sample"}), 400, "model"),
        (json!({"messages": []}), 400, "messages"),
        (json!({"messages": null}), 400, "messages"),
        (json!({"messages": "hello"}), 400, "messages"),
        (json!({"messages": [{"content": "a"}]}), 400, "messages[0]"),
        (json!({"messages": user(json!([{"type": "image_url", "image_url": {"url": "x"}}]))}), 400, "messages[0]"),
        (json!({"messages": [{"role": "king", "content": "a"}]}), 400, "messages"),
        (json!({"top_logprobs": 2}), 400, "top_logprobs"),
        (json!({"tools": [{"type": "web_search"}]}), 400, "tools[0]"),
        (json!({"tools": [{"type": "function"}]}), 400, "tools[0]"),
        (json!({"tool_choice": "required"}), 400, "tool_choice"),
        (
            json!({"tools": tools(), "tool_choice": {"type": "function", "function": {"name": "no"}}}),
            400,
            "tool_choice",
        ),
        (json!({"functions": [{"name": "a"}]}), 400, "functions"),
        (json!({"response_format": {"type": "json_schema"}}), 400, "response_format"),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "no"}}}}),
            400,
            "response_format",
        ),
        (json!({"max_tokens": 1.5, "max_completion_tokens": null}), 400, "max_tokens"),
    ];
    for (fields, status, field) in cases {
        assert_eq!(server.refused(PATH, &with(&fields), status).0, field, "{fields}");
    }
}

#[test]
fn a_call_that_a_limit_cuts_is_told_as_far_as_it_goes() {
    let server = Server::both();
    let whole = server.fine(PATH, &with(&json!({"tools": tools(), "tool_choice": "required"})));
    let call = whole["choices"][0]["message"]["tool_calls"][0]["function"].clone();
    let tokens = whole["usage"]["completion_tokens"].as_u64().unwrap();
    let mut longest = 0;
    for most in 1..tokens {
        let fields = json!({"tools": tools(), "tool_choice": "required", "max_completion_tokens": most});
        let cut = server.fine(PATH, &with(&fields));
        let choice = &cut["choices"][0];
        assert_eq!(choice["finish_reason"], "length", "{cut}");
        assert!(choice["message"]["content"].as_str().is_none_or(str::is_empty), "{cut}");
        if let Some(begun) = choice["message"]["tool_calls"].get(0) {
            assert_eq!(begun["function"]["name"], call["name"]);
            let arguments = begun["function"]["arguments"].as_str().unwrap();
            let arguments: String = arguments.chars().filter(|letter| !letter.is_whitespace()).collect();
            assert!(call["arguments"].as_str().unwrap().starts_with(&arguments), "{cut}");
            longest = longest.max(arguments.len());
            let (asked, id) = (json!({"role": "user", "content": "order"}), &begun["id"]);
            let told = json!({"role": "tool", "tool_call_id": id, "content": "it was cut"});
            let next =
                json!({"messages": [asked, choice["message"], told], "tools": tools(), "max_completion_tokens": 1});
            server.fine(PATH, &with(&next));
        }
        let mut streamed = fields;
        streamed["stream"] = true.into();
        assert_eq!(joined(&server.post(PATH, &with(&streamed)).events()), message(&cut));
    }
    assert!(longest > 0, "{call}");
}

#[test]
fn fields_of_other_servers_are_followed_or_refused() {
    let server = Server::both();
    let answer = |fields: Value| message(&server.fine(PATH, &with(&fields)));
    let short = |fields: Value| {
        let mut fields = fields;
        fields["max_completion_tokens"] = Value::Null;
        answer(fields)
    };
    assert_eq!(answer(json!({"repeat_penalty": 1.7})), answer(json!({"repetition_penalty": 1.7})));
    assert_eq!(short(json!({"n_predict": 5})), short(json!({"max_tokens": 5})));
    let schema = json!({"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"],
        "additionalProperties": false});
    for (others, own) in [
        (json!({"guided_choice": ["yes", "no"]}), json!({"choice": ["yes", "no"]})),
        (json!({"guided_regex": "[ab]{4}"}), json!({"regex": "[ab]{4}"})),
        (json!({"guided_json": schema}), json!({"json": schema})),
        (json!({"json_schema": schema}), json!({"json": schema})),
        (json!({"grammar": "start: \"one\""}), json!({"grammar": "start: \"one\""})),
        (json!({"guided_grammar": "start: \"one\""}), json!({"grammar": "start: \"one\""})),
    ] {
        assert_eq!(answer(others), answer(json!({"structured_outputs": own})));
    }
    let plain = answer(json!({}));
    let harmless = json!({"user": "ann", "store": true, "metadata": {}, "service_tier": "auto", "n_predict": -1,
        "add_generation_prompt": true, "use_beam_search": false, "min_tokens": 0, "modalities": ["text"]});
    assert_eq!(answer(harmless), plain);
    for (fields, field) in [
        (json!({"options": {"temperature": 0}}), "options"),
        (json!({"min_tokens": 5}), "min_tokens"),
        (json!({"stop_token_ids": [3]}), "stop_token_ids"),
        (json!({"skip_special_tokens": false}), "skip_special_tokens"),
        (json!({"continue_final_message": true}), "continue_final_message"),
        (json!({"add_generation_prompt": false}), "add_generation_prompt"),
        (json!({"use_beam_search": true}), "use_beam_search"),
        (json!({"structured_outputs": {"regexp": "a"}}), "structured_outputs"),
        (json!({"guided_regex": "a", "guided_choice": ["a"]}), "structured_outputs"),
    ] {
        assert_eq!(server.refused(PATH, &with(&fields), 400).0, field, "{fields}");
    }
    let error = server.post(PATH, &with(&json!({"temprature": 0}))).json()["error"].clone();
    assert!(error["remedy"].as_str().unwrap().contains("`temperature`"), "{error}");
}

#[test]
fn what_does_not_fit_is_told_by_the_fields_of_a_chat() {
    let mut small = options();
    small.engine.past_bytes = 1 << 19;
    let server = Server::start(vec![language()], small);
    let long = json!({"messages": [{"role": "user", "content": "order ".repeat(POSITIONS)}]});
    assert_eq!(server.refused(PATH, &with(&long), 400), (json!("messages"), json!("context_length_exceeded")));
    let many = json!({"max_completion_tokens": 2000});
    assert_eq!(server.refused(PATH, &with(&many), 400).0, "max_completion_tokens");
    // Who names no limit gets as much as there is place for, beside others.
    let cut = server.fine(PATH, &with(&json!({"max_completion_tokens": null, "ignore_eos": true})));
    assert_eq!(cut["choices"][0]["finish_reason"], "length");
    let tokens = cut["usage"]["completion_tokens"].as_u64().unwrap();
    assert!((64..POSITIONS as u64 / 2).contains(&tokens), "{cut}");
    let remedy = server.post(PATH, &with(&many)).json()["error"]["remedy"].clone();
    assert!(remedy.as_str().unwrap().starts_with("ask for fewer tokens"), "{remedy}");
}
