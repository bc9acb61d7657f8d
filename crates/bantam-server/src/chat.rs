//! `POST /v1/chat/completions`: a conversation in, its next message out.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use crate::answers::{Answers, Names, Told, Whole, deadline, ended};
use crate::body::Fields;
use crate::conversation::{Conversation, finish_reason};
use crate::events::{self, Gone, Writer};
use crate::failure::Failure;
use crate::forms::{ToolUse, form, tool_use};
use crate::identifier::{identifier, now};
use crate::keys::Caller;
use crate::messages::{messages, tools};
use crate::service::{Language, Service};
use crate::tool_text::ToolText;
use crate::usage::Usage;
use crate::{known, log_probabilities, sampling};

pub(crate) const SHAPE: &str = r#"send {"model": "...", "messages": [{"role": "user", "content": "..."}]}"#;

/// What such a request calls its parts.
const NAMES: Names = Names { text: "messages", tokens: "max_completion_tokens" };

/// What the answers to one request have in common.
struct Head {
    language: Arc<Language>,
    id: String,
    created: u64,
    tool_use: ToolUse,
    log_probabilities: bool,
}

/// Answers a conversation.
pub(crate) async fn chat(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let fields = service.read(&headers, body, SHAPE).await?;
    answer(service, caller, &headers, fields).await
}

/// Answers the conversation that a request's fields tell.
pub(crate) async fn answer(
    service: Arc<Service>,
    caller: Caller,
    headers: &HeaderMap,
    fields: Fields,
) -> Result<Response, Failure> {
    let mut fields = fields.known_by(&known::CHAT)?;
    let language = service.language(fields.take::<String>("model")?.as_deref())?;
    language.tokenizer()?;
    let stream = Streaming::of(&mut fields)?;
    let log_probabilities = fields.take::<bool>("logprobs")?.unwrap_or(false);
    let conversation = conversation(&mut fields, &language, &service, log_probabilities)?;
    let head = Head {
        language: Arc::clone(&language),
        id: identifier("chatcmpl-"),
        created: now(),
        tool_use: conversation.tool_use(),
        log_probabilities,
    };
    let count = conversation.count;
    let answers = conversation.ask(&service, &language, caller, deadline(&service, headers)?).await?;
    match stream {
        None => head.whole(answers.whole().await?).map(IntoResponse::into_response),
        Some(stream) => {
            let answers = answers.begun().await?;
            Ok(events::respond(|writer| head.stream(answers, count, stream.with_usage, writer)))
        }
    }
}

/// How a streamed answer is told.
pub(crate) struct Streaming {
    /// Whether the tokens are counted at its end.
    pub(crate) with_usage: bool,
}

impl Streaming {
    /// Reads `stream` and `stream_options`.
    pub(crate) fn of(fields: &mut Fields) -> Result<Option<Self>, Failure> {
        let options =
            fields.take("stream_options")?.map(|options| Fields::of(options, "stream_options")).transpose()?;
        let asked = options.map(|mut options| options.take::<bool>("include_usage")).transpose()?;
        let with_usage = asked.flatten().unwrap_or(false);
        Ok(fields.take::<bool>("stream")?.unwrap_or(false).then_some(Self { with_usage }))
    }
}

fn conversation(
    fields: &mut Fields,
    language: &Language,
    service: &Service,
    log_probabilities: bool,
) -> Result<Conversation, Failure> {
    let top = log_probabilities::top(fields, "top_logprobs")?;
    if top.is_some_and(|top| top > 0) && !log_probabilities {
        let remedy = r#"send "logprobs": true, or leave top_logprobs out"#;
        return Err(Failure::field("top_logprobs", "top_logprobs needs logprobs", remedy));
    }
    let tools = tools(fields.take("tools")?.unwrap_or_default())?;
    let limits_named = ["max_completion_tokens", "max_tokens"];
    Ok(Conversation {
        names: NAMES,
        messages: messages(fields.require("messages")?)?,
        tool_use: tool_use(fields, &tools)?,
        tools,
        form: form(fields)?,
        options: sampling::options(fields, &limits_named, language.most_unasked(), language, &service.limits)?,
        top: top.unwrap_or(0),
        count: sampling::answers(fields)?,
    })
}

