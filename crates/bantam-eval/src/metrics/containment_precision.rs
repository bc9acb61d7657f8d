//! What share of the requests answered without a person was right in fact: the promise of containment, checked on test data.

use super::{Better, Metric, share};
use crate::thresholds;

pub(super) const METRIC: Metric = Metric {
    name: "containment_precision",
    title: "Precision of what is contained",
    better: Better::Higher,
    range: (0.0, 1.0),
    measure: |evidence| {
        let threshold = evidence.calibration.threshold?;
        let (answered, right) = thresholds::answered(evidence.test, threshold);
        share(right, answered)
    },
};
