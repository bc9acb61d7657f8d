//! The tokenizer in use: loading, encoding, decoding.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::Value;

use crate::engine::Engine;
use crate::word_cache::WordCache;
use crate::{Error, SpecialIds};

/// Turns text into token ids and back.
///
/// Cheap to share between threads; encoding takes `&self`. Truncation and padding that a foreign `tokenizer.json`
/// asks for are switched off: lengths are the caller's business, and nothing in Bantam pads.
#[derive(Clone)]
pub struct Tokenizer {
    engine: Engine,
    vocabulary_size: usize,
    prefix: Vec<u32>,
    suffix: Vec<u32>,
    special: SpecialIds,
    cache: Option<WordCache>,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::Io`], and all errors of [`Tokenizer::from_bytes`] with the path in them.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::Io { action: "read", path: path.into(), source })?;
        Self::parse(&bytes, Some(path))
    }

    /// Takes the bytes of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::NotJson`] with line and column, [`Error::Foreign`] for other kinds of files, [`Error::Refused`] for a
    /// tokenizer that contradicts itself, such as an unknown-token that is not in the vocabulary.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Self::parse(bytes, None)
    }

    /// The bytes of a `tokenizer.json` that Bantam and Hugging Face `tokenizers` read; the same tokenizer gives the
    /// same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Writing a tokenizer that was read from JSON to memory cannot fail.
        self.engine.to_string(true).expect("a tokenizer is plain data").into_bytes()
    }

    /// Writes `tokenizer.json` to `path`, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let mut sibling = path.as_os_str().to_owned();
        sibling.push(format!(".{}.part", std::process::id()));
        let sibling = PathBuf::from(sibling);
        std::fs::write(&sibling, self.to_bytes()).and_then(|()| std::fs::rename(&sibling, path)).map_err(|source| {
            // The failed write is what the caller needs to hear about; the sibling may not even exist.
            let _ = std::fs::remove_file(&sibling);
            Error::Io { action: "write", path: path.into(), source }
        })
    }

    /// The ids of `text` with the special tokens that the tokenizer puts around it, at most `max_tokens` in all: a
    /// long text loses its end, never the closing special token. Specials that are spelled out in `text` become their
    /// ids, as in Hugging Face `tokenizers`.
    pub fn encode(&self, text: &str, max_tokens: usize) -> Vec<u32> {
        let content = self.encode_content(text);
        let around = self.prefix.len() + self.suffix.len();
        let room = max_tokens.saturating_sub(around).min(content.len());
        let mut ids = Vec::with_capacity(around + room);
        ids.extend_from_slice(&self.prefix);
        ids.extend_from_slice(&content[..room]);
        ids.extend_from_slice(&self.suffix);
        ids.truncate(max_tokens);
        ids
    }

    /// The ids of a text that is to be gone on with: with what the tokenizer puts before a text, and without what it puts behind, which would
    /// say that the text is over.
    pub fn encode_beginning(&self, text: &str) -> Vec<u32> {
        [&self.prefix[..], &self.encode_content(text)].concat()
    }

    /// The ids of `text` alone, without special tokens around it and without a limit.
    pub fn encode_content(&self, text: &str) -> Vec<u32> {
        let cached = self.cache.as_ref().and_then(|cache| cache.encode(text, |word| self.run_engine(word)));
        cached.unwrap_or_else(|| self.run_engine(text))
    }

    fn run_engine(&self, text: &str) -> Vec<u32> {
        // `check` refused every tokenizer whose model can fail on some text.
        let encoding = self.engine.encode_fast(text, false).expect("loading refused tokenizers that can fail");
        encoding.get_ids().to_vec()
    }

    /// [`Tokenizer::encode`] of many texts, on all cores; the order is kept.
    pub fn encode_batch<T: AsRef<str> + Sync>(&self, texts: &[T], max_tokens: usize) -> Vec<Vec<u32>> {
        texts.par_iter().map(|text| self.encode(text.as_ref(), max_tokens)).collect()
    }

    /// The text of `ids` without special tokens. Ids outside the vocabulary are skipped.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.engine.decode(ids, true).unwrap_or_else(|_| ids.iter().filter_map(|&id| self.token(id)).collect())
    }

    /// One more than the largest id: the rows that an embedding table needs.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary_size
    }

    /// The id of a token as it is spelled in the vocabulary.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.engine.token_to_id(token)
    }

    /// The spelling of an id in the vocabulary.
    pub fn token(&self, id: u32) -> Option<String> {
        self.engine.id_to_token(id)
    }

    /// Ids of padding, unknown, mask, begin and end.
    pub fn special(&self) -> SpecialIds {
        self.special
    }

    /// The ids that [`Tokenizer::encode`] puts before and after each text.
    pub fn around(&self) -> (&[u32], &[u32]) {
        (&self.prefix, &self.suffix)
    }

    fn parse(bytes: &[u8], path: Option<&Path>) -> Result<Self, Error> {
        let owned = || path.map(Path::to_path_buf);
        if bytes.starts_with(b"\x0a") && !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(Error::Foreign {
                path: owned(),
                found: "a SentencePiece model",
                remedy: "convert it once in Python: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)",
            });
        }
        let value: Value = serde_json::from_slice(bytes).map_err(|fault| Error::NotJson {
            path: owned(),
            line: fault.line(),
            column: fault.column(),
            reason: fault.to_string(),
        })?;
        recognise(&value, path)?;
        check(&value).map_err(|reason| Error::Refused { path: owned(), reason })?;
        Self::from_value(&value, path)
    }

    /// Builds the tokenizer from checked JSON.
    pub(crate) fn from_value(value: &Value, path: Option<&Path>) -> Result<Self, Error> {
        let refused = |reason: String| Error::Refused { path: path.map(Path::to_path_buf), reason };
        let bytes = serde_json::to_vec(value).map_err(|fault| refused(fault.to_string()))?;
        let engine: Engine = serde_json::from_slice(&bytes).map_err(|fault| refused(fault.to_string()))?;
        let vocabulary_size = engine.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1);
        Self::from_engine(engine, vocabulary_size, value).map_err(refused)
    }

    /// Takes an engine that `value`, the JSON of a `tokenizer.json`, describes; tokens and pairs of its model are not asked for.
    pub(crate) fn from_engine(mut engine: Engine, vocabulary_size: usize, value: &Value) -> Result<Self, String> {
        engine.with_padding(None);
        engine.with_truncation(None).map_err(|fault| fault.to_string())?;
        let (prefix, suffix) = surroundings(&engine)?;
        let special = SpecialIds::find(|token| engine.token_to_id(token), &prefix, &suffix);
        let cache = WordCache::suiting(value);
        Ok(Tokenizer { engine, vocabulary_size, prefix, suffix, special, cache })
    }

    /// The same tokenizer with the begin and the end that a model's own settings name; what they leave out, or spell as
    /// no token here, stays.
    #[must_use]
    pub fn with_begin_and_end(self, begin: Option<&str>, end: Option<&str>) -> Self {
        let id = |spelling: Option<&str>| self.id(spelling?);
        let special = self.special;
        let special = SpecialIds { begin: id(begin).or(special.begin), end: id(end).or(special.end), ..special };
        self.with_special(special)
    }

    /// What encodes and decodes.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The same tokenizer with other ids of the special tokens.
    pub(crate) fn with_special(self, special: SpecialIds) -> Self {
        Tokenizer { special, ..self }
    }

    /// The tokenizer as JSON.
    pub(crate) fn to_value(&self) -> Value {
        serde_json::from_slice(&self.to_bytes()).expect("own output is JSON")
    }
}

