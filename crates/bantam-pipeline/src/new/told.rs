//! A draft as a person reads it in the terminal.

use std::fmt::{self, Display, Formatter};

use super::{Draft, LabelCount};
use crate::FILE;

/// Labels shown from the top and from the bottom.
const SHOWN_LABELS: (usize, usize) = (5, 3);
/// Warnings shown before the rest is only counted.
const SHOWN_WARNINGS: usize = 8;
/// Columns that the words on the left take.
const INDENT: usize = 10;
/// Characters of a label or a column's name.
const WIDTH: usize = 60;

impl Draft {
    /// The command that makes a model of the recipe.
    pub fn next(&self) -> String {
        let folder = self.folder.display().to_string();
        if folder.contains(char::is_whitespace) {
            format!("bantam run \"{folder}\"")
        } else {
            format!("bantam run {folder}")
        }
    }
}

impl Display for Draft {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        line(f, "recipe", &self.folder.join(FILE).display().to_string())?;
        for (at, file) in self.files.iter().enumerate() {
            let head = if at == 0 { "files" } else { "" };
            line(f, head, &format!("{}: {} texts, used as {}", file.path.display(), file.texts, file.part))?;
        }
        for column in &self.columns {
            let name = short(&column.name, WIDTH);
            line(f, column.holds, &format!("`{name}`: {}", column.reason))?;
        }
        self.fmt_labels(f)?;
        let words = &self.words;
        let lengths = format!("median {}, 95 % up to {}, longest {}", words.median, words.p95, words.most);
        line(f, "words", &lengths)?;
        for reason in &self.settings {
            line(f, "settings", reason)?;
        }
        for warning in self.warnings.iter().take(SHOWN_WARNINGS) {
            line(f, "warning", warning)?;
        }
        let more = self.warnings.len().saturating_sub(SHOWN_WARNINGS);
        if more > 0 {
            line(f, "", &format!("and {more} more; --json shows all"))?;
        }
        Ok(())
    }
}

impl Draft {
    fn fmt_labels(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (top, bottom) = SHOWN_LABELS;
        let texts: usize = self.labels.iter().map(|count| count.texts).sum();
        line(f, "labels", &format!("{} in {texts} training texts", self.labels.len()))?;
        let row = |f: &mut Formatter<'_>, count: &LabelCount| {
            line(f, "", &format!("{:>7}  {}", count.texts, short(&count.label, WIDTH)))
        };
        if self.labels.len() <= top + bottom + 1 {
            return self.labels.iter().try_for_each(|count| row(f, count));
        }
        self.labels[..top].iter().try_for_each(|count| row(f, count))?;
        line(f, "", &format!("{:>7}  {} labels between", "...", self.labels.len() - top - bottom))?;
        self.labels[self.labels.len() - bottom..].iter().try_for_each(|count| row(f, count))
    }
}

fn line(f: &mut Formatter<'_>, head: &str, what: &str) -> fmt::Result {
    writeln!(f, "{head:<INDENT$}{}", plain(what))
}

/// Without what would steer a terminal or end a comment: data may come from anywhere.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The beginning of a text that is too long.
pub(super) fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most - 1).chain(['…']).collect() }
}
