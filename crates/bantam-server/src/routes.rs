//! All endpoints, a line each: `/openapi.json`, the router and what is told of a wrong path are made from this list.

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post};

use crate::failure::Failure;
use crate::keys::{Keys, guard, origins};
use crate::known::{self, Known};
use crate::options::ServeOptions;
use crate::service::Service;
use crate::tasks::{self, tei};
use crate::{chat, classify, completions, embeddings, metrics, models, observe, openapi, page, responses, tokens};

type Handler = fn() -> MethodRouter<Arc<Service>>;

/// An endpoint.
pub(crate) struct Endpoint {
    /// GET, POST or DELETE.
    pub(crate) method: &'static str,
    /// Its path, with `{...}` for what varies.
    pub(crate) path: &'static str,
    /// What it does.
    pub(crate) summary: &'static str,
    /// A body that it takes.
    pub(crate) example: Option<&'static str>,
    /// The fields of that body, where there is a table of them.
    pub(crate) known: Option<&'static Known>,
    /// Whether it tells what is wrong as a text, as Hugging Face's servers do.
    pub(crate) is_plain: bool,
    handler: Handler,
}

impl Endpoint {
    const fn of(self, known: &'static Known) -> Self {
        Self { known: Some(known), ..self }
    }

    /// Whether a request may say how long it waits for its answer.
    pub(crate) fn has_deadline(&self) -> bool {
        !["/tokenize", "/detokenize", "/v1/classify"].contains(&self.path) && self.method == "POST"
    }

    const fn plain(self) -> Self {
        Self { is_plain: true, ..self }
    }
}

const fn reads(method: &'static str, path: &'static str, summary: &'static str, handler: Handler) -> Endpoint {
    Endpoint { method, path, summary, example: None, known: None, is_plain: false, handler }
}

const fn takes(path: &'static str, summary: &'static str, example: &'static str, handler: Handler) -> Endpoint {
    Endpoint { method: "POST", path, summary, example: Some(example), known: None, is_plain: false, handler }
}

const CHAT: &str = r#"{"model": "...", "messages": [{"role": "user", "content": "..."}], "stream": false}"#;
const CLASSIFY: &str = r#"{"text": "where is my order?"}"#;
const COMPLETION: &str = r#"{"model": "...", "prompt": "Once upon a time", "max_tokens": 16}"#;
const EMBEDDING: &str = r#"{"model": "...", "input": ["where is my order?"]}"#;
const RERANK: &str = r#"{"query": "where is my order?", "texts": ["...", "..."], "return_text": true}"#;
const SENTENCES: &str = r#"{"inputs": {"source_sentence": "...", "sentences": ["...", "..."]}}"#;
const TASK: &str = r#"{"inputs": "...", "parameters": {}}"#;
const TEXTS: &str = r#"{"inputs": ["...", "..."], "truncate": true}"#;
const RESPONSE: &str = r#"{"model": "...", "input": "..."}"#;

