//! Drops texts without a visible character.

use super::{Filter, Limits, Verdict};
use crate::Document;

/// Nothing to read.
pub(super) struct Empty;

impl Filter for Empty {
    fn name(&self) -> &'static str {
        "empty"
    }

    fn about(&self) -> &'static str {
        "drops texts of nothing but blanks"
    }

    fn judge(&self, document: &Document, _: &Limits) -> Verdict {
        if document.text.trim().is_empty() { Verdict::Drop("empty") } else { Verdict::Keep }
    }
}
