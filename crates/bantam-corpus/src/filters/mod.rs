//! Rules of curation, one folder each: the rule in `mod.rs`, examples that a reader wants to see in `cases.md`.
//!
//! A filter answers a [`Verdict`] and changes nothing itself. To add one, write its folder and a line in [`FILTERS`];
//! the laws (deterministic, no panic on any text, a rewritten text is not rewritten again, its cases) then hold it too.

mod contact;
mod empty;
mod length;
mod letters;
mod mojibake;
mod normalise;
mod repetition;

use serde::{Deserialize, Serialize};

use crate::{Document, Error};

/// What becomes of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays as it is.
    Keep,
    /// It goes, for this reason.
    Drop(&'static str),
    /// It stays with this text.
    Rewrite(String),
}

/// One rule of curation.
pub trait Filter: Sync {
    /// Its name in recipes and reports, lower-case with `-`.
    fn name(&self) -> &'static str;

    /// What it does, in one sentence.
    fn about(&self) -> &'static str;

    /// Whether it runs when the recipe names no filters.
    fn on_by_default(&self) -> bool {
        true
    }

    /// Judges a document by its text, as the filters before left it.
    fn judge(&self, document: &Document, limits: &Limits) -> Verdict;
}

/// All filters, in the order in which they run: damage is looked for before normalising hides it.
pub const FILTERS: &[&dyn Filter] = &[
    &mojibake::Mojibake,
    &normalise::Normalise,
    &empty::Empty,
    &contact::Contact,
    &length::Length,
    &letters::Letters,
    &repetition::Repetition,
];

/// The thresholds that a recipe may set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Fewest characters of a text.
    pub min_characters: usize,
    /// Most characters of a text.
    pub max_characters: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { min_characters: 2, max_characters: 100_000 }
    }
}

/// The filters of these names in their fixed order; `None`: those that are on by default.
///
/// # Errors
/// [`Error::UnknownFilter`].
pub fn chosen(names: Option<&[String]>) -> Result<Vec<&'static dyn Filter>, Error> {
    let all = || FILTERS.iter().copied();
    let Some(names) = names else { return Ok(all().filter(|filter| filter.on_by_default()).collect()) };
    if let Some(name) = names.iter().find(|name| all().all(|filter| filter.name() != name.as_str())) {
        let known = all().map(Filter::name).collect::<Vec<_>>().join(", ");
        return Err(Error::UnknownFilter { name: name.clone(), known });
    }
    Ok(all().filter(|filter| names.iter().any(|name| name == filter.name())).collect())
}
