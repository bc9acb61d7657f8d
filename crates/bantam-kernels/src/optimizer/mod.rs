//! AdamW in one pass over weights, gradients and moments.

use crate::pool::{self, Shared};
use crate::vectorized::vectorized;

/// The settings of one step of [`adamw`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Step size.
    pub learning_rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Number of this step, from 1: corrects the moments' start at zero.
    pub step: u32,
    /// Gradients are multiplied by this first.
    pub gradient_scale: f32,
}

/// A moving average of weights.
#[derive(Debug)]
pub struct Average<'a> {
    /// One number per weight.
    pub numbers: &'a mut [f32],
    /// What a step keeps of it; the rest is the weight's new value.
    pub keep: f32,
}

/// Numbers that one task handles.
const PIECE: usize = 1 << 14;

/// One step of AdamW (Loshchilov and Hutter 2019): weights and both moments change in place, and then their average, where there is one:
/// large tables are bound by memory, and are read once for both.
pub fn adamw(
    weights: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    average: Option<Average<'_>>,
    settings: &AdamW,
) {
    let lengths = [weights.len(), gradient.len(), first.len(), second.len()];
    assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]), "adamw: lengths {lengths:?} should be equal");
    if let Some(average) = &average {
        assert_eq!(average.numbers.len(), weights.len(), "adamw: an average of other weights");
    }
    let &AdamW { learning_rate, beta1, beta2, epsilon, weight_decay, step, gradient_scale } = settings;
    let corrected = |beta: f32| (1.0 - f64::from(beta).powf(f64::from(step))) as f32;
    let (rate, root) = (learning_rate / corrected(beta1), 1.0 / corrected(beta2).sqrt());
    let keep = 1.0 - learning_rate * weight_decay;
    let length = weights.len();
    let (weights, first, second) = (Shared::new(weights), Shared::new(first), Shared::new(second));
    let average = average.map(|average| (Shared::new(average.numbers), average.keep));
    pool::for_each(length.div_ceil(PIECE), |piece| {
        let (start, count) = (piece * PIECE, PIECE.min(length - piece * PIECE));
        // SAFETY: the pieces of different tasks do not meet.
        let (weights, first, second) =
            unsafe { (weights.slice(start, count), first.slice(start, count), second.slice(start, count)) };
        // SAFETY: as above.
        let average = average.as_ref().map(|(average, keep)| (unsafe { average.slice(start, count) }, *keep));
        let gradient = &gradient[start..start + count];
        vectorized(
            #[inline(always)]
            || {
                for (((w, m), v), g) in weights.iter_mut().zip(first).zip(second).zip(gradient) {
                    let g = g * gradient_scale;
                    *m = beta1 * *m + (1.0 - beta1) * g;
                    *v = beta2 * *v + (1.0 - beta2) * g * g;
                    *w = *w * keep - rate * *m / (v.sqrt() * root + epsilon);
                }
                if let Some((average, keep)) = average {
                    for (average, w) in average.iter_mut().zip(weights) {
                        *average = *average * keep + (1.0 - keep) * *w;
                    }
                }
            },
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, assert_close, for_each_isa};

    #[test]
    fn three_steps_follow_the_published_formulas() {
        for_each_isa(|isa| {
            let mut random = Random::new(6);
            let length = 2 * PIECE + 37;
            let mut weights = random.vector(length);
            let mut truth: Vec<[f64; 3]> = weights.iter().map(|&w| [f64::from(w), 0.0, 0.0]).collect();
            let (mut first, mut second) = (vec![0.0; length], vec![0.0; length]);
            let (mut average, mut averages) = (weights.clone(), truth.iter().map(|[w, ..]| *w).collect::<Vec<f64>>());
            for step in 1..=3 {
                let gradient = random.vector(length);
                let settings = AdamW {
                    learning_rate: 0.01,
                    beta1: 0.9,
                    beta2: 0.99,
                    epsilon: 1e-8,
                    weight_decay: 0.1,
                    step,
                    gradient_scale: 0.5,
                };
                // The second step is one without an average.
                let keep = if step == 2 { 1.0 } else { 0.75 };
                let numbers = Average { numbers: &mut average, keep: 0.75 };
                adamw(&mut weights, &gradient, &mut first, &mut second, (step != 2).then_some(numbers), &settings);
                for (([w, m, v], g), average) in truth.iter_mut().zip(&gradient).zip(&mut averages) {
                    let g = 0.5 * f64::from(*g);
                    *m = 0.9 * *m + 0.1 * g;
                    *v = 0.99 * *v + 0.01 * g * g;
                    let (m_hat, v_hat) =
                        (*m / (1.0 - 0.9f64.powi(step as i32)), *v / (1.0 - 0.99f64.powi(step as i32)));
                    *w -= 0.01 * (m_hat / (v_hat.sqrt() + 1e-8) + 0.1 * *w);
                    *average = keep * *average + (1.0 - keep) * *w;
                }
            }
            let expected: Vec<f32> = truth.iter().map(|[w, _, _]| *w as f32).collect();
            assert_close(&weights, &expected, 1e-5, &format!("adamw with {isa:?}"));
            let expected: Vec<f32> = averages.iter().map(|average| *average as f32).collect();
            assert_close(&average, &expected, 1e-5, &format!("its average with {isa:?}"));
        });
    }
}
