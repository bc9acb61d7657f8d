//! Which field is the text and which the label.

use super::{Place, ReadOptions};
use crate::Error;

/// Usual names of the text, the likeliest first.
const TEXT: &[&str] = &[
    "text",
    "utterance",
    "question",
    "sentence",
    "message",
    "query",
    "content",
    "body",
    "document",
    "input",
    "description",
];

/// Usual names of the label, the likeliest first.
const LABEL: &[&str] =
    &["label", "intent", "category", "class", "topic", "label_text", "target", "queue", "topic_group", "labels"];

/// Usual names that a message gives as examples.
const EXAMPLES: usize = 4;

/// Usual names of an identifier.
const ID: &[&str] = &["id", "uid", "document_id"];

/// Those of `names` that usually hold the text, the likeliest first. Capitals and blanks around a name do not count.
pub fn usual_texts<'a>(names: &[&'a str]) -> Vec<&'a str> {
    usual(names, TEXT)
}

/// Those of `names` that usually hold the label, the likeliest first.
pub fn usual_labels<'a>(names: &[&'a str]) -> Vec<&'a str> {
    usual(names, LABEL)
}

/// The one of `names` that is meant by `wanted`: the same, or the same but for capitals and blanks around it.
pub fn find_field<'a>(names: &[&'a str], wanted: &str) -> Option<&'a str> {
    let alike = |name: &&&str| name.trim().eq_ignore_ascii_case(wanted.trim());
    names.iter().find(|name| **name == wanted).or_else(|| names.iter().find(alike)).copied()
}

fn usual<'a>(names: &[&'a str], known: &[&str]) -> Vec<&'a str> {
    known.iter().filter_map(|wanted| find_field(names, wanted)).collect()
}

/// The fields of a record, by their names in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) text: String,
    pub(super) label: Option<String>,
    pub(super) id: Option<String>,
}

impl Fields {
    /// Chooses among `names`, which a record on `line` has; capitals and blanks around a name do not count.
    pub(super) fn choose(names: &[&str], options: &ReadOptions, place: &Place, line: u64) -> Result<Fields, Error> {
        let missing = |holds: &'static str, wanted: String| {
            let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Error::MissingField { path: place.path.clone(), line, wanted, holds, there }
        };
        let named = |holds: &'static str, wanted: &String| {
            let found = find_field(names, wanted).map(str::to_owned);
            found.ok_or_else(|| missing(holds, format!("no field {wanted:?}")))
        };
        let first = |usual: Vec<&str>| usual.first().map(|name| (*name).to_owned());
        let text = match &options.text {
            Some(wanted) => named("text", wanted)?,
            None => first(usual_texts(names)).ok_or_else(|| {
                let examples = TEXT[..EXAMPLES].join(", ");
                missing("text", format!("no field has a usual name of the text ({examples}, ...)"))
            })?,
        };
        let label = match &options.label {
            _ if options.ignores_labels => None,
            Some(wanted) => Some(named("label", wanted)?),
            None => first(usual_labels(names)).filter(|label| *label != text),
        };
        Ok(Fields { text, label, id: first(usual(names, ID)) })
    }
}
