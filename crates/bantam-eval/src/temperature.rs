//! Temperature scaling: one number that turns scores into honest probabilities (Guo et al. 2017).

/// The softest and the sharpest inverse temperature that is tried.
const SOFTEST: f64 = 1e-3;
const SHARPEST: f64 = 1e3;
/// Newton converges in a handful of rounds; bisection, its safety net, needs some forty.
const ROUNDS: usize = 60;

/// The temperature that makes the labels likeliest: it minimises the mean of -log softmax(score / temperature)\[label\].
///
/// With b = 1 / temperature the loss is convex, with slope mean(E\[z\] - z_label) and curvature mean(Var\[z\]) under the softmax of b·z, so
/// Newton steps within a shrinking bracket find the minimum. `None` labels (out of scope) count where rows have a column beyond
/// `classes`, and are passed over elsewhere. Without a labelled row, or without a score that differs, the answer is 1.
///
/// # Panics
/// When lengths disagree or a row is shorter than a label asks for.
pub fn fit(classes: usize, labels: &[Option<usize>], scores: &[Vec<f32>]) -> f64 {
    assert_eq!(labels.len(), scores.len(), "{} labels and {} rows of scores", labels.len(), scores.len());
    let rows: Vec<(&[f32], usize)> = labels
        .iter()
        .zip(scores)
        .map(|(label, row)| (row.as_slice(), label.unwrap_or(classes)))
        .filter(|(row, target)| *target < row.len() && row.iter().all(|score| score.is_finite()))
        .collect();
    let (mut low, mut high, mut inverse) = (SOFTEST, SHARPEST, 1.0);
    if derivatives(&rows, inverse).1 == 0.0 {
        return 1.0;
    }
    for _ in 0..ROUNDS {
        let (slope, curvature) = derivatives(&rows, inverse);
        if slope > 0.0 {
            high = inverse;
        } else {
            low = inverse;
        }
        let newton = inverse - slope / curvature;
        // Outside the bracket (or without curvature) Newton cannot be trusted; halve it on the scale of logarithms.
        let next = if newton > low && newton < high { newton } else { (low * high).sqrt() };
        if (next - inverse).abs() <= 1e-12 * inverse {
            break;
        }
        inverse = next;
    }
    1.0 / inverse
}

/// Mean slope and curvature of the loss at an inverse temperature.
fn derivatives(rows: &[(&[f32], usize)], inverse: f64) -> (f64, f64) {
    let (mut slope, mut curvature) = (0.0, 0.0);
    for (row, target) in rows {
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        for &score in *row {
            let score = f64::from(score - top);
            let power = (inverse * score).exp();
            sum += power;
            first += power * score;
            second += power * score * score;
        }
        let mean = first / sum;
        slope += mean - f64::from(row[*target] - top);
        curvature += (second / sum - mean * mean).max(0.0);
    }
    let count = rows.len().max(1) as f64;
    (slope / count, curvature / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_scores_have_a_closed_form() {
        // Scores (1, 0), right 3 times of 4: the probability must be 3/4, so 1/temperature = ln 3.
        let scores = vec![vec![1.0, 0.0]; 4];
        let temperature = fit(2, &[Some(0), Some(0), Some(1), Some(0)], &scores);
        assert!((temperature - 1.0 / 3f64.ln()).abs() < 1e-9, "{temperature}");
    }

    #[test]
    fn scaling_the_scores_scales_the_temperature() {
        let mut random = bantam_model::Random::new(5, 0);
        let scores: Vec<Vec<f32>> = (0..300).map(|_| (0..6).map(|_| random.normal()).collect()).collect();
        let labels: Vec<_> = scores
            .iter()
            .map(|row| Some(crate::Outcomes::new(6, &[None], std::slice::from_ref(row), 1.0).answers()[0]))
            .map(|label| if random.uniform() < 0.3 { Some(random.below(6)) } else { label })
            .collect();
        let once = fit(6, &labels, &scores);
        let scaled: Vec<Vec<f32>> = scores.iter().map(|row| row.iter().map(|score| score * 8.0).collect()).collect();
        assert!((fit(6, &labels, &scaled) / once - 8.0).abs() < 1e-4);
        let loss = |temperature: f64| {
            let outcomes = crate::Outcomes::new(6, &labels, &scores, temperature);
            crate::metrics::negative_log_likelihood::negative_log_likelihood(&outcomes).unwrap()
        };
        assert!(loss(once) < loss(once * 1.1) && loss(once) < loss(once * 0.9));
    }

    #[test]
    fn hopeless_and_perfect_scores_stay_in_bounds() {
        assert_eq!(fit(2, &[], &[]), 1.0);
        assert_eq!(fit(2, &[Some(0)], &[vec![1.0, 1.0]]), 1.0);
        let perfect = fit(2, &[Some(0)], &[vec![1.0, 0.0]]);
        assert!((0.9e-3..1.0).contains(&perfect), "{perfect}");
        let hopeless = fit(2, &[Some(1)], &[vec![1.0, 0.0]]);
        assert!((1.0..1.1e3).contains(&hopeless), "{hopeless}");
        assert_eq!(fit(2, &[None], &[vec![1.0, 0.0]]), 1.0);
        assert!(fit(2, &[None, None, None, Some(0)], &vec![vec![0.0, 0.0, 1.0]; 4]) < 1.0);
    }
}
