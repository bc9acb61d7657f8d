//! A bundle over HTTP: the endpoints, a file for each family, and a chat page.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/classify` | one answer for `{"text": ...}`, or `{"answers": [...]}` for `{"texts": [...]}` |
//! | `GET /v1/model` | what is being served |
//! | `GET /health` | `{"status": "ok"}` once the model is loaded |
//! | `GET /` | a page to talk to it |
//!
//! Whatever goes wrong is told as `{"error": {"message", "remedy"}}`.

mod classify;
mod failure;
mod model;
mod page;
mod serve;

pub use classify::{MOST_BODY_BYTES, MOST_TEXT_CHARACTERS, MOST_TEXTS};
pub use serve::{ServeError, serve};
