//! A response as the protocol spells it.

use bantam_runtime::chat::ToolCall;
use serde_json::{Value, json};

use crate::identifier::identifier;

/// What a response tells of its request.
#[derive(Clone)]
pub(super) struct Told {
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) instructions: Value,
    pub(super) previous: Option<String>,
    pub(super) most_tokens: Value,
    pub(super) temperature: f32,
    pub(super) top_p: f32,
    pub(super) format: Value,
    pub(super) tools: Value,
    pub(super) tool_choice: Value,
    pub(super) metadata: Value,
    pub(super) store: bool,
    /// How many likely tokens are told beside each; `None` where no log-probabilities are.
    pub(super) top: Option<usize>,
}

impl Told {
    /// A response with this status, and with what it has by now.
    pub(super) fn response(&self, status: &str, output: &[Value], usage: &Value) -> Value {
        let incomplete = (status == "incomplete").then(|| json!({"reason": "max_output_tokens"}));
        json!({
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": false,
            "error": null,
            "incomplete_details": incomplete,
            "instructions": self.instructions,
            "max_output_tokens": self.most_tokens,
            "model": self.model,
            "output": output,
            "parallel_tool_calls": true,
            "previous_response_id": self.previous,
            "reasoning": {"effort": null, "summary": null},
            "store": self.store,
            "temperature": self.temperature,
            "text": {"format": self.format},
            "tool_choice": self.tool_choice,
            "tools": self.tools,
            "top_logprobs": self.top.unwrap_or(0),
            "top_p": self.top_p,
            "truncation": "disabled",
            "usage": usage,
            "user": null,
            "metadata": self.metadata,
        })
    }
}

/// A message of the output; without a text, one that has just begun. Its log-probabilities are beside its text.
pub(super) fn message(id: &str, status: &str, text: Option<(&str, &[Value])>) -> Value {
    let content: Vec<Value> = text.map(|(text, logs)| part(text, logs)).into_iter().collect();
    json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content})
}

/// The text of a message, with the log-probabilities of its tokens where they are told.
pub(super) fn part(text: &str, logs: &[Value]) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": logs})
}

/// A call that a limit cut: its id, its tool and the beginning of its arguments.
pub(super) fn begun_call((id, name, arguments): (&str, &str, &str)) -> Value {
    json!({
        "id": identifier("fc_"),
        "type": "function_call",
        "status": "incomplete",
        "call_id": id,
        "name": name,
        "arguments": arguments,
    })
}

/// A call of the output.
pub(super) fn call(call: &ToolCall) -> Value {
    json!({
        "id": identifier("fc_"),
        "type": "function_call",
        "status": "completed",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments.to_string(),
    })
}
