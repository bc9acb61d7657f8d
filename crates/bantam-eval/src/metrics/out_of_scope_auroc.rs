//! How well confidence tells requests that belong to a class from those that belong to none.

use super::{Better, Metric};

pub(super) const METRIC: Metric = Metric {
    name: "out_of_scope_auroc",
    title: "Out-of-scope AUROC",
    better: Better::Higher,
    range: (0.0, 1.0),
    measure: |evidence| {
        let confidences = evidence.test.confidences();
        let inside: Vec<f32> = evidence.test.in_scope().map(|(index, _)| confidences[index]).collect();
        let outside: Vec<f32> = evidence.test.out_of_scope().map(|index| confidences[index]).collect();
        auroc(&inside, &outside)
    },
};

/// The area under the ROC curve: the probability that a positive scores above a negative, a tie counting half (Mann and Whitney). `None` when
/// either is missing.
pub fn auroc(positives: &[f32], negatives: &[f32]) -> Option<f64> {
    if positives.is_empty() || negatives.is_empty() {
        return None;
    }
    let mut all: Vec<(f32, bool)> = positives.iter().map(|&score| (score, true)).collect();
    all.extend(negatives.iter().map(|&score| (score, false)));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut wins, mut below) = (0.0, 0.0);
    for equals in all.chunk_by(|a, b| a.0 == b.0) {
        let above = equals.iter().filter(|(_, positive)| *positive).count() as f64;
        let tied = equals.len() as f64 - above;
        wins += above * (below + tied / 2.0);
        below += tied;
    }
    Some(wins / (positives.len() as f64 * negatives.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_model::Random;

    #[test]
    fn by_hand() {
        assert_eq!(auroc(&[0.9, 0.8], &[0.1]), Some(1.0));
        assert_eq!(auroc(&[0.1], &[0.9, 0.8]), Some(0.0));
        assert_eq!(auroc(&[0.5, 0.5], &[0.5]), Some(0.5));
        assert_eq!(auroc(&[0.8, 0.4], &[0.6, 0.2]), Some(0.75));
        assert_eq!(auroc(&[], &[0.5]), None);
    }

    #[test]
    fn rising_maps_change_nothing_and_falling_ones_mirror_it() {
        let mut random = Random::new(11, 0);
        for _ in 0..20 {
            let mut draw =
                |shift: f32| (0..40).map(|_| (random.normal() * 4.0).round() / 4.0 + shift).collect::<Vec<f32>>();
            let (inside, outside) = (draw(0.5), draw(0.0));
            let plain = auroc(&inside, &outside).unwrap();
            let map = |f: fn(f32) -> f32| {
                let apply = |scores: &[f32]| scores.iter().map(|&score| f(score)).collect::<Vec<_>>();
                auroc(&apply(&inside), &apply(&outside)).unwrap()
            };
            assert!((map(f32::exp) - plain).abs() < 1e-12);
            assert!((map(|score| 3.0 * score - 7.0) - plain).abs() < 1e-12);
            assert!((map(|score| -score) - (1.0 - plain)).abs() < 1e-12);
            assert!((auroc(&outside, &inside).unwrap() - (1.0 - plain)).abs() < 1e-12);
        }
    }
}
