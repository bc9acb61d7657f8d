//! Requests as `huggingface_hub.InferenceClient` sends them: `{"inputs": ..., "parameters": {...}}` to the address of a model, or of a
//! model's task.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bantam_runtime::tasks::cosine;
use serde::Deserialize;
use serde_json::Value;

use super::choose::{Task, able, meant};
use super::embed::Embedding;
use super::inputs::{Texts, few, unreadable};
use super::text_generation::{self, Request};
use super::{label, tei};
use crate::answers::in_time;
use crate::body::Fields;
use crate::failure::{Failure, PlainFailure};
use crate::keys::Caller;
use crate::service::{Model, Service};

const SHAPE: &str = r#"send {"inputs": "...", "parameters": {}}"#;

type Answer = Result<Response, PlainFailure>;

/// `POST /`: the first model that can do what the request is about.
pub(crate) async fn of_first(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    Ok(ask(&service, &headers, body, caller, None, None).await?)
}

/// `POST /models/{id}`.
pub(crate) async fn of_model(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    Ok(ask(&service, &headers, body, caller, Some(name), None).await?)
}

/// `POST /models/{id}/pipeline/{task}`.
pub(crate) async fn of_model_and_task(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path((name, task)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    Ok(ask(&service, &headers, body, caller, Some(name), Some(&task)).await?)
}

/// `POST /pipeline/{task}/{id}`.
pub(crate) async fn of_task_and_model(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path((task, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    Ok(ask(&service, &headers, body, caller, Some(name), Some(&task)).await?)
}

/// `GET /models/{id}/info`: what the model is, as text-embeddings-inference tells it.
pub(crate) async fn info(
    State(service): State<Arc<Service>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, PlainFailure> {
    let (name, model) = service.model(&name)?;
    Ok(Json(tei::told(name, model)))
}

async fn ask(
    service: &Service,
    headers: &HeaderMap,
    body: Body,
    caller: Caller,
    name: Option<String>,
    task: Option<&str>,
) -> Result<Response, Failure> {
    let task = task.map(Task::named).transpose()?;
    let mut fields = service.read(headers, body, SHAPE).await?;
    let name = name.or(fields.take("model")?);
    let inputs: Value = fields.require("inputs")?;
    let parameters = fields.take::<Value>("parameters")?.unwrap_or_else(|| Value::Object(Default::default()));
    let stream = fields.take::<bool>("stream")?;
    let task = match task {
        Some(task) => task,
        // Only clients that want a text to be gone on with send this.
        None if stream.is_some() => Task::TextGeneration,
        None => meant(service, name.as_deref(), &inputs, &parameters)?,
    };
    let model = able(service, name.as_deref(), task)?;
    // Some tasks have their parameters beside `inputs`, some under `parameters`.
    fields.extend(Fields::of(parameters, "parameters")?);
    if let (Task::TextGeneration, Model::Language(language)) = (task, model) {
        let asked = Request { inputs, is_streamed: stream.unwrap_or(false), caller };
        return text_generation::generate(service, headers, language, asked, fields).await;
    }
    in_time(service, headers, answer(service, task, model, inputs, fields)).await
}

async fn answer(
    service: &Service,
    task: Task,
    model: &Model,
    inputs: Value,
    mut fields: Fields,
) -> Result<Response, Failure> {
    let value = match (task, model) {
        (Task::FeatureExtraction, _) => {
            let (texts, _) = Texts::single(inputs)?;
            let rows = Embedding::of(&mut fields)?.rows(service, model, texts).await?;
            return Ok(Json(rows).into_response());
        }
        (Task::SentenceSimilarity, _) => {
            return Ok(Json(similar(service, model, inputs, &mut fields).await?).into_response());
        }
        (Task::TextClassification, _) => label::texts(service, model, inputs, &mut fields).await?,
        (Task::ZeroShot, _) => label::zero_shot(service, model, inputs, &mut fields).await?,
        (Task::TokenClassification, Model::Encoder(model)) => {
            label::tokens(service, model, inputs, &mut fields).await?
        }
        (Task::FillMask, Model::Encoder(model)) => label::hidden(service, model, inputs, &mut fields).await?,
        (Task::QuestionAnswering, Model::Encoder(model)) => label::spans(service, model, inputs, &mut fields).await?,
        _ => return Err(unreadable("ask a model that has a head for it")),
    };
    Ok(Json(value).into_response())
}

#[derive(Deserialize)]
struct Sentences {
    source_sentence: String,
    sentences: Vec<String>,
}

/// How near each of some sentences is to another: the cosine of what the model makes of them.
pub(super) async fn similar(
    service: &Service,
    model: &Model,
    inputs: Value,
    fields: &mut Fields,
) -> Result<Vec<f32>, Failure> {
    let Sentences { source_sentence, sentences } = serde_json::from_value(inputs)
        .map_err(|_| unreadable(r#"send {"source_sentence": "...", "sentences": ["...", "..."]}"#))?;
    few(sentences.len())?;
    let embedding = Embedding::of(fields)?;
    let texts = std::iter::once(source_sentence).chain(sentences).collect();
    let rows = embedding.rows(service, model, texts).await?;
    Ok(rows[1..].iter().map(|row| cosine(&rows[0], row)).collect())
}
