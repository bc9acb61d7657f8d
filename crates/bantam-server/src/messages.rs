//! Conversations and tools as requests spell them.

use bantam_runtime::chat::{Message, Tool};
use serde_json::{Value, json};

use crate::failure::Failure;

/// The most messages and the most tools of a request.
const MOST_MESSAGES: usize = 4096;
const MOST_TOOLS: usize = 128;

/// Reads the messages of a chat.
pub(crate) fn messages(list: Vec<Value>) -> Result<Vec<Message>, Failure> {
    if list.is_empty() || list.len() > MOST_MESSAGES {
        let message = format!("`messages` has {} messages", list.len());
        return Err(Failure::field("messages", message, format!("send 1 to {MOST_MESSAGES}")));
    }
    list.into_iter().enumerate().map(|(index, value)| message(value, &format!("messages[{index}]"))).collect()
}

/// Reads one message. `place` names it in an error.
pub(crate) fn message(value: Value, place: &str) -> Result<Message, Failure> {
    serde_json::from_value(value).map_err(|error| {
        let remedy = r#"send {"role": "user", "content": "..."}"#;
        Failure::field(place, format!("{place} cannot be read: {error}"), remedy)
    })
}

/// Reads tools: of a chat, where their parts are in `function`, or of a response, where they are not.
pub(crate) fn tools(list: Vec<Value>) -> Result<Vec<Tool>, Failure> {
    if list.len() > MOST_TOOLS {
        return Err(Failure::field("tools", format!("{} tools", list.len()), format!("send {MOST_TOOLS} or fewer")));
    }
    list.into_iter().enumerate().map(|(index, value)| tool(value, &format!("tools[{index}]"))).collect()
}

fn tool(value: Value, place: &str) -> Result<Tool, Failure> {
    if value["type"] != "function" {
        let message = format!("{place} is of type {}", value["type"]);
        return Err(Failure::field(place, message, "send functions: this server has no tools of its own"));
    }
    let whole = if value.get("function").is_some() { value } else { json!({"function": value}) };
    serde_json::from_value(whole).map_err(|error| {
        let remedy = r#"send {"type": "function", "function": {"name": "...", "parameters": {}}}"#;
        Failure::field(place, format!("{place} cannot be read: {error}"), remedy)
    })
}
