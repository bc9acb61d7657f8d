//! Expected calibration error: how far confidences are from the share of right answers, over 15 bins of equal mass.

use super::{Better, Metric};
use crate::{Bin, Outcomes, calibration_error, reliability};

/// How many bins.
pub const BINS: usize = 15;

pub(super) const METRIC: Metric = Metric {
    name: "ece",
    title: "Calibration error",
    better: Better::Lower,
    range: (0.0, 1.0),
    measure: |evidence| calibration_error(&bins(evidence.test)),
};

/// The bins of the in-scope answers, by the probability of the answered class.
pub fn bins(outcomes: &Outcomes) -> Vec<Bin> {
    let probability = |(index, _): (usize, usize)| outcomes.probabilities()[index][outcomes.answers()[index]];
    let confidences: Vec<f32> = outcomes.in_scope().map(probability).collect();
    let right: Vec<bool> = outcomes.in_scope().map(|(index, label)| outcomes.answers()[index] == label).collect();
    reliability(&confidences, &right, BINS)
}
