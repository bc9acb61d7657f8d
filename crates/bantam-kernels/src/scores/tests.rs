//! Against the formulas, score by score, in f64.

use super::*;
use crate::testing::{Random, assert_close, for_each_isa};

/// Rows of every kind of length, with scores that are no numbers among them.
fn rows() -> impl Iterator<Item = Vec<f32>> {
    [0, 1, 63, 64, 65, 640, 1_000].into_iter().map(|length| {
        let mut scores: Vec<f32> = Random::new(length as u64).vector(length).iter().map(|x| 20.0 * x).collect();
        for (index, odd) in [f32::NAN, f32::NEG_INFINITY, -f32::NAN, f32::INFINITY].into_iter().enumerate() {
            if let Some(score) = scores.get_mut(200 * index) {
                *score = odd;
            }
        }
        scores
    })
}

fn true_power(score: f32, top: f32, factor: f32) -> f64 {
    if score.is_nan() { 0.0 } else { ((f64::from(score) - f64::from(top)) * f64::from(factor)).exp() }
}

#[test]
fn blocks_know_their_largest() {
    for_each_isa(|isa| {
        for scores in rows() {
            let expected: Vec<f32> = scores
                .chunks(BLOCK)
                .map(|block| {
                    block
                        .iter()
                        .filter(|score| !score.is_nan())
                        .fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a })
                })
                .map(|largest| if largest == f32::INFINITY { f32::MAX } else { largest })
                .collect();
            let mut largest = vec![1.0; 3];
            block_largest(&scores, &mut largest);
            assert_eq!(largest, expected, "{isa:?}, {} scores", scores.len());
        }
    });
}

#[test]
fn powers_and_their_sums_follow_the_formula() {
    for_each_isa(|isa| {
        for mut scores in rows() {
            scores.iter_mut().filter(|score| **score == f32::INFINITY).for_each(|score| *score = 3.0);
            let (top, factor) = (20.0, 0.7);
            let truth: Vec<f64> = scores.iter().map(|&score| true_power(score, top, factor)).collect();
            let (mut each, mut sums) = (vec![], vec![1.0; 3]);
            powers(&scores, top, factor, &mut each);
            block_powers(&scores, top, factor, &mut sums);
            let narrow: Vec<f32> = truth.iter().map(|&power| power as f32).collect();
            assert_close(&each, &narrow, 1e-6, &format!("powers with {isa:?}"));
            let expected: Vec<f32> = truth.chunks(BLOCK).map(|block| block.iter().sum::<f64>() as f32).collect();
            assert_close(&sums, &expected, 1e-6, &format!("sums with {isa:?}"));
        }
    });
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let mut seen: Vec<Vec<f32>> = Vec::new();
    for_each_isa(|_| {
        let mut sums = Vec::new();
        block_powers(&Random::new(9).vector(1_000), 1.0, 3.0, &mut sums);
        seen.push(sums);
    });
    assert!(seen.iter().all(|sums| *sums == seen[0]));
}

#[test]
fn what_is_impossible_has_no_power() {
    let mut each = Vec::new();
    powers(&[f32::NAN, f32::NEG_INFINITY, f32::MIN, f32::INFINITY], f32::MAX, 1.0, &mut each);
    assert_eq!(each, [0.0, 0.0, 0.0, 1.0]);
    powers(&[1.0, 1.0 - 1e-6], 1.0, f32::MAX, &mut each);
    assert_eq!(each, [1.0, 0.0]);
}
