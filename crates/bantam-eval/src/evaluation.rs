//! One look at a classifier: temperature and thresholds from validation data, every metric on test data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::interval::{bootstrap, wilson};
use crate::metrics::{accuracy, ece, macro_f1::macro_f1, out_of_scope_auroc::auroc};
use crate::{Bin, Calibration, Classifier, Evidence, Examples, Interval, METRICS, Outcomes};

/// Texts that are handed to a classifier at a time.
const BATCH: usize = 64;

/// What is promised, and how carefully intervals are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EvaluationOptions {
    /// What share of the requests answered without a person must be right, 0 to 1.
    pub precision: f64,
    /// How much in-scope accuracy may be given up to detect out-of-scope requests, 0 to 1.
    pub accuracy_loss: f64,
    /// Resamples per bootstrapped interval.
    pub rounds: usize,
    /// Seed of the resampling.
    pub seed: u64,
}

impl Default for EvaluationOptions {
    /// 95 % precision, one point of accuracy, 1,000 resamples.
    fn default() -> Self {
        Self { precision: 0.95, accuracy_loss: 0.01, rounds: 1_000, seed: 0 }
    }
}

/// What was found out about a classifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Its name.
    pub name: String,
    /// How many numbers it has learned.
    pub parameters: u64,
    /// How many bytes it takes as shipped.
    pub bytes: u64,
    /// In-scope test texts.
    pub examples: usize,
    /// Out-of-scope test texts.
    pub out_of_scope_examples: usize,
    /// The divisor of its scores that suits the validation data.
    pub temperature: f64,
    /// The least confidence that is answered without a person; `None` when no confidence keeps the precision.
    pub threshold: Option<f32>,
    /// Every metric of [`METRICS`] that the data allow, by name.
    pub metrics: BTreeMap<String, f64>,
    /// 95 % intervals by metric: accuracy (Wilson), macro F1, out-of-scope AUROC (bootstrap).
    pub intervals: BTreeMap<String, Interval>,
    /// Confidence against accuracy before the temperature was applied.
    pub reliability_before: Vec<Bin>,
    /// Confidence against accuracy with the temperature.
    pub reliability_after: Vec<Bin>,
    /// The answers themselves, for comparisons and confusions.
    #[serde(skip)]
    pub outcomes: Option<Outcomes>,
}

impl Evaluation {
    /// A metric by name.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.get(name).copied()
    }
}

/// The scores of a classifier for many texts, a few at a time.
///
/// # Panics
/// When it does not give one row per text.
pub fn scores_of(classifier: &dyn Classifier, texts: &[&str]) -> Vec<Vec<f32>> {
    let mut scores = Vec::with_capacity(texts.len());
    for batch in texts.chunks(BATCH) {
        let rows = classifier.scores(batch);
        assert_eq!(rows.len(), batch.len(), "{} gave {} rows for {} texts", classifier.name(), rows.len(), batch.len());
        scores.extend(rows);
    }
    scores
}

/// Measures a classifier of `classes` classes with what validation texts settle. Nothing is chosen by the test data, so looking at them once
/// is enough.
///
/// # Panics
/// When the classifier's rows are shorter than `classes`, or a label is no class.
pub fn evaluate(
    classifier: &dyn Classifier,
    classes: usize,
    validation: &Examples,
    test: &Examples,
    options: &EvaluationOptions,
) -> Evaluation {
    evaluate_calibrated(classifier, classes, &Calibration::new(classifier, classes, validation, options), test, options)
}

/// Measures a classifier of `classes` classes as it stands, with temperature and thresholds settled before.
///
/// # Panics
/// As [`evaluate`].
pub fn evaluate_calibrated(
    classifier: &dyn Classifier,
    classes: usize,
    calibration: &Calibration,
    test: &Examples,
    options: &EvaluationOptions,
) -> Evaluation {
    let scores = scores_of(classifier, &test.texts());
    let before = Outcomes::new(classes, test.labels(), &scores, 1.0);
    let tested = Outcomes::new(classes, test.labels(), &scores, calibration.temperature);
    let evidence = Evidence { test: &tested, calibration };
    let measured = METRICS.iter().filter_map(|metric| Some((metric.name.to_owned(), (metric.measure)(&evidence)?)));
    Evaluation {
        name: classifier.name().to_owned(),
        parameters: classifier.parameters(),
        bytes: classifier.bytes(),
        examples: tested.in_scope().count(),
        out_of_scope_examples: tested.out_of_scope().count(),
        temperature: calibration.temperature,
        threshold: calibration.threshold,
        metrics: measured.collect(),
        intervals: intervals(&tested, options),
        reliability_before: ece::bins(&before),
        reliability_after: ece::bins(&tested),
        outcomes: Some(tested),
    }
}

fn intervals(test: &Outcomes, options: &EvaluationOptions) -> BTreeMap<String, Interval> {
    let mut intervals = BTreeMap::new();
    let (right, in_scope) = accuracy::counts(test);
    intervals.insert("accuracy".to_owned(), wilson(right, in_scope));
    let pairs: Vec<(usize, usize)> = test.in_scope().map(|(index, label)| (label, test.answers()[index])).collect();
    let f1 = |sample: &[usize]| macro_f1(test.classes(), sample.iter().map(|&index| pairs[index]));
    if let Some(interval) = bootstrap(pairs.len(), options.rounds, options.seed, f1) {
        intervals.insert("macro_f1".to_owned(), interval);
    }
    let confidences: Vec<(bool, f32)> = test
        .labels()
        .iter()
        .zip(test.confidences())
        .map(|(label, &confidence)| (label.is_some(), confidence))
        .collect();
    let area = |sample: &[usize]| {
        let side = |inside: bool| {
            let cases = sample.iter().map(|&index| confidences[index]).filter(|case| case.0 == inside);
            cases.map(|case| case.1).collect::<Vec<f32>>()
        };
        auroc(&side(true), &side(false))
    };
    if let Some(interval) = bootstrap(confidences.len(), options.rounds, options.seed, area) {
        intervals.insert("out_of_scope_auroc".to_owned(), interval);
    }
    intervals
}
