//! What is being served, and that it is: `/v1/models`, `/v1/model`, `/health` and `/ready`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::service::{Model, Service};
use crate::tasks::{Task, abilities};

/// What is told of a bundle.
#[derive(Serialize)]
pub(crate) struct Bundle {
    name: String,
    labels: Vec<String>,
    /// Numbers in the model.
    parameters: usize,
    /// The bundle's size on disk.
    bytes: u64,
    licence: String,
    languages: Vec<String>,
    /// The least confidence that is answered without a person.
    threshold: Option<f32>,
}

/// Tells of the first bundle.
pub(crate) async fn bundle(State(service): State<Arc<Service>>) -> Result<Json<Bundle>, Failure> {
    let assistant = service.bundle(None)?;
    let parts = assistant.parts();
    Ok(Json(Bundle {
        name: parts.name.clone(),
        labels: parts.labels.clone(),
        parameters: assistant.classifier().parameters(),
        bytes: assistant.bytes(),
        licence: parts.licence.clone(),
        languages: parts.languages.clone(),
        threshold: parts.threshold,
    }))
}

/// Tells of all models.
pub(crate) async fn list(State(service): State<Arc<Service>>) -> Json<Value> {
    let models: Vec<Value> = service.models().iter().map(|(name, model)| told(&service, name, model)).collect();
    Json(json!({"object": "list", "data": models}))
}

/// Tells of one model.
pub(crate) async fn one(State(service): State<Arc<Service>>, Path(name): Path<String>) -> Result<Json<Value>, Failure> {
    Ok(Json(told(&service, &name, &service.model(&name)?.1)))
}

fn told(service: &Service, name: &str, model: &Model) -> Value {
    let mut value = json!({"id": name, "object": "model", "created": service.began, "owned_by": "bantam"});
    match model {
        Model::Bundle(assistant) => {
            value["task"] = "classify".into();
            value["parameters"] = assistant.classifier().parameters().into();
        }
        Model::Encoder(encoder) => {
            let tasks: Vec<&str> = abilities(model).into_iter().map(Task::name).collect();
            value["task"] = tasks[0].into();
            value["tasks"] = tasks.into();
            value["parameters"] = encoder.model.parameters().into();
            value["max_model_len"] = encoder.model.max_tokens().into();
        }
        Model::Language(language) => {
            value["task"] = if language.chat().is_plain() { "complete" } else { "chat" }.into();
            value["parameters"] = language.model().parameters().into();
            value["max_model_len"] = language.model().max_tokens().into();
        }
    }
    value
}

/// Tells that the server is alive.
pub(crate) async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Tells whether new requests are taken.
pub(crate) async fn ready(State(service): State<Arc<Service>>) -> Response {
    if service.is_ending() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "ending"}))).into_response();
    }
    Json(json!({"status": "ready"})).into_response()
}
