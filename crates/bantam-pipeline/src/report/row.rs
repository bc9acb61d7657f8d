//! One model's figures: a row of the results table.

use serde::{Deserialize, Serialize};

use super::lenient;

/// What a row's model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What a user would try first; a model that loses to it is a failure.
    Baseline,
    /// The large model that is learnt from.
    Teacher,
    /// The small model at a step of its compression.
    Student,
    /// What ships.
    Bundle,
}

impl Role {
    /// The word that stands in the contract.
    pub fn word(self) -> &'static str {
        match self {
            Role::Baseline => "baseline",
            Role::Teacher => "teacher",
            Role::Student => "student",
            Role::Bundle => "bundle",
        }
    }
}

/// What was measured of one model. Shares are 0 to 1; a figure that the data do not allow is `None` (`null` in JSON).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What it is called in tables.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Numbers that it has learned.
    pub parameters: u64,
    /// Bytes as shipped.
    pub bytes: u64,
    /// Share of in-scope test texts that are answered right.
    #[serde(deserialize_with = "lenient::number")]
    pub accuracy: f64,
    /// Lower end of the 95 % interval of the accuracy.
    #[serde(deserialize_with = "lenient::number")]
    pub accuracy_low: f64,
    /// Upper end of the 95 % interval of the accuracy.
    #[serde(deserialize_with = "lenient::number")]
    pub accuracy_high: f64,
    /// F1, averaged over the labels.
    pub macro_f1: Option<f64>,
    /// How well confidence tells in scope from out of scope: area under the curve.
    pub out_of_scope_auroc: Option<f64>,
    /// Share of out-of-scope texts that are found at the allowed loss of in-scope accuracy.
    pub out_of_scope_recall: Option<f64>,
    /// Share of all test texts, those out of scope included, that are answered without a person: whose confidence reaches
    /// the threshold that kept the promised precision on validation texts.
    pub containment: Option<f64>,
    /// Share of those that were right: the precision that the test texts show.
    pub containment_precision: Option<f64>,
    /// Half of the single requests take at most this long.
    #[serde(deserialize_with = "lenient::number")]
    pub latency_p50_microseconds: f64,
    /// 99 of 100 single requests take at most this long.
    #[serde(deserialize_with = "lenient::number")]
    pub latency_p99_microseconds: f64,
    /// Requests per second in batches on all threads.
    #[serde(deserialize_with = "lenient::number")]
    pub requests_per_second: f64,
    /// Processor seconds per 1,000 single requests.
    #[serde(deserialize_with = "lenient::number")]
    pub cpu_seconds_per_1000: f64,
    /// Memory that answering takes, about: its size, and the most that the process grew by while it answered.
    pub peak_bytes: u64,
    /// Accuracy over the teacher's.
    pub share_of_teacher_quality: Option<f64>,
    /// Processor seconds over the teacher's.
    pub share_of_teacher_cost: Option<f64>,
    /// Expected calibration error after the temperature.
    pub ece: Option<f64>,
    /// Brier score after the temperature.
    pub brier: Option<f64>,
}
