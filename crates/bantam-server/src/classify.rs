//! `POST /v1/classify`: texts in, answers out, by a bundle.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bantam_runtime::{Answer, Assistant};
use serde::Serialize;

use crate::body::{self, Fields};
use crate::failure::Failure;
use crate::known;
use crate::service::Service;

/// The largest body of a request.
pub const MOST_BODY_BYTES: usize = 1 << 20;
/// The most texts in one request.
pub const MOST_TEXTS: usize = 1024;
/// The most characters in one text.
pub const MOST_TEXT_CHARACTERS: usize = 10_000;

const SHAPE: &str = r#"send {"text": "..."} or {"texts": ["...", "..."]}"#;

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
    let fields: Fields = body::read(&headers, body, MOST_BODY_BYTES, SHAPE).await?;
    let mut fields = fields.known_by(&known::CLASSIFY)?;
    let bundle = service.bundle(fields.take::<String>("model")?.as_deref())?;
    match (fields.take::<String>("text")?, fields.take::<Vec<String>>("texts")?) {
        (Some(text), None) => {
            check_length(&text)?;
            let answer = service.compute(move || bundle.answer(&text)).await?;
            Ok(Json(answer).into_response())
        }
        (None, Some(texts)) => {
            if texts.len() > MOST_TEXTS {
                let message = format!("{} texts in one request", texts.len());
                let remedy = format!("send {MOST_TEXTS} texts or fewer at a time");
                return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message, remedy));
            }
            texts.iter().try_for_each(|text| check_length(text))?;
            let answers = service.compute(move || answer_all(&bundle, &texts)).await?;
            Ok(Json(Answers { answers }).into_response())
        }
        (None, None) => Err(Failure::new(StatusCode::BAD_REQUEST, "the request has no text", SHAPE)),
        _ => Err(Failure::new(StatusCode::BAD_REQUEST, "the request has both `text` and `texts`", SHAPE)),
    }
}

fn answer_all(assistant: &Assistant, texts: &[String]) -> Vec<Answer> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assistant.answer_all(&texts)
}

fn check_length(text: &str) -> Result<(), Failure> {
    // No text has more characters than bytes, and most need no counting.
    if text.len() <= MOST_TEXT_CHARACTERS || text.chars().count() <= MOST_TEXT_CHARACTERS {
        return Ok(());
    }
    let message = format!("a text is longer than {MOST_TEXT_CHARACTERS} characters");
    Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message, "shorten it: its beginning decides the answer"))
}
