//! How good a finished bundle is on texts that have labels: for acceptance before it ships, and again when the requests have changed.

use std::path::Path;
use std::time::Instant;

use bantam_corpus::Document;
use bantam_corpus::readers::{OUT_OF_SCOPE, ReadOptions, read};
use bantam_eval::interval::paired_difference;
use bantam_eval::{Calibration, Cost, Difference, Evaluation, Examples, evaluate_calibrated, measure_cost};
use bantam_runtime::Assistant;
use serde::Serialize;

use crate::report::ConfusedPair;
use crate::stages::evaluation::{Subject, worst_pairs};
use crate::{Error, EvaluateSection};

/// What was measured of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measurement {
    /// Quality, with the temperature and the threshold that the bundle carries.
    #[serde(flatten)]
    pub evaluation: Evaluation,
    /// Latency, throughput and memory.
    pub cost: Cost,
    /// Milliseconds from the file to the first answer.
    pub load_milliseconds: f64,
    /// The pairs of labels that are confused most often.
    pub confusions: Vec<ConfusedPair>,
    /// Texts whose label the bundle does not know, by label: they were left out.
    pub unknown_labels: Vec<(String, usize)>,
}

impl Measurement {
    /// The difference in accuracy to another bundle on the same texts, text by text; `None` where one knows labels that the other does not.
    pub fn difference(&self, other: &Measurement) -> Option<Difference> {
        let right = |measured: &Measurement| {
            let outcomes = measured.evaluation.outcomes.as_ref()?;
            let right = outcomes.right();
            Some(outcomes.in_scope().map(|(index, _)| right[index]).collect::<Vec<bool>>())
        };
        let (first, second) = (right(self)?, right(other)?);
        (self.unknown_labels == other.unknown_labels).then(|| paired_difference(&first, &second))
    }
}

/// Reads labelled texts from files and folders.
///
/// # Errors
/// The first thing that is wrong, with its file and line; or a text without a label.
pub fn labelled_texts(paths: &[impl AsRef<Path>], options: &ReadOptions) -> Result<Vec<Document>, Error> {
    let mut texts = Vec::new();
    for path in paths {
        let path = path.as_ref();
        let mut documents = read(path, options)?;
        let unlabelled = documents.iter().filter(|document| document.label.is_none()).count();
        if let Some(first) = documents.iter().find(|document| document.label.is_none()) {
            let remedy = if unlabelled == documents.len() {
                "give each a field `label`, or name the one that holds it with --label"
            } else {
                "label them, or leave them out"
            };
            let (all, first) = (documents.len(), &first.source);
            let what = format!(
                "{}: {unlabelled} of {all} texts are without a label, the first at {first}; {remedy}",
                path.display()
            );
            return Err(Error::Data { what });
        }
        for document in &mut documents {
            if document.label.as_deref() == Some("out_of_scope") {
                document.label = Some(OUT_OF_SCOPE.to_owned());
            }
        }
        texts.extend(documents);
    }
    Ok(texts)
}

/// Measures the bundle in a file on labelled texts.
///
/// # Errors
/// When the bundle cannot be loaded, or no text has a label that it knows.
pub fn measure(path: &Path, texts: &[Document], section: &EvaluateSection) -> Result<Measurement, Error> {
    let began = Instant::now();
    let assistant = Assistant::load(path)?;
    let first = texts.first().map_or("", |document| document.text.as_str());
    let _ = assistant.answer(first);
    let load_milliseconds = 1e3 * began.elapsed().as_secs_f64();
    let parts = assistant.parts();
    let mut unknown = std::collections::BTreeMap::<String, usize>::new();
    let (mut known_texts, mut classes) = (Vec::new(), Vec::new());
    for Document { text, label, .. } in texts {
        let Some(label) = label else { continue };
        let class = parts.labels.iter().position(|known| known == label);
        if class.is_none() && label != OUT_OF_SCOPE {
            *unknown.entry(label.clone()).or_default() += 1;
            continue;
        }
        known_texts.push(text.clone());
        classes.push(class);
    }
    if classes.iter().all(Option::is_none) {
        let shown: Vec<&str> = parts.labels.iter().take(5).map(String::as_str).collect();
        let what = format!("no text has a label that the bundle knows ({}, ...)", shown.join(", "));
        return Err(Error::Data { what });
    }
    let examples = Examples::new(known_texts, classes);
    let subject = Subject { name: &parts.name, scorer: assistant.classifier(), bytes: assistant.bytes() };
    let calibration = Calibration { temperature: parts.temperature, threshold: parts.threshold, refusal: None };
    let evaluation = evaluate_calibrated(&subject, parts.labels.len(), &calibration, &examples, &section.quality);
    let Some(cost) = measure_cost(&subject, &examples.texts(), &section.cost) else {
        return Err(Error::Data { what: "there is no text to measure with".to_owned() });
    };
    let confusions = worst_pairs(&parts.labels, &evaluation, &examples);
    let unknown_labels = unknown.into_iter().collect();
    Ok(Measurement { evaluation, cost, load_milliseconds, confusions, unknown_labels })
}
