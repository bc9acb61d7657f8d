//! The vocabulary of a file, as plain lists for `bantam-tokens`, and back.

use bantam_tokens::GgufVocabulary;

use super::error::GgufError;
use super::metadata::Metadata;
use super::value::{List, Value};

const CHAT_TEMPLATE: &str = "tokenizer.chat_template";
/// What says how texts are split.
pub(super) const VOCABULARY_KEY: &str = "tokenizer.ggml.model";
/// llama.cpp's own word for bare weights.
pub(super) const NO_VOCABULARY: &str = "no_vocab";

/// The vocabulary under `tokenizer.ggml.`, for [`bantam_tokens::Tokenizer::from_gguf`]. Its lists are most of a file's metadata, and are taken
/// out of them.
///
/// # Errors
/// When `model` or `tokens` are absent, or a value has another type than its key has.
pub fn vocabulary_of(mut metadata: Metadata) -> Result<GgufVocabulary, GgufError> {
    let model = metadata.text(&key("model"))?.to_owned();
    let (tokens, merges) = (texts(&mut metadata, "tokens")?, texts(&mut metadata, "merges")?);
    let metadata = &metadata;
    let is_bert = model == "bert";
    let id = |names: &[&str]| names.iter().find_map(|name| id_at(metadata, name).transpose()).transpose();
    Ok(GgufVocabulary {
        pre: metadata.get(&key("pre")).map(|_| metadata.text(&key("pre")).map(str::to_owned)).transpose()?,
        tokens: tokens.ok_or_else(|| GgufError::Missing { key: key("tokens") })?,
        scores: match metadata.list(&key("scores"))? {
            None => Vec::new(),
            Some(List::F32(scores)) => scores.clone(),
            Some(_) => return Err(wrong("scores", "a list of 32-bit fractions")),
        },
        kinds: match metadata.list(&key("token_type"))? {
            None => Vec::new(),
            Some(List::I32(kinds)) => kinds.clone(),
            Some(List::U32(kinds)) => kinds.iter().map(|kind| kind.cast_signed()).collect(),
            Some(_) => return Err(wrong("token_type", "a list of 32-bit whole numbers")),
        },
        merges: merges.unwrap_or_default(),
        // The misspelt key is the one that files have.
        begin: id(if is_bert { &["cls_token_id", "bos_token_id"] } else { &["bos_token_id"] })?,
        end: id(if is_bert { &["seperator_token_id", "eos_token_id"] } else { &["eos_token_id"] })?,
        unknown: id(&["unknown_token_id"])?,
        pad: id(&["padding_token_id"])?,
        mask: id(&["mask_token_id"])?,
        add_begin: metadata.truth(&key("add_bos_token"))?,
        add_end: metadata.truth(&key("add_eos_token"))?,
        add_space_prefix: metadata.truth(&key("add_space_prefix"))?,
        end_of_turn: id(&["eot_token_id"])?,
        end_of_message: id(&["eom_token_id"])?,
        chat_template: chat_template_of(metadata)?,
        model,
    })
}

/// `tokenizer.chat_template`.
pub(super) fn chat_template_of(metadata: &Metadata) -> Result<Option<String>, GgufError> {
    metadata.get(CHAT_TEMPLATE).map(|_| metadata.text(CHAT_TEMPLATE).map(str::to_owned)).transpose()
}

/// The tokens that end an answer: of a text, of a turn, of a message.
pub(super) fn ends_of(metadata: &Metadata) -> Result<Vec<u32>, GgufError> {
    let ids = ["eos_token_id", "eot_token_id", "eom_token_id"].map(|name| id_at(metadata, name).transpose());
    ids.into_iter().flatten().collect()
}

/// Puts a vocabulary under `tokenizer.ggml.`.
pub(super) fn insert_vocabulary(metadata: &mut Metadata, vocabulary: &GgufVocabulary) {
    let GgufVocabulary { model, pre, tokens, scores, kinds, merges, .. } = vocabulary;
    let text = |text: &String| Value::Text(text.clone());
    let id = |id: Option<u32>| id.map(Value::U32);
    let truth = |truth: Option<bool>| truth.map(Value::Bool);
    let values = [
        ("model", Some(text(model))),
        ("pre", pre.as_ref().map(text)),
        ("tokens", Some(Value::List(List::Text(tokens.clone())))),
        ("scores", (!scores.is_empty()).then(|| Value::List(List::F32(scores.clone())))),
        ("token_type", (!kinds.is_empty()).then(|| Value::List(List::I32(kinds.clone())))),
        ("merges", (!merges.is_empty()).then(|| Value::List(List::Text(merges.clone())))),
        ("bos_token_id", id(vocabulary.begin)),
        ("eos_token_id", id(vocabulary.end)),
        ("unknown_token_id", id(vocabulary.unknown)),
        ("padding_token_id", id(vocabulary.pad)),
        ("mask_token_id", id(vocabulary.mask)),
        ("eot_token_id", id(vocabulary.end_of_turn)),
        ("eom_token_id", id(vocabulary.end_of_message)),
        ("add_bos_token", truth(vocabulary.add_begin)),
        ("add_eos_token", truth(vocabulary.add_end)),
        ("add_space_prefix", truth(vocabulary.add_space_prefix)),
    ];
    for (name, value) in values {
        if let Some(value) = value {
            metadata.insert(key(name), value);
        }
    }
    if let Some(template) = &vocabulary.chat_template {
        metadata.insert(CHAT_TEMPLATE, text(template));
    }
}

fn key(name: &str) -> String {
    format!("tokenizer.ggml.{name}")
}

fn wrong(name: &str, expected: &'static str) -> GgufError {
    GgufError::Kind { key: key(name), found: "a list of other values", expected }
}

fn texts(metadata: &mut Metadata, name: &str) -> Result<Option<Vec<String>>, GgufError> {
    metadata.list(&key(name))?;
    match metadata.take(&key(name)) {
        None => Ok(None),
        Some(Value::List(List::Text(texts))) => Ok(Some(texts)),
        Some(_) => Err(wrong(name, "a list of texts")),
    }
}

/// An id; -1 stands for none, as some converters write it.
fn id_at(metadata: &Metadata, name: &str) -> Result<Option<u32>, GgufError> {
    if metadata.get(&key(name)) == Some(&Value::I32(-1)) {
        return Ok(None);
    }
    let id = metadata.whole(&key(name))?;
    id.map(|id| u32::try_from(id).map_err(|_| GgufError::damaged(key(name), format!("{id} is no id")))).transpose()
}
