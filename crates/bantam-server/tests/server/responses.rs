//! `/v1/responses`.

use serde_json::{Value, json};

use super::client::Server;

const PATH: &str = "/v1/responses";

fn with(fields: &Value) -> Value {
    let mut body = json!({"model": "tiny", "max_output_tokens": 400, "seed": 5, "input": "where is my order"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

fn tools() -> Value {
    let parameters = json!({"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"], "additionalProperties": false});
    json!([{"type": "function", "name": "track", "description": "Tracks", "parameters": parameters, "strict": true}])
}

/// What can be compared of an output: ids are new each time.
fn output(response: &Value) -> Vec<Value> {
    let strip = |item: &Value| {
        let mut item = item.clone();
        for id in ["id", "call_id"] {
            item.as_object_mut().unwrap().shift_remove(id);
        }
        item
    };
    response["output"].as_array().unwrap().iter().map(strip).collect()
}

#[test]
fn a_streamed_response_is_the_response() {
    let server = Server::both();
    for fields in
        [json!({"ignore_eos": true, "max_output_tokens": 40}), json!({"tools": tools(), "tool_choice": "required"})]
    {
        let whole = server.fine(PATH, &with(&fields));
        let mut streamed = fields.clone();
        streamed["stream"] = true.into();
        let reply = server.post(PATH, &with(&streamed));
        let events = reply.events();
        let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        let named: Vec<&str> = reply.body.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
        assert_eq!(named, kinds);
        assert!(events.iter().enumerate().all(|(number, event)| event["sequence_number"] == number));
        assert_eq!(kinds[..3], ["response.created", "response.in_progress", "response.output_item.added"]);
        let last = &events.last().unwrap()["response"];
        assert_eq!(output(last), output(&whole));
        assert_eq!(
            (&last["status"], &last["usage"]["output_tokens"]),
            (&whole["status"], &whole["usage"]["output_tokens"])
        );
        let deltas = |kind: &str| -> String {
            events.iter().filter(|event| event["type"] == kind).map(|event| event["delta"].as_str().unwrap()).collect()
        };
        let item = &last["output"][0];
        if fields.get("tools").is_some() {
            assert_eq!((&item["type"], &item["name"]), (&json!("function_call"), &json!("track")));
            assert_eq!(deltas("response.function_call_arguments.delta"), item["arguments"].as_str().unwrap());
            assert_eq!(kinds.last(), Some(&"response.completed"));
        } else {
            assert_eq!(deltas("response.output_text.delta"), item["content"][0]["text"].as_str().unwrap());
            assert_eq!(
                (kinds.last(), &last["incomplete_details"]["reason"]),
                (Some(&"response.incomplete"), &json!("max_output_tokens"))
            );
        }
    }
}

#[test]
fn a_conversation_goes_on_from_a_response() {
    let server = Server::both();
    let first = server.fine(PATH, &with(&json!({"instructions": "help"})));
    let text = first["output"][0]["content"][0]["text"].as_str().unwrap();
    let next = server.fine(PATH, &with(&json!({"previous_response_id": first["id"], "input": "and my refund"})));
    // The same as the whole conversation, without the instructions, which are each request's own.
    let whole = json!([
        {"role": "user", "content": [{"type": "input_text", "text": "where is my order"}]},
        {"role": "assistant", "content": text},
        {"type": "message", "role": "user", "content": "and my refund"},
    ]);
    let whole = server.fine(PATH, &with(&json!({"input": whole})));
    assert_eq!(output(&next), output(&whole));
    assert_eq!(next["usage"]["input_tokens"], whole["usage"]["input_tokens"]);
    assert_eq!(next["previous_response_id"], first["id"]);
    // A call and what came of it.
    let call = json!({"type": "function_call", "call_id": "c", "name": "track", "arguments": "{\"sure\": true}"});
    let came = json!({"type": "function_call_output", "call_id": "c", "output": "on its way"});
    server.fine(PATH, &with(&json!({"input": [{"role": "user", "content": "a"}, call, came], "tools": tools()})));
}

#[test]
fn responses_are_kept_until_they_are_deleted() {
    let server = Server::both();
    let made = server.fine(PATH, &with(&json!({"metadata": {"a": "b"}})));
    let path = format!("{PATH}/{}", made["id"].as_str().unwrap());
    assert_eq!(server.get(&path).json(), made);
    let gone = server.ask("DELETE", &path, "", "");
    assert_eq!((gone.status, &gone.json()["deleted"]), (200, &json!(true)));
    assert_eq!((server.get(&path).status, server.ask("DELETE", &path, "", "").status), (404, 404));
    let unkept = server.fine(PATH, &with(&json!({"store": false})));
    assert_eq!(server.get(&format!("{PATH}/{}", unkept["id"].as_str().unwrap())).status, 404);
}

#[test]
fn what_cannot_be_asked_is_refused_by_its_field() {
    let server = Server::both();
    let cases = [
        (json!({"model": "none"}), 404, "model"),
        (json!({"input": null}), 400, "input"),
        (json!({"input": []}), 400, "input"),
        (json!({"input": 5}), 400, "input"),
        (json!({"input": [{"type": "item_reference", "id": "a"}]}), 400, "input[0]"),
        (json!({"input": [{"type": "function_call", "call_id": "a", "name": "b", "arguments": 5}]}), 400, "input[0]"),
        (json!({"input": [{"type": "function_call_output", "output": "b"}]}), 400, "input[0]"),
        (json!({"previous_response_id": "resp_0"}), 404, "previous_response_id"),
        (json!({"tools": [{"type": "web_search"}]}), 400, "tools[0]"),
        (json!({"text": {"format": {"type": "json_schema"}}}), 400, "text.format"),
        (json!({"max_output_tokens": "many"}), 400, "max_output_tokens"),
        (json!({"background": true}), 400, "background"),
    ];
    for (fields, status, field) in cases {
        assert_eq!(server.refused(PATH, &with(&fields), status).0, field, "{fields}");
    }
    let schema = json!({"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"], "additionalProperties": false});
    let format = json!({"format": {"type": "json_schema", "name": "a", "schema": schema}});
    let formed = server.fine(PATH, &with(&json!({"text": format})));
    let text = formed["output"][0]["content"][0]["text"].as_str().unwrap();
    assert!(serde_json::from_str::<Value>(text).unwrap()["sure"].is_boolean());
}

#[test]
fn log_probabilities_are_told_with_the_text_and_in_the_stream() {
    let server = Server::both();
    let fields = json!({
        "ignore_eos": true, "max_output_tokens": 12, "include": ["message.output_text.logprobs"], "top_logprobs": 2,
    });
    let whole = server.fine(PATH, &with(&fields));
    let part = &whole["output"][0]["content"][0];
    let logs = part["logprobs"].as_array().unwrap();
    assert_eq!((logs.len(), &whole["top_logprobs"]), (12, &json!(2)));
    assert!(logs.iter().all(|log| log["top_logprobs"].as_array().unwrap().len() == 2));
    // The likeliest tokens are those that a chat tells.
    let chat = json!({
        "messages": [{"role": "user", "content": "where is my order"}], "max_tokens": 12, "seed": 5, "ignore_eos": true,
        "logprobs": true, "top_logprobs": 2,
    });
    assert_eq!(part["logprobs"], server.fine("/v1/chat/completions", &chat)["choices"][0]["logprobs"]["content"]);
    let mut streamed = fields.clone();
    streamed["stream"] = true.into();
    let events = server.post(PATH, &with(&streamed)).events();
    let of_kind = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    assert_eq!(of_kind("response.output_text.done")[0]["logprobs"], part["logprobs"]);
    let deltas = of_kind("response.output_text.delta");
    let told: Vec<&Value> = deltas.iter().flat_map(|event| event["logprobs"].as_array().unwrap()).collect();
    assert!(!told.is_empty() && told.iter().zip(logs).all(|(a, b)| *a == b));
    assert_eq!(output(&events.last().unwrap()["response"]), output(&whole));
    let plain = server.fine(PATH, &with(&json!({"ignore_eos": true, "max_output_tokens": 3})));
    assert_eq!(plain["output"][0]["content"][0]["logprobs"], json!([]));
    assert_eq!(server.refused(PATH, &with(&json!({"top_logprobs": 2})), 400).0, "top_logprobs");
}

#[test]
fn what_a_response_was_asked_with_is_told_and_counted() {
    let server = Server::both();
    let items = json!([
        {"role": "user", "content": "where is my order"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "which one"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "the last"}]},
    ]);
    let fields = json!({"input": items, "instructions": "be kind", "max_output_tokens": 2, "truncation": "disabled"});
    let made = server.fine(PATH, &with(&fields));
    assert_eq!(made["truncation"], "disabled");
    let counted = server.fine("/v1/responses/input_tokens", &with(&fields));
    assert_eq!(counted, json!({"object": "response.input_tokens", "input_tokens": made["usage"]["input_tokens"]}));
    let path = format!("{PATH}/{}/input_items", made["id"].as_str().unwrap());
    let list = |query: &str| server.get(&format!("{path}{query}")).json();
    let texts = |list: &Value| -> Vec<String> {
        let items = list["data"].as_array().unwrap().iter();
        items.map(|item| item["content"][0]["text"].as_str().unwrap().to_owned()).collect()
    };
    let whole = list("?order=asc");
    assert_eq!(texts(&whole), ["where is my order", "which one", "the last"]);
    assert_eq!(texts(&list("")), ["the last", "which one", "where is my order"]);
    let first = list("?order=asc&limit=1");
    assert_eq!((texts(&first), &first["has_more"]), (vec!["where is my order".to_owned()], &json!(true)));
    let rest = list(&format!("?order=asc&after={}", first["last_id"].as_str().unwrap()));
    assert_eq!((texts(&rest), &rest["has_more"]), (texts(&whole)[1..].to_vec(), &json!(false)));
    for query in ["?order=up", "?limit=0", "?after=x"] {
        assert_eq!(server.get(&format!("{path}{query}")).status, 400, "{query}");
    }
    assert_eq!(server.get(&format!("{PATH}/resp_x/input_items")).status, 404);
    assert_eq!(server.refused(PATH, &with(&json!({"truncation": "auto"})), 400).0, "truncation");
}
