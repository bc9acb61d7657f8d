//! Tokens with a role in a conversation, which only the template may write.
//!
//! Whatever comes from outside is sealed before the template runs: a noncharacter of Unicode, which no text has, is put
//! after every character that begins the spelling of such a token. What the template has rendered is then cut at the
//! spellings that are still whole, and the noncharacters are taken out of the rest. A template that asks for the length
//! of a message counts them, too.

use std::collections::{HashMap, HashSet};

use bantam_tokens::{AddedToken, Piece, Tokenizer};
use serde_json::Value;

/// A noncharacter: Unicode keeps it for use inside of programs.
pub(super) const SEAL: char = '\u{FDD0}';

/// The tokens with a role.
pub(super) struct Marks {
    /// By first character, the longest first.
    by_first: HashMap<char, Vec<AddedToken>>,
    ids: HashSet<u32>,
}

impl Marks {
    /// Special tokens, added ones in angle or square brackets, and added ones that the template spells. Others, such as
    /// runs of spaces or words of a trade, are ordinary text.
    pub(super) fn of(tokenizer: &Tokenizer, template: &str) -> Self {
        let is_bracketed = |text: &str| {
            (text.starts_with('<') && text.ends_with('>')) || (text.starts_with('[') && text.ends_with(']'))
        };
        let is_mark = |token: &AddedToken| {
            let text = token.spelling.as_str();
            let has_role = token.is_special || is_bracketed(text) || template.contains(text);
            has_role && !text.is_empty() && (token.is_special || !text.chars().all(char::is_whitespace))
        };
        let mut marks = Self { by_first: HashMap::new(), ids: HashSet::new() };
        for token in tokenizer.added_tokens().into_iter().filter(is_mark) {
            marks.ids.insert(token.id);
            let first = token.spelling.chars().next().expect("it is not empty");
            marks.by_first.entry(first).or_default().push(token);
        }
        marks.by_first.values_mut().for_each(|tokens| tokens.sort_by_key(|token| usize::MAX - token.spelling.len()));
        marks
    }

    /// The longest mark that `text` begins with.
    fn beginning(&self, text: &str) -> Option<&AddedToken> {
        let candidates = self.by_first.get(&text.chars().next()?)?;
        candidates.iter().find(|token| text.starts_with(&token.spelling))
    }

    /// A text from outside in which no mark is whole, whatever the template cuts out of it. What an assistant said may
    /// keep marks that are not special, such as those of its thoughts.
    pub(super) fn seal(&self, text: &str, is_assistant: bool) -> String {
        let mut sealed = String::with_capacity(text.len() + 8);
        let mut kept = 0;
        for (place, character) in text.char_indices().filter(|&(_, character)| !is_noncharacter(character)) {
            sealed.push(character);
            if place < kept || !self.by_first.contains_key(&character) {
                continue;
            }
            match self.beginning(&text[place..]) {
                Some(mark) if is_assistant && !mark.is_special => kept = place + mark.spelling.len(),
                Some(_) => sealed.push(SEAL),
                // Brackets always; letters would tear words and keys that templates look for.
                None if !character.is_alphanumeric() && !character.is_whitespace() => sealed.push(SEAL),
                None => {}
            }
        }
        sealed
    }

    /// [`Marks::seal`] for all texts and keys in a value.
    pub(super) fn seal_value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.seal(text, false).into(),
            Value::Array(items) => items.iter().map(|item| self.seal_value(item)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(key, value)| (self.seal(key, false), self.seal_value(value))).collect()
            }
            other => other.clone(),
        }
    }

    /// The ids of a rendered text.
    pub(super) fn encode(&self, rendered: &str, tokenizer: &Tokenizer) -> Vec<u32> {
        let mut parts: Vec<Result<u32, String>> = Vec::new();
        let mut rest = rendered;
        while let Some(character) = rest.chars().next() {
            let mark = self.beginning(rest).filter(|mark| !rest[mark.spelling.len()..].starts_with(SEAL));
            if let Some(mark) = mark {
                parts.push(Ok(mark.id));
                rest = &rest[mark.spelling.len()..];
                continue;
            }
            if !matches!(parts.last(), Some(Err(_))) {
                parts.push(Err(String::new()));
            }
            if let Some(Err(text)) = parts.last_mut()
                && character != SEAL
            {
                text.push(character);
            }
            rest = &rest[character.len_utf8()..];
        }
        let pieces: Vec<Piece<'_>> = parts
            .iter()
            .map(|part| match part {
                Ok(id) => Piece::Mark(*id),
                Err(text) => Piece::Text(text),
            })
            .collect();
        tokenizer.encode_pieces(&pieces, &|id| self.ids.contains(&id))
    }
}

fn is_noncharacter(character: char) -> bool {
    matches!(character, '\u{FDD0}'..='\u{FDEF}')
}
