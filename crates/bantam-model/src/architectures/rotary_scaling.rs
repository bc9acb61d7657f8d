//! Rotary positions that turn more slowly than a model was first trained with, so that it takes longer texts.

use std::f64::consts::TAU;

use bantam_kernels::rotary::Frequencies;
use serde::{Deserialize, Serialize};

/// How the frequencies of rotary positions are scaled: `rope_scaling` of `config.json`, with the keys of `transformers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rope_type", rename_all = "lowercase", deny_unknown_fields)]
pub enum RotaryScaling {
    /// All alike.
    Linear {
        /// Each frequency is divided by this.
        factor: f32,
    },
    /// Llama 3.1: slow ones by a factor, fast ones not, those between by something between.
    Llama3 {
        /// What the slow ones are divided by.
        factor: f32,
        /// Slow is what turns less often than this in the original context.
        low_freq_factor: f32,
        /// Fast is what turns more often than this in the original context.
        high_freq_factor: f32,
        /// The original context, in tokens.
        original_max_position_embeddings: usize,
    },
    /// Each by a factor of its own, as GGUF files hold them. LongRoPE is this where short and long texts have the same factors.
    Longrope {
        /// For each frequency what it is divided by.
        short_factor: Vec<f32>,
        /// The same.
        long_factor: Vec<f32>,
        /// 1: the scores of attention stay as they are.
        attention_factor: f32,
        /// What divides short texts from long ones, in tokens; nothing hangs on it where both are alike.
        original_max_position_embeddings: usize,
    },
}

impl RotaryScaling {
    /// The values of the key `rope_type`.
    pub(crate) const KINDS: [&str; 3] = ["linear", "llama3", "longrope"];

    /// A factor for each frequency.
    pub(crate) fn of_factors(factors: Vec<f32>, context: usize) -> Self {
        Self::Longrope {
            short_factor: factors.clone(),
            long_factor: factors,
            attention_factor: 1.0,
            original_max_position_embeddings: context,
        }
    }

    /// What each of `frequencies` is divided by.
    pub fn factors(&self, frequencies: &Frequencies) -> Vec<f32> {
        let frequencies = frequencies.as_slice();
        match self {
            Self::Linear { factor } => vec![*factor; frequencies.len()],
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                let [factor, low, high] = [*factor, *low_freq_factor, *high_freq_factor].map(f64::from);
                let share = |frequency: f64| {
                    // How often the pair turns in the original context.
                    let turns = *original_max_position_embeddings as f64 * frequency / TAU;
                    ((turns - low) / (high - low)).clamp(0.0, 1.0)
                };
                let divisor = |share: f64| 1.0 / ((1.0 - share) / factor + share);
                frequencies.iter().map(|&frequency| divisor(share(frequency)) as f32).collect()
            }
            Self::Longrope { long_factor, .. } => long_factor.clone(),
        }
    }

    /// Which setting cannot be, or is not computed, in heads of so many numbers.
    pub(crate) fn fault(&self, head_dim: usize) -> Option<String> {
        let is_factor = |factor: &f32| factor.is_finite() && *factor > 0.0;
        match self {
            Self::Linear { factor } => (!is_factor(factor)).then(|| format!("factor = {factor}")),
            Self::Llama3 { factor, low_freq_factor: low, high_freq_factor: high, .. } => {
                let can_be = [factor, low, high].into_iter().all(is_factor) && low < high;
                let fault = || format!("factor = {factor} with low_freq_factor = {low} and high_freq_factor = {high}");
                (!can_be).then(fault)
            }
            Self::Longrope { short_factor, long_factor, attention_factor, .. } => {
                if let Some(factor) = long_factor.iter().find(|factor| !is_factor(factor)) {
                    Some(format!("a factor of {factor}"))
                } else if long_factor != short_factor {
                    Some("long_factor other than short_factor".to_owned())
                } else if *attention_factor != 1.0 {
                    Some(format!("attention_factor = {attention_factor}"))
                } else {
                    let fault = || format!("{} factors, for heads of {head_dim} numbers", long_factor.len());
                    (long_factor.len() != head_dim / 2).then(fault)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama_3_leaves_fast_pairs_and_slows_down_slow_ones() {
        // Turns in 8,192 tokens: 1,304, 41, 2.3 and 0.2, by the formula's own words.
        let frequencies = Frequencies::new(500_000.0, 8).divided(&[1.0, 1.0, 0.8, 1.0]);
        let scaling = RotaryScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192,
        };
        let factors = scaling.factors(&frequencies);
        let turns = 8192.0 * frequencies.as_slice()[2] / TAU;
        let share = (turns - 1.0) / 3.0;
        assert!((0.1..0.9).contains(&share), "{turns} turns are between slow and fast");
        assert_eq!([factors[0], factors[1], factors[3]], [1.0, 1.0, 8.0]);
        assert!((f64::from(factors[2]) - 8.0 / (1.0 - share + 8.0 * share)).abs() < 1e-5);
        assert_eq!(scaling.fault(8), None);
        assert_eq!(RotaryScaling::of_factors(factors, 9).fault(8), None);
    }

    #[test]
    fn what_cannot_be_is_named() {
        let fault = |scaling: &RotaryScaling| scaling.fault(8).unwrap();
        assert_eq!(fault(&RotaryScaling::Linear { factor: 0.0 }), "factor = 0");
        let factors = RotaryScaling::of_factors;
        assert_eq!(fault(&factors(vec![1.0; 3], 9)), "3 factors, for heads of 8 numbers");
        assert_eq!(fault(&factors(vec![1.0, 1.0, f32::NAN, 1.0], 9)), "a factor of NaN");
        let llama = |low_freq_factor| RotaryScaling::Llama3 {
            factor: 8.0,
            low_freq_factor,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 9,
        };
        assert!(fault(&llama(4.0)).contains("low_freq_factor = 4 and"));
    }
}
