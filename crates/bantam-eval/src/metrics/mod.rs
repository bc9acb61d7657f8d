//! The metrics, a file each: functions on plain data, and one line in [`METRICS`] that puts each of them into every report.

pub mod accuracy;
pub mod brier;
pub mod containment;
pub mod containment_precision;
pub mod ece;
pub mod macro_f1;
pub mod negative_log_likelihood;
pub mod out_of_scope_auroc;
pub mod out_of_scope_recall;

use crate::{Calibration, Outcomes};

/// Every metric that [`crate::evaluate`] measures, in the order of the report.
pub const METRICS: &[&Metric] = &[
    &accuracy::METRIC,
    &macro_f1::METRIC,
    &negative_log_likelihood::METRIC,
    &ece::METRIC,
    &brier::METRIC,
    &out_of_scope_auroc::METRIC,
    &out_of_scope_recall::METRIC,
    &containment::METRIC,
    &containment_precision::METRIC,
];

/// A figure about a classifier.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its key in `report.json`.
    pub name: &'static str,
    /// What a person reads.
    pub title: &'static str,
    /// Which way is good.
    pub better: Better,
    /// The least and the greatest value it can take.
    pub range: (f64, f64),
    /// Measures it; `None` where the data cannot tell (no out-of-scope example, nothing answered, ...).
    pub measure: fn(&Evidence) -> Option<f64>,
}

/// Which way a metric is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

/// What a metric may look at.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Answers on test data.
    pub test: &'a Outcomes,
    /// The thresholds that were settled before.
    pub calibration: &'a Calibration,
}

/// `part / whole`, or `None` of nothing.
fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod laws;
