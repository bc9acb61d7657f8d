//! Tokens to text as they come, so that the pieces together are the text of all tokens.

use bantam_tokens::Tokenizer;

/// Tokens that are held back at most. A character of UTF-8 has four bytes, so a text that is still incomplete after this
/// many tokens is not going to be completed.
const MOST_HELD: usize = 8;
/// Tokens of a text that are looked at for what goes on with it; more where these tell nothing.
const CONTEXT: usize = 32;
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
    /// Whether they end inside a character, as a text may that is gone on with.
    ends_inside: bool,
}

impl TextStream {
    /// A stream that begins with the next token.
    pub fn new() -> Self {
        Self::default()
    }

    /// A stream that goes on with a text of these tokens: the pieces are what later tokens add to its text, a space before the first word
    /// included. Where it ends inside a character, the first piece is that character.
    pub fn after(tokenizer: &Tokenizer, tokens: &[u32]) -> Self {
        let mut count = CONTEXT.min(tokens.len());
        loop {
            let window = &tokens[tokens.len() - count..];
            let context = tokenizer.decode(window);
            // Special tokens have no text, and a row of bytes that is cut may be none.
            if count == tokens.len() || !(context.is_empty() || context.starts_with(REPLACEMENT)) {
                let ends_inside = context.ends_with(REPLACEMENT);
                return Self { window: window.to_vec(), given: count, context, ends_inside };
            }
            count = tokens.len().min(2 * count);
        }
    }

