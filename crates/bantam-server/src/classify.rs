//! `POST /v1/classify`: texts in, answers out.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bantam_runtime::{Answer, Assistant};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::serve::Service;

/// The largest body of a request.
pub const MOST_BODY_BYTES: usize = 1 << 20;
/// The most texts in one request.
pub const MOST_TEXTS: usize = 1024;
/// The most characters in one text.
pub const MOST_TEXT_CHARACTERS: usize = 10_000;

const SHAPE: &str = r#"send {"text": "..."} or {"texts": ["...", "..."]}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    text: Option<String>,
    texts: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Answers {
    answers: Vec<Answer>,
}

/// Answers one text or many.
pub(crate) async fn classify(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    expect_json(&headers)?;
    expect_fitting(&headers)?;
    // The length is not always announced, so it is also counted while the body comes in.
    let bytes = to_bytes(body, MOST_BODY_BYTES).await.map_err(|error| {
        if is_too_long(&error) { too_large() } else { Failure::new(StatusCode::BAD_REQUEST, error.to_string(), SHAPE) }
    })?;
    let request: Request = serde_json::from_slice(&bytes).map_err(|error| {
        let message = format!("the body is not a request that can be read: {error}");
        Failure::new(StatusCode::BAD_REQUEST, message, SHAPE)
    })?;
    match request {
        Request { text: Some(text), texts: None } => {
            check_length(&text)?;
            let answer = service.compute(move |assistant| assistant.answer(&text)).await?;
            Ok(Json(answer).into_response())
        }
        Request { text: None, texts: Some(texts) } => {
            if texts.len() > MOST_TEXTS {
                let message = format!("{} texts in one request", texts.len());
                let remedy = format!("send {MOST_TEXTS} texts or fewer at a time");
                return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message, remedy));
            }
            texts.iter().try_for_each(|text| check_length(text))?;
            let answers = service.compute(move |assistant| answer_all(assistant, &texts)).await?;
            Ok(Json(Answers { answers }).into_response())
        }
        Request { text: None, texts: None } => {
            Err(Failure::new(StatusCode::BAD_REQUEST, "the request has no text", SHAPE))
        }
        Request { .. } => Err(Failure::new(StatusCode::BAD_REQUEST, "the request has both `text` and `texts`", SHAPE)),
    }
}

fn answer_all(assistant: &Assistant, texts: &[String]) -> Vec<Answer> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assistant.answer_all(&texts)
}

/// Only JSON is read. A form on a foreign web page cannot send this type unasked, which keeps it out.
fn expect_json(headers: &HeaderMap) -> Result<(), Failure> {
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("none");
    let kind = found.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")) {
        return Ok(());
    }
    let message = format!("the content type is {found}");
    Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message, "send the header Content-Type: application/json"))
}

/// Refuses by the announced length, before anything is read.
fn expect_fitting(headers: &HeaderMap) -> Result<(), Failure> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MOST_BODY_BYTES as u64) { Err(too_large()) } else { Ok(()) }
}

fn too_large() -> Failure {
    let message = format!("the body is larger than {MOST_BODY_BYTES} bytes");
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message, "send fewer texts at a time")
}

fn check_length(text: &str) -> Result<(), Failure> {
    // No text has more characters than bytes, and most need no counting.
    if text.len() <= MOST_TEXT_CHARACTERS || text.chars().count() <= MOST_TEXT_CHARACTERS {
        return Ok(());
    }
    let message = format!("a text is longer than {MOST_TEXT_CHARACTERS} characters");
    Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message, "shorten it: its beginning decides the answer"))
}

/// Whether reading stopped because the body was too long, rather than because the client went away.
fn is_too_long(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(this) = cause {
        if this.to_string().contains("length limit") {
            return true;
        }
        cause = this.source();
    }
    false
}
