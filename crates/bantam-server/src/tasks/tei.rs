//! The paths of text-embeddings-inference: `/embed`, `/embed_all`, `/predict`, `/rerank`, `/similarity` and `/info`. A request may name
//! its `model`, which that server, with one only, does not know.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bantam_runtime::tasks::{Head, LabelScore, Scoring, Wanted};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::ask::similar;
use super::choose::{Task, able};
use super::embed::Embedding;
use super::inputs::{Text, Texts, bounded, cut, few, unreadable};
use super::label;
use crate::answers::in_time;
use crate::body::Fields;
use crate::classify::MOST_TEXTS;
use crate::failure::{Failure, PlainFailure};
use crate::service::{Model, Service, none_served};

const SHAPE: &str = r#"send {"inputs": "..."}"#;
const RERANK: &str = r#"send {"query": "...", "texts": ["...", "..."]}"#;

type Answer = Result<Response, PlainFailure>;

/// A text's place in the order of a query.
#[derive(Serialize)]
struct Rank {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    score: f32,
}

/// Texts to numbers.
pub(crate) async fn embed(State(service): State<Arc<Service>>, headers: HeaderMap, body: Body) -> Answer {
    let (mut fields, name) = read(&service, &headers, body, SHAPE).await?;
    let model = capable(&service, name.as_deref(), Task::FeatureExtraction)?;
    let work = async {
        let texts = some_texts(fields.require("inputs")?)?;
        let embedding = Embedding::of(&mut fields)?;
        Ok(Json(embedding.rows(&service, model, texts).await?).into_response())
    };
    Ok(in_time(&service, &headers, work).await?)
}

/// Texts to numbers, a row for each token.
pub(crate) async fn embed_all(State(service): State<Arc<Service>>, headers: HeaderMap, body: Body) -> Answer {
    let (mut fields, name) = read(&service, &headers, body, SHAPE).await?;
    let model = capable(&service, name.as_deref(), Task::FeatureExtraction)?;
    let Model::Encoder(encoder) = model else {
        return Err(incapable("only encoders tell the numbers of each token", "ask POST /embed").into());
    };
    let work = async {
        let texts = some_texts(fields.require("inputs")?)?;
        let cut = cut(&mut fields)?;
        let model = Arc::clone(&encoder.model);
        let prepare = move || {
            let documents = texts.iter().map(|text| model.document(text, None, cut, Wanted::States));
            let documents = documents.collect::<Result<Vec<_>, _>>()?;
            bounded(&model, &documents)?;
            Ok::<_, Failure>(documents)
        };
        let rows = encoder.batcher.read(service.compute(prepare).await??).await?;
        // So many numbers take a while to write.
        let write = move || {
            let rows: Vec<Vec<&[f32]>> = rows.iter().map(|rows| rows.iter().collect()).collect();
            Json(rows).into_response()
        };
        service.compute(write).await
    };
    Ok(in_time(&service, &headers, work).await?)
}

/// Labels of texts or pairs.
pub(crate) async fn predict(State(service): State<Arc<Service>>, headers: HeaderMap, body: Body) -> Answer {
    let (mut fields, name) = read(&service, &headers, body, SHAPE).await?;
    let model = capable(&service, name.as_deref(), Task::TextClassification)?;
    let work = async {
        let (texts, is_batch) = sequences(fields.require("inputs")?)?;
        let is_raw = fields.take("raw_scores")?.unwrap_or(false);
        let scoring = match model {
            _ if is_raw => Scoring::Plain,
            Model::Encoder(encoder) if encoder.model.labels().len() == 1 => Scoring::Sigmoid,
            _ => Scoring::Softmax,
        };
        let cut = cut(&mut fields)?;
        let mut found = label::ranked(&service, model, texts, Some(scoring), None, cut).await?;
        Ok(if is_batch { Json(found).into_response() } else { Json(found.swap_remove(0)).into_response() })
    };
    Ok(in_time(&service, &headers, work).await?)
}

/// Texts in the order in which they answer a query.
pub(crate) async fn rerank(State(service): State<Arc<Service>>, headers: HeaderMap, body: Body) -> Answer {
    let (mut fields, name) = read(&service, &headers, body, RERANK).await?;
    let models = service.models().iter().filter(|(known, _)| name.as_ref().is_none_or(|name| name == known));
    let is_reranker =
        |model: &Model| matches!(model, Model::Encoder(encoder) if encoder.model.head() == Head::Labels(1));
    let found = models.map(|(_, model)| model).find(|model| is_reranker(model));
    let model = match (found, &name) {
        (Some(model), _) => model,
        (None, Some(name)) => {
            service.model(name)?;
            return Err(incapable("model is not a re-ranker model", "ask a classifier with one label").into());
        }
        (None, None) => {
            return Err(incapable("no re-ranker model is served", "serve a classifier with one label").into());
        }
    };
    let work = async {
        let (query, texts): (String, Vec<String>) = (fields.require("query")?, fields.require("texts")?);
        few(texts.len())?;
        if texts.is_empty() {
            return Err(Failure::field("texts", "`texts` cannot be empty", RERANK));
        }
        let is_raw = fields.take("raw_scores")?.unwrap_or(false);
        let with_text = fields.take("return_text")?.unwrap_or(false);
        let cut = cut(&mut fields)?;
        let pair = |text: &String| Text { text: query.clone(), pair: Some(text.clone()) };
        let pairs = texts.iter().map(pair).collect();
        let scoring = if is_raw { Scoring::Plain } else { Scoring::Sigmoid };
        let found = label::ranked(&service, model, pairs, Some(scoring), None, cut).await?;
        let rank = |(index, (text, scores)): (usize, (String, Vec<_>))| Rank {
            index,
            text: with_text.then_some(text),
            score: scores.first().map_or(0.0, |first: &LabelScore| first.score),
        };
        let mut ranks: Vec<Rank> = texts.into_iter().zip(found).enumerate().map(rank).collect();
        ranks.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(Json(ranks).into_response())
    };
    Ok(in_time(&service, &headers, work).await?)
}

