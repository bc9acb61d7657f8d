//! Prompts as requests spell them: texts or token ids, one or many.

use serde::Deserialize;
use serde_json::Value;

use crate::body::Fields;
use crate::failure::Failure;
use crate::service::Language;

/// The most prompts of a request.
pub(crate) const MOST: usize = 2048;

/// A prompt.
pub(crate) enum Prompt {
    /// As text.
    Text(String),
    /// As token ids.
    Ids(Vec<u32>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Spelled {
    Text(String),
    Ids(Vec<u32>),
    Texts(Vec<String>),
    ManyIds(Vec<Vec<u32>>),
}

/// Takes the prompts of a request, at least one, from the field `name`.
pub(crate) fn prompts(fields: &mut Fields, name: &str) -> Result<Vec<Prompt>, Failure> {
    let remedy = format!("send a text, a list of texts, a list of token ids, or a list of such lists; {MOST} at most");
    let spelled: Spelled = serde_json::from_value(fields.require::<Value>(name)?)
        .map_err(|_| Failure::field(name, format!("`{name}` cannot be read"), remedy.clone()))?;
    let prompts: Vec<Prompt> = match spelled {
        Spelled::Text(text) => vec![Prompt::Text(text)],
        // An empty list is one of no prompts.
        Spelled::Ids(ids) if ids.is_empty() => Vec::new(),
        Spelled::Ids(ids) => vec![Prompt::Ids(ids)],
        Spelled::Texts(texts) => texts.into_iter().map(Prompt::Text).collect(),
        Spelled::ManyIds(many) => many.into_iter().map(Prompt::Ids).collect(),
    };
    if prompts.is_empty() || prompts.len() > MOST {
        return Err(Failure::field(name, format!("`{name}` has {} prompts", prompts.len()), remedy));
    }
    Ok(prompts)
}

impl Prompt {
    /// Its tokens, as the model's texts begin.
    pub(crate) fn into_tokens(self, language: &Language) -> Result<Vec<u32>, Failure> {
        match self {
            Self::Ids(ids) => Ok(ids),
            Self::Text(text) => Ok(language.tokenizer()?.encode_beginning(&text)),
        }
    }
}
