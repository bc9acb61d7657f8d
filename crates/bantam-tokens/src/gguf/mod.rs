//! Tokenizers as GGUF files describe them: plain lists in the metadata, turned into a `tokenizer.json`.
//!
//! `tokenizer.ggml.model` names the kind: `gpt2` (byte-level pairs), `llama` (scored pieces) or `bert` (pieces of
//! words). A text gets the ids that llama.cpp gives it, but for letters with parts under `bert`.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::engine::engine_of_pairs;
use crate::tokenizer::check;
use crate::{Error, Tokenizer};

mod byte_level;
mod export;
mod scored;
mod splits;
mod word_piece;

/// Longer tokens are an attack: the pairs of a piece are found in the square of its length.
const LONGEST_TOKEN_BYTES: usize = 4096;

/// A vocabulary as the metadata under `tokenizer.ggml.` hold it; ids are places in [`GgufVocabulary::tokens`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GgufVocabulary {
    /// `model`: the kind, `gpt2`, `llama` or `bert`.
    pub model: String,
    /// `pre`: how a text is split before pairs are joined; only for `gpt2`.
    pub pre: Option<String>,
    /// `tokens`: the spellings.
    pub tokens: Vec<String>,
    /// `scores`: the higher, the earlier a piece is joined; only for `llama`, one per token.
    pub scores: Vec<f32>,
    /// `token_type`: one per token, or none at all; see [`GgufVocabulary::kind`].
    pub kinds: Vec<i32>,
    /// `merges`: pairs to be joined, first the earliest, each as two tokens with a space between; only for `gpt2`.
    pub merges: Vec<String>,
    /// `bos_token_id` (`cls_token_id` for `bert`): begins a text.
    pub begin: Option<u32>,
    /// `eos_token_id` (`seperator_token_id` for `bert`): ends a text.
    pub end: Option<u32>,
    /// `unknown_token_id`: stands for what the vocabulary lacks.
    pub unknown: Option<u32>,
    /// `padding_token_id`: fills unused places.
    pub pad: Option<u32>,
    /// `mask_token_id`: stands for a hidden token.
    pub mask: Option<u32>,
    /// `add_bos_token`: whether a text gets its begin; as usual for the kind where absent.
    pub add_begin: Option<bool>,
    /// `add_eos_token`: whether a text gets its end; as usual for the kind where absent.
    pub add_end: Option<bool>,
    /// `add_space_prefix`: whether a text is read as if it began with a space; only for `llama`, true where absent.
    pub add_space_prefix: Option<bool>,
    /// `eot_token_id`: ends a turn of a conversation.
    pub end_of_turn: Option<u32>,
    /// `eom_token_id`: ends a message of a turn.
    pub end_of_message: Option<u32>,
    /// `tokenizer.chat_template`: how a conversation is put into one text.
    pub chat_template: Option<String>,
}

/// What a token is, as `token_type` numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GgufTokenKind {
    /// Part of texts.
    Normal,
    /// Stands for what the vocabulary lacks.
    Unknown,
    /// Has a role around texts.
    Control,
    /// Never split, and part of texts.
    UserDefined,
    /// Never met.
    Unused,
    /// One byte, spelled `<0x41>`.
    Byte,
}

impl GgufVocabulary {
    /// What the token `id` is.
    pub fn kind(&self, id: usize) -> GgufTokenKind {
        match self.kinds.get(id) {
            Some(2) => GgufTokenKind::Unknown,
            Some(3) => GgufTokenKind::Control,
            Some(4) => GgufTokenKind::UserDefined,
            Some(5) => GgufTokenKind::Unused,
            Some(6) => GgufTokenKind::Byte,
            _ => GgufTokenKind::Normal,
        }
    }

    /// Refuses lists of different lengths, ids without token and repeated tokens.
    fn check(&self) -> Result<(), String> {
        let count = self.tokens.len();
        if count == 0 {
            return Err("tokenizer.ggml.tokens is missing or empty".into());
        }
        for (key, length) in [("scores", self.scores.len()), ("token_type", self.kinds.len())] {
            if length != 0 && length != count {
                return Err(format!("tokenizer.ggml.{key} has {length} entries for {count} tokens"));
            }
        }
        let ids = [
            ("bos_token_id", self.begin),
            ("eos_token_id", self.end),
            ("unknown_token_id", self.unknown),
            ("padding_token_id", self.pad),
            ("mask_token_id", self.mask),
            ("eot_token_id", self.end_of_turn),
            ("eom_token_id", self.end_of_message),
        ];
        if let Some((key, Some(id))) = ids.iter().find(|(_, id)| id.is_some_and(|id| id as usize >= count)) {
            return Err(format!("tokenizer.ggml.{key} is {id}, and there are {count} tokens"));
        }
        if let Some(long) = self.tokens.iter().find(|token| token.len() > LONGEST_TOKEN_BYTES) {
            return Err(format!("a token has {} bytes; {LONGEST_TOKEN_BYTES} are the most", long.len()));
        }
        Ok(())
    }

