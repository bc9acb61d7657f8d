//! Tokens to text as they come, so that the pieces together are the text of all tokens.

use bantam_tokens::Tokenizer;

/// Tokens that are held back at most. A character of UTF-8 has four bytes, so a text that is still incomplete after this
/// many tokens is not going to be completed.
const MOST_HELD: usize = 8;
/// What a decoder gives for bytes that are no character, or not yet.
const REPLACEMENT: char = '\u{FFFD}';

/// Turns tokens into text, one at a time.
///
/// A token's text depends on its neighbours: a character may be spread over several tokens, and a leading space belongs
/// to the first word or not. So each token is decoded together with the few before it, and the text that this adds is
/// its piece (the prefix and read offsets of Hugging Face's text-generation-inference). Text that ends inside a
/// character is held back. The pieces together equal [`Tokenizer::decode`] of all tokens; only where a model puts bytes
/// in a row that are not UTF-8 may the number of replacement characters differ.
#[derive(Debug, Clone, Default)]
pub struct TextStream {
    /// Tokens whose text was given, kept as neighbours, and then those held back.
    window: Vec<u32>,
    /// How many of them are neighbours.
    given: usize,
    /// The text of the neighbours.
    context: String,
}

impl TextStream {
    /// A stream that begins with the next token.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a token; gives the text that is certain now, which may be empty. Always use the same tokenizer.
    pub fn push(&mut self, tokenizer: &Tokenizer, token: u32) -> String {
        self.window.push(token);
        let text = self.fresh(tokenizer);
        let held = self.window.len() - self.given;
        if text.is_empty() {
            // A token that is skipped, such as a special one: it changes nothing, now or later. At the beginning there is
            // no context to tell it by, and a few are kept.
            if !self.context.is_empty() || held > MOST_HELD {
                self.window.pop();
            }
            return text;
        }
        if !text.ends_with(REPLACEMENT) {
            self.give(tokenizer, self.window.len());
            return text;
        }
        if held <= MOST_HELD {
            return String::new();
        }
        // Bytes that are no text. All but the last few tokens can go, wherever no character is cut.
        for keep in 1..MOST_HELD {
            let (before, after) = self.window.split_at(self.window.len() - keep);
            let whole = tokenizer.decode(&self.window);
            if tokenizer.decode(before) + &tokenizer.decode(after) == whole {
                return self.split(tokenizer, self.window.len() - keep);
            }
        }
        self.split(tokenizer, self.window.len())
    }

    /// The text of the tokens still held back, for when no more will come.
    pub fn finish(&mut self, tokenizer: &Tokenizer) -> String {
        let text = self.fresh(tokenizer);
        *self = Self::default();
        text
    }

    /// What the tokens held back add to the text.
    fn fresh(&self, tokenizer: &Tokenizer) -> String {
        let text = tokenizer.decode(&self.window);
        match text.strip_prefix(&self.context) {
            Some(fresh) => fresh.to_owned(),
            // A decoder that takes back what it gave, because a row of bytes turned out to be no text.
            None => tokenizer.decode(&self.window[self.given..]),
        }
    }

    /// Gives the text of the tokens held back up to `end`.
    fn split(&mut self, tokenizer: &Tokenizer, end: usize) -> String {
        let rest = self.window.split_off(end);
        let text = self.fresh(tokenizer);
        self.give(tokenizer, end);
        self.window.extend(rest);
        text
    }

    /// Makes the tokens held back up to `end` the neighbours of what comes.
    fn give(&mut self, tokenizer: &Tokenizer, end: usize) {
        self.window.drain(..self.given);
        self.given = end - self.given;
        self.context = tokenizer.decode(&self.window[..self.given]);
    }
}
