//! What holds for every metric of the registry.

use super::{Better, Evidence, METRICS, Metric};
use crate::{Calibration, EvaluationOptions, Outcomes};
use bantam_model::Random;

const CLASSES: usize = 4;

fn random_case(seed: u64, count: usize) -> (Vec<Option<usize>>, Vec<Vec<f32>>) {
    let mut random = Random::new(seed, 0);
    let label = |random: &mut Random| (random.below(6) > 0).then(|| random.below(CLASSES));
    let labels: Vec<_> = (0..count).map(|_| label(&mut random)).collect();
    let score = |class: usize, label: Option<usize>, random: &mut Random| {
        random.normal() + if label == Some(class) { 1.5 } else { 0.0 }
    };
    let scores = labels.iter().map(|&l| (0..CLASSES).map(|class| score(class, l, &mut random)).collect()).collect();
    (labels, scores)
}

/// Measures with thresholds chosen on the same outcomes.
fn measure(metric: &Metric, outcomes: &Outcomes) -> Option<f64> {
    let options = EvaluationOptions { precision: 0.8, accuracy_loss: 0.05, ..EvaluationOptions::default() };
    (metric.measure)(&Evidence { test: outcomes, calibration: &Calibration::of_outcomes(outcomes, 1.0, &options) })
}

#[test]
fn values_lie_in_range_and_do_not_depend_on_the_order_of_texts() {
    for seed in 0..10 {
        let (labels, scores) = random_case(seed, 120);
        let outcomes = Outcomes::new(CLASSES, &labels, &scores, 1.0);
        let (mirrored_labels, mirrored_scores): (Vec<_>, Vec<_>) = labels.into_iter().zip(scores).rev().unzip();
        let mirrored = Outcomes::new(CLASSES, &mirrored_labels, &mirrored_scores, 1.0);
        for metric in METRICS {
            let Some(value) = measure(metric, &outcomes) else { continue };
            assert!((metric.range.0..=metric.range.1).contains(&value), "{} is {value}", metric.name);
            let again = measure(metric, &mirrored).unwrap();
            assert!((value - again).abs() < 1e-9, "{}: {value} and {again}", metric.name);
        }
    }
}

#[test]
fn the_oracle_gets_the_best_value_of_everything() {
    let (labels, _) = random_case(3, 60);
    let sure = |label: Option<usize>| {
        (0..=CLASSES).map(move |class| if class == label.unwrap_or(CLASSES) { 99.0 } else { 0.0 })
    };
    let scores: Vec<Vec<f32>> = labels.iter().map(|&label| sure(label).collect()).collect();
    let outcomes = Outcomes::new(CLASSES, &labels, &scores, 1.0);
    for metric in METRICS {
        let value = measure(metric, &outcomes).unwrap();
        let in_scope = labels.iter().flatten().count() as f64 / labels.len() as f64;
        let best = match metric.better {
            // At a precision of 0.8 the oracle may also answer some that it should not.
            Better::Higher if metric.name == "containment" => {
                assert!(value >= in_scope);
                continue;
            }
            Better::Higher if metric.name == "containment_precision" => 0.8,
            Better::Higher => metric.range.1,
            Better::Lower => metric.range.0,
        };
        let reached = if metric.better == Better::Higher { value >= best - 1e-6 } else { value <= best + 1e-6 };
        assert!(reached, "{}: {value}, the best is {best}", metric.name);
    }
}

#[test]
fn nothing_to_measure_is_none_and_never_a_panic() {
    let empty = Outcomes::new(CLASSES, &[], &[], 1.0);
    let outside = Outcomes::new(CLASSES, &[None], &[vec![0.0; CLASSES]], 1.0);
    for metric in METRICS {
        assert_eq!(measure(metric, &empty), None, "{}", metric.name);
        let _ = measure(metric, &outside);
    }
    let names: std::collections::BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), METRICS.len(), "two metrics share a name");
}
