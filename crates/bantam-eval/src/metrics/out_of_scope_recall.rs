//! The share of out-of-scope requests that are refused when refusing may cost a little in-scope accuracy.

use super::{Better, Metric, share};

pub(super) const METRIC: Metric = Metric {
    name: "out_of_scope_recall",
    title: "Out-of-scope recall",
    better: Better::Higher,
    range: (0.0, 1.0),
    measure: |evidence| {
        let threshold = evidence.calibration.refusal?;
        let refused = |&index: &usize| evidence.test.confidences()[index] < threshold;
        share(evidence.test.out_of_scope().filter(refused).count(), evidence.test.out_of_scope().count())
    },
};
