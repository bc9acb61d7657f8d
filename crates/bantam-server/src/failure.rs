//! What a client is told when a request cannot be answered: what is wrong, and what to do about it.

use axum::Json;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A request that was refused.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    message: String,
    remedy: String,
}

impl Failure {
    /// A refusal with its HTTP status.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status, message: message.into(), remedy: remedy.into() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({"error": {"message": self.message, "remedy": self.remedy}});
        (self.status, Json(body)).into_response()
    }
}

/// No endpoint has this path.
pub(crate) async fn not_found(uri: Uri) -> Failure {
    let remedy = "the endpoints are POST /v1/classify, GET /v1/model, GET /health and GET /";
    Failure::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", uri.path()), remedy)
}

/// The endpoint answers to another method.
pub(crate) async fn wrong_method(method: Method, uri: Uri) -> Failure {
    let path = uri.path();
    let right = if path == "/v1/classify" { "POST" } else { "GET" };
    let message = format!("{path} does not answer to {method}");
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, message, format!("use {right}"))
}
