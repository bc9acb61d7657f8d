//! Drops texts whose encoding was damaged on the way.

use super::{Filter, Limits, Verdict};
use crate::Document;

/// Finds replacement characters, and UTF-8 that was read as Latin-1 or Windows-1252.
pub(super) struct Mojibake;

impl Filter for Mojibake {
    fn name(&self) -> &'static str {
        "mojibake"
    }

    fn about(&self) -> &'static str {
        "drops texts with replacement characters or with UTF-8 read as Latin-1 (cafÃ©)"
    }

    fn judge(&self, document: &Document, _: &Limits) -> Verdict {
        if document.text.is_ascii() {
            return Verdict::Keep;
        }
        let mut previous = ' ';
        for character in document.text.chars() {
            // The lead bytes C2, C3 as letters, followed by a continuation byte as a sign; and E2 80 in Windows-1252.
            let pair = matches!(previous, 'Ã' | 'Â') && ('\u{80}'..='\u{bf}').contains(&character);
            let quote = previous == 'â' && matches!(character, '€' | '\u{80}');
            if character == char::REPLACEMENT_CHARACTER || pair || quote {
                return Verdict::Drop("mojibake");
            }
            previous = character;
        }
        Verdict::Keep
    }
}
