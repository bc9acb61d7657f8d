//! The answers that people wrote, by label: read with the recipe, and held against the labels as soon as these are known.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bantam_corpus::readers::OUT_OF_SCOPE;
use serde::{Deserialize, Serialize};

use crate::{Error, Recipe};

/// Answers for people, by label.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replies {
    #[serde(default)]
    pub(crate) replies: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) hand_over: HandOver,
}

/// What is said when a person takes over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HandOver {
    #[serde(default)]
    pub(crate) message: String,
}

impl Replies {
    /// The file that the recipe names.
    fn file(recipe: &Recipe) -> Option<PathBuf> {
        recipe.text.data.replies.as_ref().map(|path| recipe.path(path))
    }

    /// Reads the file that the recipe names.
    pub(crate) fn read(recipe: &Recipe) -> Result<Self, Error> {
        let Some(path) = Self::file(recipe) else { return Ok(Self::default()) };
        let remedy = "data.replies names a TOML file with the table [replies]";
        let text =
            std::fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source, remedy })?;
        let mut read: Self = toml::from_str(&text).map_err(|error| Error::Recipe { path, what: error.to_string() })?;
        // An empty reply is one that nobody has written yet.
        read.replies.retain(|_, reply| !reply.trim().is_empty());
        Ok(read)
    }

    /// Refuses a reply that could never be given, because no text has its label.
    pub(crate) fn check_labels(recipe: &Recipe, labels: &[String]) -> Result<(), Error> {
        let Some(path) = Self::file(recipe) else { return Ok(()) };
        let read = Self::read(recipe)?;
        let Some(unknown) = read.replies.keys().find(|label| !labels.contains(label)) else { return Ok(()) };
        let remedy = match nearest(unknown, labels) {
            _ if unknown == OUT_OF_SCOPE => {
                "say in [hand_over] what is told when a request goes to a person".to_owned()
            }
            Some(label) => format!("did you mean `{label}`?"),
            None => "take it out".to_owned(),
        };
        Err(Error::Recipe { path, what: format!("no training text has the label `{unknown}` of this reply; {remedy}") })
    }
}

/// The label that is written most like `name`.
fn nearest<'a>(name: &str, labels: &'a [String]) -> Option<&'a String> {
    labels.iter().min_by_key(|label| strsim::levenshtein(name, label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_label_takes_the_fewest_changes() {
        let labels = ["refund", "delivery", "password"].map(str::to_owned);
        assert_eq!(nearest("refunds", &labels), Some(&labels[0]));
        assert_eq!(nearest("passwort", &labels), Some(&labels[2]));
    }
}
