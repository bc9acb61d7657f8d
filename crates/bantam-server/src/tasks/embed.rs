//! Texts as numbers, by any model.

use std::sync::Arc;

use axum::http::StatusCode;
use bantam_runtime::tasks::{Cut, Document, Rows, Wanted, unit};

use crate::body::Fields;
use crate::embeddings::{of_bundle, of_language, shortened};
use crate::failure::Failure;
use crate::prompts::Prompt;
use crate::service::{Encoder, Model, Service};

/// How texts become numbers.
pub(crate) struct Embedding {
    /// What happens to long texts.
    pub(crate) cut: Cut,
    /// At the length of 1.
    pub(crate) is_unit: bool,
    /// The first numbers only.
    pub(crate) dimensions: Option<usize>,
    /// Which of the model's prompts is put before each text.
    pub(crate) prompt: Option<String>,
}

impl Embedding {
    /// Reads `normalize`, `truncate`, `dimensions` and `prompt_name`.
    pub(crate) fn of(fields: &mut Fields) -> Result<Self, Failure> {
        let encoding = fields.take::<String>("encoding_format")?;
        if encoding.is_some_and(|encoding| encoding != "float") {
            let remedy = "leave it out, or ask POST /v1/embeddings, which also writes base64";
            return Err(Failure::field("encoding_format", "numbers are sent as numbers here", remedy));
        }
        Ok(Self {
            cut: super::inputs::cut(fields)?,
            is_unit: fields.take("normalize")?.unwrap_or(true),
            dimensions: fields.take("dimensions")?,
            prompt: fields.take("prompt_name")?,
        })
    }

    /// A row for each text.
    pub(crate) async fn rows(
        &self,
        service: &Service,
        model: &Model,
        texts: Vec<String>,
    ) -> Result<Vec<Vec<f32>>, Failure> {
        let texts = self.prompted(model, texts)?;
        let as_prompts = |texts: Vec<String>| texts.into_iter().map(Prompt::Text).collect();
        let rows = match model {
            Model::Bundle(bundle) => of_bundle(service, bundle, as_prompts(texts)).await?.0,
            Model::Language(language) => of_language(service, language, as_prompts(texts)).await?.0,
            Model::Encoder(encoder) => of_encoder(service, encoder, texts, self.cut).await?.0,
        };
        rows.into_iter().map(|row| self.finished(row)).collect()
    }

    fn prompted(&self, model: &Model, texts: Vec<String>) -> Result<Vec<String>, Failure> {
        let Some(name) = &self.prompt else { return Ok(texts) };
        let prompts = match model {
            Model::Encoder(encoder) => encoder.model.prompts().clone(),
            _ => Default::default(),
        };
        let Some(prompt) = prompts.get(name) else {
            let known: Vec<&str> = prompts.keys().map(String::as_str).collect();
            let remedy =
                if known.is_empty() { "leave it out".to_owned() } else { format!("take one of: {}", known.join(", ")) };
            return Err(Failure::field("prompt_name", format!("the model has no prompt {name:?}"), remedy));
        };
        Ok(texts.into_iter().map(|text| format!("{prompt}{text}")).collect())
    }

    fn finished(&self, row: Vec<f32>) -> Result<Vec<f32>, Failure> {
        let row = shortened(row, self.dimensions)?;
        Ok(if self.is_unit { unit(&row) } else { row })
    }
}

/// What an encoder makes of texts, a row for each, and their tokens together.
pub(crate) async fn of_encoder(
    service: &Service,
    encoder: &Arc<Encoder>,
    texts: Vec<String>,
    cut: Cut,
) -> Result<(Vec<Vec<f32>>, usize), Failure> {
    let model = Arc::clone(&encoder.model);
    let prepare = move || {
        let documents = texts.iter().map(|text| model.document(text, None, cut, Wanted::Summary));
        documents.collect::<Result<Vec<_>, _>>()
    };
    let documents = service.compute(prepare).await??;
    let tokens = documents.iter().map(Document::tokens).sum();
    let rows = encoder.batcher.read(documents).await?;
    let row = |rows: &Rows| rows.first().to_vec();
    let rows: Vec<Vec<f32>> = rows.iter().map(row).collect();
    if rows.iter().flatten().any(|number| !number.is_finite()) {
        let remedy = "its weights are damaged: load them again from where they came from";
        return Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the model computes what is no number", remedy));
    }
    Ok((rows, tokens))
}
