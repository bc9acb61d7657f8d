//! Which field is the text and which the label.

use super::{Place, ReadOptions};
use crate::Error;

/// Usual names of the text, the likeliest first.
pub(super) const TEXT: &[&str] =
    &["text", "utterance", "question", "sentence", "message", "query", "content", "body", "document", "input"];

/// Usual names of the label, the likeliest first.
pub(super) const LABEL: &[&str] =
    &["label", "intent", "category", "class", "topic", "label_text", "target", "queue", "topic_group"];

/// Usual names of an identifier.
pub(super) const ID: &[&str] = &["id", "uid", "document_id"];

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
        let find = |wanted: &str| names.iter().find(|name| name.trim().eq_ignore_ascii_case(wanted));
        let first = |usual: &[&str]| usual.iter().find_map(|wanted| find(wanted)).map(|name| (*name).to_owned());
        let missing =
            |wanted: String| Error::MissingField { path: place.path.clone(), line, wanted, there: names.join(", ") };
        let named = |wanted: &String| {
            let exact = names.iter().find(|name| *name == wanted).or_else(|| find(wanted));
            exact.map(|name| (*name).to_owned()).ok_or_else(|| missing(wanted.clone()))
        };
        let text = match &options.text {
            Some(wanted) => named(wanted)?,
            None => first(TEXT).ok_or_else(|| missing(TEXT.join("|")))?,
        };
        let label = match &options.label {
            Some(wanted) => Some(named(wanted)?),
            None => first(LABEL).filter(|label| *label != text),
        };
        Ok(Fields { text, label, id: first(ID) })
    }
}
