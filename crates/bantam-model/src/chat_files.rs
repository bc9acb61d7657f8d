//! What a model folder says about conversations: the chat template, and the tokens that end an answer.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use bantam_artifact::write_atomic;
use bantam_tokens::Tokenizer;
use serde_json::{Value, json};

use crate::folder::FolderError;

const TEMPLATE: &str = "chat_template.jinja";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const GENERATION_CONFIG: &str = "generation_config.json";

/// The chat template of a folder: `chat_template.jinja`, else the key `chat_template` of `tokenizer_config.json`.
pub(crate) fn template_of(folder: &Path) -> Result<Option<String>, FolderError> {
    let path = folder.join(TEMPLATE);
    match fs::read_to_string(&path) {
        Ok(template) => return Ok(Some(template)),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(source) => return Err(FolderError::Read { path, source }),
    }
    let Some(config) = optional_json(folder, TOKENIZER_CONFIG)? else { return Ok(None) };
    let odd = || FolderError::Size {
        path: folder.join(TOKENIZER_CONFIG),
        what: "chat_template is neither a text nor a list of templates with name and template".to_owned(),
    };
    match config.get("chat_template") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(template)) => Ok(Some(template.clone())),
        Some(Value::Array(named)) => one_of(named).map(Some).ok_or_else(odd),
        Some(_) => Err(odd()),
    }
}

/// Named templates as one: that for tools where there are tools, else the default or the first.
fn one_of(named: &[Value]) -> Option<String> {
    let template = |name: &str| {
        let found = named.iter().find(|entry| entry["name"] == name)?;
        found["template"].as_str()
    };
    let default = template("default").or_else(|| named.first()?["template"].as_str())?;
    Some(match template("tool_use") {
        // Jinja drops the line break at the end of a template.
        Some(tools) => {
            let [tools, default] = [tools, default].map(|text| text.strip_suffix('\n').unwrap_or(text));
            format!("{{% if tools %}}{tools}{{% else %}}{default}{{% endif %}}")
        }
        None => default.to_owned(),
    })
}

/// The tokens that end an answer: `eos_token_id` of `generation_config.json`, else of `config.json`.
pub(crate) fn ends_of(folder: &Path, config: &Value, vocabulary: usize) -> Result<Vec<u32>, FolderError> {
    let generation = optional_json(folder, GENERATION_CONFIG)?;
    let ids = |config: &Value| match config.get("eos_token_id") {
        Some(Value::Array(ids)) => Some(ids.clone()),
        Some(id @ Value::Number(_)) => Some(vec![id.clone()]),
        _ => None,
    };
    let found = generation.as_ref().and_then(ids).or_else(|| ids(config)).unwrap_or_default();
    let known = found.iter().filter_map(Value::as_u64).filter(|&id| id < vocabulary as u64);
    Ok(known.map(|id| id as u32).collect())
}

/// The tokenizer with begin and end as `tokenizer_config.json` names them.
pub(crate) fn with_named_ends(tokenizer: Tokenizer, folder: &Path) -> Result<Tokenizer, FolderError> {
    let config = optional_json(folder, TOKENIZER_CONFIG)?.unwrap_or_default();
    let named = |key: &str| config[key].as_str().or_else(|| config[key]["content"].as_str());
    Ok(tokenizer.with_begin_and_end(named("bos_token"), named("eos_token")))
}

/// Writes what [`template_of`], [`ends_of`] and [`with_named_ends`] read.
pub(crate) fn write(
    folder: &Path,
    config: &Value,
    tokenizer: &Tokenizer,
    template: Option<&str>,
    ends: &[u32],
) -> Result<(), FolderError> {
    write_json(&folder.join(TOKENIZER_CONFIG), &tokenizer_config(config, tokenizer, template))?;
    if let Some(template) = template {
        write_atomic(&folder.join(TEMPLATE), template.as_bytes())?;
    }
    if !ends.is_empty() {
        write_json(&folder.join(GENERATION_CONFIG), &json!({"eos_token_id": ends}))?;
    }
    Ok(())
}

/// What `transformers` must be told about a tokenizer beside `tokenizer.json`, which does not say what its tokens are for: without it templates
/// that name the begin of a text write nothing there.
fn tokenizer_config(config: &Value, tokenizer: &Tokenizer, template: Option<&str>) -> Value {
    let special = tokenizer.special();
    let token = |id: Option<u32>| id.and_then(|id| tokenizer.token(id));
    let mut told = json!({
        // The class that takes tokenizer.json as it is, whatever the family.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": token(special.begin),
        "eos_token": token(special.end),
        "unk_token": token(special.unknown),
        "pad_token": token(special.pad),
        // An answer stays as the model wrote it.
        "clean_up_tokenization_spaces": false,
        "model_max_length": config["max_position_embeddings"],
    });
    if let Some(template) = template {
        // Versions that do not know the file of its own read it here.
        told["chat_template"] = template.into();
    }
    told
}

fn write_json(path: &Path, value: &Value) -> Result<(), FolderError> {
    let mut text = serde_json::to_vec_pretty(value).expect("a JSON value is JSON");
    text.push(b'\n');
    Ok(write_atomic(path, &text)?)
}

/// A file of a folder as JSON, where there is one.
pub(crate) fn optional_json(folder: &Path, name: &str) -> Result<Option<Value>, FolderError> {
    let path = folder.join(name);
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|source| FolderError::Config { path, source }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FolderError::Read { path, source }),
    }
}
