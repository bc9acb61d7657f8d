//! Sizes and lengths of training that fit the data, where the defaults do not.
//!
//! What is chosen for few texts was measured on `recipes/support` (docs/log.md); the rest are rules of thumb.

use bantam_corpus::Lengths;
use serde::Serialize;

use crate::{Error, StudentSection, TeacherSection};

/// Fewer training texts are few.
const FEW_TEXTS: usize = 10_000;
/// With fewer training texts than these, the student sees each more often: it takes as many steps as with these.
const SCARCE_TEXTS: usize = 400;
/// The student sees a text at most this many times as often.
const MOST_REPEATED: f64 = 10.0;
/// More training texts are many.
const MANY_TEXTS: usize = 50_000;
/// Tokens of a word, about, in a small vocabulary.
const TOKENS_PER_WORD: f64 = 1.5;
/// A text is read up to this many tokens at most.
const MOST_TOKENS: usize = 256;

/// The sections that may differ from their defaults.
#[derive(Debug, Default)]
pub(super) struct Settings {
    teacher: TeacherSection,
    student: StudentSection,
    /// Why the teacher differs.
    amount: Option<String>,
    /// Why both read more tokens.
    length: Option<String>,
}

impl Settings {
    /// For so many training texts with labels, and out of scope, of such lengths in words.
    pub(super) fn of(labelled: usize, outside: usize, words: &Lengths) -> Self {
        let texts = labelled + outside;
        let counted = if outside == 0 {
            format!("{texts} training texts")
        } else {
            format!("{texts} training texts ({outside} of them out of scope)")
        };
        let mut settings = Self::default();
        let (teacher, student) = (&mut settings.teacher, &mut settings.student);
        if texts < FEW_TEXTS {
            teacher.model.layers = 3;
            teacher.pretraining.epochs = 0.0;
            teacher.training.epochs = 8.0;
            teacher.training.learning_rate = 3e-4;
            teacher.training.table_rate = 15.0;
            teacher.training.validate_every = 8.0;
            teacher.objective.dropout = 0.3;
            teacher.objective.word_dropout = 0.2;
            teacher.objective.consistency = 1.0;
            let mut reason = format!(
                "{counted} are few: a shallow teacher without pretraining, and two passes with different dropout that must agree (R-Drop)"
            );
            if texts < SCARCE_TEXTS {
                let times = SCARCE_TEXTS as f64 / texts.max(1) as f64;
                student.training.epochs = (student.training.epochs * times.min(MOST_REPEATED)).round();
                reason += "; the student sees each text more often";
            }
            settings.amount = Some(reason);
        } else if texts > MANY_TEXTS {
            teacher.pretraining.epochs = 1.0;
            teacher.training.epochs = 4.0;
            student.training.epochs = 3.0;
            settings.amount = Some(format!("{counted} are many: each is seen less often"));
        }
        let tokens = (words.p95 as f64 * TOKENS_PER_WORD) as usize;
        if tokens > teacher.model.max_tokens {
            let most = tokens.next_power_of_two().min(MOST_TOKENS);
            (teacher.model.max_tokens, student.model.max_tokens) = (most, most);
            settings.length = Some(format!(
                "95 % of the texts have up to {} words: the first {most} tokens of each are read",
                words.p95
            ));
        }
        settings
    }

    /// What differs from the defaults, and why.
    pub(super) fn reasons(&self) -> Vec<String> {
        self.amount.iter().chain(&self.length).cloned().collect()
    }

    /// The sections that differ, as TOML.
    pub(super) fn toml(&self) -> Result<String, Error> {
        let (teacher, student) = (TeacherSection::default(), StudentSection::default());
        let objective = differing(&self.teacher.objective, &teacher.objective)?;
        let sections = [
            ("teacher.model", whole(&self.teacher.model, &teacher.model)?),
            ("teacher.pretraining", whole(&self.teacher.pretraining, &teacher.pretraining)?),
            ("teacher.training", whole(&self.teacher.training, &teacher.training)?),
            ("teacher.objective", objective),
            ("student.model", whole(&self.student.model, &student.model)?),
            ("student.training", whole(&self.student.training, &student.training)?),
        ];
        let there = sections.iter().filter(|(_, keys)| !keys.is_empty());
        Ok(there.map(|(name, keys)| format!("\n[{name}]\n{keys}")).collect())
    }
}

/// All keys of a section that differs: sizes and plans are written whole.
fn whole<T: Serialize + PartialEq>(section: &T, default: &T) -> Result<String, Error> {
    if section == default { Ok(String::new()) } else { lines(section) }
}

/// The keys that differ.
fn differing<T: Serialize>(section: &T, default: &T) -> Result<String, Error> {
    let default = lines(default)?;
    let is_default = |line: &&str| default.lines().any(|other| other == *line);
    Ok(lines(section)?.lines().filter(|line| !is_default(line)).map(|line| format!("{line}\n")).collect())
}

fn lines<T: Serialize>(section: &T) -> Result<String, Error> {
    toml::to_string(section).map_err(|error| Error::Data { what: format!("writing the recipe: {error}") })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Recipe;

    #[test]
    fn sizes_follow_the_data_and_are_read_again() {
        let short = Lengths { p95: 20, ..Lengths::default() };
        let long = Lengths { p95: 400, ..Lengths::default() };
        for (texts, words) in [(400, &short), (20_000, &short), (60_000, &short), (400, &long), (60_000, &long)] {
            let settings = Settings::of(texts, 0, words);
            let toml = format!("name = \"a\"\n[data]\ntrain = [\"a.csv\"]\n{}", settings.toml().unwrap());
            let read = Recipe::parse(&toml, Path::new("recipe.toml")).unwrap().text;
            assert_eq!((&read.teacher, &read.student), (&settings.teacher, &settings.student));
            assert_eq!(read.teacher.model.max_tokens, if words.p95 == 400 { 256 } else { 64 });
            assert_eq!(read.teacher.objective.consistency > 0.0, texts == 400);
            assert_eq!(read.student.training.epochs < 6.0, texts == 60_000);
        }
        assert_eq!(
            [1, 100, 400].map(|texts| Settings::of(texts - 1, 1, &short).student.training.epochs),
            [60.0, 24.0, 6.0]
        );
        assert!(Settings::of(20_000, 0, &short).reasons().is_empty());
        assert_eq!(Settings::of(20_000, 0, &short).toml().unwrap(), "");
    }
}
