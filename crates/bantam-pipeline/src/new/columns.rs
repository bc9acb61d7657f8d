//! Which column holds the text and which the label: by its usual name, else by its values.

use bantam_corpus::readers::{usual_labels, usual_texts};
use serde::Serialize;

use super::profile::Profile;

/// How much more there must be to read in the text's column than in any other.
const CLEARLY: f64 = 1.5;

/// A column that was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// `text` or `label`.
    pub holds: &'static str,
    /// Its name, as the file has it.
    pub name: String,
    /// Why it was chosen.
    pub reason: String,
}

impl Column {
    pub(super) fn text(name: &str, reason: String) -> Self {
        Self { holds: "text", name: name.to_owned(), reason }
    }

    pub(super) fn label(name: &str, reason: String) -> Self {
        Self { holds: "label", name: name.to_owned(), reason }
    }
}

/// The column with the text, or what the person has to say.
pub(super) fn text(profiles: &[Profile]) -> Result<Column, String> {
    let names: Vec<&str> = profiles.iter().map(|profile| profile.name).collect();
    let named = |name: &&str| profiles.iter().any(|profile| profile.name == *name && profile.is_worded());
    if let Some(name) = usual_texts(&names).into_iter().find(named) {
        return Ok(Column::text(name, "a usual name for the text".to_owned()));
    }
    let mut candidates: Vec<&Profile> = profiles.iter().filter(|profile| profile.is_prose()).collect();
    candidates.sort_by(|a, b| b.substance().total_cmp(&a.substance()));
    match candidates[..] {
        [] => Err(format!("no column reads like text; there are {}; name it with --text COLUMN", listed(&names))),
        [first, second, ..] if second.substance() * CLEARLY > first.substance() => {
            let close = candidates.iter().filter(|other| other.substance() * CLEARLY > first.substance());
            let close: Vec<&str> = close.map(|profile| profile.name).collect();
            Err(format!("each of {} could hold the text; name the right one with --text COLUMN", listed(&close)))
        }
        [best, ..] => {
            let different = 100 * best.distinct / best.filled.max(1);
            let what = format!(
                "the longest texts: {:.0} characters on average, {different} % of them different",
                best.characters
            );
            Ok(Column::text(best.name, what))
        }
    }
}

/// The column with the label, none if the texts have no labels, or what the person has to say. Without
/// `by_values`, only a usual name counts.
pub(super) fn label(profiles: &[Profile], text: &str, by_values: bool) -> Result<Option<Column>, String> {
    let others: Vec<&Profile> = profiles.iter().filter(|profile| profile.name != text).collect();
    let names: Vec<&str> = others.iter().map(|profile| profile.name).collect();
    let profile =
        |name: &str| others.iter().find(|profile| profile.name == name).filter(|profile| profile.is_grouped());
    let usual: Vec<&&Profile> = usual_labels(&names).into_iter().filter_map(profile).filter(|p| p.filled > 0).collect();
    // Words before numbers: some files have both, and people want to read the words.
    if let Some(best) = usual.iter().find(|profile| profile.is_worded()).or(usual.first()) {
        return Ok(Some(Column::label(best.name, "a usual name for the label".to_owned())));
    }
    let candidates: Vec<&&Profile> = others.iter().filter(|profile| by_values && profile.is_groups()).collect();
    match candidates[..] {
        [] => Ok(None),
        [only] => {
            let what = format!("the one column with few values: {} in {} records", only.distinct, only.filled);
            Ok(Some(Column::label(only.name, what)))
        }
        _ => {
            let names: Vec<String> =
                candidates.iter().map(|column| format!("`{}` ({} values)", column.name, column.distinct)).collect();
            Err(format!(
                "each of {} could hold the label; name the right one with --label COLUMN, or if there is none, begin the file's name with `unlabelled`",
                names.join(", ")
            ))
        }
    }
}

/// Names as they stand in a message.
pub(super) fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use bantam_corpus::readers::Field;

    use super::*;

    /// Names of columns with the pattern of their values.
    type Columns<'a> = &'a [(&'a str, &'a str)];

    /// Fields of a table of 30 rows: `{n}` stands for the row, `{n%3}` for its rest.
    fn fields(columns: Columns) -> Vec<Field> {
        let value = |pattern: &str, row: usize| {
            let value = pattern.replace("{n}", &row.to_string()).replace("{n%3}", ["ash", "birch", "cedar"][row % 3]);
            Some(value).filter(|value| !value.is_empty())
        };
        columns
            .iter()
            .map(|(name, pattern)| Field {
                name: (*name).to_owned(),
                values: (0..30).map(|row| value(pattern, row)).collect(),
            })
            .collect()
    }

    fn chosen(columns: Columns) -> Result<(String, Option<String>), String> {
        let fields = fields(columns);
        let profiles: Vec<Profile> = fields.iter().map(Profile::of).collect();
        let text = text(&profiles)?.name;
        let label = label(&profiles, &text, true)?.map(|column| column.name);
        Ok((text, label))
    }

    #[test]
    fn columns_of_real_layouts_are_recognised() {
        let long = "my parcel {n} never came, and nobody answers";
        let cases: [(Columns, &str, Option<&str>); 9] = [
            (
                &[
                    ("id", "{n}"),
                    ("created", "2024-05-01 10:{n}"),
                    ("subject", "parcel {n}"),
                    ("body", long),
                    ("category", "{n%3}"),
                ],
                "body",
                Some("category"),
            ),
            (&[("utterance", "where is {n}"), ("intent", "{n%3}")], "utterance", Some("intent")),
            (&[("Topic", "{n%3}"), ("Question ", long)], "Question ", Some("Topic")),
            (&[("Ticket", "T-{n}"), ("What happened?", long), ("Team", "{n%3}")], "What happened?", Some("Team")),
            (&[("text", long), ("label", "{n}"), ("label_text", "{n%3}")], "text", Some("label_text")),
            (&[("text", "2024"), ("message", long), ("label", "1")], "message", Some("label")),
            (&[("phrase", long), ("topic", "{n} is my own heading")], "phrase", None),
            (&[("comment", long), ("url", "https://example.org/{n}"), ("stars", "4")], "comment", None),
            (&[("内容", "包裹{n}还没有到"), ("label", "{n%3}")], "内容", Some("label")),
        ];
        for (columns, text, label) in cases {
            assert_eq!(chosen(columns), Ok((text.to_owned(), label.map(str::to_owned))), "{columns:?}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_asked_with_the_columns() {
        let cases: [(Columns, &str); 3] = [
            (&[("customer", "I want {n} refunds"), ("agent", "I gave {n} refunds")], "each of `customer`, `agent`"),
            (&[("id", "{n}"), ("stars", "4")], "there are `id`, `stars`; name it with --text"),
            (
                &[("text", "where is {n}"), ("team", "{n%3}"), ("region", "north {n%3}")],
                "`team` (3 values), `region` (3 values)",
            ),
        ];
        for (columns, wanted) in cases {
            let told = chosen(columns).unwrap_err();
            assert!(told.contains(wanted), "{told}");
        }
    }
}
