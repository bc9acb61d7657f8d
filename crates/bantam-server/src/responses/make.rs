//! One response, from its request to its last event.

use std::sync::Arc;

use axum::http::HeaderMap;
use bantam_runtime::chat::{Message, ToolCall};
use bantam_runtime::generation::AnswerToken;
use bantam_runtime::generation::engine::Finished;
use serde_json::{Map, Value, json};

use super::input::{input, items};
use super::object::{Told, begun_call, call, message};
use super::store::Kept;
use super::unknown;
use super::writing::{Numbered, Written};
use crate::answers::{Answers, Names, Told as Step, deadline, ended};
use crate::body::Fields;
use crate::conversation::{Conversation, finish_reason};
use crate::events::{Gone, Writer};
use crate::failure::Failure;
use crate::forms::{ToolUse, format_of, tool_use};
use crate::identifier::{identifier, now};
use crate::keys::Caller;
use crate::messages::tools;
use crate::service::{Language, Service};
use crate::tool_text::ToolText;
use crate::usage::Usage;
use crate::{known, log_probabilities, sampling};

/// What such a request calls its parts.
const NAMES: Names = Names { text: "input", tokens: "max_output_tokens" };

/// A response that is being made.
pub(super) struct Making {
    service: Arc<Service>,
    language: Arc<Language>,
    caller: Caller,
    told: Told,
    /// The conversation that the response belongs to, without the instructions, which each request sends anew.
    messages: Vec<Message>,
    tool_use: ToolUse,
    /// The items of the request's own input.
    items: Vec<Value>,
}

/// What `include` says where log-probabilities are to be told.
const LOGS: &str = "message.output_text.logprobs";

/// Reads the request and asks the model.
pub(super) async fn begin(
    service: &Arc<Service>,
    caller: Caller,
    fields: Fields,
    headers: &HeaderMap,
) -> Result<(Making, Answers), Failure> {
    let (making, conversation) = read(service, caller, fields)?;
    let caller = making.caller;
    let answers = conversation.ask(service, &making.language, caller, deadline(service, headers)?).await?;
    Ok((making, answers))
}

/// How many tokens the model would read.
pub(super) async fn count(service: &Arc<Service>, caller: Caller, fields: Fields) -> Result<usize, Failure> {
    let (making, conversation) = read(service, caller, fields)?;
    let language = Arc::clone(&making.language);
    service.compute(move || conversation.prompt(&language)).await?.map(|prompt| prompt.len())
}

