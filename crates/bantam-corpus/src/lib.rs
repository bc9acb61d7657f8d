//! Documents, readers, filters, deduplication, splits and checks: from an organisation's files to a corpus.
//!
//! [`readers::read`] turns files into [`Document`]s, [`readers::import`] published benchmarks with their splits.
//! [`curate`] judges, deduplicates and checks them; nothing disappears silently: each dropped document comes back as a
//! [`Reject`] with its reason, and the [`Funnel`] counts every step. [`split`] cuts a corpus in two, by label.
//!
//! This crate knows text and labels; it knows no token, model or recipe.

mod checks;
mod conflicts;
mod curate;
mod document;
pub mod duplicates;
mod error;
pub mod filters;
pub mod readers;
mod split;

pub use checks::{Lengths, Statistics, Warning, check_labels, statistics};
pub use conflicts::{Conflict, ConflictRule};
pub use curate::{CurateOptions, Curated, Funnel, Reject, Step, curate};
pub use document::{Document, Source, load, save};
pub use error::Error;
pub use split::{Split, split};
