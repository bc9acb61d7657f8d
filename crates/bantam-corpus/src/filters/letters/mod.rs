//! Drops texts that are hardly text: numbers, rules, tables of signs.

use super::{Filter, Limits, Verdict};
use crate::Document;

/// Letters of any script.
pub(super) struct Letters;

impl Filter for Letters {
    fn name(&self) -> &'static str {
        "letters"
    }

    fn about(&self) -> &'static str {
        "drops texts without a letter, and longer ones where less than a fifth of the signs are letters"
    }

    fn judge(&self, document: &Document, _: &Limits) -> Verdict {
        let (mut letters, mut signs) = (0usize, 0usize);
        for character in document.text.chars().filter(|character| !character.is_whitespace()) {
            signs += 1;
            letters += usize::from(character.is_alphabetic());
        }
        if letters == 0 {
            Verdict::Drop("no-letters")
        } else if signs >= LONG && letters * 5 < signs {
            Verdict::Drop("few-letters")
        } else {
            Verdict::Keep
        }
    }
}

/// From this many signs on, a share means something.
const LONG: usize = 20;
