//! Guessing tokens ahead from the text so far: what followed the last time may follow again.
//!
//! Prompt lookup decoding (Saxena 2023): where the last tokens occurred before, the tokens that followed then are a
//! draft, which the model verifies in one pass. It pays where replies repeat their prompt: summaries, edits, code. Where
//! it does not pay, it switches itself off.

use std::collections::HashMap;

/// When drafts are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LookupOptions {
    /// Tokens of a draft at most; 0 makes none.
    pub most_tokens: usize,
    /// Accepted tokens per draft at which drafting pays for itself: what verifying a draft costs beyond a plain step, in
    /// plain steps; 0 or more.
    pub break_even: f32,
    /// The weight of the latest draft in the running mean of accepted tokens; above 0 to 1.
    pub weight: f32,
    /// Chances for a draft that are let pass, once drafts do not pay, before one is tried again. It doubles with each try
    /// that fails, up to 16 times as many.
    pub pause: u32,
}

impl Default for LookupOptions {
    fn default() -> Self {
        Self { most_tokens: 8, break_even: 0.5, weight: 0.2, pause: 16 }
    }
}

/// The longest pause, in pauses of the options.
const LONGEST_PAUSE: u32 = 16;

/// Drafts tokens from an index of all pairs and triples of tokens so far.
#[derive(Debug, Clone)]
pub struct PromptLookup {
    options: LookupOptions,
    tokens: Vec<u32>,
    /// Where the token after the last occurrence of these stands. The last tokens themselves come in with the next one.
    after_three: HashMap<[u32; 3], usize>,
    after_two: HashMap<[u32; 2], usize>,
    accepted_mean: f32,
    pause: u32,
    passes_left: u32,
}

impl PromptLookup {
    /// A lookup without any text. It begins by trusting that drafts pay.
    pub fn new(options: LookupOptions) -> Self {
        Self {
            tokens: Vec::new(),
            after_three: HashMap::new(),
            after_two: HashMap::new(),
            accepted_mean: options.most_tokens as f32,
            pause: options.pause.max(1),
            passes_left: 0,
            options,
        }
    }

    /// Takes tokens that stay: the prompt, then each token of the reply.
    pub fn extend(&mut self, tokens: &[u32]) {
        for &token in tokens {
            let position = self.tokens.len();
            if let Some(&three) = self.tokens.last_chunk() {
                self.after_three.insert(three, position);
            }
            if let Some(&two) = self.tokens.last_chunk() {
                self.after_two.insert(two, position);
            }
            self.tokens.push(token);
        }
    }

    /// The tokens that followed the last occurrence of the last three tokens, else of the last two: at most `most`, and
    /// at most as many as the options allow. Empty where they occur nowhere else, or drafts do not pay now. Each draft
    /// that is verified is to be told to [`PromptLookup::verified`].
    pub fn draft(&mut self, most: usize) -> &[u32] {
        let most = most.min(self.options.most_tokens);
        let Some(start) = self.find().filter(|_| most > 0) else { return &[] };
        if self.passes_left > 0 {
            self.passes_left -= 1;
            return &[];
        }
        &self.tokens[start..self.tokens.len().min(start + most)]
    }

    /// Learns that the model accepted this many tokens of a draft.
    pub fn verified(&mut self, accepted: usize) {
        let weight = self.options.weight;
        self.accepted_mean += weight * (accepted as f32 - self.accepted_mean);
        if self.pays() {
            self.pause = self.options.pause.max(1);
            self.passes_left = 0;
            return;
        }
        self.passes_left = self.pause;
        self.pause = self.pause.saturating_mul(2).min(self.options.pause.max(1).saturating_mul(LONGEST_PAUSE));
    }

    /// Whether drafts have paid of late.
    pub fn pays(&self) -> bool {
        self.accepted_mean >= self.options.break_even
    }

    /// The running mean of accepted tokens per draft.
    pub fn accepted_mean(&self) -> f32 {
        self.accepted_mean
    }

    fn find(&self) -> Option<usize> {
        let three = self.tokens.last_chunk().and_then(|three| self.after_three.get(three));
        three.or_else(|| self.after_two.get(self.tokens.last_chunk()?)).copied()
    }
}

#[cfg(test)]
mod tests {
    use bantam_model::Random;

    use super::*;

    /// Scans the text from its end.
    fn twin(tokens: &[u32], most: usize) -> Vec<u32> {
        for length in [3, 2] {
            if tokens.len() <= length {
                continue;
            }
            let end = &tokens[tokens.len() - length..];
            if let Some(start) = (0..tokens.len() - length).rev().find(|&start| tokens[start..].starts_with(end)) {
                return tokens[start + length..].iter().copied().take(most).collect();
            }
        }
        Vec::new()
    }

    #[test]
    fn drafts_are_what_a_scan_of_the_text_finds() {
        for kinds in [2, 5, 30] {
            let mut random = Random::new(6, kinds as u64);
            let (mut lookup, mut tokens) = (PromptLookup::new(LookupOptions::default()), Vec::new());
            for _ in 0..400 {
                for most in [0, 1, 8, 100] {
                    assert_eq!(lookup.draft(most), twin(&tokens, most.min(8)), "{tokens:?}");
                }
                let token = random.below(kinds) as u32;
                tokens.push(token);
                lookup.extend(&[token]);
            }
        }
    }

    #[test]
    fn drafting_stops_where_it_does_not_pay_and_is_tried_again() {
        let options = LookupOptions { most_tokens: 4, break_even: 1.0, weight: 0.5, pause: 3 };
        let mut lookup = PromptLookup::new(options);
        lookup.extend(&[1, 2, 3, 4, 1, 2, 3]);
        let mut drafts_until_off = 0;
        while lookup.pays() {
            assert_eq!(lookup.draft(9), [4, 1, 2, 3]);
            lookup.verified(0);
            drafts_until_off += 1;
        }
        // 4, 2, 1, 0.5: below break-even.
        assert_eq!((drafts_until_off, lookup.accepted_mean()), (3, 0.5));
        let mut pauses = Vec::new();
        for _ in 0..7 {
            let mut passes = 0;
            while lookup.draft(9).is_empty() {
                passes += 1;
            }
            pauses.push(passes);
            lookup.verified(0);
        }
        assert_eq!(pauses, [3, 6, 12, 24, 48, 48, 48]);
        // Drafts that are accepted bring it back, with a short pause for the next time.
        (0..4).for_each(|_| lookup.verified(4));
        assert!(lookup.pays());
        // 3.75, 1.9, 0.9.
        (0..2).for_each(|_| lookup.verified(0));
        let passes = (0..).take_while(|_| lookup.draft(9).is_empty()).count();
        assert!(!lookup.pays() && passes == 3, "{passes}");
    }

    #[test]
    fn texts_too_short_to_repeat_have_no_draft() {
        let mut lookup = PromptLookup::new(LookupOptions::default());
        for token in [5, 5] {
            assert!(lookup.draft(8).is_empty());
            lookup.extend(&[token]);
        }
        assert!(lookup.draft(8).is_empty());
        lookup.extend(&[5]);
        assert_eq!(lookup.draft(8), [5]);
        let mut off = PromptLookup::new(LookupOptions { most_tokens: 0, ..LookupOptions::default() });
        off.extend(&[5; 9]);
        assert!(off.draft(8).is_empty());
    }
}
