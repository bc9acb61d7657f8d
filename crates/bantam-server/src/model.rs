//! `GET /v1/model` and `GET /health`: what is being served, and that it is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::serve::Service;

/// What is being served.
#[derive(Serialize)]
pub(crate) struct Model {
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

/// Tells what is being served.
pub(crate) async fn model(State(service): State<Arc<Service>>) -> Json<Model> {
    let assistant = service.assistant();
    let parts = assistant.parts();
    Json(Model {
        name: parts.name.clone(),
        labels: parts.labels.clone(),
        parameters: assistant.classifier().parameters(),
        bytes: assistant.bytes(),
        licence: parts.licence.clone(),
        languages: parts.languages.clone(),
        threshold: parts.threshold,
    })
}

/// Tells that requests are being answered.
pub(crate) async fn health() -> Json<serde_json::Value> {
    Json(serde_json::json!({"status": "ok"}))
}
