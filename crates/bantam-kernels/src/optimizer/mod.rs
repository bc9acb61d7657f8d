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

/// Numbers that one task handles.
const PIECE: usize = 1 << 14;

/// One step of AdamW (Loshchilov and Hutter 2019): weights and both moments change in place. Of a table, whose rows have `width` numbers, rows stay as
/// they are, with their moments, where all of the gradient is zero, because nothing that the step read used them (the lazy Adam of TensorFlow, the sparse
/// one of PyTorch): large tables are bound by memory, and a step uses few of their rows.
pub fn adamw(
    weights: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    width: Option<usize>,
    settings: &AdamW,
) {
    let lengths = [weights.len(), gradient.len(), first.len(), second.len()];
    assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]), "adamw: lengths {lengths:?} should be equal");
    let &AdamW { learning_rate, beta1, beta2, epsilon, weight_decay, step, gradient_scale } = settings;
    let corrected = |beta: f32| (1.0 - f64::from(beta).powf(f64::from(step))) as f32;
    let (rate, root) = (learning_rate / corrected(beta1), 1.0 / corrected(beta2).sqrt());
    let keep = 1.0 - learning_rate * weight_decay;
    let row = width.unwrap_or(PIECE).max(1);
    let (length, most) = (weights.len(), PIECE.next_multiple_of(row));
    let (weights, first, second) = (Shared::new(weights), Shared::new(first), Shared::new(second));
    pool::for_each(length.div_ceil(most), |piece| {
        let (start, count) = (piece * most, most.min(length - piece * most));
        // SAFETY: the pieces of different tasks do not meet.
        let (weights, first, second) =
            unsafe { (weights.slice(start, count), first.slice(start, count), second.slice(start, count)) };
        let gradient = &gradient[start..start + count];
        vectorized(
            #[inline(always)]
            || {
                let moments = first.chunks_mut(row).zip(second.chunks_mut(row));
                for ((weights, (first, second)), gradient) in
                    weights.chunks_mut(row).zip(moments).zip(gradient.chunks(row))
                {
                    if width.is_some() && is_zero(gradient) {
                        continue;
                    }
                    for (((w, m), v), g) in weights.iter_mut().zip(first).zip(second).zip(gradient) {
                        let g = g * gradient_scale;
                        *m = beta1 * *m + (1.0 - beta1) * g;
                        *v = beta2 * *v + (1.0 - beta2) * g * g;
                        *w = *w * keep - rate * *m / (v.sqrt() * root + epsilon);
                    }
                }
            },
        );
    });
}

/// Whether all numbers are zeros, of either sign.
#[inline(always)]
fn is_zero(numbers: &[f32]) -> bool {
    numbers.iter().fold(0, |bits, x| bits | x.to_bits() << 1) == 0
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
                adamw(&mut weights, &gradient, &mut first, &mut second, None, &settings);
                for ([w, m, v], g) in truth.iter_mut().zip(&gradient) {
                    let g = 0.5 * f64::from(*g);
                    *m = 0.9 * *m + 0.1 * g;
                    *v = 0.99 * *v + 0.01 * g * g;
                    let (m_hat, v_hat) =
                        (*m / (1.0 - 0.9f64.powi(step as i32)), *v / (1.0 - 0.99f64.powi(step as i32)));
                    *w -= 0.01 * (m_hat / (v_hat.sqrt() + 1e-8) + 0.1 * *w);
                }
            }
            let expected: Vec<f32> = truth.iter().map(|[w, _, _]| *w as f32).collect();
            assert_close(&weights, &expected, 1e-5, &format!("adamw with {isa:?}"));
        });
    }

    #[test]
    fn rows_of_a_table_that_a_step_did_not_use_stay_and_the_others_move_as_alone() {
        for_each_isa(|_| {
            let (mut random, width, rows) = (Random::new(7), 48, 3 * PIECE / 48);
            let settings = AdamW {
                learning_rate: 0.01,
                beta1: 0.9,
                beta2: 0.99,
                epsilon: 1e-8,
                weight_decay: 0.0,
                step: 3,
                gradient_scale: 0.5,
            };
            let old: [Vec<f32>; 3] =
                std::array::from_fn(|_| random.vector(width * rows).iter().map(|x| x.abs()).collect());
            let mut gradient = random.vector(width * rows);
            let is_used = |row: usize| row % 3 == 1;
            for (row, gradient) in gradient.chunks_mut(width).enumerate().filter(|(row, _)| !is_used(*row)) {
                gradient.fill(if row % 2 == 0 { 0.0 } else { -0.0 });
            }
            let step = |width: Option<usize>| {
                let [mut weights, mut first, mut second] = old.clone();
                adamw(&mut weights, &gradient, &mut first, &mut second, width, &settings);
                [weights, first, second]
            };
            let (lazy, all) = (step(Some(width)), step(None));
            for ((lazy, all), old) in lazy.iter().zip(&all).zip(&old) {
                for (place, lazy) in lazy.iter().enumerate() {
                    assert_eq!(*lazy, if is_used(place / width) { all[place] } else { old[place] }, "{place}");
                }
            }
        });
    }
}