/// What the post-processor puts before and after a text.
fn surroundings(engine: &Engine) -> Result<(Vec<u32>, Vec<u32>), String> {
    let ids = |special| -> Result<Vec<u32>, String> {
        Ok(engine.encode_fast("a", special).map_err(|fault| fault.to_string())?.get_ids().to_vec())
    };
    let (bare, whole) = (ids(false)?, ids(true)?);
    if bare.is_empty() {
        return Ok((whole, Vec::new()));
    }
    let start = whole
        .windows(bare.len())
        .position(|window| window == bare)
        .ok_or("post_processor changes the ids of the text itself")?;
    Ok((whole[..start].to_vec(), whole[start + bare.len()..].to_vec()))
}

/// Refuses other JSON files of a model folder by name.
fn recognise(value: &Value, path: Option<&Path>) -> Result<(), Error> {
    let foreign = |found, remedy| Err(Error::Foreign { path: path.map(Path::to_path_buf), found, remedy });
    let Some(object) = value.as_object() else {
        return foreign("JSON without keys", "pass the file tokenizer.json of the model's folder");
    };
    if object.get("model").is_some_and(Value::is_object) {
        return Ok(());
    }
    if !object.is_empty() && object.values().all(Value::is_u64) {
        return foreign("a bare vocabulary (vocab.json)", "pass the file tokenizer.json beside it");
    }
    if object.contains_key("tokenizer_class") || object.contains_key("model_type") {
        return foreign("a configuration file", "pass the file tokenizer.json beside it");
    }
    foreign("JSON of another kind (no key \"model\")", "pass the file tokenizer.json of the model's folder")
}