/// How near sentences are to another.
pub(crate) async fn similarity(State(service): State<Arc<Service>>, headers: HeaderMap, body: Body) -> Answer {
    let (mut fields, name) = read(&service, &headers, body, SHAPE).await?;
    let model = capable(&service, name.as_deref(), Task::SentenceSimilarity)?;
    let work = async {
        let inputs = fields.require("inputs")?;
        if let Some(parameters) = fields.take("parameters")? {
            fields.extend(Fields::of(parameters, "parameters")?);
        }
        Ok(Json(similar(&service, model, inputs, &mut fields).await?).into_response())
    };
    Ok(in_time(&service, &headers, work).await?)
}

/// What is served: the first encoder, or else the first model.
pub(crate) async fn info(State(service): State<Arc<Service>>) -> Result<Json<Value>, PlainFailure> {
    let models = service.models();
    let is_encoder = |(_, model): &&(String, Model)| matches!(model, Model::Encoder(_));
    let first = models.iter().find(is_encoder).or(models.first()).ok_or_else(none_served)?;
    Ok(Json(told(&first.0, &first.1)))
}

/// What a model is.
pub(crate) fn told(name: &str, model: &Model) -> Value {
    let named = |labels: &[String]| {
        let by_id: Map<String, Value> =
            labels.iter().enumerate().map(|(id, label)| (id.to_string(), label.as_str().into())).collect();
        let by_name: Map<String, Value> =
            labels.iter().enumerate().map(|(id, label)| (label.clone(), id.into())).collect();
        json!({"id2label": by_id, "label2id": by_name})
    };
    let (kind, most, number_type) = match model {
        Model::Bundle(bundle) => {
            let kind = json!({"classifier": named(&bundle.parts().labels)});
            (kind, bundle.parts().max_tokens, bundle.classifier().weights.number_type())
        }
        Model::Language(language) => {
            let model = language.model();
            (json!({"embedding": {"pooling": "mean"}}), model.max_tokens(), model.number_type())
        }
        Model::Encoder(encoder) => {
            let model = &encoder.model;
            let kind = match model.head() {
                Head::Labels(1) => json!({"reranker": named(model.labels())}),
                Head::Labels(_) | Head::TokenLabels(_) => json!({"classifier": named(model.labels())}),
                _ => json!({"embedding": {"pooling": model.pooling()}}),
            };
            (kind, model.max_tokens(), model.number_type())
        }
    };
    let tasks: Vec<&str> = super::abilities(model).into_iter().map(Task::name).collect();
    json!({
        "model_id": name, "model_sha": null, "model_dtype": number_type, "model_type": kind, "tasks": tasks,
        "max_concurrent_requests": crate::connections::MOST, "max_input_length": most,
        "max_batch_tokens": crate::batcher::MOST_TOKENS, "max_batch_requests": crate::batcher::MOST_DOCUMENTS,
        "max_client_batch_size": MOST_TEXTS, "auto_truncate": matches!(model, Model::Bundle(_)), "tokenization_workers": 1,
        "version": env!("CARGO_PKG_VERSION"), "sha": null, "docker_label": null,
    })
}

async fn read(
    service: &Service,
    headers: &HeaderMap,
    body: Body,
    shape: &str,
) -> Result<(Fields, Option<String>), Failure> {
    let mut fields = service.read(headers, body, shape).await?;
    let name = fields.take("model")?;
    Ok((fields, name))
}

/// The model for a task. As that server tells it, one of another kind is a failed dependency.
fn capable<'a>(service: &'a Service, name: Option<&str>, task: Task) -> Result<&'a Model, Failure> {
    if let Some(name) = name {
        service.model(name)?;
    }
    able(service, name, task).map_err(|failure| failure.with_status(StatusCode::FAILED_DEPENDENCY))
}

fn incapable(message: &str, remedy: &str) -> Failure {
    Failure::new(StatusCode::FAILED_DEPENDENCY, message, remedy).with_code("task_not_supported")
}

fn some_texts(inputs: Value) -> Result<Vec<String>, Failure> {
    let (texts, _) = Texts::single(inputs)?;
    if texts.is_empty() {
        return Err(Failure::field("inputs", "`inputs` cannot be empty", SHAPE));
    }
    Ok(texts)
}

/// A text, a pair as a list of two texts, or a batch as a list of lists of one or two texts.
fn sequences(inputs: Value) -> Result<(Vec<Text>, bool), Failure> {
    let remedy = "send a text, a pair of texts, or a batch as a list of lists of one or two texts";
    let sequence = |list: Vec<String>| {
        let mut list = list.into_iter();
        match (list.next(), list.next(), list.next()) {
            (Some(text), pair, None) => Ok(Text { text, pair }),
            _ => Err(unreadable(remedy)),
        }
    };
    if let Value::String(text) = inputs {
        return Ok((vec![Text { text, pair: None }], false));
    }
    if inputs[0].is_string() {
        let list = serde_json::from_value(inputs).map_err(|_| unreadable(remedy))?;
        return Ok((vec![sequence(list)?], false));
    }
    let batch: Vec<Vec<String>> = serde_json::from_value(inputs).map_err(|_| unreadable(remedy))?;
    few(batch.len())?;
    if batch.is_empty() {
        return Err(Failure::field("inputs", "`inputs` cannot be empty", remedy));
    }
    Ok((batch.into_iter().map(sequence).collect::<Result<_, _>>()?, true))
}