impl Head {
    fn whole(&self, wholes: Vec<Whole>) -> Result<Json<Value>, Failure> {
        let mut usage = Usage::default();
        let mut choices = Vec::new();
        for (index, Whole { tokens, text, finished }) in wholes.into_iter().enumerate() {
            usage.add(&finished, index == 0);
            let parsed = ToolText::whole(&self.tool_use, &text, &finished, self.language.chat());
            let mut message = json!({"role": "assistant", "content": parsed.text, "refusal": null});
            if parsed.has_calls() {
                message["tool_calls"] = parsed.spelled().into();
                if parsed.text.is_empty() {
                    message["content"] = Value::Null;
                }
            }
            let tokens = tokens.iter().map(|token| log_probabilities::of_chat(&self.language, token));
            let told = self.log_probabilities.then(|| json!({"content": tokens.collect::<Vec<_>>(), "refusal": null}));
            choices.push(json!({
                "index": index,
                "message": message,
                "logprobs": told,
                "finish_reason": finish_reason(&finished, !parsed.calls.is_empty())?,
            }));
        }
        let mut value = self.value("chat.completion", &choices);
        value["usage"] = usage.of_completion();
        Ok(Json(value))
    }

    async fn stream(self, mut answers: Answers, count: usize, with_usage: bool, writer: Writer) -> Result<(), Gone> {
        let format = self.language.chat();
        let mut texts: Vec<Option<ToolText>> = Vec::new();
        for index in 0..count {
            texts.push(Some(ToolText::new(&self.tool_use)));
            self.chunk(&writer, index, json!({"role": "assistant", "content": ""}), None, Value::Null).await?;
        }
        let mut usage = Usage::default();
        while texts.iter().any(Option::is_some) {
            let Some((index, event)) = answers.next().await else { return writer.data(&ended().body()).await };
            match event {
                Told::Token(token) => {
                    let text = texts[index].as_mut().map(|text| text.push(&token.text, format)).unwrap_or_default();
                    let told = self.log_probabilities.then(
                        || json!({"content": [log_probabilities::of_chat(&self.language, &token)], "refusal": null}),
                    );
                    if !text.is_empty() || told.is_some() {
                        self.chunk(&writer, index, json!({"content": text}), told, Value::Null).await?;
                    }
                }
                Told::Finished(finished) => {
                    usage.add(&finished, index == 0);
                    let Some(text) = texts[index].take() else { continue };
                    let parsed = text.finish(&finished, format);
                    if !parsed.text.is_empty() {
                        self.chunk(&writer, index, json!({"content": parsed.text}), None, Value::Null).await?;
                    }
                    for (place, mut value) in parsed.spelled().into_iter().enumerate() {
                        value["index"] = place.into();
                        self.chunk(&writer, index, json!({"tool_calls": [value]}), None, Value::Null).await?;
                    }
                    match finish_reason(&finished, !parsed.calls.is_empty()) {
                        Ok(reason) => self.chunk(&writer, index, json!({}), None, reason.into()).await?,
                        Err(failure) => return writer.data(&failure.body()).await,
                    }
                }
            }
        }
        if with_usage {
            let mut value = self.value("chat.completion.chunk", &[]);
            value["usage"] = usage.of_completion();
            writer.data(&value).await?;
        }
        writer.done().await
    }

    async fn chunk(
        &self,
        writer: &Writer,
        index: usize,
        delta: Value,
        told: Option<Value>,
        reason: Value,
    ) -> Result<(), Gone> {
        let choice = json!({"index": index, "delta": delta, "logprobs": told, "finish_reason": reason});
        writer.data(&self.value("chat.completion.chunk", &[choice])).await
    }

    fn value(&self, object: &str, choices: &[Value]) -> Value {
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.language.name,
            "system_fingerprint": null,
            "choices": choices,
        })
    }
}
