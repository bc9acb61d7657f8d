//! Vocabulary pruning: a tokenizer that keeps only what a domain uses.
//!
//! Multilingual vocabularies are most of a small model's weights. Cutting them down must not change how the texts
//! that remain are encoded, so more is kept than asked for:
//! - all special tokens;
//! - byte-level BPE: the 256 bytes (any text still decodes to itself) and both halves of every merge that leads to a
//!   kept token: the merges used on a kept text, and only competitors of theirs that were there before, remain;
//! - WordPiece and Unigram: the single characters of kept pieces; Unigram also its least probable piece, whose score
//!   sets the price of the unknown.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use crate::{Error, Tokenizer};

/// A tokenizer with a smaller vocabulary, and where its ids come from.
pub struct Restricted {
    /// The smaller tokenizer.
    pub tokenizer: Tokenizer,
    /// For each new id the id that it had before: the rows of the old embedding table to keep, in order.
    pub kept: Vec<u32>,
}

impl Restricted {
    /// The new id of an old one, `None` if it was dropped. Linear; build a map for bulk use.
    pub fn new_id(&self, old: u32) -> Option<u32> {
        self.kept.iter().position(|&kept| kept == old).map(|at| at as u32)
    }
}

impl Tokenizer {
    /// Keeps the ids in `keep` and what they need, and numbers them anew from 0 without holes. A text whose ids are
    /// all in `keep` gets the same tokens as before.
    ///
    /// # Errors
    /// [`Error::UnknownId`] for an id outside the vocabulary.
    pub fn restrict(&self, keep: &[u32]) -> Result<Restricted, Error> {
        let mut value = self.to_value();
        let vocabulary = Vocabulary::read(&value["model"]["vocab"]);
        let added: Vec<(String, u32)> = added_tokens(&value);
        let known = |id: u32| vocabulary.tokens.contains_key(&id) || added.iter().any(|(_, added)| *added == id);
        if let Some(&id) = keep.iter().find(|&&id| !known(id)) {
            return Err(Error::UnknownId { id, vocabulary: self.vocabulary_size() });
        }
        let mut wanted: HashSet<u32> = keep.iter().copied().collect();
        wanted.extend(added.iter().map(|(_, id)| *id));
        wanted.extend(post_processor_ids(&mut value["post_processor"], &mut |id| id));
        wanted.extend(value["model"]["unk_token"].as_str().and_then(|unknown| vocabulary.id(unknown)));
        wanted.extend(value["model"]["unk_id"].as_u64().map(|id| id as u32));
        wanted.extend(fallback_bytes(&value).iter().filter_map(|token| vocabulary.id(token)));
        vocabulary.close(&value["model"], &mut wanted);

        // The engine numbers added tokens that the model lacks after the model's own.
        let mut kept: Vec<u32> = wanted.iter().copied().filter(|id| vocabulary.tokens.contains_key(id)).collect();
        kept.sort_unstable();
        let mut outside: Vec<u32> = wanted.iter().copied().filter(|id| !vocabulary.tokens.contains_key(id)).collect();
        outside.sort_unstable();
        let in_model = kept.len();
        kept.extend(outside);
        let new: HashMap<u32, u32> = kept.iter().enumerate().map(|(new, &old)| (old, new as u32)).collect();

        vocabulary.rewrite(&mut value["model"], &kept[..in_model]);
        if let Some(tokens) = value["added_tokens"].as_array_mut() {
            for token in tokens.iter_mut() {
                renumber(&mut token["id"], &mut |id| new[&id]);
            }
            tokens.sort_by_key(|token| token["id"].as_u64());
        }
        post_processor_ids(&mut value["post_processor"], &mut |id| new[&id]);
        Ok(Restricted { tokenizer: Tokenizer::from_value(&value, None)?, kept })
    }
}

/// The tokens of a model by id and back.
struct Vocabulary {
    tokens: HashMap<u32, String>,
    ids: HashMap<String, u32>,
}

impl Vocabulary {
    fn read(vocabulary: &Value) -> Self {
        let tokens: HashMap<u32, String> = match vocabulary {
            Value::Object(entries) => {
                entries.iter().filter_map(|(token, id)| Some((id.as_u64()? as u32, token.clone()))).collect()
            }
            Value::Array(pieces) => pieces
                .iter()
                .enumerate()
                .filter_map(|(id, piece)| Some((id as u32, piece[0].as_str()?.to_owned())))
                .collect(),
            _ => HashMap::new(),
        };
        let ids = tokens.iter().map(|(id, token)| (token.clone(), *id)).collect();
        Vocabulary { tokens, ids }
    }

    fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    /// Adds to `wanted` all that its tokens need in order to come out as before.
    fn close(&self, model: &Value, wanted: &mut HashSet<u32>) {
        match model["type"].as_str() {
            Some("BPE") => self.close_merges(model, wanted),
            Some("WordPiece") => {
                let prefix = model["continuing_subword_prefix"].as_str().unwrap_or("##").to_owned();
                self.close_characters(&prefix, wanted);
            }
            Some("Unigram") => {
                self.close_characters("", wanted);
                let score = |id: u32| model["vocab"][id as usize][1].as_f64().unwrap_or(0.0);
                wanted.extend((0..self.tokens.len() as u32).min_by(|&a, &b| score(a).total_cmp(&score(b))));
            }
            _ => {}
        }
    }

