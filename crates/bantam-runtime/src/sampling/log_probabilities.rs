//! Log-probabilities of the model's own distribution, before anything that a request asks for.

use bantam_kernels::scores::{block_largest, block_powers, counted};

use super::candidates::{Candidates, reached_by};

/// What turns a logit into the logarithm of a probability.
#[derive(Debug, Clone, Copy)]
pub(super) struct Normaliser {
    top: f64,
    log_sum: f64,
}

impl Normaliser {
    /// Of logits whose largest in each block are `largest`; `sums` is memory to work in. `None` if no token has a chance.
    pub(super) fn of(logits: &[f32], largest: &[f32], sums: &mut Vec<f32>) -> Option<Self> {
        let top = top(largest)?;
        block_powers(logits, top, 1.0, sums);
        let sum: f64 = sums.iter().map(|&sum| f64::from(sum)).sum();
        Some(Self { top: f64::from(top), log_sum: sum.ln() })
    }

    /// The log-probability of a logit.
    pub(super) fn log_probability(self, logit: f32) -> f32 {
        ((f64::from(counted(logit)) - self.top) - self.log_sum) as f32
    }
}

/// The largest of all; `None` if nothing is above minus infinity.
pub(super) fn top(largest: &[f32]) -> Option<f32> {
    Some(largest.iter().copied().fold(f32::NEG_INFINITY, f32::max)).filter(|&top| top > f32::NEG_INFINITY)
}

/// The `count` likeliest tokens with the logarithms of their probabilities (log-softmax of the logits), likeliest
/// first and of equals the lower id; fewer where fewer have a chance. NaN counts as minus infinity.
pub fn top_log_probabilities(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    let mut largest = Vec::new();
    block_largest(logits, &mut largest);
    let Some(normaliser) = Normaliser::of(logits, &largest, &mut Vec::new()) else { return Vec::new() };
    let mut candidates = Candidates::default();
    candidates.gather(logits, &largest, reached_by(count, &largest), 0.0, 0.0);
    let best = candidates.into_best(count);
    best.into_iter().map(|(token, score)| (token, normaliser.log_probability(score))).collect()
}
