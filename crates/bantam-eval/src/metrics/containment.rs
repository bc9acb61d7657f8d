//! The share of all requests that are answered without a person, at the threshold that kept the stated precision on validation data.

use super::{Better, Metric, share};
use crate::thresholds;

pub(super) const METRIC: Metric = Metric {
    name: "containment",
    title: "Containment",
    better: Better::Higher,
    range: (0.0, 1.0),
    measure: |evidence| {
        let threshold = evidence.calibration.threshold.unwrap_or(f32::INFINITY);
        share(thresholds::answered(evidence.test, threshold).0, evidence.test.len())
    },
};
