//! How far confidences can be taken at their word: bins of equal mass, and the expected calibration error over them.

use serde::{Deserialize, Serialize};

/// Answers of neighbouring confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Mean confidence.
    pub confidence: f64,
    /// Share of right answers.
    pub accuracy: f64,
    /// How many answers.
    pub count: usize,
}

/// Sorts the answers by confidence and cuts them into `bins` parts as equal in number as possible (fewer when there are fewer answers).
///
/// # Panics
/// When the two lists differ in length.
pub fn reliability(confidences: &[f32], right: &[bool], bins: usize) -> Vec<Bin> {
    assert_eq!(confidences.len(), right.len(), "{} confidences and {} answers", confidences.len(), right.len());
    let count = confidences.len();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| confidences[a].total_cmp(&confidences[b]));
    let bins = bins.min(count);
    let bin = |index: usize| {
        let part = &order[index * count / bins..(index + 1) * count / bins];
        let size = part.len() as f64;
        Bin {
            confidence: part.iter().map(|&i| f64::from(confidences[i])).sum::<f64>() / size,
            accuracy: part.iter().filter(|&&i| right[i]).count() as f64 / size,
            count: part.len(),
        }
    };
    (0..bins).map(bin).collect()
}

/// Expected calibration error: the mean distance of confidence and accuracy over the bins, by mass. `None` without an answer.
pub fn calibration_error(bins: &[Bin]) -> Option<f64> {
    let count: usize = bins.iter().map(|bin| bin.count).sum();
    let distance: f64 = bins.iter().map(|bin| bin.count as f64 * (bin.confidence - bin.accuracy).abs()).sum();
    (count > 0).then(|| distance / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_of_equal_mass_by_hand() {
        let confidences = [0.9, 0.2, 0.8, 0.4];
        let right = [true, false, false, true];
        let bins = reliability(&confidences, &right, 2);
        assert_eq!(bins.iter().map(|bin| bin.count).collect::<Vec<_>>(), [2, 2]);
        assert!((bins[0].confidence - 0.3).abs() < 1e-6 && (bins[0].accuracy - 0.5).abs() < 1e-12);
        assert!((bins[1].confidence - 0.85).abs() < 1e-6 && (bins[1].accuracy - 0.5).abs() < 1e-12);
        assert!((calibration_error(&bins).unwrap() - (0.2 + 0.35) / 2.0).abs() < 1e-6);
    }

    #[test]
    fn fewer_answers_than_bins() {
        let bins = reliability(&[1.0, 0.5], &[true, true], 15);
        assert_eq!(bins.len(), 2);
        assert!((calibration_error(&bins).unwrap() - 0.25).abs() < 1e-9);
        assert_eq!(calibration_error(&reliability(&[], &[], 15)), None);
    }
}
