//! Masks e-mail addresses, telephone numbers and network addresses.
//!
//! A pattern finds the form, not the person: names and street addresses stay. Off by default, since a task may need the
//! numbers.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::{Filter, Limits, Verdict};
use crate::Document;

/// Contact data.
pub(super) struct Contact;

impl Filter for Contact {
    fn name(&self) -> &'static str {
        "contact"
    }

    fn about(&self) -> &'static str {
        "masks e-mail addresses, telephone numbers and IPv4 addresses"
    }

    fn on_by_default(&self) -> bool {
        false
    }

    fn judge(&self, document: &Document, _: &Limits) -> Verdict {
        let mut text = Cow::Borrowed(document.text.as_str());
        for (pattern, mask) in PATTERNS.iter() {
            if let Cow::Owned(masked) = pattern.replace_all(&text, *mask) {
                text = Cow::Owned(masked);
            }
        }
        match text {
            Cow::Borrowed(_) => Verdict::Keep,
            Cow::Owned(masked) => Verdict::Rewrite(masked),
        }
    }
}

/// Addresses before numbers: the digits of an address are no telephone. A telephone number has 9 to 15 digits (E.164).
static PATTERNS: LazyLock<[(Regex, &str); 3]> = LazyLock::new(|| {
    let pattern = |text| Regex::new(text).expect("the patterns are fixed");
    [
        (pattern(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"), "[email]"),
        (pattern(r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b"), "[address]"),
        (pattern(r"(?:\+|\b)[0-9](?:[ ().-]{0,2}[0-9]){8,14}\b"), "[phone]"),
    ]
});
