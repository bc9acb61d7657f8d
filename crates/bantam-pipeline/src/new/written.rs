//! The text of a new recipe and of its file of replies.

use std::collections::BTreeMap;
use std::path::Path;

use bantam_corpus::Document;
use bantam_corpus::readers::EmptyLabels;

use super::LabelCount;
use super::settings::Settings;
use super::told::{plain, short};
use crate::{DataSection, Error};

/// Labels that the purpose names.
const NAMED: usize = 3;
/// Characters of an example in the file of replies.
const EXAMPLE: usize = 80;

pub(super) fn recipe(
    name: &str,
    labels: &[LabelCount],
    data: &DataSection,
    settings: &Settings,
) -> Result<String, Error> {
    let first: Vec<&str> = labels.iter().take(NAMED).map(|count| count.label.as_str()).collect();
    let more = labels.len().saturating_sub(NAMED);
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    let purpose = format!("Tells {} kinds of text apart: {}{rest}.", labels.len(), first.join(", "));
    let mut text = format!(
        "# Every key is explained in docs/recipes.md; what is not written here has a default that `bantam run --plan` prints.\n\n\
         name = {}\n\
         # For the model card: say what the model is for, and for whom.\n\
         purpose = {}\n\
         licence = \"not stated\"\n\
         # Everything random follows from it.\n\
         seed = 1\n\n[data]\n",
        quoted(name),
        quoted(&purpose)
    );
    for (key, paths) in [
        ("train", &data.train),
        ("validation", &data.validation),
        ("test", &data.test),
        ("out_of_scope_train", &data.out_of_scope_train),
        ("out_of_scope_validation", &data.out_of_scope_validation),
        ("out_of_scope_test", &data.out_of_scope_test),
        ("unlabelled", &data.unlabelled),
        ("background", &data.background),
    ] {
        if !paths.is_empty() {
            text += &format!("{key} = [{}]\n", paths.iter().map(|file| path(file)).collect::<Vec<_>>().join(", "));
        }
    }
    if let Some(replies) = &data.replies {
        text += &format!("replies = {}\n", path(replies));
    }
    let missing: Vec<&str> = [("validation", &data.validation), ("test", &data.test)]
        .into_iter()
        .filter_map(|(key, paths)| paths.is_empty().then_some(key))
        .collect();
    if !missing.is_empty() {
        let share = 100.0 * data.held_out;
        text +=
            &format!("# Set apart for {}: {share} % of the training texts (held_out).\n", missing.join(" and for "));
    }
    let fields = [("text", &data.read.text), ("label", &data.read.label)];
    let fields = fields.map(|(key, name)| name.as_ref().map(|name| format!("{key} = {}\n", quoted(name))));
    let takes_unlabelled = data.read.empty_labels == EmptyLabels::Unlabelled;
    if takes_unlabelled || fields.iter().any(Option::is_some) {
        text += "\n# The columns.\n[data.read]\n";
        text.extend(fields.into_iter().flatten());
    }
    if takes_unlabelled {
        text += "# Texts without a label: \"unlabelled\" lets the student learn from them, too; \"refused\" is an error.\n\
                 empty_labels = \"unlabelled\"\n";
    }
    let reasons: String = settings.reasons().iter().map(|reason| format!("\n# {reason}.")).collect();
    text += &reasons;
    Ok(text + &settings.toml()?)
}

/// An empty reply for each label, each with an example above it.
pub(super) fn replies(labels: &[LabelCount], documents: &[Document]) -> String {
    let mut examples: BTreeMap<&str, &str> = BTreeMap::new();
    for document in documents {
        examples.entry(document.label.as_deref().unwrap_or_default()).or_insert(&document.text);
    }
    let mut text = "# What is answered for each label. An empty reply is none: the label alone is told.\n\n\
        # Said when a request is handed to a person; empty for a usual sentence.\n\
        [hand_over]\nmessage = \"\"\n\n[replies]\n"
        .to_owned();
    let mut sorted: Vec<&LabelCount> = labels.iter().collect();
    sorted.sort_by_key(|count| &count.label);
    for count in sorted {
        let example = short(&plain(examples.get(count.label.as_str()).unwrap_or(&"")), EXAMPLE);
        text += &format!("# {example}\n{} = \"\"\n", key(&count.label));
    }
    text
}

/// A path, which is UTF-8.
fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// A key of a table: as it is, or quoted.
fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// A basic string of TOML on one line: as in JSON, but that DEL is escaped, too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_label_is_a_key() {
        for label in ["refund", "card payment", "a.b", "\"", "\\", "'''", "line\nbreak", "\u{7f}\u{1}", "größe", ""] {
            let table: toml::Table = format!("{} = {}", key(label), quoted(label)).parse().unwrap();
            assert_eq!(table.get(label).and_then(toml::Value::as_str), Some(label));
        }
    }
}
