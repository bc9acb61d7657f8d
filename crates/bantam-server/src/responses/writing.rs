//! A response as events.

use serde_json::{Value, json};

use super::object::{message, part};
use crate::events::{Gone, Writer};
use crate::identifier::identifier;

/// Events, each with its number.
pub(super) struct Numbered {
    writer: Writer,
    number: usize,
}

impl Numbered {
    /// Counts from 0.
    pub(super) fn new(writer: Writer) -> Self {
        Self { writer, number: 0 }
    }

    /// Writes an event of this kind.
    pub(super) async fn write(&mut self, kind: &str, fields: Value) -> Result<(), Gone> {
        let mut event = json!({"type": kind, "sequence_number": self.number});
        if let (Value::Object(event), Value::Object(fields)) = (&mut event, fields) {
            event.extend(fields);
        }
        self.number += 1;
        self.writer.named(kind, &event).await
    }

    /// A call, whose arguments are known as a whole.
    pub(super) async fn call(&mut self, index: usize, item: &Value) -> Result<(), Gone> {
        let (id, arguments) = (&item["id"], &item["arguments"]);
        let mut begun = item.clone();
        begun["arguments"] = "".into();
        begun["status"] = "in_progress".into();
        self.write("response.output_item.added", json!({"output_index": index, "item": begun})).await?;
        let delta = json!({"item_id": id, "output_index": index, "delta": arguments});
        self.write("response.function_call_arguments.delta", delta).await?;
        let done = json!({"item_id": id, "output_index": index, "name": item["name"], "arguments": arguments});
        self.write("response.function_call_arguments.done", done).await?;
        self.write("response.output_item.done", json!({"output_index": index, "item": item})).await
    }
}

/// The message of an output, which begins with its first text.
pub(super) struct Written {
    id: String,
    /// Its text so far.
    pub(super) text: String,
    /// The log-probabilities of its tokens so far.
    logs: Vec<Value>,
    /// How many of them were told.
    told_logs: usize,
    has_begun: bool,
}

impl Written {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self { id: identifier("msg_"), text: String::new(), logs: Vec::new(), told_logs: 0, has_begun: false }
    }

    /// Tells that it has begun, once.
    pub(super) async fn begin(&mut self, events: &mut Numbered) -> Result<(), Gone> {
        if !std::mem::replace(&mut self.has_begun, true) {
            let item = message(&self.id, "in_progress", None);
            events.write("response.output_item.added", json!({"output_index": 0, "item": item})).await?;
            events.write("response.content_part.added", self.place(json!({"part": part("", &[])}))).await?;
        }
        Ok(())
    }

    /// Adds the log-probabilities of a token, which are told with the text that comes next.
    pub(super) fn log(&mut self, token: Value) {
        self.logs.push(token);
    }

    /// Adds to it.
    pub(super) async fn push(&mut self, events: &mut Numbered, text: &str) -> Result<(), Gone> {
        if text.is_empty() {
            return Ok(());
        }
        self.begin(events).await?;
        self.text.push_str(text);
        let fresh = &self.logs[std::mem::replace(&mut self.told_logs, self.logs.len())..];
        let fields = self.place(json!({"delta": text, "logprobs": fresh}));
        events.write("response.output_text.delta", fields).await
    }

    /// The message when it is done, if it has begun.
    pub(super) async fn end(self, events: &mut Numbered, status: &str) -> Result<Option<Value>, Gone> {
        if !self.has_begun {
            return Ok(None);
        }
        let done = self.place(json!({"text": self.text, "logprobs": self.logs}));
        events.write("response.output_text.done", done).await?;
        let part = part(&self.text, &self.logs);
        events.write("response.content_part.done", self.place(json!({"part": part}))).await?;
        let item = message(&self.id, status, Some((&self.text, &self.logs)));
        events.write("response.output_item.done", json!({"output_index": 0, "item": item})).await?;
        Ok(Some(item))
    }

    fn place(&self, mut fields: Value) -> Value {
        fields["item_id"] = self.id.as_str().into();
        fields["output_index"] = 0.into();
        fields["content_index"] = 0.into();
        fields
    }
}
