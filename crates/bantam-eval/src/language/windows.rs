//! A text in windows, as llama.cpp's perplexity program has it.

use std::ops::Range;

use bantam_runtime::generation::LanguageModel;
use bantam_tokens::Tokenizer;

use super::LanguageError;

/// The smallest window of which a token is scored.
const LEAST: usize = 4;

/// The tokens of a text in windows that do not overlap; what is left at the end is passed over. The first token of each window gives way to
/// the one that begins a text, where the tokenizer has one, and only successors in the second half count: each is predicted from at least
/// half a window.
#[derive(Debug, Clone)]
pub struct Windows {
    tokens: Vec<u32>,
    begin: Vec<u32>,
    context: usize,
    count: usize,
    bytes: Option<usize>,
}

impl Windows {
    /// Splits a text; `context` is the tokens of a window.
    ///
    /// # Errors
    /// When it does not fill one window.
    pub fn of_text(tokenizer: &Tokenizer, text: &str, context: usize) -> Result<Self, LanguageError> {
        let (begin, tokens) = (tokenizer.around().0.to_vec(), tokenizer.encode_beginning(text));
        Ok(Self { begin, bytes: Some(text.len()), ..Self::of_ids(tokens, context)? })
    }

    /// Takes ids as they are.
    ///
    /// # Errors
    /// As [`Windows::of_text`].
    pub fn of_ids(tokens: Vec<u32>, context: usize) -> Result<Self, LanguageError> {
        let count = tokens.len() / context.max(1);
        if count == 0 {
            return Err(LanguageError::TooShort { tokens: tokens.len(), context });
        }
        Ok(Self { tokens, begin: Vec::new(), context, count, bytes: None })
    }

    /// Only the first windows, `most` of them; at least one is left.
    #[must_use]
    pub fn first(self, most: usize) -> Self {
        Self { count: self.count.min(most.max(1)), ..self }
    }

    /// Only the windows after the first `skipped`.
    ///
    /// # Errors
    /// When none is left.
    pub fn after(self, skipped: usize) -> Result<Self, LanguageError> {
        let start = (skipped * self.context).min(self.tokens.len());
        let bytes = self.bytes;
        let begin = self.begin.clone();
        Ok(Self { begin, bytes, ..Self::of_ids(self.tokens[start..].to_vec(), self.context)? })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Tokens in each.
    pub fn context(&self) -> usize {
        self.context
    }

    /// The tokens of window `index`.
    pub fn window(&self, index: usize) -> Vec<u32> {
        let mut window = self.tokens[index * self.context..(index + 1) * self.context].to_vec();
        let replaced = self.begin.len().min(self.context);
        window[..replaced].copy_from_slice(&self.begin[..replaced]);
        window
    }

    /// The places in a window whose successors count.
    pub fn scored(&self) -> Range<usize> {
        self.context / 2..self.context - 1
    }

    /// Bytes of text per token, where there was a text.
    pub(super) fn bytes_per_token(&self) -> Option<f64> {
        Some(self.bytes? as f64 / (self.tokens.len() - self.begin.len()).max(1) as f64)
    }

    /// Whether `model` can read all windows.
    pub(super) fn check(&self, model: &LanguageModel) -> Result<(), LanguageError> {
        let (context, vocabulary, most) = (self.context, model.vocabulary(), model.max_tokens());
        if !(LEAST..=most).contains(&context) {
            return Err(LanguageError::Context { context, least: LEAST, most });
        }
        match self.tokens.iter().chain(&self.begin).find(|&&token| token as usize >= vocabulary) {
            Some(&token) => Err(LanguageError::UnknownToken { token, vocabulary }),
            None => Ok(()),
        }
    }
}
