//! The squared distance of the probabilities from the truth (Brier 1950): calibration and sharpness in one figure.

use super::{Better, Metric};
use crate::Outcomes;

pub(super) const METRIC: Metric = Metric {
    name: "brier",
    title: "Brier score",
    better: Better::Lower,
    range: (0.0, 2.0),
    measure: |evidence| brier(evidence.test),
};

/// The mean over in-scope texts of the sum over classes of (probability - truth)², 0 (perfect) to 2 (sure and wrong).
pub fn brier(outcomes: &Outcomes) -> Option<f64> {
    let count = outcomes.in_scope().count();
    let distance = |(index, label): (usize, usize)| {
        let terms = outcomes.probabilities()[index].iter().enumerate();
        terms.map(|(class, &p)| (f64::from(p) - f64::from(u8::from(class == label))).powi(2)).sum::<f64>()
    };
    let sum: f64 = outcomes.in_scope().map(distance).sum();
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let scores = [vec![3f32.ln(), 0.0], vec![3f32.ln(), 0.0]];
        let outcomes = Outcomes::new(2, &[Some(0), Some(1)], &scores, 1.0);
        // 2 * 0.25² for the right one, 2 * 0.75² for the wrong one.
        assert!((brier(&outcomes).unwrap() - (0.125 + 1.125) / 2.0).abs() < 1e-6);
    }
}
