//! What a report tells beside the rows: where the figures come from, and what they look like from near.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lenient;

/// The machine that everything was measured on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name, as the system gives it.
    pub cpu: String,
    /// The instruction set that was used.
    pub isa: String,
    /// Threads that were used.
    pub threads: usize,
}

/// How many texts each part has after curation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSummary {
    /// Labels in scope.
    pub labels: usize,
    /// In-scope texts learnt from.
    pub train: usize,
    /// In-scope texts chosen with.
    pub validation: usize,
    /// In-scope texts looked at once, at the end.
    pub test: usize,
    /// Texts without a label.
    pub unlabelled: usize,
    /// Texts in the same language about anything; 0 in reports that do not tell.
    #[serde(default)]
    pub background: usize,
    /// Out-of-scope texts learnt from.
    pub out_of_scope_train: usize,
    /// Out-of-scope texts chosen with; 0 in reports that do not tell.
    #[serde(default)]
    pub out_of_scope_validation: usize,
    /// Out-of-scope texts looked at once.
    pub out_of_scope_test: usize,
}

/// What one step of curation did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunnelStep {
    /// Its name.
    pub name: String,
    /// Documents that came in.
    pub documents: usize,
    /// Documents that it dropped.
    pub dropped: usize,
    /// Documents that it changed.
    #[serde(default)]
    pub rewritten: usize,
    /// Dropped documents by reason.
    #[serde(default)]
    pub reasons: BTreeMap<String, usize>,
}

/// A text that was dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectExample {
    /// The text.
    pub text: String,
    /// The step that dropped it.
    pub step: String,
    /// Why.
    pub reason: String,
}

/// One stage of training over its steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// What is drawn, for people ("the teacher learns the labels").
    pub name: String,
    /// The stage that it belongs to.
    pub stage: String,
    /// Step and loss.
    #[serde(deserialize_with = "lenient::points")]
    pub losses: Vec<(usize, f64)>,
    /// Step and quality on the validation texts.
    #[serde(deserialize_with = "lenient::points")]
    pub validations: Vec<(usize, f64)>,
}

/// Answers of neighbouring confidence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Mean confidence.
    #[serde(deserialize_with = "lenient::number")]
    pub confidence: f64,
    /// Share of right answers.
    #[serde(deserialize_with = "lenient::number")]
    pub accuracy: f64,
    /// How many answers.
    pub count: usize,
}

/// How far what ships can be taken at its word.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// With the scores as they are.
    pub before: Vec<ReliabilityBin>,
    /// With the scores divided by the temperature.
    pub after: Vec<ReliabilityBin>,
}

/// Texts of one label that what ships takes for another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusedPair {
    /// What they are.
    pub truth: String,
    /// What they are taken for.
    pub answer: String,
    /// How many.
    pub count: usize,
    /// How many test texts of the true label there are.
    pub of: usize,
    /// Some of them, the surest mistakes first.
    pub examples: Vec<String>,
}

/// What what ships was set to on the validation texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Divisor of the scores.
    #[serde(deserialize_with = "lenient::number")]
    pub temperature: f64,
    /// The least confidence that is answered without a person; `None` when no confidence keeps the precision.
    pub threshold: Option<f64>,
    /// The promised share of right answers among those given without a person.
    #[serde(deserialize_with = "lenient::number")]
    pub precision: f64,
}

/// How long a stage took when it ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageTime {
    /// The stage.
    pub name: String,
    /// Seconds.
    #[serde(deserialize_with = "lenient::number")]
    pub seconds: f64,
}
