//! The learning rate over a run.

use serde::{Deserialize, Serialize};

/// The shape of the learning rate after warm-up, as a share of its peak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Half a cosine from the peak to `last` (Loshchilov and Hutter 2017).
    Cosine {
        /// Share of the peak at the end, 0..=1.
        last: f32,
    },
    /// Warm-up, stable, decay (MiniCPM, Hu et al. 2024): flat, then linear to `last` over the last `decay` of the run.
    WarmupStableDecay {
        /// Share of the run spent decaying, 0..=1.
        decay: f32,
        /// Share of the peak at the end, 0..=1.
        last: f32,
    },
}

impl Schedule {
    /// The share of the peak learning rate at `step` of `steps`, after a linear warm-up of `warmup` steps.
    pub fn share(self, step: usize, steps: usize, warmup: usize) -> f32 {
        if step < warmup {
            return (step + 1) as f32 / warmup as f32;
        }
        let rest = steps.saturating_sub(warmup).max(1) as f32;
        let done = ((step - warmup) as f32 / rest).min(1.0);
        match self {
            Self::Cosine { last } => last + (1.0 - last) * 0.5 * (1.0 + (std::f32::consts::PI * done).cos()),
            Self::WarmupStableDecay { decay, last } => {
                let into_decay = ((done - (1.0 - decay)) / decay.max(f32::EPSILON)).clamp(0.0, 1.0);
                1.0 - (1.0 - last) * into_decay
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_rise_linearly_and_end_at_their_last_share() {
        for schedule in [Schedule::Cosine { last: 0.1 }, Schedule::WarmupStableDecay { decay: 0.2, last: 0.1 }] {
            assert!((schedule.share(0, 110, 10) - 0.1).abs() < 1e-6);
            assert!((schedule.share(9, 110, 10) - 1.0).abs() < 1e-6);
            assert!((schedule.share(110, 110, 10) - 0.1).abs() < 1e-6);
        }
    }

    #[test]
    fn stable_phase_is_flat_and_cosine_is_half_way_in_the_middle() {
        let stable = Schedule::WarmupStableDecay { decay: 0.2, last: 0.0 };
        assert_eq!(stable.share(70, 100, 0), 1.0);
        assert!((stable.share(90, 100, 0) - 0.5).abs() < 1e-5);
        assert!((Schedule::Cosine { last: 0.0 }.share(50, 100, 0) - 0.5).abs() < 1e-6);
    }
}
