//! What the crowd asks. Each case has one right answer, since nothing is drawn.

use serde_json::{Value, json};

/// A request and, once it was asked alone, its answer.
pub(crate) struct Case {
    path: &'static str,
    body: Value,
    pub(crate) answer: String,
}

const OPENINGS: [&str; 4] = ["where is my order", "i want a refund", "please track my parcel", "my card was declined"];

/// Chats and texts to go on with, short and long, of which some begin alike, and some must have a form.
pub(crate) fn cases() -> Vec<Case> {
    let case = |path, body| Case { path, body, answer: String::new() };
    let mut cases = Vec::new();
    for (index, opening) in OPENINGS.into_iter().enumerate() {
        for (repeats, tokens) in [(1, 24), (7, 60), (40, 9)] {
            let text = format!("{opening} ").repeat(repeats);
            cases.push(case("/v1/completions", json!({"prompt": text, "max_tokens": tokens + index})));
            let messages = json!([{"role": "system", "content": "help"}, {"role": "user", "content": text}]);
            cases.push(case("/v1/chat/completions", json!({"messages": messages, "max_tokens": tokens + 2 * index})));
        }
        let schema = json!({"type": "object", "properties": {"label": {"enum": ["order", "refund", "other"]},
            "sure": {"type": "boolean"}}, "required": ["label", "sure"], "additionalProperties": false});
        let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}});
        let messages = json!([{"role": "user", "content": opening}]);
        let body = json!({"messages": messages, "max_tokens": 80, "response_format": format});
        cases.push(case("/v1/chat/completions", body));
    }
    cases
}

impl Case {
    /// Where it goes, and what is sent.
    pub(crate) fn request(&self, is_streamed: bool) -> (&'static str, Value) {
        let mut body = self.body.clone();
        body["temperature"] = 0.into();
        body["stream"] = is_streamed.into();
        (self.path, body)
    }
}

/// The text of an answer, or of a piece of it.
pub(crate) fn text_of(value: &Value) -> &str {
    let choice = &value["choices"][0];
    let found = [&choice["text"], &choice["message"]["content"], &choice["delta"]["content"]];
    found.into_iter().find_map(Value::as_str).unwrap_or_default()
}
