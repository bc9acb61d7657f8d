//! `/v1/responses`: conversations as OpenAI's newer interface has them, which the server remembers.

mod input;
mod items;
mod make;
mod object;
mod store;
mod writing;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use crate::chat::Streaming;
use crate::failure::Failure;
use crate::keys::Caller;
use crate::service::Service;

pub(crate) use items::input_items;
pub(crate) use store::Store;

const SHAPE: &str = r#"send {"model": "...", "input": "..."}"#;

/// Makes a response.
pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let mut fields = service.read(&headers, body, SHAPE).await?;
    let is_streamed = Streaming::of(&mut fields)?.is_some();
    let (making, answers) = make::begin(&service, caller, fields, &headers).await?;
    if is_streamed {
        let answers = answers.begun().await?;
        return Ok(crate::events::respond(|writer| making.stream(answers, writer)));
    }
    making.whole(answers).await.map(|value| Json(value).into_response())
}

/// Counts the tokens that the model would read.
pub(crate) async fn input_tokens(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let fields = service.read(&headers, body, SHAPE).await?;
    let count = make::count(&service, caller, fields).await?;
    Ok(Json(json!({"object": "response.input_tokens", "input_tokens": count})))
}

/// Gives a response again.
pub(crate) async fn read(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    service.store.find(caller, &id).map(|kept| Json(kept.response.clone())).ok_or_else(|| unknown(&id, "id"))
}

/// Forgets a response.
pub(crate) async fn delete(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    if service.store.remove(caller, &id) {
        return Ok(Json(json!({"id": id, "object": "response", "deleted": true})));
    }
    Err(unknown(&id, "id"))
}

fn unknown(id: &str, field: &str) -> Failure {
    let remedy = "send the whole conversation; the server forgets the oldest responses, and all when it ends";
    Failure::field(field, format!("there is no response {id:?}"), remedy)
        .with_status(StatusCode::NOT_FOUND)
        .with_code("response_not_found")
}