/// The endpoints.
pub(crate) const ENDPOINTS: &[Endpoint] = &[
    reads("GET", "/", "A page to talk to the models", || get(page::page)),
    reads("GET", "/health", "Whether the server is alive", || get(models::health)),
    reads("GET", "/ready", "Whether the server takes new requests", || get(models::ready)),
    reads("GET", "/metrics", "What is counted, for Prometheus", || get(metrics::metrics)),
    reads("GET", "/openapi.json", "This description", || get(openapi::openapi)),
    reads("GET", "/v1/models", "All models", || get(models::list)),
    reads("GET", "/v1/models/{id}", "One model", || get(models::one)),
    takes("/v1/chat/completions", "The next message of a conversation", CHAT, || post(chat::chat)).of(&known::CHAT),
    takes("/v1/completions", "What follows a text", COMPLETION, || post(completions::completions))
        .of(&known::COMPLETION),
    takes("/v1/responses", "The next turn of a conversation that is kept", RESPONSE, || post(responses::create))
        .of(&known::RESPONSE),
    reads("GET", "/v1/responses/{id}", "A response again", || get(responses::read)),
    reads("DELETE", "/v1/responses/{id}", "Forgets a response", || delete(responses::delete)),
    reads("GET", "/v1/responses/{id}/input_items", "What a response was asked with", || get(responses::input_items)),
    takes("/v1/responses/input_tokens", "How many tokens a response would read", RESPONSE, || {
        post(responses::input_tokens)
    })
    .of(&known::RESPONSE),
    takes("/v1/embeddings", "Texts to numbers", EMBEDDING, || post(embeddings::embeddings)).of(&known::EMBEDDING),
    takes("/tokenize", "Text to token ids", r#"{"prompt": "..."}"#, || post(tokens::tokenize)),
    takes("/detokenize", "Token ids to text", r#"{"tokens": [1, 2, 3]}"#, || post(tokens::detokenize)),
    takes("/decode", "Token ids to texts, as text-embeddings-inference has it", r#"{"ids": [1, 2, 3]}"#, || {
        post(tokens::decode)
    }),
    reads("GET", "/v1/model", "The bundle that is served", || get(models::bundle)),
    takes("/v1/classify", "Label, confidence, hand-over, reply and entities of texts, by a bundle", CLASSIFY, || {
        post(classify::classify)
    })
    .of(&known::CLASSIFY),
    takes("/", "The task of the first model for it, as Hugging Face has it", TASK, || post(tasks::of_first)).plain(),
    takes("/models/{id}", "A model's task, as Hugging Face has it", TASK, || post(tasks::of_model)).plain(),
    takes("/models/{id}/v1/chat/completions", "The next message of a conversation, by that model", CHAT, || {
        post(tasks::chat_with)
    })
    .of(&known::CHAT),
    takes("/models/{id}/pipeline/{task}", "The same with the name of the task", TASK, || {
        post(tasks::of_model_and_task)
    })
    .plain(),
    takes("/pipeline/{task}/{id}", "The same in another order", TASK, || post(tasks::of_task_and_model)).plain(),
    reads("GET", "/models/{id}/info", "What a model is, as text-embeddings-inference tells it", || get(tasks::info))
        .plain(),
    reads("GET", "/models/{id}/health", "Whether the server is alive", || get(models::health)),
    takes("/embed", "Texts to numbers, as text-embeddings-inference has it", TEXTS, || post(tei::embed)).plain(),
    takes("/embed_all", "Texts to numbers for each token", TEXTS, || post(tei::embed_all)).plain(),
    takes("/predict", "Labels of texts", TEXTS, || post(tei::predict)).plain(),
    takes("/rerank", "Texts in the order in which they answer a query", RERANK, || post(tei::rerank)).plain(),
    takes("/similarity", "How near sentences are to another", SENTENCES, || post(tei::similarity)).plain(),
    reads("GET", "/info", "What is served", || get(tei::info)).plain(),
];

/// The router of all endpoints, with what every request passes.
pub(crate) fn routes(service: Arc<Service>, options: &ServeOptions) -> Router {
    let mut router = Router::new();
    for endpoint in ENDPOINTS {
        router = router.route(endpoint.path, (endpoint.handler)());
    }
    let mut router = router
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::new(Keys::new(&options.keys)), guard));
    if let Some(origins) = origins(&options.origins) {
        router = router.layer(origins);
    }
    router.layer(from_fn_with_state(Arc::clone(&service), observe::observe)).with_state(service)
}

/// No endpoint has this path.
async fn not_found(uri: Uri) -> Failure {
    let message = format!("there is nothing at {}", uri.path());
    Failure::new(StatusCode::NOT_FOUND, message, "GET /openapi.json lists the endpoints").with_code("unknown_url")
}

/// The endpoint answers to another method.
async fn wrong_method(method: Method, uri: Uri) -> Failure {
    let path = uri.path();
    let is_path = |endpoint: &&Endpoint| match endpoint.path.split_once('{') {
        Some((before, _)) => path.starts_with(before),
        None => path == endpoint.path,
    };
    let right: Vec<&str> = ENDPOINTS.iter().filter(is_path).map(|endpoint| endpoint.method).collect();
    let message = format!("{path} does not answer to {method}");
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, message, format!("use {}", right.join(" or ")))
}
