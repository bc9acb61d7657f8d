//! From a `tokenizer.json` to the lists of a GGUF file.

use std::collections::HashMap;

use serde_json::Value;

use super::splits::{GPT_2, splits_of};
use super::{GgufVocabulary, scored};
use crate::{Error, Tokenizer};

/// Names of ways to split, the commonest first: several split alike.
const NAMES: [&str; 11] = [
    "gpt-2",
    "smollm",
    "llama-bpe",
    "qwen2",
    "tekken",
    "dbrx",
    "falcon",
    "deepseek-llm",
    "deepseek-coder",
    "deepseek-v3",
    "default",
];

const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

impl Tokenizer {
    /// The lists that describe this tokenizer in a GGUF file. Unicode normalisation to NFC is left out: llama.cpp has
    /// none, and most texts are in that form.
    ///
    /// # Errors
    /// [`Error::Refused`] where GGUF has no form for a part: other models than pairs of bytes or scored pieces, other
    /// normalisers, a way of splitting without a name, more than one token before or after a text.
    pub fn to_gguf(&self) -> Result<GgufVocabulary, Error> {
        describe(self).map_err(|reason| Error::Refused {
            path: None,
            reason: format!("{reason}, which a GGUF file has no form for; train one of kind bpe without it"),
        })
    }
}

fn describe(tokenizer: &Tokenizer) -> Result<GgufVocabulary, String> {
    let value = tokenizer.to_value();
    if value["model"]["type"] != "BPE" {
        return Err(format!("the model of the tokenizer is {}", value["model"]["type"]));
    }
    let (begin, adds_begin) = single(tokenizer.around().0)?;
    let (end, adds_end) = single(tokenizer.around().1)?;
    let special = tokenizer.special();
    let (tokens, mut kinds) = tokens_and_kinds(&value, tokenizer.vocabulary_size());
    let plain = GgufVocabulary {
        begin: begin.or(special.begin),
        end: end.or(special.end),
        pad: special.pad,
        mask: special.mask,
        add_begin: Some(adds_begin),
        add_end: Some(adds_end),
        tokens,
        ..GgufVocabulary::default()
    };
    let merges = merges(&value)?;
    if value["model"]["byte_fallback"] == true {
        let has_prefix = prefix_of_pieces(&value)?;
        let unknown = value["model"]["unk_token"].as_str().and_then(|unknown| plain.id(unknown));
        if let Some(id) = unknown {
            kinds[id as usize] = UNKNOWN;
        }
        for (token, kind) in plain.tokens.iter().zip(&mut kinds) {
            if is_byte(token) {
                *kind = BYTE;
            }
        }
        let scores = scored::scores(&plain.tokens, &merges);
        let (model, pre) = ("llama".to_owned(), Some("default".to_owned()));
        return Ok(GgufVocabulary { model, pre, unknown, scores, kinds, add_space_prefix: Some(has_prefix), ..plain });
    }
    let pre = Some(name_of_split(&value)?.to_owned());
    let merges = merges.iter().map(|[left, right]| format!("{left} {right}")).collect();
    Ok(GgufVocabulary { model: "gpt2".to_owned(), pre, kinds, merges, unknown: special.unknown, ..plain })
}

fn single(around: &[u32]) -> Result<(Option<u32>, bool), String> {
    match around {
        [] => Ok((None, false)),
        [id] => Ok((Some(*id), true)),
        more => Err(format!("the tokenizer puts {} tokens to one side of a text", more.len())),
    }
}

/// Spellings by id, and what each is; ids that nothing has are unused.
fn tokens_and_kinds(value: &Value, count: usize) -> (Vec<String>, Vec<i32>) {
    let mut tokens: Vec<String> = (0..count).map(|id| format!("[PAD{id}]")).collect();
    let mut kinds = vec![UNUSED; count];
    let mut put = |id: &Value, token: &str, kind: i32| {
        let place = id.as_u64().and_then(|id| usize::try_from(id).ok()).filter(|&id| id < count);
        if let Some(id) = place {
            token.clone_into(&mut tokens[id]);
            kinds[id] = kind;
        }
    };
    for (token, id) in value["model"]["vocab"].as_object().into_iter().flatten() {
        put(id, token, NORMAL);
    }
    for added in value["added_tokens"].as_array().into_iter().flatten() {
        let kind = if added["special"] == true { CONTROL } else { USER_DEFINED };
        put(&added["id"], added["content"].as_str().unwrap_or_default(), kind);
    }
    (tokens, kinds)
}

/// `<0x41>` and its like.
fn is_byte(token: &str) -> bool {
    let digits = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn merges(value: &Value) -> Result<Vec<[String; 2]>, String> {
    serde_json::from_value(value["model"]["merges"].clone()).map_err(|fault| format!("model.merges is odd ({fault})"))
}

/// The steps in `value`: itself, or those of a sequence.
fn steps<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    match value[key].as_array() {
        Some(steps) => steps.iter().collect(),
        None if value.is_null() => Vec::new(),
        None => vec![value],
    }
}

/// Whether scored pieces are read as if the text began with a space.
fn prefix_of_pieces(value: &Value) -> Result<bool, String> {
    let mut has_prefix = false;
    for step in steps(&value["normalizer"], "normalizers") {
        match step["type"].as_str() {
            Some("Prepend") => has_prefix = true,
            Some("Replace") if step["pattern"]["String"] == " " => {}
            _ => return Err(format!("the tokenizer has the normaliser {}", step["type"])),
        }
    }
    match &value["pre_tokenizer"] {
        Value::Null => Ok(has_prefix),
        step if step["type"] == "Metaspace" && step["split"] == false => Ok(step["prepend_scheme"] != "never"),
        step => Err(format!("the tokenizer splits pieces by {}", step["type"])),
    }
}

/// What `tokenizer.ggml.pre` calls the way in which texts are split.
fn name_of_split(value: &Value) -> Result<&'static str, String> {
    for step in steps(&value["normalizer"], "normalizers") {
        if step["type"] != "NFC" {
            return Err(format!("the tokenizer has the normaliser {}", step["type"]));
        }
    }
    let mut patterns: Vec<&str> = Vec::new();
    for step in steps(&value["pre_tokenizer"], "pretokenizers") {
        match step["type"].as_str() {
            Some("Split") if step["behavior"] == "Isolated" && step["invert"] != true => {
                patterns.push(step["pattern"]["Regex"].as_str().ok_or("the tokenizer splits by a fixed text")?);
            }
            Some("Digits") if step["individual_digits"] == true => patterns.push(r"\p{N}"),
            Some("ByteLevel") if step["add_prefix_space"] == true => {
                return Err("the tokenizer reads a text as if it began with a space (prefix_space)".into());
            }
            Some("ByteLevel") if step["use_regex"] == false => {}
            Some("ByteLevel") => patterns.push(GPT_2),
            _ => return Err(format!("the tokenizer splits by {step}")),
        }
    }
    let ignores = value["model"]["ignore_merges"] == true;
    let is_same = |name: &&str| {
        splits_of(name).is_some_and(|splits| splits.ignores_merges == ignores && splits.patterns() == patterns)
    };
    NAMES.into_iter().find(is_same).ok_or_else(|| format!("the tokenizer splits by {}", value["pre_tokenizer"]))
}

/// Ids by spelling.
pub(super) fn ids(tokens: &[String]) -> HashMap<&str, usize> {
    tokens.iter().enumerate().map(|(id, token)| (token.as_str(), id)).collect()
}
