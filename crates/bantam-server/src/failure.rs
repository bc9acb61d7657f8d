//! What a client is told when a request cannot be answered: what is wrong, and what to do about it. The form is OpenAI's,
//! with the remedy as one more field.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A request that was refused.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    message: String,
    remedy: String,
    field: Option<String>,
    code: Option<&'static str>,
    retry_after_seconds: Option<u32>,
}

impl Failure {
    /// A refusal with its HTTP status.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (message, remedy) = (message.into(), remedy.into());
        Self { status, message, remedy, field: None, code: None, retry_after_seconds: None }
    }

    /// A request with a field that cannot be used.
    pub(crate) fn field(field: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::new(StatusCode::BAD_REQUEST, message, remedy) }
    }

    /// The same where the request calls the field by another name, and something else helps.
    pub(crate) fn renamed(self, field: &str, name: &str, remedy: &str) -> Self {
        if self.field.as_deref() != Some(field) {
            return self;
        }
        Self { field: Some(name.to_owned()), remedy: remedy.to_owned(), ..self }
    }

    /// The same with another status.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same with a word that programs can tell it by.
    pub(crate) fn with_code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// The same, to be tried again after so long.
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after_seconds: Some(seconds), ..self }
    }

    /// The body that tells it.
    pub(crate) fn body(&self) -> Value {
        let kind = match self.status.as_u16() {
            401 | 403 => "authentication_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        json!({"error": {
            "message": self.message, "type": kind, "param": self.field, "code": self.code, "remedy": self.remedy,
        }})
    }
}

/// The same in the form of Hugging Face's servers, whose clients read `error` as a text, and text-embeddings-inference's kinds.
#[derive(Debug)]
pub(crate) struct PlainFailure(Failure);

impl From<Failure> for PlainFailure {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl PlainFailure {
    /// The body that tells it.
    pub(crate) fn body(&self) -> Value {
        let Failure { status, message, remedy, field, code, .. } = &self.0;
        let kind = match status.as_u16() {
            424 => "Backend",
            429 => "Overloaded",
            500.. => "Unhealthy",
            _ => "Validation",
        };
        let text = format!("{message}; {remedy}");
        json!({"error": text, "error_type": kind, "param": field, "code": code, "remedy": remedy})
    }
}

impl IntoResponse for PlainFailure {
    fn into_response(self) -> Response {
        answered(self.0.status, self.0.retry_after_seconds, self.body())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = answered(self.status, self.retry_after_seconds, self.body());
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn answered(status: StatusCode, retry_after_seconds: Option<u32>, body: Value) -> Response {
    let mut response = (status, Json(body)).into_response();
    if let Some(seconds) = retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