    /// Takes a token; gives the text that is certain now, which may be empty. Always use the same tokenizer.
    pub fn push(&mut self, tokenizer: &Tokenizer, token: u32) -> String {
        self.window.push(token);
        let text = self.fresh(tokenizer);
        let held = self.window.len() - self.given;
        if text.is_empty() {
            // A token that is skipped, such as a special one: it changes nothing, now or later. At the beginning there is
            // no context to tell it by, nor is there inside a character, and a few are kept.
            let can_tell = !self.context.is_empty() && !self.ends_inside;
            if can_tell || held > MOST_HELD {
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
        let whole = tokenizer.decode(&self.window);
        for keep in 1..MOST_HELD {
            let (before, after) = self.window.split_at(self.window.len() - keep);
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
            // The character that they end inside is whole now.
            None if self.ends_inside => {
                let common = text.chars().zip(self.context.chars()).take_while(|(new, old)| new == old);
                text[common.map(|(new, _)| new.len_utf8()).sum::<usize>()..].to_owned()
            }
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
        // A character that began among the neighbours is not torn.
        let dropped = if std::mem::take(&mut self.ends_inside) { 0 } else { self.given };
        self.window.drain(..dropped);
        self.given = end - dropped;
        self.context = tokenizer.decode(&self.window[..self.given]);
    }
}

#[cfg(test)]
mod tests {
    use bantam_model::Random;
    use bantam_tokens::{Kind, TrainOptions};
    use serde_json::json;

    use super::*;

    const TEXTS: [&str; 5] = [
        "where is my order, please?",
        "  two spaces  and a line\nbreak",
        "naïve café, 東京タワー, مرحبا",
        "family 👩‍👩‍👧‍👦 and flags 🇩🇪🇫🇷!",
        "it's not \"quoted\" (well).",
    ];

    fn trained(kind: Kind, prefix_space: bool) -> Tokenizer {
        let options = TrainOptions { vocabulary: 400, min_frequency: 1, prefix_space, ..TrainOptions::default() };
        Tokenizer::train(kind, TEXTS, &options).unwrap()
    }

    /// As Llama 2 and Gemma decode: characters that the vocabulary lacks are spelled in bytes.
    fn with_byte_fallback() -> Tokenizer {
        let mut vocabulary = serde_json::Map::new();
        let bytes = (0..=255u32).map(|byte| format!("<0x{byte:02X}>"));
        let pieces = ["▁", "a", "b", "▁a", "▁b", "é"].map(str::to_owned);
        for (id, token) in ["<unk>".to_owned()].into_iter().chain(bytes).chain(pieces).enumerate() {
            vocabulary.insert(token, id.into());
        }
        let merges = [["▁", "a"], ["▁", "b"]];
        let value = json!({
            "version": "1.0",
            "added_tokens": [{
                "id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true,
            }],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ]},
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ]},
            "model": {
                "type": "BPE", "vocab": vocabulary, "merges": merges, "unk_token": "<unk>",
                "byte_fallback": true, "fuse_unk": true,
            },
        });
        Tokenizer::from_bytes(value.to_string().as_bytes()).unwrap()
    }

    fn tokenizers() -> Vec<(&'static str, Tokenizer)> {
        vec![
            ("bpe", trained(Kind::Bpe, false)),
            ("bpe with a space first", trained(Kind::Bpe, true)),
            ("wordpiece", trained(Kind::WordPiece, false)),
            ("unigram", trained(Kind::Unigram, false)),
            ("byte fallback", with_byte_fallback()),
        ]
    }

    /// The pieces, the last being what is given at the end; the window stays small all the way.
    fn pieces(tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<String> {
        let mut stream = TextStream::new();
        let mut pieces = Vec::new();
        for &token in tokens {
            pieces.push(stream.push(tokenizer, token));
            assert!(stream.window.len() <= 2 * MOST_HELD + 2, "{} tokens", stream.window.len());
        }
        pieces.push(stream.finish(tokenizer));
        pieces
    }

    #[test]
    fn pieces_together_are_the_text_at_once() {
        for (name, tokenizer) in tokenizers() {
            for text in TEXTS.into_iter().chain(["a b  ab é ö b", "", " ", "𝄞𝄞a𝄞"]) {
                for tokens in [tokenizer.encode_content(text), tokenizer.encode(text, 1_000)] {
                    assert_eq!(pieces(&tokenizer, &tokens).concat(), tokenizer.decode(&tokens), "{name}: {text}");
                }
            }
        }
    }

    #[test]
    fn tokens_in_any_order_do_too_where_bytes_are_decoded_one_by_one() {
        for (name, tokenizer) in tokenizers().into_iter().take(4) {
            let mut random = Random::new(2, 0);
            for _ in 0..300 {
                let length = random.below(60);
                let tokens: Vec<u32> =
                    (0..length).map(|_| random.below(tokenizer.vocabulary_size() + 3) as u32).collect();
                assert_eq!(pieces(&tokenizer, &tokens).concat(), tokenizer.decode(&tokens), "{name}: {tokens:?}");
            }
        }
    }

    #[test]
    fn what_goes_on_with_a_text_is_what_it_adds_to_it() {
        let long = "ab é 東京 ".repeat(20);
        for (name, tokenizer) in tokenizers() {
            for text in TEXTS.into_iter().chain(["a b  ab é ö b", " ", "𝄞𝄞a𝄞", &long]) {
                for tokens in [tokenizer.encode_content(text), tokenizer.encode(text, 1_000)] {
                    for cut in 0..=tokens.len() {
                        let (before, after) = tokens.split_at(cut);
                        let mut stream = TextStream::after(&tokenizer, before);
                        let mut added: String = after.iter().map(|&token| stream.push(&tokenizer, token)).collect();
                        added += &stream.finish(&tokenizer);
                        let (whole, begun) = (tokenizer.decode(&tokens), tokenizer.decode(before));
                        let kept = if whole.starts_with(&begun) { &begun } else { begun.trim_end_matches(REPLACEMENT) };
                        assert_eq!(format!("{kept}{added}"), whole, "{name}: {text} from {cut}");
                    }
                }
            }
        }
        let tokenizer = with_byte_fallback();
        let space_a = tokenizer.id("▁a").unwrap();
        // Special tokens have no text, so that a word after them still begins one.
        for (before, text) in
            [(vec![space_a; 2], " a"), (vec![0; 100], "a"), ([vec![space_a], vec![0; 100]].concat(), " a")]
        {
            assert_eq!(TextStream::after(&tokenizer, &before).push(&tokenizer, space_a), text);
        }
    }

    #[test]
    fn a_character_is_given_when_it_is_whole() {
        let tokenizer = with_byte_fallback();
        let tokens = tokenizer.encode_content("a 🙂b");
        assert_eq!(pieces(&tokenizer, &tokens), ["a", " ", "", "", "", "🙂", "b", ""]);
        let unfinished = pieces(&tokenizer, &tokens[..4]);
        assert_eq!(unfinished, ["a", " ", "", "", "\u{FFFD}\u{FFFD}"]);
    }

    #[test]
    fn endless_bytes_and_special_tokens_neither_pile_up_nor_change_what_follows() {
        let tokenizer = with_byte_fallback();
        let (a, skipped) = (tokenizer.encode_content("a")[0], 0);
        let stray = tokenizer.id("<0x80>").unwrap();
        for (noise, text) in [(skipped, String::new()), (stray, "\u{FFFD}".repeat(100))] {
            let tokens: Vec<u32> = [a].into_iter().chain(vec![noise; 100]).chain([a]).collect();
            assert_eq!(pieces(&tokenizer, &tokens).concat(), format!("a{text} a"));
            assert_eq!(pieces(&tokenizer, &tokens[1..]).concat(), tokenizer.decode(&tokens[1..]));
        }
    }
}
