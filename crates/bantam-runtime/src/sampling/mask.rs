//! Which tokens may come next: a bit per token, as grammar engines give them.

/// A set of token ids, as bits in words of 32: token `t` is bit `t % 32` of word `t / 32`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMask {
    words: Vec<u32>,
}

impl TokenMask {
    /// A mask that allows none of `vocabulary` tokens.
    pub fn none(vocabulary: usize) -> Self {
        Self { words: vec![0; vocabulary.div_ceil(32)] }
    }

    /// Takes over the words of a grammar engine. Tokens beyond the words are not allowed.
    pub fn from_words(words: Vec<u32>) -> Self {
        Self { words }
    }

    /// The words.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// The words, to be filled in place.
    pub fn words_mut(&mut self) -> &mut [u32] {
        &mut self.words
    }

    /// Allows `token`; one beyond the vocabulary is left out.
    pub fn allow(&mut self, token: u32) {
        if let Some(word) = self.words.get_mut(token as usize / 32) {
            *word |= 1 << (token % 32);
        }
    }

    /// Forbids `token`.
    pub fn forbid(&mut self, token: u32) {
        if let Some(word) = self.words.get_mut(token as usize / 32) {
            *word &= !(1 << (token % 32));
        }
    }

    /// Whether `token` may come.
    pub fn allows(&self, token: u32) -> bool {
        self.words.get(token as usize / 32).is_some_and(|word| word >> (token % 32) & 1 == 1)
    }

    /// Replaces `scores` by the logits of allowed tokens, and minus infinity for the others.
    pub(super) fn apply(&self, logits: &[f32], scores: &mut Vec<f32>) {
        scores.clear();
        scores.resize(logits.len(), f32::NEG_INFINITY);
        for ((scores, logits), &word) in scores.chunks_mut(32).zip(logits.chunks(32)).zip(&self.words) {
            // Grammars allow few tokens, or nearly all: most words are of these two kinds.
            match word {
                0 => {}
                u32::MAX => scores.copy_from_slice(logits),
                _ => scores.iter_mut().zip(logits).zip(BITS).for_each(|((score, &logit), bit)| {
                    *score = if word & bit == 0 { f32::NEG_INFINITY } else { logit };
                }),
            }
        }
    }
}

/// The bits of a word: a table, since shifts by varying distances do not vectorise everywhere.
const BITS: [u32; 32] = {
    let mut bits = [1; 32];
    let mut index = 1;
    while index < bits.len() {
        bits[index] = bits[index - 1] << 1;
        index += 1;
    }
    bits
};

impl FromIterator<u32> for TokenMask {
    /// A mask that allows these tokens only.
    fn from_iter<I: IntoIterator<Item = u32>>(tokens: I) -> Self {
        let mut words = Vec::new();
        for token in tokens {
            let index = token as usize / 32;
            if index >= words.len() {
                words.resize(index + 1, 0);
            }
            words[index] |= 1 << (token % 32);
        }
        Self { words }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_laid_out_as_grammar_engines_do() {
        let mut mask = TokenMask::none(70);
        [0, 31, 32, 69].into_iter().for_each(|token| mask.allow(token));
        assert_eq!(mask, TokenMask::from_words(vec![1 | 1 << 31, 1, 1 << 5]));
        assert_eq!(mask, [69, 0, 31, 32].into_iter().collect());
        mask.forbid(31);
        mask.allow(4_000_000_000);
        let allowed: Vec<u32> = (0..200).filter(|&token| mask.allows(token)).collect();
        assert_eq!(allowed, [0, 32, 69]);
    }

    #[test]
    fn logits_beyond_the_mask_are_forbidden() {
        let logits: Vec<f32> = (0..100).map(|token| token as f32).collect();
        let mut scores = vec![7.0; 3];
        let mask: TokenMask = [3, 33].into_iter().collect();
        mask.apply(&logits, &mut scores);
        assert_eq!(scores.len(), 100);
        for (token, &score) in scores.iter().enumerate() {
            assert_eq!(score, if [3, 33].contains(&token) { token as f32 } else { f32::NEG_INFINITY });
        }
    }
}
