//! The same text under different labels.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::Document;
use crate::duplicates::comparable;

/// What becomes of a text that was given different labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConflictRule {
    /// The label of more than half of its documents wins and the others go; without such a label all go.
    #[default]
    Majority,
    /// The label of the first document wins.
    First,
    /// All go.
    Drop,
    /// All stay; the conflict is only reported.
    Keep,
}

/// One text with different labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The text of its first document.
    pub text: String,
    /// How many documents have each label.
    pub labels: BTreeMap<String, usize>,
    /// The label that the rule chose, if any.
    pub kept: Option<String>,
    /// Places of its documents.
    pub sources: Vec<String>,
}

/// Finds all conflicts, in the order of their first documents, and tells for each document whether it stays.
pub(crate) fn resolve(documents: &[Document], rule: ConflictRule) -> (Vec<Conflict>, Vec<bool>) {
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, document) in documents.iter().enumerate().filter(|(_, document)| document.label.is_some()) {
        let number = *numbers.entry(comparable(&document.text)).or_insert(groups.len());
        if number == groups.len() {
            groups.push(Vec::new());
        }
        groups[number].push(index);
    }
    let mut stays = vec![true; documents.len()];
    let mut conflicts = Vec::new();
    for group in groups {
        let label = |index: usize| documents[index].label.clone().unwrap_or_default();
        let mut labels: BTreeMap<String, usize> = BTreeMap::new();
        for &index in &group {
            *labels.entry(label(index)).or_default() += 1;
        }
        if labels.len() < 2 {
            continue;
        }
        let kept = match rule {
            ConflictRule::Majority => {
                labels.iter().find(|(_, count)| **count * 2 > group.len()).map(|(label, _)| label.clone())
            }
            ConflictRule::First => Some(label(group[0])),
            ConflictRule::Drop | ConflictRule::Keep => None,
        };
        if rule != ConflictRule::Keep {
            for &index in &group {
                stays[index] = kept.as_ref() == Some(&label(index));
            }
        }
        let sources = group.iter().map(|&index| documents[index].source.to_string()).collect();
        conflicts.push(Conflict { text: documents[group[0]].text.clone(), labels, kept, sources });
    }
    (conflicts, stays)
}
