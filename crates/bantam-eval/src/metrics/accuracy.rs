//! The share of in-scope texts that get their class.

use super::{Better, Metric, share};
use crate::Outcomes;

pub(super) const METRIC: Metric = Metric {
    name: "accuracy",
    title: "Accuracy",
    better: Better::Higher,
    range: (0.0, 1.0),
    measure: |evidence| {
        let (right, all) = counts(evidence.test);
        share(right, all)
    },
};

/// How many in-scope texts were answered rightly, and how many there are.
pub fn counts(outcomes: &Outcomes) -> (usize, usize) {
    let right = outcomes.in_scope().filter(|&(index, label)| outcomes.answers()[index] == label).count();
    (right, outcomes.in_scope().count())
}
