//! The input of a response: a text, or messages, calls of tools and what came of them.

use bantam_runtime::chat::{Message, ToolCall};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::identifier::identifier;
use crate::messages::message;

/// The most items of an input.
const MOST_ITEMS: usize = 4096;

/// Reads an input as messages.
pub(super) fn input(value: Value) -> Result<Vec<Message>, Failure> {
    let items = match value {
        Value::String(text) => return Ok(vec![Message::new("user", text)]),
        Value::Array(items) if (1..=MOST_ITEMS).contains(&items.len()) => items,
        _ => {
            let remedy = format!("send a text, or a list of 1 to {MOST_ITEMS} items");
            return Err(Failure::field("input", "`input` cannot be read", remedy));
        }
    };
    let mut messages: Vec<Message> = Vec::new();
    for (index, mut item) in items.into_iter().enumerate() {
        let place = format!("input[{index}]");
        match item["type"].as_str() {
            None | Some("message") => messages.push(message(item, &place)?),
            Some("function_call") => {
                let call = json!({"id": text(&item, "call_id", &place)?, "function": item.take()});
                let call: ToolCall = serde_json::from_value(call).map_err(|error| {
                    Failure::field(&place, format!("{place} cannot be read: {error}"), "send the call as it was given")
                })?;
                // The calls of one turn belong to one message.
                match messages.last_mut().filter(|last| last.role == "assistant") {
                    Some(last) => last.tool_calls.push(call),
                    None => messages.push(Message {
                        role: "assistant".to_owned(),
                        tool_calls: vec![call],
                        ..Message::default()
                    }),
                }
            }
            Some("function_call_output") => {
                let told = json!({"role": "tool", "content": item["output"].take(), "tool_call_id": text(&item, "call_id", &place)?});
                messages.push(message(told, &place)?);
            }
            // What a model thought is its own business.
            Some("reasoning") => {}
            Some(kind) => {
                let remedy = "send messages, function_call and function_call_output";
                return Err(Failure::field(&place, format!("{place} is of type {kind:?}"), remedy));
            }
        }
    }
    Ok(messages)
}

/// The items of an input that was [read](input), as they are told again, each with an id.
pub(super) fn items(input: Value) -> Vec<Value> {
    let whole = match input {
        Value::Array(items) => items,
        text => vec![json!({"role": "user", "content": text})],
    };
    whole.into_iter().map(named).collect()
}

fn named(mut item: Value) -> Value {
    let is_message = item.get("type").is_none_or(|kind| kind == "message");
    if is_message {
        item["type"] = "message".into();
        let part = if item["role"] == "assistant" { "output_text" } else { "input_text" };
        if let Value::String(text) = &item["content"] {
            item["content"] = json!([{"type": part, "text": text}]);
        }
    }
    if item["id"].is_null() {
        item["id"] = identifier(if is_message { "msg_" } else { "item_" }).into();
    }
    item
}

fn text(item: &Value, name: &str, place: &str) -> Result<String, Failure> {
    let missing = || Failure::field(place, format!("{place} has no {name}"), format!("send `{name}` as text"));
    item[name].as_str().map(str::to_owned).ok_or_else(missing)
}
