//! Cutting a corpus in two, by label, the same way each time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::duplicates::comparable;
use crate::{Document, Error};

/// The part that a document plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Learnt from.
    Train,
    /// Chosen and calibrated with.
    Validation,
    /// Looked at once, at the end.
    Test,
}

/// Takes `share` (0 to below 1) of the documents of each label away; returns (the rest, the taken), both in their
/// order. A label with at least two documents keeps one and gives one; a single document stays. Which ones are taken
/// depends on `seed` and the texts only, so adding documents does not reshuffle the others.
///
/// # Errors
/// [`Error::BadOption`] for a share outside its range.
pub fn split(documents: Vec<Document>, share: f64, seed: u64) -> Result<(Vec<Document>, Vec<Document>), Error> {
    if !(0.0..1.0).contains(&share) {
        return Err(Error::BadOption { option: "share", value: share.to_string(), range: "from 0 to below 1" });
    }
    let mut groups: BTreeMap<Option<&str>, Vec<(String, usize)>> = BTreeMap::new();
    for (index, document) in documents.iter().enumerate() {
        let name = bantam_artifact::hash_bytes(format!("{seed} {}", comparable(&document.text)).as_bytes());
        groups.entry(document.label.as_deref()).or_default().push((name, index));
    }
    let mut taken = vec![false; documents.len()];
    for mut group in groups.into_values() {
        group.sort_unstable();
        let wanted = (share * group.len() as f64).round() as usize;
        let least = usize::from(share > 0.0);
        let count = if group.len() < 2 { 0 } else { wanted.clamp(least, group.len() - 1) };
        group[..count].iter().for_each(|&(_, index)| taken[index] = true);
    }
    let mut flags = taken.into_iter();
    let (held, rest) = documents.into_iter().partition(|_| flags.next().unwrap_or(false));
    Ok((rest, held))
}
