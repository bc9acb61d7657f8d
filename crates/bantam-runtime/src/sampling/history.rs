//! What was said so far, and what that does to the scores: bias and penalties.

use std::collections::{HashMap, VecDeque};

use super::SamplingOptions;

/// The tokens of one reply, counted.
#[derive(Debug, Clone)]
pub(super) struct History {
    /// The last tokens, prompt included; empty where the window has no end.
    recent: VecDeque<u32>,
    /// How often each of them occurs.
    seen: HashMap<u32, u32>,
    /// How often each token was generated.
    generated: HashMap<u32, u32>,
    /// What each call costs is paid only where a penalty asks for it.
    counts_seen: bool,
    counts_generated: bool,
    window: usize,
}

impl History {
    pub(super) fn new(options: &SamplingOptions) -> Self {
        Self {
            recent: VecDeque::new(),
            seen: HashMap::new(),
            generated: HashMap::new(),
            counts_seen: options.repetition_penalty != 1.0,
            counts_generated: options.frequency_penalty != 0.0 || options.presence_penalty != 0.0,
            window: options.penalty_window,
        }
    }

    /// Counts a token of the prompt.
    pub(super) fn see(&mut self, token: u32) {
        if !self.counts_seen {
            return;
        }
        *self.seen.entry(token).or_default() += 1;
        if self.window == 0 {
            return;
        }
        self.recent.push_back(token);
        if self.recent.len() > self.window {
            self.forget();
        }
    }

    /// Counts a token of the reply.
    pub(super) fn generate(&mut self, token: u32) {
        self.see(token);
        if self.counts_generated {
            *self.generated.entry(token).or_default() += 1;
        }
    }

    fn forget(&mut self) {
        let Some(oldest) = self.recent.pop_front() else { return };
        if let Some(count) = self.seen.get_mut(&oldest) {
            *count -= 1;
            if *count == 0 {
                self.seen.remove(&oldest);
            }
        }
    }

    /// Whether [`History::adjust`] would change anything.
    pub(super) fn adjusts(&self, options: &SamplingOptions) -> bool {
        !(options.logit_bias.is_empty() && self.seen.is_empty() && self.generated.is_empty())
    }

    /// Adds the bias, then the penalties. Each token is changed by itself, so the order of the maps is of no matter.
    pub(super) fn adjust(&self, options: &SamplingOptions, scores: &mut [f32]) {
        for (&token, bias) in &options.logit_bias {
            change(scores, token, |score| score + bias);
        }
        for &token in self.seen.keys() {
            let penalty = options.repetition_penalty;
            change(scores, token, |score| if score > 0.0 { score / penalty } else { score * penalty });
        }
        for (&token, &count) in &self.generated {
            let penalty = count as f32 * options.frequency_penalty + options.presence_penalty;
            change(scores, token, |score| score - penalty);
        }
    }
}

/// Changes the score of a token, if the vocabulary has it.
fn change(scores: &mut [f32], token: u32, change: impl Fn(f32) -> f32) {
    if let Some(score) = scores.get_mut(token as usize) {
        *score = change(*score);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adjusted(options: &SamplingOptions, prompt: &[u32], reply: &[u32], logits: &[f32]) -> Vec<f32> {
        let mut history = History::new(options);
        prompt.iter().for_each(|&token| history.see(token));
        reply.iter().for_each(|&token| history.generate(token));
        let mut scores = logits.to_vec();
        history.adjust(options, &mut scores);
        scores
    }

    #[test]
    fn repetition_is_penalised_as_in_ctrl_prompt_included() {
        let options = SamplingOptions { repetition_penalty: 2.0, ..SamplingOptions::default() };
        let scores = adjusted(&options, &[0, 1, 0], &[3, 900], &[4.0, -4.0, 4.0, 0.5]);
        assert_eq!(scores, [2.0, -8.0, 4.0, 0.25]);
    }

    #[test]
    fn the_window_forgets_what_left_it() {
        let options = SamplingOptions { repetition_penalty: 2.0, penalty_window: 2, ..SamplingOptions::default() };
        assert_eq!(adjusted(&options, &[0, 1, 0], &[], &[4.0; 4]), [2.0, 2.0, 4.0, 4.0]);
        assert_eq!(adjusted(&options, &[0, 1, 0], &[3], &[4.0; 4]), [2.0, 4.0, 4.0, 2.0]);
        assert_eq!(adjusted(&options, &[0, 1, 0], &[3, 3], &[4.0; 4]), [4.0, 4.0, 4.0, 2.0]);
    }

    #[test]
    fn frequency_and_presence_follow_openai_over_what_was_generated() {
        let options = SamplingOptions { frequency_penalty: 0.5, presence_penalty: 0.25, ..SamplingOptions::default() };
        // mu[j] - c[j] * alpha_frequency - (c[j] > 0) * alpha_presence
        assert_eq!(adjusted(&options, &[0, 0], &[1, 1, 1, 2], &[1.0; 4]), [1.0, -0.75, 0.25, 1.0]);
    }

    #[test]
    fn the_bias_comes_before_the_penalties() {
        let options = SamplingOptions {
            repetition_penalty: 2.0,
            logit_bias: [(0, 3.0), (1, -3.0)].into(),
            ..SamplingOptions::default()
        };
        assert_eq!(adjusted(&options, &[0, 1], &[], &[1.0, 1.0, 1.0]), [2.0, -4.0, 1.0]);
    }
}
