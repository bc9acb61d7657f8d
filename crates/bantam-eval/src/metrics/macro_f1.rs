//! The mean of the classes' F1, so that rare classes count as much as frequent ones.

use super::{Better, Metric};

pub(super) const METRIC: Metric = Metric {
    name: "macro_f1",
    title: "Macro F1",
    better: Better::Higher,
    range: (0.0, 1.0),
    measure: |evidence| {
        let test = evidence.test;
        macro_f1(test.classes(), test.in_scope().map(|(index, label)| (label, test.answers()[index])))
    },
};

/// The mean over the classes that occur as truth or answer of 2·hits / (truths + answers); pairs are (truth, answer). As in scikit-learn, a
/// class that occurs and is never hit counts 0. `None` without a pair.
///
/// # Panics
/// When a class is not below `classes`.
pub fn macro_f1(classes: usize, pairs: impl Iterator<Item = (usize, usize)>) -> Option<f64> {
    let (mut hits, mut occurrences) = (vec![0usize; classes], vec![0usize; classes]);
    for (truth, answer) in pairs {
        hits[truth] += usize::from(truth == answer);
        occurrences[truth] += 1;
        occurrences[answer] += 1;
    }
    let present: Vec<f64> = hits
        .iter()
        .zip(&occurrences)
        .filter(|(_, occurrences)| **occurrences > 0)
        .map(|(&hits, &occurrences)| 2.0 * hits as f64 / occurrences as f64)
        .collect();
    (!present.is_empty()).then(|| present.iter().sum::<f64>() / present.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Class 0: 1 hit of 2 truths and 1 answer, 2/3. Class 1: 1 hit, 1 truth, 2 answers, 2/3. Class 2: 0. Class 3 does not occur.
        let pairs = [(0, 0), (0, 1), (1, 1), (2, 2), (2, 4)];
        let expected = (2.0 / 3.0 + 2.0 / 3.0 + 2.0 / 3.0 + 0.0) / 4.0;
        assert!((macro_f1(5, pairs.into_iter()).unwrap() - expected).abs() < 1e-12);
        assert_eq!(macro_f1(5, std::iter::empty()), None);
    }
}