    fn spelling(&self, id: u32) -> &str {
        &self.tokens[id as usize]
    }

    fn id(&self, spelling: &str) -> Option<u32> {
        self.tokens.iter().position(|token| token == spelling).map(|id| id as u32)
    }
}

impl Tokenizer {
    /// Builds the tokenizer that a GGUF file describes.
    ///
    /// # Errors
    /// [`Error::Refused`] for a kind or a way of splitting that is not known, and for lists that contradict each other.
    pub fn from_gguf(mut vocabulary: GgufVocabulary) -> Result<Self, Error> {
        let refused = |reason| Error::Refused { path: None, reason };
        vocabulary.check().map_err(refused)?;
        for (id, token) in vocabulary.tokens.iter_mut().enumerate() {
            if token.is_empty() {
                // As llama.cpp calls it, so that it keeps its id.
                *token = format!("[EMPTY_{id}]");
            }
        }
        let count = vocabulary.tokens.len();
        let parts = match vocabulary.model.as_str() {
            "gpt2" => byte_level::parts(&mut vocabulary).map(|(frame, pairs)| (frame, Some(pairs))),
            "llama" => scored::parts(&mut vocabulary).map(|(frame, pairs)| (frame, Some(pairs))),
            "bert" => word_piece::json(&mut vocabulary).map(|whole| (whole, None)),
            other => Err(format!("tokenizer.ggml.model is {other:?}, and only gpt2, llama and bert are read")),
        };
        let (value, pairs) = parts.map_err(refused)?;
        let tokenizer = match pairs {
            Some(pairs) => {
                let engine = engine_of_pairs(pairs, &value).map_err(refused)?;
                Self::from_engine(engine, count, &value).map_err(refused)?
            }
            None => {
                check(&value).map_err(refused)?;
                Self::from_value(&value, None)?
            }
        };
        // The file says which ids have a role; their spellings need not be among the usual ones.
        let usual = tokenizer.special();
        Ok(tokenizer.with_special(crate::SpecialIds {
            pad: vocabulary.pad.or(usual.pad),
            unknown: vocabulary.unknown.or(usual.unknown),
            mask: vocabulary.mask.or(usual.mask),
            begin: vocabulary.begin.or(usual.begin),
            end: vocabulary.end.or(usual.end),
        }))
    }
}

/// Ids by spelling, as a `tokenizer.json` has them; an error where a spelling is there twice.
fn ids_by_spelling(tokens: &[String]) -> Result<Map<String, Value>, String> {
    let mut ids = Map::with_capacity(tokens.len());
    for (id, token) in tokens.iter().enumerate() {
        if let Some(before) = ids.insert(token.clone(), id.into()) {
            return Err(format!("tokens {before} and {id} are both spelled {token:?}"));
        }
    }
    Ok(ids)
}

/// The tokens that are never split.
fn added_tokens(vocabulary: &GgufVocabulary) -> Vec<Value> {
    let added = |id: usize, is_special: bool| {
        json!({
            "id": id, "content": vocabulary.tokens[id], "special": is_special,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        })
    };
    (0..vocabulary.tokens.len())
        .filter_map(|id| match vocabulary.kind(id) {
            GgufTokenKind::Control | GgufTokenKind::Unknown => Some(added(id, true)),
            GgufTokenKind::UserDefined => Some(added(id, false)),
            GgufTokenKind::Normal | GgufTokenKind::Unused | GgufTokenKind::Byte => None,
        })
        .collect()
}

/// Puts `begin` and `end` around a text.
fn surroundings(vocabulary: &GgufVocabulary, begin: Option<u32>, end: Option<u32>) -> Value {
    let piece = |id: u32| json!({"SpecialToken": {"id": vocabulary.spelling(id), "type_id": 0}});
    let text = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
    let around = |name: &str| begin.map(piece).into_iter().chain([text(name)]).chain(end.map(piece));
    let used: HashMap<u32, Value> = begin
        .into_iter()
        .chain(end)
        .map(|id| (id, json!({"id": vocabulary.spelling(id), "ids": [id], "tokens": [vocabulary.spelling(id)]})))
        .collect();
    let tokens: Map<String, Value> =
        used.into_iter().map(|(id, token)| (vocabulary.spelling(id).to_owned(), token)).collect();
    json!({
        "type": "TemplateProcessing",
        "single": around("A").collect::<Vec<_>>(),
        "pair": around("A").chain(around("B")).collect::<Vec<_>>(),
        "special_tokens": tokens,
    })
}

/// A `tokenizer.json` of the given parts.
fn whole(vocabulary: &GgufVocabulary, parts: [(&str, Value); 5]) -> Value {
    let mut whole = json!({"version": "1.0", "truncation": null, "padding": null});
    whole["added_tokens"] = added_tokens(vocabulary).into();
    for (key, part) in parts {
        whole[key] = part;
    }
    whole
}
