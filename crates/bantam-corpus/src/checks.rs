//! What a corpus looks like, and whether a classifier can learn from it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Document, Error};

/// Numbers of a corpus, for the report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Number of documents.
    pub documents: usize,
    /// Documents of each label.
    pub labels: BTreeMap<String, usize>,
    /// Documents without a label.
    pub unlabelled: usize,
    /// Lengths in characters.
    pub characters: Lengths,
    /// Lengths in words between blanks.
    pub words: Lengths,
}

/// A distribution of lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lengths {
    /// The shortest.
    pub least: usize,
    /// Half are at most this long.
    pub median: usize,
    /// Nineteen of twenty are at most this long.
    pub p95: usize,
    /// The longest.
    pub most: usize,
    /// The average.
    pub mean: f64,
}

impl Lengths {
    fn of(mut lengths: Vec<usize>) -> Self {
        lengths.sort_unstable();
        let Some(&most) = lengths.last() else { return Lengths::default() };
        // Nearest rank: the smallest length that covers the share.
        let at = |percent: usize| lengths[(lengths.len() * percent).div_ceil(100).max(1) - 1];
        let mean = lengths.iter().sum::<usize>() as f64 / lengths.len() as f64;
        Lengths { least: lengths[0], median: at(50), p95: at(95), most, mean }
    }
}

/// Counts labels and lengths.
pub fn statistics(documents: &[Document]) -> Statistics {
    let mut labels = BTreeMap::new();
    for label in documents.iter().filter_map(|document| document.label.clone()) {
        *labels.entry(label).or_default() += 1;
    }
    Statistics {
        documents: documents.len(),
        labels,
        unlabelled: documents.iter().filter(|document| document.label.is_none()).count(),
        characters: Lengths::of(documents.iter().map(|document| document.text.chars().count()).collect()),
        words: Lengths::of(documents.iter().map(|document| document.text.split_whitespace().count()).collect()),
    }
}

/// Something that works, but not well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// A label with few examples.
    FewExamples {
        /// The label.
        label: String,
        /// Its examples.
        found: usize,
        /// How many there should be.
        wanted: usize,
    },
    /// Labels that differ in capitals or blanks only.
    AlikeLabels {
        /// One.
        label: String,
        /// The other.
        other: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::FewExamples { label, found, wanted } => {
                write!(formatter, "label {label:?} has {found} examples; with fewer than {wanted} it is hardly learnt")
            }
            Warning::AlikeLabels { label, other } => {
                write!(formatter, "labels {label:?} and {other:?} differ in spelling only; are they the same?")
            }
        }
    }
}

/// Refuses what no classifier can learn from, and warns of what it will learn badly: labels with fewer than `least`
/// examples.
///
/// # Errors
/// [`Error::Unlabelled`], [`Error::TooFewLabels`].
pub fn check_labels(documents: &[Document], least: usize) -> Result<Vec<Warning>, Error> {
    let statistics = statistics(documents);
    if let Some(first) = documents.iter().find(|document| document.label.is_none()) {
        return Err(Error::Unlabelled { count: statistics.unlabelled, first: first.source.to_string() });
    }
    if statistics.labels.len() < 2 {
        let there = statistics.labels.keys().next().cloned().unwrap_or_else(|| "none".into());
        return Err(Error::TooFewLabels { found: statistics.labels.len(), there });
    }
    let few = statistics.labels.iter().filter(|(_, count)| **count < least);
    let mut warnings: Vec<Warning> =
        few.map(|(label, &found)| Warning::FewExamples { label: label.clone(), found, wanted: least }).collect();
    let mut spellings: BTreeMap<String, &String> = BTreeMap::new();
    for label in statistics.labels.keys() {
        let plain = label.trim().to_lowercase().replace([' ', '-'], "_");
        if let Some(other) = spellings.insert(plain, label) {
            warnings.push(Warning::AlikeLabels { label: other.clone(), other: label.clone() });
        }
    }
    Ok(warnings)
}
