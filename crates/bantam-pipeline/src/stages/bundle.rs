//! The one file that ships: eight-bit weights, calibrated and with a threshold that keeps the promise on validation texts.

use std::path::Path;

use bantam_artifact::Work;
use bantam_compress::quantize;
use bantam_corpus::readers::OUT_OF_SCOPE;
use bantam_eval::{Calibration, EvaluationOptions};
use bantam_kernels::gemm::Precision;
use bantam_model::Weights;
use bantam_model::folder::{classifier_of, labelled_config};
use bantam_runtime::{BundleParts, TextClassifier};
use serde::Serialize;

use super::corpus::Corpus;
use super::evaluation::Subject;
use super::replies::Replies;
use crate::Error;

/// The bundle's file inside its artifact.
pub(crate) const FILE: &str = "model.bantam";

/// Everything beside weights and texts that goes into a bundle.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Settings<'a> {
    pub(crate) name: &'a str,
    pub(crate) purpose: &'a str,
    pub(crate) licence: &'a str,
    /// Languages of the texts as the recipe names them.
    pub(crate) languages: &'a [String],
    pub(crate) precision: f64,
    pub(crate) replies: &'a Replies,
    /// The layout of the file: a bundle of another one is made again.
    pub(crate) layout: u32,
}

pub(crate) fn make(corpus: &Corpus, student: &TextClassifier, settings: &Settings, work: &Work) -> Result<(), Error> {
    let schema = student.architecture.schema();
    let arrays = quantize(schema, &student.weights.to_arrays());
    let weights = Weights::from_arrays(schema, &arrays, Precision::F32)
        .map_err(|error| Error::Data { what: format!("quantising: {error}") })?;
    let config = labelled_config(student.architecture.as_ref(), &corpus.columns());
    let quantised = TextClassifier {
        architecture: classifier_of(&config, Path::new(FILE))?,
        weights,
        encoder: student.encoder.clone(),
        labels: student.labels.clone(),
    };
    let classes = corpus.account.labels.len();
    let validation = corpus.examples(&corpus.validation);
    let subject = Subject { name: "bundle", scorer: &quantised, bytes: 0 };
    let options = EvaluationOptions { precision: settings.precision, ..EvaluationOptions::default() };
    let Calibration { temperature, threshold, .. } = Calibration::new(&subject, classes, &validation, &options);
    let labels = corpus.account.labels.clone();
    let replies = labels.iter().filter_map(|label| Some((label.clone(), settings.replies.replies.get(label)?.clone())));
    let parts = BundleParts {
        name: settings.name.to_owned(),
        labels: labels.clone(),
        config,
        hasher: student.encoder.hasher().cloned(),
        max_tokens: student.encoder.max_tokens(),
        temperature,
        threshold,
        licence: settings.licence.to_owned(),
        made_by: format!("bantam {}", env!("CARGO_PKG_VERSION")),
        languages: settings.languages.to_vec(),
        arrays,
        tokenizer: student.encoder.tokenizer().clone(),
        replies: replies.collect(),
        hand_over: settings.replies.hand_over.message.clone(),
        card: card(corpus, settings, threshold),
    };
    Ok(parts.write(&work.path(FILE))?)
}

/// The model card: what it is for, what it learnt from, what it promises.
fn card(corpus: &Corpus, settings: &Settings, threshold: Option<f32>) -> String {
    let promise = match threshold {
        Some(threshold) => format!(
            "Answers with a confidence of {:.1} % or more were right in at least {:.0} % of the validation requests; all others should go to a person.",
            100.0 * threshold,
            100.0 * settings.precision
        ),
        None => "No confidence kept the promised precision on the validation requests: hand every request to a person."
            .to_owned(),
    };
    let outside = corpus.train.iter().filter(|document| document.label.as_deref() == Some(OUT_OF_SCOPE)).count();
    let languages = match settings.languages {
        [] => String::new(),
        languages => format!(" Languages: {}.", languages.join(", ")),
    };
    let background = match corpus.background.len() {
        0 => String::new(),
        texts => format!(" Its teacher learnt the language from {texts} other texts, too."),
    };
    format!(
        "# {}\n\n{}\n\nLicence: {}\n\nMade from {} training texts in {} labels, {outside} training texts out of scope, and {} unlabelled texts.{background}{languages}\n\n{promise}\n\nIt knows its labels only: requests about anything else are recognised as out of scope most of the time, not always.\n",
        settings.name,
        settings.purpose,
        settings.licence,
        corpus.train.len() - outside,
        corpus.account.labels.len(),
        corpus.unlabelled.len()
    )
}
