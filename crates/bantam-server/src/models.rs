//! What is being served, and that it is: `/v1/models`, `/v1/model`, `/health` and `/ready`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::service::{Model, Service};
use crate::tasks::{Task, abilities};

/// What is told of a bundle.
#[derive(Serialize)]
pub(crate) struct Bundle {
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

/// Tells of the first bundle.
pub(crate) async fn bundle(State(service): State<Arc<Service>>) -> Result<Json<Bundle>, Failure> {
    let assistant = service.bundle(None)?;
    let parts = assistant.parts();
    Ok(Json(Bundle {
        name: parts.name.clone(),
        labels: parts.labels.clone(),
        parameters: assistant.classifier().parameters(),
        bytes: assistant.bytes(),
        licence: parts.licence.clone(),
        languages: parts.languages.clone(),
        threshold: parts.threshold,
    }))
}

/// Tells of all models.
pub(crate) async fn list(State(service): State<Arc<Service>>) -> Json<Value> {
    let models: Vec<Value> = service.models().iter().map(|(name, model)| told(&service, name, model)).collect();
    Json(json!({"object": "list", "data": models}))
}

/// Tells of one model.
pub(crate) async fn one(State(service): State<Arc<Service>>, Path(name): Path<String>) -> Result<Json<Value>, Failure> {
    Ok(Json(told(&service, &name, &service.model(&name)?.1)))
}

fn told(service: &Service, name: &str, model: &Model) -> Value {
    let mut value = json!({"id": name, "object": "model", "created": service.began, "owned_by": "bantam"});
    match model {
        Model::Bundle(assistant) => {
            value["task"] = "classify".into();
            value["parameters"] = assistant.classifier().parameters().into();
        }
        Model::Encoder(encoder) => {
            let tasks: Vec<&str> = abilities(model).into_iter().map(Task::name).collect();
            value["task"] = tasks[0].into();
            value["tasks"] = tasks.into();
            value["parameters"] = encoder.model.parameters().into();
            value["max_model_len"] = encoder.model.max_tokens().into();
        }
        Model::Language(language) => {
            value["task"] = if language.chat().is_plain() { "complete" } else { "chat" }.into();
            value["parameters"] = language.model().parameters().into();
            value["max_model_len"] = language.model().max_tokens().into();
        }
    }
    value
}

/// Tells that the server is alive.
pub(crate) async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Tells whether new requests are taken: not while the server ends, nor should the thread of a model have ended by itself.
pub(crate) async fn ready(State(service): State<Arc<Service>>) -> Response {
    if service.is_ending() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "ending"}))).into_response();
    }
    if let Some((name, _)) = service.models().iter().find(|(_, model)| !model.is_open()) {
        let told = json!({"status": "broken", "model": name, "remedy": "start the server again"});
        return (StatusCode::SERVICE_UNAVAILABLE, Json(told)).into_response();
    }
    Json(json!({"status": "ready"})).into_response()
}

#[cfg(test)]
mod tests {
    use bantam_kernels::gemm::Precision;
    use bantam_model::Weights;
    use bantam_model::architectures::Architecture;
    use bantam_model::architectures::llama::{Llama, LlamaConfig};
    use bantam_runtime::generation::{LanguageModel, WeightFormat};

    use super::*;
    use crate::options::{Place, ServeOptions, Served, ServedModel};

    #[tokio::test]
    async fn a_server_whose_model_takes_no_requests_is_not_ready() {
        let llama = Llama::new(LlamaConfig {
            vocab_size: 30,
            hidden_size: 32,
            intermediate_size: 32,
            num_hidden_layers: 1,
            num_attention_heads: 1,
            num_key_value_heads: None,
            head_dim: None,
            max_position_embeddings: 100,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            tie_word_embeddings: true,
            variant: Default::default(),
        });
        let weights = Weights::initialise(llama.schema(), 3, Precision::F32);
        let model = Box::new(LanguageModel::new(Box::new(llama), &weights, None, WeightFormat::F32));
        let served = Served { name: "tiny".to_owned(), model: ServedModel::Language(model) };
        let options = ServeOptions::at(Place::Address(([127, 0, 0, 1], 0).into()));
        let service = Arc::new(Service::new(vec![served], &options));
        assert_eq!(ready(State(Arc::clone(&service))).await.status(), StatusCode::OK);
        service.language(None).unwrap().engine.drain();
        let told = ready(State(Arc::clone(&service))).await;
        assert_eq!(told.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = axum::body::to_bytes(told.into_body(), 1000).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("tiny"));
        // What ends is not broken.
        service.end();
        let body = axum::body::to_bytes(ready(State(service)).await.into_body(), 1000).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("ending"));
    }
}
