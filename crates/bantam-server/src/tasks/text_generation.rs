//! `text-generation` by a language model: requests and answers as Hugging Face's text-generation-inference has them.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bantam_runtime::generation::engine::Finished;
use bantam_runtime::generation::{AnswerToken, Finish, GenerateOptions};
use serde_json::{Value, json};

use super::inputs::unreadable;
use crate::answers::{Answers, Asked, Names, Told, Whole, deadline, ended, expect_fitting};
use crate::body::Fields;
use crate::conversation::finish_reason;
use crate::events::{self, Gone, Writer};
use crate::failure::{Failure, PlainFailure};
use crate::forms::Form;
use crate::keys::Caller;
use crate::service::{Language, Service};
use crate::{chat, log_probabilities, sampling};

/// Tokens of an answer where the request says nothing, as that server has it.
const TOKENS: usize = 100;
/// Parameters that only this task has.
const OWN: [&str; 11] = [
    "max_new_tokens",
    "do_sample",
    "return_full_text",
    "stop",
    "stop_sequences",
    "temperature",
    "typical_p",
    "repetition_penalty",
    "decoder_input_details",
    "top_n_tokens",
    "seed",
];

/// What such a request calls its parts.
const NAMES: Names = Names { text: "inputs", tokens: "max_new_tokens" };
/// Parameters that would change an answer and are not followed, with what to do instead.
const REFUSED: [(&str, &str); 3] = [
    ("watermark", "leave it out: answers have no watermark"),
    ("decoder_input_details", "leave it out: no log-probabilities of the prompt are told"),
    ("adapter_id", "serve MODEL+ADAPTER as a model of its own, and ask that"),
];

/// What is asked for beside the parameters, and by whom.
pub(super) struct Request {
    pub(super) inputs: Value,
    pub(super) is_streamed: bool,
    pub(super) caller: Caller,
}

/// Whether parameters can only be meant for this task.
pub(super) fn is_meant(parameters: &Value) -> bool {
    OWN.iter().any(|name| parameters.get(name).is_some_and(|value| !value.is_null()))
}

/// How an answer is told.
struct Manner {
    language: Arc<Language>,
    /// The prompt, where the answer begins with it.
    before: String,
    with_details: bool,
    with_top: bool,
    prompt_tokens: usize,
    seed: Option<u64>,
}

/// Goes on with a text.
pub(super) async fn generate(
    service: &Service,
    headers: &HeaderMap,
    language: &Arc<Language>,
    request: Request,
    mut fields: Fields,
) -> Result<Response, Failure> {
    let Request { inputs, is_streamed, caller } = request;
    let Value::String(text) = inputs else { return Err(unreadable("send a text to go on with")) };
    for (name, remedy) in REFUSED {
        if !matches!(fields.peek(name), Value::Null | Value::Bool(false)) {
            return Err(Failure::field(name, format!("`{name}` is not supported"), remedy));
        }
    }
    if fields.take::<usize>("best_of")?.is_some_and(|best| best != 1) {
        return Err(Failure::field("best_of", "`best_of` is not supported", "ask several times with other seeds"));
    }
    let with_details = fields.take("details")?.unwrap_or(false);
    let is_full = fields.take("return_full_text")?.unwrap_or(false);
    let kept: Option<usize> = fields.take("truncate")?;
    let top = log_probabilities::top(&mut fields, "top_n_tokens")?.unwrap_or(0);
    let form = fields.take::<Value>("grammar")?.as_ref().map(form_of).transpose()?;
    let options = options(&mut fields, language, service)?;
    let mut manner = Manner {
        language: Arc::clone(language),
        before: if is_full { text.clone() } else { String::new() },
        with_details,
        with_top: top > 0,
        prompt_tokens: 0,
        seed: options.sampling.seed.filter(|_| options.sampling.temperature > 0.0),
    };
    let owner = Arc::clone(language);
    let asked = move || {
        let mut prompt = owner.tokenizer()?.encode_beginning(&text);
        // What is left out is the beginning, which the answer goes on from least.
        prompt.drain(..prompt.len().saturating_sub(kept.unwrap_or(usize::MAX)));
        expect_fitting(&prompt, &owner, NAMES)?;
        let constraint = form.map(|form| form.constraint(&owner, &[])).transpose()?;
        Ok::<_, Failure>(Asked { prompt, options, top, constraint })
    };
    let asked = service.compute(asked).await??;
    manner.prompt_tokens = asked.prompt.len();
    let answers = Answers::submit(service, language, vec![asked], NAMES, caller, deadline(service, headers)?)?;
    if is_streamed {
        let answers = answers.begun().await?;
        return Ok(events::respond(|writer| manner.stream(answers, writer)));
    }
    let whole = answers.whole().await?.pop().ok_or_else(ended)?;
    Ok(Json(json!([manner.whole(&whole)?])).into_response())
}

