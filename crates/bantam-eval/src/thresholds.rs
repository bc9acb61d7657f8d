//! Which confidence is enough: thresholds that are chosen on validation data and applied to test data.

use crate::Outcomes;

/// The lowest confidence at which the answered requests, out-of-scope ones included, are right at least at the share `precision`. A request is
/// answered when its confidence is at least the threshold. `None` when no threshold reaches that.
pub fn for_precision(outcomes: &Outcomes, precision: f64) -> Option<f32> {
    let right = outcomes.right();
    let confidences = outcomes.confidences();
    let mut order: Vec<usize> = (0..outcomes.len()).collect();
    order.sort_by(|&a, &b| confidences[b].total_cmp(&confidences[a]));
    let (mut correct, mut threshold) = (0, None);
    for (answered, &index) in order.iter().enumerate() {
        correct += usize::from(right[index]);
        let answered = answered + 1;
        // Requests of equal confidence are answered together or not at all.
        let last_of_equals = order.get(answered).is_none_or(|&next| confidences[next] < confidences[index]);
        if last_of_equals && correct as f64 >= precision * answered as f64 {
            threshold = Some(confidences[index]);
        }
    }
    threshold
}

/// The highest threshold that costs at most `loss` of the in-scope accuracy (0.01 is one point), a refused request counting as wrong. `None`
/// without in-scope examples.
pub fn for_accuracy_loss(outcomes: &Outcomes, loss: f64) -> Option<f32> {
    let right = outcomes.right();
    let in_scope = outcomes.in_scope().count();
    let mut kept: Vec<f32> = (0..outcomes.len()).filter(|&i| right[i]).map(|i| outcomes.confidences()[i]).collect();
    kept.sort_by(f32::total_cmp);
    // The small addend keeps 0.29 * 100 = 28.999... from counting as 28.
    let losable = (loss * in_scope as f64 + 1e-9).floor() as usize;
    (in_scope > 0).then(|| kept.get(losable).copied().unwrap_or(f32::INFINITY))
}

/// How many requests are answered at a threshold, and how many of these rightly.
pub fn answered(outcomes: &Outcomes, threshold: f32) -> (usize, usize) {
    let sure = outcomes.confidences().iter().zip(outcomes.right()).filter(|(confidence, _)| **confidence >= threshold);
    sure.fold((0, 0), |(answered, right), (_, is_right)| (answered + 1, right + usize::from(is_right)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests of two classes with the given confidence in class 0; the label says whether that is right.
    fn outcomes(cases: &[(f32, Option<usize>)]) -> Outcomes {
        let labels: Vec<_> = cases.iter().map(|case| case.1).collect();
        Outcomes::new(2, &labels, &vec![vec![1.0, 0.0]; cases.len()], 1.0)
            .with_confidences(cases.iter().map(|case| case.0).collect())
    }

    #[test]
    fn the_lowest_threshold_that_keeps_the_precision() {
        let cases =
            outcomes(&[(0.9, Some(0)), (0.8, Some(0)), (0.7, None), (0.6, Some(0)), (0.5, Some(1)), (0.4, None)]);
        assert_eq!(for_precision(&cases, 0.75), Some(0.6));
        assert_eq!(for_precision(&cases, 1.0), Some(0.8));
        assert_eq!(for_precision(&cases, 0.5), Some(0.4));
        assert_eq!(answered(&cases, 0.6), (4, 3));
    }

    #[test]
    fn equals_stand_or_fall_together() {
        let cases = outcomes(&[(0.9, Some(0)), (0.9, Some(1)), (0.2, Some(0))]);
        assert_eq!(for_precision(&cases, 1.0), None);
        assert_eq!(for_precision(&cases, 0.6), Some(0.2));
        assert_eq!(for_precision(&outcomes(&[]), 0.5), None);
    }

    #[test]
    fn a_loss_of_accuracy_is_spent_on_the_least_sure_right_answers() {
        let cases = outcomes(&[(0.9, Some(0)), (0.8, Some(0)), (0.3, Some(1)), (0.2, Some(0)), (0.1, None)]);
        assert_eq!(for_accuracy_loss(&cases, 0.0), Some(0.2));
        assert_eq!(for_accuracy_loss(&cases, 0.25), Some(0.8));
        assert_eq!(for_accuracy_loss(&cases, 1.0), Some(f32::INFINITY));
        assert_eq!(for_accuracy_loss(&outcomes(&[(0.1, None)]), 0.1), None);
    }
}
