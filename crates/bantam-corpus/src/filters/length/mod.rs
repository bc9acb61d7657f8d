//! Drops texts that are too short or too long.

use super::{Filter, Limits, Verdict};
use crate::Document;

/// Length in characters, blanks included.
pub(super) struct Length;

impl Filter for Length {
    fn name(&self) -> &'static str {
        "length"
    }

    fn about(&self) -> &'static str {
        "drops texts with fewer or more characters than the limits"
    }

    fn judge(&self, document: &Document, limits: &Limits) -> Verdict {
        let characters = document.text.chars().count();
        if characters < limits.min_characters {
            Verdict::Drop("too-short")
        } else if characters > limits.max_characters {
            Verdict::Drop("too-long")
        } else {
            Verdict::Keep
        }
    }
}
