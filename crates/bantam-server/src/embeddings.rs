//! `POST /v1/embeddings`: texts to numbers that are near each other where the texts mean the same.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use bantam_runtime::Assistant;
use bantam_runtime::tasks::{Cut, unit};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::answers::in_time;
use crate::failure::Failure;
use crate::known;
use crate::prompts::{Prompt, prompts};
use crate::service::{Language, Model, Service};
use crate::tasks::of_encoder;

const SHAPE: &str = r#"send {"model": "...", "input": "..."}"#;
/// Texts that a bundle reads in one batch.
const BATCH: usize = 64;

/// Embeds each input.
pub(crate) async fn embeddings(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let mut fields = service.read(&headers, body, SHAPE).await?.known_by(&known::EMBEDDING)?;
    let (name, model) = service.any(fields.take::<String>("model")?.as_deref())?;
    let inputs = prompts(&mut fields, "input")?;
    let is_base64 = match fields.take::<String>("encoding_format")?.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => {
            let message = format!("encoding_format is {other:?}");
            return Err(Failure::field("encoding_format", message, "take one of: float, base64"));
        }
    };
    let dimensions = fields.take::<usize>("dimensions")?;
    let embedding = async {
        match model {
            Model::Bundle(bundle) => of_bundle(&service, bundle, inputs).await,
            Model::Encoder(encoder) => {
                let found = of_encoder(&service, encoder, texts(inputs)?, Cut::Never).await;
                // Tasks call it `inputs`, and may cut it.
                found.map_err(|failure| {
                    failure.renamed("inputs", "input", "shorten it, or POST /embed with \"truncate\": true")
                })
            }
            Model::Language(language) => of_language(&service, language, inputs).await,
        }
    };
    let (rows, tokens) = in_time(&service, &headers, embedding).await?;
    let mut data = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        let row = unit(&shortened(row, dimensions)?);
        let embedding = if is_base64 {
            let bytes: Vec<u8> = row.iter().flat_map(|number| number.to_le_bytes()).collect();
            Value::String(BASE64_STANDARD.encode(bytes))
        } else {
            json!(row)
        };
        data.push(json!({"object": "embedding", "index": index, "embedding": embedding}));
    }
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    Ok(Json(json!({"object": "list", "data": data, "model": name, "usage": usage})))
}

/// One input after the other, so that other requests have their turn, and nothing goes on where the client is gone.
pub(crate) async fn of_language(
    service: &Service,
    language: &Arc<Language>,
    inputs: Vec<Prompt>,
) -> Result<(Vec<Vec<f32>>, usize), Failure> {
    let (mut rows, mut count) = (Vec::new(), 0);
    for input in inputs {
        let language = Arc::clone(language);
        let work = move || {
            let tokens = input.into_tokens(&language)?;
            check(&tokens, &language)?;
            Ok::<_, Failure>((language.model().mean_state(&tokens), tokens.len()))
        };
        let (row, tokens) = service.compute(work).await??;
        rows.push(row);
        count += tokens;
    }
    Ok((rows, count))
}

pub(crate) async fn of_bundle(
    service: &Service,
    bundle: &Arc<Assistant>,
    inputs: Vec<Prompt>,
) -> Result<(Vec<Vec<f32>>, usize), Failure> {
    let texts = texts(inputs)?;
    let (mut rows, mut count) = (Vec::new(), 0);
    for batch in texts.chunks(BATCH) {
        let (batch, bundle) = (batch.to_vec(), Arc::clone(bundle));
        let work = move || bundle.embeddings(&batch.iter().map(String::as_str).collect::<Vec<_>>());
        let (found, tokens) = service.compute(work).await?;
        rows.extend(found);
        count += tokens;
    }
    Ok((rows, count))
}

fn texts(inputs: Vec<Prompt>) -> Result<Vec<String>, Failure> {
    let text = |input| match input {
        Prompt::Text(text) => Ok(text),
        Prompt::Ids(_) => Err(Failure::field("input", "this model reads no token ids", "send texts")),
    };
    inputs.into_iter().map(text).collect()
}

fn check(tokens: &[u32], language: &Language) -> Result<(), Failure> {
    let most = language.model().max_tokens();
    if tokens.is_empty() {
        return Err(Failure::field("input", "an input has no token", "leave it out"));
    }
    if tokens.len() > most {
        let message = format!("an input has {} tokens, and the model reads {most} at most", tokens.len());
        return Err(Failure::field("input", message, "shorten it").with_code("context_length_exceeded"));
    }
    language.expect_known(tokens, "input")
}

/// The first `dimensions` numbers.
pub(crate) fn shortened(mut row: Vec<f32>, dimensions: Option<usize>) -> Result<Vec<f32>, Failure> {
    if let Some(count) = dimensions {
        if count == 0 || count > row.len() {
            let message = format!("dimensions is {count}");
            return Err(Failure::field("dimensions", message, format!("ask for 1 to {} numbers", row.len())));
        }
        row.truncate(count);
    }
    Ok(row)
}