    /// Both halves of every merge whose result is wanted, and theirs.
    fn close_merges(&self, model: &Value, wanted: &mut HashSet<u32>) {
        let mut halves: HashMap<u32, Vec<u32>> = HashMap::new();
        for (left, right, whole) in merges(model) {
            if let (Some(left), Some(right), Some(whole)) = (self.id(left), self.id(right), self.id(&whole)) {
                halves.entry(whole).or_default().extend([left, right]);
            }
        }
        let mut open: Vec<u32> = wanted.iter().copied().collect();
        while let Some(id) = open.pop() {
            for &half in halves.get(&id).into_iter().flatten() {
                if wanted.insert(half) {
                    open.push(half);
                }
            }
        }
    }

    /// The single-character pieces, plain and continuing, of the wanted tokens.
    fn close_characters(&self, prefix: &str, wanted: &mut HashSet<u32>) {
        let letters: HashSet<char> =
            wanted.iter().filter_map(|id| self.tokens.get(id)).flat_map(|token| token.chars()).collect();
        for letter in letters {
            wanted.extend(self.id(&letter.to_string()));
            wanted.extend(self.id(&format!("{prefix}{letter}")));
        }
    }

    /// Writes the kept entries into `model`, the id of each being its place in `kept`.
    fn rewrite(&self, model: &mut Value, kept: &[u32]) {
        let words: HashSet<&str> = kept.iter().map(|id| self.tokens[id].as_str()).collect();
        if model["merges"].is_array() {
            let merges: Vec<Value> = merges(model)
                .filter(|(left, right, whole)| {
                    words.contains(left) && words.contains(right) && words.contains(whole.as_str())
                })
                .map(|(left, right, _)| json!([left, right]))
                .collect();
            model["merges"] = merges.into();
        }
        if let Some(old) = model["unk_id"].as_u64() {
            model["unk_id"] = kept.iter().position(|&id| u64::from(id) == old).into();
        }
        model["vocab"] = match &model["vocab"] {
            Value::Array(pieces) => kept.iter().map(|&id| pieces[id as usize].clone()).collect(),
            _ => {
                Value::Object(kept.iter().enumerate().map(|(new, id)| (self.tokens[id].clone(), new.into())).collect())
            }
        };
    }
}

/// All merges of a BPE model as (left, right, result).
fn merges(model: &Value) -> impl Iterator<Item = (&str, &str, String)> {
    let prefix = model["continuing_subword_prefix"].as_str().unwrap_or("");
    model["merges"].as_array().into_iter().flatten().filter_map(move |merge| {
        let (left, right) = (merge[0].as_str()?, merge[1].as_str()?);
        Some((left, right, format!("{left}{}", right.strip_prefix(prefix).unwrap_or(right))))
    })
}

fn added_tokens(value: &Value) -> Vec<(String, u32)> {
    let tokens = value["added_tokens"].as_array().into_iter().flatten();
    tokens.filter_map(|token| Some((token["content"].as_str()?.to_owned(), token["id"].as_u64()? as u32))).collect()
}

/// The tokens that stand for single bytes, where the tokenizer has such.
fn fallback_bytes(value: &Value) -> Vec<String> {
    let mut tokens = Vec::new();
    if uses_byte_level(&value["pre_tokenizer"]) {
        tokens.extend(ByteLevel::alphabet().into_iter().map(String::from));
    }
    if value["model"]["byte_fallback"] == true {
        tokens.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
    }
    tokens
}

fn uses_byte_level(pre_tokenizer: &Value) -> bool {
    pre_tokenizer["type"] == "ByteLevel"
        || pre_tokenizer["pretokenizers"].as_array().is_some_and(|parts| parts.iter().any(uses_byte_level))
}

/// Passes each id in a post-processor through `change` and returns the ids that were there.
fn post_processor_ids(processor: &mut Value, change: &mut impl FnMut(u32) -> u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut visit = |id: &mut Value| found.extend(renumber(id, change));
    match processor["type"].as_str() {
        Some("TemplateProcessing") => {
            for token in processor["special_tokens"].as_object_mut().into_iter().flat_map(|tokens| tokens.values_mut())
            {
                token["ids"].as_array_mut().into_iter().flatten().for_each(&mut visit);
            }
        }
        Some("BertProcessing" | "RobertaProcessing") => {
            visit(&mut processor["sep"][1]);
            visit(&mut processor["cls"][1]);
        }
        Some("Sequence") => {
            for part in processor["processors"].as_array_mut().into_iter().flatten() {
                found.extend(post_processor_ids(part, change));
            }
        }
        _ => {}
    }
    found
}

fn renumber(id: &mut Value, change: &mut impl FnMut(u32) -> u32) -> Option<u32> {
    let old = id.as_u64()? as u32;
    *id = change(old).into();
    Some(old)
}
