//! What each token adds to a text, in bytes: what grammars are matched against.

use std::collections::HashMap;

use serde_json::Value;
use tokenizers::tokenizer::Decoder;

use crate::{Error, Tokenizer};

/// What the tokens of a tokenizer add to a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBytes {
    /// By id; `None` for special tokens, which add nothing, and for ids without token.
    pub tokens: Vec<Option<Vec<u8>>>,
    /// Whether the first token of a text loses the space that it begins with.
    pub drops_first_space: bool,
    /// Tokens that add something else where a text begins with them.
    pub never_first: Vec<u32>,
}

impl Tokenizer {
    /// What each token adds to the text that [`Tokenizer::decode`] gives.
    ///
    /// # Errors
    /// [`Error::Refused`] for a decoder by which a token's text depends on more than whether it is the first.
    pub fn token_bytes(&self) -> Result<TokenBytes, Error> {
        let steps = decoder_steps(&self.to_value()["decoder"]);
        let is = |kind: &str| steps.iter().any(|step| step["type"] == kind);
        if is("ByteLevel") {
            let bytes = byte_of_character();
            let tokens = self.each_token(|token| {
                let mapped: Option<Vec<u8>> = token.chars().map(|character| bytes.get(&character).copied()).collect();
                Some(mapped.unwrap_or_else(|| token.as_bytes().to_vec()))
            });
            return Ok(TokenBytes { tokens, drops_first_space: false, never_first: Vec::new() });
        }
        if is("ByteFallback") {
            return Ok(self.with_byte_fallback(&steps));
        }
        self.by_decoding()
    }

    fn each_token(&self, bytes: impl Fn(&str) -> Option<Vec<u8>>) -> Vec<Option<Vec<u8>>> {
        let mut tokens: Vec<Option<Vec<u8>>> =
            (0..self.vocabulary_size() as u32).map(|id| self.token(id).and_then(|token| bytes(&token))).collect();
        for special in self.added_tokens().iter().filter(|added| added.is_special) {
            tokens[special.id as usize] = None;
        }
        tokens
    }

    /// `<0x41>` is a byte; the other tokens are text, with a sign for spaces.
    fn with_byte_fallback(&self, steps: &[Value]) -> TokenBytes {
        let replacements: Vec<(&str, &str)> = steps
            .iter()
            .filter_map(|step| Some((step["pattern"]["String"].as_str()?, step["content"].as_str()?)))
            .chain(steps.iter().filter_map(|step| Some((step["replacement"].as_str()?, " "))))
            .collect();
        let tokens = self.each_token(|token| {
            let digits = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
            if let Some(byte) =
                digits.filter(|digits| digits.len() == 2).and_then(|hex| u8::from_str_radix(hex, 16).ok())
            {
                return Some(vec![byte]);
            }
            let text = replacements.iter().fold(token.to_owned(), |text, (from, to)| text.replace(from, to));
            Some(text.into_bytes())
        });
        let strips = |step: &Value| step["type"] == "Strip" && step["content"] == " " && step["start"] != 0;
        let never = |step: &Value| step["type"] == "Metaspace" && step["prepend_scheme"] != "never";
        let drops_first_space = steps.iter().any(|step| strips(step) || never(step));
        TokenBytes { tokens, drops_first_space, never_first: Vec::new() }
    }

    /// Asks the decoder for each token, as the first and after another.
    fn by_decoding(&self) -> Result<TokenBytes, Error> {
        let decoder = self.engine().get_decoder();
        let decoded = |tokens: &[&str]| -> Option<Vec<String>> {
            let Some(decoder) = decoder else {
                let spaced = |(place, token): (usize, &&str)| format!("{}{token}", if place > 0 { " " } else { "" });
                return Some(tokens.iter().enumerate().map(spaced).collect());
            };
            let decoded = decoder.decode_chain(tokens.iter().map(|&token| token.to_owned()).collect()).ok()?;
            (decoded.len() == tokens.len()).then_some(decoded)
        };
        let later = |token: &str| decoded(&["a", token]).map(|mut both| both.swap_remove(1));
        if later("b").is_none() {
            return Err(Error::Refused {
                path: None,
                reason: "its decoder joins tokens, so that no token has a text of its own".to_owned(),
            });
        }
        let tokens = self.each_token(|token| later(token).map(String::into_bytes));
        let mut bytes = TokenBytes { tokens, drops_first_space: false, never_first: Vec::new() };
        for (id, later) in bytes.tokens.iter().enumerate() {
            let (Some(later), Some(token)) = (later, self.token(id as u32)) else { continue };
            let first = decoded(&[&token]).map(|mut one| one.swap_remove(0).into_bytes()).unwrap_or_default();
            if later.strip_prefix(b" ") == Some(&first) {
                bytes.drops_first_space = true;
            } else if *later != first {
                bytes.never_first.push(id as u32);
            }
        }
        Ok(bytes)
    }
}

/// The decoder's steps: itself, or those of a sequence.
fn decoder_steps(decoder: &Value) -> Vec<Value> {
    match decoder["decoders"].as_array() {
        Some(steps) => steps.clone(),
        None if decoder.is_null() => Vec::new(),
        None => vec![decoder.clone()],
    }
}

/// GPT-2's spelling of bytes: those that are printable stand for themselves, the others for letters from U+0100 on.
fn byte_of_character() -> HashMap<char, u8> {
    let is_printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut next = 0x100;
    (0..=255)
        .map(|byte| {
            if is_printable(byte) {
                return (char::from(byte), byte);
            }
            let character = char::from_u32(next).expect("letters of the Latin Extended-A block");
            next += 1;
            (character, byte)
        })
        .collect()
}