/// Reads `include` and `top_logprobs`: how many likely tokens are told beside each, where log-probabilities are told.
fn top(fields: &mut Fields) -> Result<Option<usize>, Failure> {
    let included: Vec<String> = fields.take("include")?.unwrap_or_default();
    let is_asked = included.iter().any(|name| name == LOGS);
    match log_probabilities::top(fields, "top_logprobs")? {
        Some(top) if top > 0 && !is_asked => {
            let remedy = format!(r#"send "include": ["{LOGS}"], or leave top_logprobs out"#);
            Err(Failure::field("top_logprobs", "top_logprobs needs the log-probabilities", remedy))
        }
        top => Ok(is_asked.then(|| top.unwrap_or(0))),
    }
}

/// Reads the request: the response to be made, and the conversation that it answers.
fn read(service: &Arc<Service>, caller: Caller, fields: Fields) -> Result<(Making, Conversation), Failure> {
    let mut fields = fields.known_by(&known::RESPONSE)?;
    let language = service.language(fields.take::<String>("model")?.as_deref())?;
    language.tokenizer()?;
    let top = top(&mut fields)?;
    let previous: Option<String> = fields.take("previous_response_id")?;
    let mut messages = match &previous {
        None => Vec::new(),
        Some(id) => {
            let kept = service.store.find(caller, id).ok_or_else(|| unknown(id, "previous_response_id"))?;
            kept.messages.clone()
        }
    };
    let asked: Value = fields.require("input")?;
    messages.extend(input(asked.clone())?);
    let items = items(asked);
    let instructions: Option<String> = fields.take("instructions")?;
    let spelled_tools: Vec<Value> = fields.take("tools")?.unwrap_or_default();
    let tools = tools(spelled_tools.clone())?;
    let spelled_choice = fields.peek("tool_choice");
    let tool_use = tool_use(&mut fields, &tools)?;
    let format = match fields.take("text")? {
        Some(text) => Fields::of(text, "text")?.take::<Value>("format")?,
        None => None,
    };
    let format = format.unwrap_or_else(|| json!({"type": "text"}));
    let form = format_of(&format, "text.format")?;
    let most_tokens = fields.peek("max_output_tokens");
    let (tokens, named) = (language.most_unasked(), ["max_output_tokens"]);
    let options = sampling::options(&mut fields, &named, tokens, &language, &service.limits)?;
    let told = Told {
        id: identifier("resp_"),
        created: now(),
        model: language.name.clone(),
        instructions: json!(instructions),
        previous,
        most_tokens,
        temperature: options.sampling.temperature,
        top_p: options.sampling.top_p,
        format,
        tools: json!(spelled_tools),
        tool_choice: if spelled_choice.is_null() { json!("auto") } else { spelled_choice },
        metadata: fields.take::<Map<String, Value>>("metadata")?.unwrap_or_default().into(),
        store: fields.take("store")?.unwrap_or(true),
        top,
    };
    let system = instructions.map(|text| Message::new("system", text));
    let conversation = Conversation {
        names: NAMES,
        messages: system.into_iter().chain(messages.iter().cloned()).collect(),
        tools,
        tool_use,
        form,
        options,
        top: top.unwrap_or(0),
        count: 1,
    };
    let tool_use = conversation.tool_use();
    let service = Arc::clone(service);
    Ok((Making { service, language, caller, told, messages, items, tool_use }, conversation))
}

impl Making {
    /// The response when it is done.
    pub(super) async fn whole(self, answers: Answers) -> Result<Value, Failure> {
        let whole = answers.whole().await?.pop().ok_or_else(ended)?;
        let parsed = ToolText::whole(&self.tool_use, &whole.text, &whole.finished, self.language.chat());
        let mut output = Vec::new();
        let status = status(&whole.finished)?;
        if !parsed.text.is_empty() || !parsed.has_calls() {
            let logs: Vec<Value> = whole.tokens.iter().filter_map(|token| self.log(token)).collect();
            output.push(message(&identifier("msg_"), status, Some((&parsed.text, &logs))));
        }
        output.extend(parsed.calls.iter().map(call));
        output.extend(parsed.begun().map(begun_call));
        Ok(self.finish(&whole.finished, status, &output, parsed.text, parsed.calls))
    }

    /// Keeps the response if it is to be kept, and gives it.
    fn finish(self, finished: &Finished, status: &str, output: &[Value], text: String, calls: Vec<ToolCall>) -> Value {
        let mut usage = Usage::default();
        usage.add(finished, true);
        let response = self.told.response(status, output, &usage.of_response());
        if self.told.store {
            let answer = Message { tool_calls: calls, ..Message::new("assistant", text) };
            let messages = self.messages.into_iter().chain([answer]).collect();
            let (response, items, caller) = (response.clone(), self.items, self.caller);
            self.service.store.keep(self.told.id, Kept { response, items, messages, caller });
        }
        response
    }

    /// Writes the response as events.
    pub(super) async fn stream(self, mut answers: Answers, writer: Writer) -> Result<(), Gone> {
        let mut events = Numbered::new(writer);
        let begun = self.told.response("in_progress", &[], &Value::Null);
        events.write("response.created", json!({"response": begun})).await?;
        events.write("response.in_progress", json!({"response": begun})).await?;
        let language = Arc::clone(&self.language);
        let format = language.chat();
        let (mut text, mut output) = (ToolText::new(&self.tool_use), Vec::new());
        let mut open = Written::new();
        let finished = loop {
            match answers.next().await {
                Some((_, Step::Token(token))) => {
                    self.log(&token).into_iter().for_each(|log| open.log(log));
                    open.push(&mut events, &text.push(&token.text, format)).await?;
                }
                Some((_, Step::Finished(finished))) => break finished,
                None => return self.fail(&mut events, ended()).await,
            }
        };
        let status = match status(&finished) {
            Ok(status) => status,
            Err(failure) => return self.fail(&mut events, failure).await,
        };
        let parsed = text.finish(&finished, format);
        if !parsed.has_calls() {
            open.begin(&mut events).await?;
        }
        open.push(&mut events, &parsed.text).await?;
        let text = open.text.clone();
        output.extend(open.end(&mut events, status).await?);
        for item in parsed.calls.iter().map(call).chain(parsed.begun().map(begun_call)) {
            events.call(output.len(), &item).await?;
            output.push(item);
        }
        let name = if status == "completed" { "response.completed" } else { "response.incomplete" };
        let response = self.finish(&finished, status, &output, text, parsed.calls);
        events.write(name, json!({"response": response})).await
    }

    /// What is told of a token beside the text.
    fn log(&self, token: &AnswerToken) -> Option<Value> {
        self.told.top.map(|_| log_probabilities::of_chat(&self.language, token))
    }

    async fn fail(&self, events: &mut Numbered, failure: Failure) -> Result<(), Gone> {
        let mut response = self.told.response("failed", &[], &Value::Null);
        let error = &failure.body()["error"];
        response["error"] =
            json!({"code": error["code"].as_str().unwrap_or("server_error"), "message": error["message"]});
        events.write("response.failed", json!({"response": response})).await
    }
}

fn status(finished: &Finished) -> Result<&'static str, Failure> {
    Ok(if finish_reason(finished, false)? == "length" { "incomplete" } else { "completed" })
}
