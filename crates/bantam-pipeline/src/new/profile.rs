//! What a column looks like from its values.

use std::collections::BTreeSet;

use bantam_corpus::readers::Field;

/// Below this many values, how often they repeat says little.
const TELLING: usize = 20;

/// Figures of a column's values.
#[derive(Debug, Clone)]
pub(super) struct Profile<'a> {
    pub(super) name: &'a str,
    /// Records that were looked at.
    pub(super) records: usize,
    /// Those that have a value.
    pub(super) filled: usize,
    /// Different values.
    pub(super) distinct: usize,
    /// Characters of a value, on average.
    pub(super) characters: f64,
    /// Share of values with letters.
    worded: f64,
    /// Share of values that are several words.
    prose: f64,
}

impl<'a> Profile<'a> {
    pub(super) fn of(field: &'a Field) -> Self {
        let values: Vec<&str> = field.values.iter().flatten().map(|value| value.trim()).collect();
        let filled = values.len();
        let mean = |sum: usize| sum as f64 / filled.max(1) as f64;
        let share = |fits: fn(&str) -> bool| mean(values.iter().filter(|value| fits(value)).count());
        Self {
            name: &field.name,
            records: field.values.len(),
            filled,
            distinct: values.iter().collect::<BTreeSet<_>>().len(),
            characters: mean(values.iter().map(|value| value.chars().count()).sum()),
            worded: share(is_worded),
            prose: share(is_prose),
        }
    }

    /// Whether most values have letters: numbers and dates have none.
    pub(super) fn is_worded(&self) -> bool {
        self.worded > 0.5
    }

    /// Whether a value stands for two records at least, as labels do; few records tell nothing.
    pub(super) fn is_grouped(&self) -> bool {
        2 * self.distinct <= self.filled || self.filled < TELLING
    }

    /// Whether most values read like sentences, and few come twice.
    pub(super) fn is_prose(&self) -> bool {
        self.prose > 0.5 && (2 * self.distinct > self.filled || self.filled < TELLING)
    }

    /// Whether the values read like names of groups: short words, few of them, hardly a record without.
    pub(super) fn is_groups(&self) -> bool {
        let few = self.distinct >= 2 && 2 * self.distinct <= self.filled;
        few && self.is_worded() && self.characters <= 40.0 && 10 * self.filled >= 9 * self.records
    }

    /// How much there is to read: longer, and more different.
    pub(super) fn substance(&self) -> f64 {
        self.characters * self.distinct as f64 / self.filled.max(1) as f64
    }
}

fn is_worded(value: &str) -> bool {
    value.chars().any(char::is_alphabetic)
}

/// Words with blanks between them, or a script that has none.
fn is_prose(value: &str) -> bool {
    let letters = value.chars().filter(|c| c.is_alphabetic()).count();
    let others = value.chars().filter(|c| !c.is_alphabetic() && !c.is_whitespace()).count();
    let foreign = value.chars().filter(|c| c.is_alphabetic() && !c.is_ascii()).count();
    letters > others && (value.contains(char::is_whitespace) || 2 * foreign > letters)
}
