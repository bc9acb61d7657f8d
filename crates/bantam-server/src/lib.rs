//! Bundles and language models over HTTP: the endpoints, a file for each family, and a chat page.
//!
//! [`serve`] serves any number of models at one place. `src/routes.rs` lists the endpoints: those of OpenAI's interface
//! for language models (chats, completions, responses, models), `/tokenize` and `/detokenize`, `/v1/classify` for
//! bundles, the tasks of Hugging Face and the paths of text-embeddings-inference for encoders, and `/health`, `/ready`, `/metrics` and `/openapi.json` for whoever looks after the server.
//!
//! Whatever goes wrong is told as `{"error": {"message", "type", "param", "code", "remedy"}}`, or by tasks as Hugging Face
//! does, with a text as `error`.

mod answers;
mod batcher;
mod body;
mod chat;
mod classify;
mod completions;
mod connections;
mod conversation;
mod embeddings;
mod events;
mod failure;
mod forms;
mod identifier;
mod keys;
mod known;
mod listening;
mod log_probabilities;
mod messages;
mod metrics;
mod models;
mod observe;
mod openapi;
mod options;
mod page;
mod prompts;
mod responses;
mod routes;
mod sampling;
mod serve;
mod service;
mod tasks;
mod tokens;
mod tool_text;
mod usage;

pub use classify::{MOST_BODY_BYTES, MOST_TEXT_CHARACTERS, MOST_TEXTS};
pub use options::{Place, ServeOptions, Served, ServedModel, TlsFiles};
pub use serve::{ServeError, serve};
