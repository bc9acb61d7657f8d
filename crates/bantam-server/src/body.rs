//! The bodies of requests: JSON only, of a bounded length, and read in a bounded time.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::known::Known;

/// How long a body may take: a client that sends nothing must not be kept for ever.
const LONGEST: Duration = Duration::from_secs(30);

/// Reads a body of at most `most_bytes`. `shape` tells what it should have been.
pub(crate) async fn read<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    most_bytes: usize,
    shape: &str,
) -> Result<T, Failure> {
    expect_json(headers)?;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most_bytes as u64) {
        return Err(too_large(most_bytes));
    }
    // The length is not always announced, so it is also counted while the body comes in.
    let read = tokio::time::timeout(LONGEST, to_bytes(body, most_bytes)).await.map_err(|_| {
        let message = format!("the body did not come within {} seconds", LONGEST.as_secs());
        Failure::new(StatusCode::REQUEST_TIMEOUT, message, "send it at once")
    })?;
    let bytes = read.map_err(|error| {
        if is_too_long(&error) {
            too_large(most_bytes)
        } else {
            Failure::new(StatusCode::BAD_REQUEST, error.to_string(), shape)
        }
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let message = format!("the body is not a request that can be read: {error}");
        Failure::new(StatusCode::BAD_REQUEST, message, shape)
    })
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

fn too_large(most_bytes: usize) -> Failure {
    let message = format!("the body is larger than {most_bytes} bytes");
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message, "send less at a time")
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

/// The fields of a request, taken out one by one so that what is wrong can be named.
#[derive(Debug, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// The fields of a JSON object inside a request, called `name` there.
    pub(crate) fn of(value: Value, name: &str) -> Result<Self, Failure> {
        match value {
            Value::Object(fields) => Ok(Self(fields)),
            _ => {
                Err(Failure::field(name, format!("`{name}` is no JSON object"), format!("send an object as `{name}`")))
            }
        }
    }

    /// A field's value; a null is as good as none.
    pub(crate) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Failure> {
        match self.0.swap_remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value).map(Some).map_err(|error| {
                Failure::field(name, format!("`{name}` cannot be used: {error}"), "send the type that it names")
            }),
        }
    }

    /// Adds the fields of another object; those that both have are its.
    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// A field as it was sent; null where it was not.
    pub(crate) fn peek(&self, name: &str) -> Value {
        self.0.get(name).cloned().unwrap_or_default()
    }

    /// A field that has to be there.
    pub(crate) fn require<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Failure> {
        let missing = || Failure::field(name, format!("`{name}` is missing"), format!("send `{name}`"));
        self.take(name)?.ok_or_else(missing)
    }

    /// The fields under their first names, where an endpoint knows them all; it refuses those that it does not.
    pub(crate) fn known_by(self, known: &Known) -> Result<Self, Failure> {
        known.check(self.0).map(Self)
    }

    /// Refuses an object, called `name` in the request, of which something was not taken.
    pub(crate) fn expect_taken(&self, name: &str) -> Result<(), Failure> {
        let Some((left, _)) = self.0.iter().find(|(_, value)| !value.is_null()) else { return Ok(()) };
        Err(Failure::field(name, format!("`{left}` in `{name}` is not supported"), format!("leave out `{left}`")))
    }
}

/// A list that may also be written as its only member.
#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    /// The only one.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    /// As a list.
    pub(crate) fn into_list(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}
