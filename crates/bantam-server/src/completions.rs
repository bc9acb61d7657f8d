//! `POST /v1/completions`: prompts in, what follows them out.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bantam_runtime::generation::GenerateOptions;
use serde_json::{Value, json};

use crate::answers::{Answers, Asked, Names, Told, Whole, deadline, ended, expect_fitting};
use crate::chat::Streaming;
use crate::conversation::finish_reason;
use crate::events::{self, Gone, Writer};
use crate::failure::Failure;
use crate::forms::{Form, form};
use crate::identifier::{identifier, now};
use crate::keys::Caller;
use crate::prompts::{Prompt, prompts};
use crate::service::{Language, Service};
use crate::usage::Usage;
use crate::{known, log_probabilities, sampling};

const SHAPE: &str = r#"send {"model": "...", "prompt": "..."}"#;
/// What such a request calls its parts.
const NAMES: Names = Names { text: "prompt", tokens: "max_tokens" };
/// Tokens of an answer where the request says nothing, as OpenAI has it.
const TOKENS: usize = 16;
/// The most answers to one request, over all prompts.
const MOST_ANSWERS: usize = 128;

/// How each prompt is gone on with.
struct Settings {
    options: GenerateOptions,
    form: Option<Form>,
    top: usize,
    /// Answers to each prompt.
    count: usize,
}

/// What the answers to one request have in common.
struct Head {
    language: Arc<Language>,
    id: String,
    created: u64,
    log_probabilities: bool,
    /// Answers to each prompt.
    count: usize,
}

/// Goes on with each prompt.
pub(crate) async fn completions(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let mut fields = service.read(&headers, body, SHAPE).await?.known_by(&known::COMPLETION)?;
    let language = service.language(fields.take::<String>("model")?.as_deref())?;
    let prompts = prompts(&mut fields, "prompt")?;
    let stream = Streaming::of(&mut fields)?;
    let asked_top = log_probabilities::top(&mut fields, "logprobs")?;
    let options = sampling::options(&mut fields, &["max_tokens"], TOKENS, &language, &service.limits)?;
    let settings = Settings {
        options: GenerateOptions { continues: true, ..options },
        form: form(&mut fields)?,
        top: asked_top.unwrap_or(0),
        count: sampling::answers(&mut fields)?,
    };
    let total = prompts.len() * settings.count;
    if total > MOST_ANSWERS {
        let message = format!("{} prompts with {} answers each", prompts.len(), settings.count);
        return Err(Failure::field("prompt", message, format!("ask for {MOST_ANSWERS} answers or fewer at a time")));
    }
    // The best of several cannot be told before all are there.
    if fields.take::<usize>("best_of")?.is_some_and(|best| best != settings.count) {
        return Err(Failure::field("best_of", "`best_of` is not supported", "ask for `n` answers and take the best"));
    }
    let head = Head {
        language: Arc::clone(&language),
        id: identifier("cmpl-"),
        created: now(),
        log_probabilities: asked_top.is_some(),
        count: settings.count,
    };
    let owner = Arc::clone(&language);
    let asked = service.compute(move || asked(prompts, &settings, &owner)).await??;
    let answers = Answers::submit(&service, &language, asked, NAMES, caller, deadline(&service, &headers)?)?;
    match stream {
        None => head.whole(answers.whole().await?).map(IntoResponse::into_response),
        Some(stream) => {
            let answers = answers.begun().await?;
            Ok(events::respond(|writer| head.stream(answers, total, stream.with_usage, writer)))
        }
    }
}

fn asked(prompts: Vec<Prompt>, settings: &Settings, language: &Language) -> Result<Vec<Asked>, Failure> {
    let mut asked = Vec::new();
    for prompt in prompts {
        let prompt = prompt.into_tokens(language)?;
        expect_fitting(&prompt, language, NAMES)?;
        for index in 0..settings.count {
            let constraint = settings.form.as_ref().map(|form| form.constraint(language, &[])).transpose()?;
            let options = sampling::of_answer(&settings.options, index);
            asked.push(Asked { prompt: prompt.clone(), options, top: settings.top, constraint });
        }
    }
    Ok(asked)
}

impl Head {
    fn whole(&self, wholes: Vec<Whole>) -> Result<Json<Value>, Failure> {
        let mut usage = Usage::default();
        let mut choices = Vec::new();
        for (index, Whole { tokens, text, finished }) in wholes.into_iter().enumerate() {
            usage.add(&finished, index % self.count == 0);
            let told = self.log_probabilities.then(|| log_probabilities::of_completion(&self.language, &tokens, 0));
            let reason = finish_reason(&finished, false)?;
            choices.push(json!({"index": index, "text": text, "logprobs": told, "finish_reason": reason}));
        }
        let mut value = self.value(&choices);
        value["usage"] = usage.of_completion();
        Ok(Json(value))
    }

    async fn stream(self, mut answers: Answers, total: usize, with_usage: bool, writer: Writer) -> Result<(), Gone> {
        // Characters that were told of each answer.
        let mut characters = vec![0; total];
        let (mut usage, mut open) = (Usage::default(), total);
        while open > 0 {
            let Some((index, event)) = answers.next().await else { return writer.data(&ended().body()).await };
            match event {
                Told::Token(token) => {
                    let logs = self.log_probabilities.then(|| {
                        log_probabilities::of_completion(
                            &self.language,
                            std::slice::from_ref(&token),
                            characters[index],
                        )
                    });
                    characters[index] += token.text.chars().count();
                    if !token.text.is_empty() || logs.is_some() {
                        self.chunk(&writer, index, &token.text, logs, Value::Null).await?;
                    }
                }
                Told::Finished(finished) => {
                    usage.add(&finished, index % self.count == 0);
                    open -= 1;
                    match finish_reason(&finished, false) {
                        Ok(reason) => self.chunk(&writer, index, &finished.text, None, reason.into()).await?,
                        Err(failure) => return writer.data(&failure.body()).await,
                    }
                }
            }
        }
        if with_usage {
            let mut value = self.value(&[]);
            value["usage"] = usage.of_completion();
            writer.data(&value).await?;
        }
        writer.done().await
    }

    async fn chunk(
        &self,
        writer: &Writer,
        index: usize,
        text: &str,
        told: Option<Value>,
        reason: Value,
    ) -> Result<(), Gone> {
        writer
            .data(&self.value(&[json!({"index": index, "text": text, "logprobs": told, "finish_reason": reason})]))
            .await
    }

    fn value(&self, choices: &[Value]) -> Value {
        json!({
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.language.name,
            "choices": choices,
        })
    }
}