/// Refuses pairs that make no token: the engine takes for granted that they do.
fn check_merges(model: &Value, entries: &serde_json::Map<String, Value>) -> Result<(), String> {
    let prefix = model["continuing_subword_prefix"].as_str().unwrap_or_default();
    for merge in model["merges"].as_array().into_iter().flatten() {
        let pair = match merge {
            Value::String(pair) => pair.split_once(' '),
            pair => pair[0].as_str().zip(pair[1].as_str()),
        };
        let joined = pair.and_then(|(left, right)| Some(format!("{left}{}", right.strip_prefix(prefix)?)));
        if joined.is_none_or(|joined| !entries.contains_key(&joined)) {
            return Err(format!("model.merges has {merge}, which makes no token of model.vocab"));
        }
    }
    Ok(())
}

/// Refuses templates around texts that name a special token without saying what it is.
fn check_processor(processor: &Value) -> Result<(), String> {
    let mut inner = processor["processors"].as_array().into_iter().flatten();
    inner.try_for_each(check_processor)?;
    if processor["single"].as_array().into_iter().flatten().any(|piece| piece["Sequence"]["id"] == "B") {
        return Err("post_processor.single asks for a second text".into());
    }
    let pieces = ["single", "pair"].map(|name| processor[name].as_array()).into_iter().flatten().flatten();
    let mut named = pieces.filter_map(|piece| piece["SpecialToken"]["id"].as_str());
    match named.find(|&name| processor["special_tokens"].get(name).is_none()) {
        Some(name) => Err(format!("post_processor uses {name:?}, which is not among its special_tokens")),
        None => Ok(()),
    }
}

/// Finds what would make encoding fail later on some text.
pub(crate) fn check(value: &Value) -> Result<(), String> {
    check_processor(&value["post_processor"])?;
    let model = &value["model"];
    let vocabulary = &model["vocab"];
    match vocabulary {
        Value::Object(entries) => {
            if entries.is_empty() {
                return Err("model.vocab is empty".into());
            }
            // What is kept for each id must be worth the vocabulary's size: some gaps are usual, millions are damage.
            let most = (1 << 24).min((1 << 20) + 16 * entries.len() as u64);
            if let Some((token, id)) = entries.iter().find(|(_, id)| id.as_u64().is_none_or(|id| id > most)) {
                let count = entries.len();
                return Err(format!(
                    "model.vocab gives {token:?} the id {id}; of {count} tokens ids are whole numbers up to {most}"
                ));
            }
            check_merges(model, entries)?;
            let needs_unknown = model["merges"].is_null();
            match &model["unk_token"] {
                Value::String(unknown) if !entries.contains_key(unknown) => {
                    Err(format!("model.unk_token {unknown:?} is not in model.vocab"))
                }
                Value::Null if needs_unknown => Err("model.unk_token is missing".into()),
                _ => Ok(()),
            }
        }
        Value::Array(pieces) => {
            let unknown = model["unk_id"].as_u64();
            if unknown.is_none_or(|id| id >= pieces.len() as u64) {
                return Err(format!(
                    "model.unk_id is {}, but model.vocab has {} pieces",
                    model["unk_id"],
                    pieces.len()
                ));
            }
            Ok(())
        }
        _ => Err("model.vocab is missing".into()),
    }
}