/// That server takes the likeliest token unless something asks it to draw.
fn options(fields: &mut Fields, language: &Language, service: &Service) -> Result<GenerateOptions, Failure> {
    let asks = |name: &str| fields.peek(name).as_f64().is_some_and(|value| value != 1.0 && value > 0.0);
    let is_drawn = ["temperature", "top_k", "top_p", "typical_p"].into_iter().any(asks);
    let is_drawn = fields.take("do_sample")?.unwrap_or(false) || is_drawn;
    let more_stops: Vec<String> = fields.take("stop_sequences")?.unwrap_or_default();
    let mut options = sampling::options(fields, &["max_new_tokens"], TOKENS, language, &service.limits)?;
    options.stop.extend(more_stops);
    options.continues = true;
    if !is_drawn {
        options.sampling.temperature = 0.0;
    }
    Ok(options)
}

fn form_of(grammar: &Value) -> Result<Form, Failure> {
    match (grammar["type"].as_str(), &grammar["value"]) {
        (Some("json"), schema @ Value::Object(_)) => Ok(Form::Schema(schema.clone())),
        (Some("json_schema"), Value::Object(named)) if named.contains_key("schema") => {
            Ok(Form::Schema(named["schema"].clone()))
        }
        (Some("regex"), Value::String(pattern)) => Ok(Form::Pattern(pattern.clone())),
        _ => {
            let remedy = r#"send {"type": "json", "value": {...}} or {"type": "regex", "value": "..."}"#;
            Err(Failure::field("grammar", "`grammar` cannot be read", remedy))
        }
    }
}

impl Manner {
    fn whole(&self, whole: &Whole) -> Result<Value, Failure> {
        let mut value = json!({"generated_text": format!("{}{}", self.before, whole.text)});
        let reason = reason(&whole.finished)?;
        if self.with_details {
            let mut details = self.details(reason, whole.tokens.len());
            details["tokens"] = whole.tokens.iter().map(|token| self.token(token)).collect();
            if self.with_top {
                details["top_tokens"] = whole.tokens.iter().map(|token| self.top(token)).collect();
            }
            details["prefill"] = json!([]);
            value["details"] = details;
        }
        Ok(value)
    }

    fn details(&self, reason: &str, tokens: usize) -> Value {
        json!({"finish_reason": reason, "generated_tokens": tokens, "input_length": self.prompt_tokens, "seed": self.seed})
    }

    fn token(&self, token: &AnswerToken) -> Value {
        let mut told = self.told(token.token, token.log_probability);
        told["text"] = token.text.as_str().into();
        told
    }

    fn top(&self, token: &AnswerToken) -> Value {
        token.top.iter().map(|&(id, log_probability)| self.told(id, log_probability)).collect()
    }

    fn told(&self, id: u32, log_probability: f32) -> Value {
        let (text, log_probability) = (self.language.token_text(id), log_probability.max(log_probabilities::LEAST));
        json!({"id": id, "text": text, "logprob": log_probability, "special": self.language.model().is_end(id)})
    }

    /// Each token is told when the next is there, since the last is told with the whole text.
    async fn stream(self, mut answers: Answers, writer: Writer) -> Result<(), Gone> {
        let (mut text, mut count, mut held) = (self.before.clone(), 0, VecDeque::new());
        let finished = loop {
            match answers.next().await {
                Some((_, Told::Token(token))) => {
                    text += &token.text;
                    held.push_back(token);
                    if held.len() > 1
                        && let Some(token) = held.pop_front()
                    {
                        count += 1;
                        writer.data(&self.event(count, &token)).await?;
                    }
                }
                Some((_, Told::Finished(finished))) => break finished,
                None => return writer.data(&PlainFailure::from(ended()).body()).await,
            }
        };
        let reason = match reason(&finished) {
            Ok(reason) => reason,
            Err(failure) => return writer.data(&PlainFailure::from(failure).body()).await,
        };
        let tokens = count + held.len();
        // An answer without any token ended with the one that says so.
        let end = self.language.model().ends().first().copied().unwrap_or_default();
        let nothing = AnswerToken { token: end, text: String::new(), log_probability: 0.0, top: Vec::new() };
        let mut last = held.pop_front().unwrap_or(nothing);
        last.text += &finished.text;
        let mut event = self.event(count + 1, &last);
        event["generated_text"] = (text + &finished.text).into();
        event["details"] = self.details(reason, tokens);
        writer.data(&event).await
    }

    fn event(&self, index: usize, token: &AnswerToken) -> Value {
        let mut event = json!({"index": index, "token": self.token(token), "generated_text": null, "details": null});
        if self.with_top {
            event["top_tokens"] = self.top(token);
        }
        event
    }
}

/// Why an answer ended, in that server's words.
fn reason(finished: &Finished) -> Result<&'static str, Failure> {
    finish_reason(finished, false)?;
    Ok(match finished.finish {
        Finish::End => "eos_token",
        Finish::Stop(_) => "stop_sequence",
        _ => "length",
    })
}

/// `POST /models/{id}/v1/chat/completions`: a chat with the model in the path, whatever name the request has.
pub(crate) async fn chat_with(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let mut fields = service.read(&headers, body, chat::SHAPE).await?;
    fields.extend(Fields::of(json!({"model": name}), "model")?);
    chat::answer(service, caller, &headers, fields).await
}
