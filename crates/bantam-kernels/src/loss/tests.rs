//! Against the formulas in f64.

use super::*;
use crate::testing::{Random, assert_close, for_each_isa};

fn probabilities(row: &[f64]) -> Vec<f64> {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = row.iter().map(|x| (x - largest).exp()).sum();
    row.iter().map(|x| (x - largest).exp() / total).collect()
}

#[test]
fn rows_become_probabilities_and_their_logarithms() {
    for_each_isa(|isa| {
        let mut random = Random::new(1);
        for (rows, width) in [(1, 1), (3, 17), (200, 150)] {
            let x: Vec<f32> = random.vector(rows * width).iter().map(|x| x * 20.0).collect();
            let (mut p, mut logs) = (x.clone(), x.clone());
            softmax_rows(&mut p, width);
            log_softmax_rows(&mut logs, width);
            let row = |row: &[f32]| probabilities(&row.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
            let truth: Vec<f64> = x.chunks(width).flat_map(row).collect();
            assert_close(
                &p,
                &truth.iter().map(|&p| p as f32).collect::<Vec<_>>(),
                1e-5,
                &format!("softmax with {isa:?}"),
            );
            let expected: Vec<f32> = truth.iter().map(|p| p.ln() as f32).collect();
            assert_close(&logs, &expected, 1e-5, &format!("log_softmax with {isa:?}"));
        }
    });
}

#[test]
fn soft_targets_give_their_cross_entropy_and_its_gradient() {
    let mut random = Random::new(2);
    let (rows, width) = (5, 9);
    let logits = random.vector(rows * width);
    let targets: Vec<f32> = random.vector(rows * width).iter().map(|t| t.abs()).collect();
    let weights = [1.0, 0.0, 2.0, 0.5, 1.0];
    let loss = |logits: &[f32]| -> Vec<f64> {
        let rows = logits.chunks(width).zip(targets.chunks(width)).zip(weights);
        rows.map(|((x, t), weight)| {
            let p = probabilities(&x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
            -f64::from(weight) * p.iter().zip(t).map(|(p, &t)| f64::from(t) * p.ln()).sum::<f64>()
        })
        .collect()
    };
    let (mut losses, mut d_logits) = (vec![0.0; rows], vec![0.0; logits.len()]);
    cross_entropy_rows(&logits, &targets, width, Some(&weights), &mut losses, &mut d_logits);
    assert_close(&losses, &loss(&logits).iter().map(|&l| l as f32).collect::<Vec<_>>(), 1e-5, "losses");
    let differences: Vec<f32> = (0..logits.len())
        .map(|i| {
            let moved = |by: f32| {
                let mut x = logits.clone();
                x[i] += by;
                loss(&x).iter().sum::<f64>()
            };
            ((moved(1e-3) - moved(-1e-3)) / 2e-3) as f32
        })
        .collect();
    assert_close(&d_logits, &differences, 1e-3, "gradient");
}

#[test]
fn the_fused_loss_equals_the_loss_of_whole_logits() {
    for_each_isa(|isa| {
        let mut random = Random::new(3);
        for (rows, k, classes, spread) in [(1, 3, 2, 0.0), (5, 8, 11, 0.1), (300, 16, 40, 0.0), (260, 9, 33, 0.2)] {
            let (hidden, head) = (random.vector(rows * k), random.vector(classes * k));
            let mut targets: Vec<u32> = (0..rows).map(|_| random.below(classes) as u32).collect();
            if rows > 2 {
                // One in the first chunk of rows, one in the last.
                targets[1] = IGNORED;
                targets[rows - 1] = IGNORED;
            }
            let fused = |d_hidden: Option<&mut [f32]>, d_head: Option<&mut [f32]>| {
                let settings = CrossEntropy { precision: Precision::F32, label_smoothing: spread, normaliser: 7.0 };
                linear_cross_entropy(
                    &settings,
                    &hidden,
                    &Head { weight: &head, factors: None },
                    &targets,
                    d_hidden,
                    d_head,
                )
            };
            let (mut d_hidden, mut d_head) = (vec![0.0; hidden.len()], vec![0.0; head.len()]);
            let (total, counted) = fused(Some(&mut d_hidden), Some(&mut d_head));
            let (plain, _) = fused(None, None);
            assert_eq!(total, plain, "the loss does not depend on whether gradients are wanted");

            let mut truth = 0.0;
            let (mut d_hidden_truth, mut d_head_truth) = (vec![0.0f64; hidden.len()], vec![0.0f64; head.len()]);
            for (row, &target) in targets.iter().enumerate().filter(|(_, target)| **target != IGNORED) {
                let h = &hidden[row * k..(row + 1) * k];
                let logit = |c: usize| (0..k).map(|i| f64::from(h[i]) * f64::from(head[c * k + i])).sum::<f64>();
                let p = probabilities(&(0..classes).map(logit).collect::<Vec<_>>());
                for c in 0..classes {
                    let spread = f64::from(spread);
                    let t = spread / classes as f64 + if c == target as usize { 1.0 - spread } else { 0.0 };
                    truth -= t * p[c].ln();
                    for i in 0..k {
                        d_hidden_truth[row * k + i] += (p[c] - t) / 7.0 * f64::from(head[c * k + i]);
                        d_head_truth[c * k + i] += (p[c] - t) / 7.0 * f64::from(h[i]);
                    }
                }
            }
            let narrow = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<_>>();
            assert!((total - truth).abs() < 1e-5 * truth.abs(), "{total} against {truth} with {isa:?}");
            assert_eq!(counted, targets.iter().filter(|&&target| target != IGNORED).count());
            assert_close(&d_hidden, &narrow(&d_hidden_truth), 1e-4, &format!("d_hidden with {isa:?}"));
            assert_close(&d_head, &narrow(&d_head_truth), 1e-4, &format!("d_head with {isa:?}"));
        }
    });
}

#[test]
fn a_packed_head_gives_the_loss_and_gradients_of_one_that_is_not() {
    for_each_isa(|isa| {
        let mut random = Random::new(4);
        // More rows than one chunk, of either kind.
        let (rows, k, classes) = (MOST_ROWS + 77, 24, 50);
        let (hidden, head) = (random.vector(rows * k), random.vector(classes * k));
        let targets: Vec<u32> = (0..rows).map(|_| random.below(classes) as u32).collect();
        let settings = CrossEntropy { precision: Precision::Bf16, label_smoothing: 0.1, normaliser: 7.0 };
        let weight = Operand::new(&head, classes, k);
        let factors = [weight.t(), weight].map(RightFactor::pack);
        let run = |factors: Option<[&RightFactor; 2]>| {
            let head = Head { weight: &head, factors };
            let (mut d_hidden, mut d_head) = (vec![9.0; hidden.len()], vec![9.0; head.weight.len()]);
            let gradients = (Some(&mut d_hidden[..]), Some(&mut d_head[..]));
            let (total, _) = linear_cross_entropy(&settings, &hidden, &head, &targets, gradients.0, gradients.1);
            (total, d_hidden, d_head)
        };
        let (expected, found) = (run(None), run(Some([&factors[0], &factors[1]])));
        assert!((expected.0 - found.0).abs() < 1e-5 * expected.0, "{} against {} with {isa:?}", found.0, expected.0);
        assert_close(&found.1, &expected.1, 1e-3, &format!("d_hidden with {isa:?}"));
        assert_close(&found.2, &expected.2, 1e-3, &format!("d_head with {isa:?}"));
    });
}
