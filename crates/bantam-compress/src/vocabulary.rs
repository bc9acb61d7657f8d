//! Vocabulary pruning: rows of the token table that a domain never uses go, and nothing else changes.

use bantam_model::arrays::Arrays;
use bantam_model::schema::Schema;
use bantam_tokens::Tokenizer;

use crate::cut::cut;

/// A model's vocabulary after pruning.
pub struct Vocabulary {
    /// Gives the new ids.
    pub tokenizer: Tokenizer,
    /// The arrays with the rows that are left.
    pub arrays: Arrays,
    /// New id to old id.
    pub kept: Vec<u32>,
}

/// The ids that occur at least `least` times in `documents`, in order.
pub fn keep_tokens<'a>(documents: impl IntoIterator<Item = &'a [u32]>, vocabulary: usize, least: usize) -> Vec<u32> {
    let mut counts = vec![0usize; vocabulary];
    for &id in documents.into_iter().flatten() {
        counts[id as usize] += 1;
    }
    (0..vocabulary).filter(|&id| counts[id] >= least.max(1)).map(|id| id as u32).collect()
}

/// Keeps the tokens `keep` and those that the tokenizer needs to reach them (specials, bytes, halves of merges).
///
/// # Errors
/// When the tokenizer's kind cannot be cut.
pub fn restrict(
    schema: &Schema,
    arrays: &Arrays,
    tokenizer: &Tokenizer,
    keep: &[u32],
) -> Result<Vocabulary, bantam_tokens::Error> {
    let restricted = tokenizer.restrict(keep)?;
    let rows = restricted.kept.iter().map(|&id| id as usize).collect();
    let arrays = cut(schema, arrays, &[("vocabulary".to_owned(), rows)].into());
    Ok(Vocabulary { tokenizer: restricted.tokenizer, arrays, kept: restricted.kept })
}
