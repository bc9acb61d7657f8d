//! How surprised the model is by the true class, in nats.

use super::{Better, Metric};
use crate::Outcomes;

/// The least probability that is taken at its word, so that one confident mistake does not make the mean infinite.
const LEAST_PROBABILITY: f64 = 1e-12;

pub(super) const METRIC: Metric = Metric {
    name: "negative_log_likelihood",
    title: "Log loss",
    better: Better::Lower,
    range: (0.0, 27.64),
    measure: |evidence| negative_log_likelihood(evidence.test),
};

/// The mean of -ln(probability of the true class) over in-scope texts, each at most -ln 1e-12.
pub fn negative_log_likelihood(outcomes: &Outcomes) -> Option<f64> {
    let count = outcomes.in_scope().count();
    let probability = |(index, label): (usize, usize)| f64::from(outcomes.probabilities()[index][label]);
    let sum: f64 = outcomes.in_scope().map(|case| -probability(case).max(LEAST_PROBABILITY).ln()).sum();
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let scores = [vec![3f32.ln(), 0.0], vec![0.0, 0.0], vec![9.0, 0.0]];
        let outcomes = Outcomes::new(2, &[Some(0), Some(1), None], &scores, 1.0);
        let expected = -(0.75f64.ln() + 0.5f64.ln()) / 2.0;
        assert!((negative_log_likelihood(&outcomes).unwrap() - expected).abs() < 1e-6);
    }
}
