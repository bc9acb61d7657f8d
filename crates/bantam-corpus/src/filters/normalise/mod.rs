//! Gives the same text one spelling.

use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::{Filter, Limits, Verdict};
use crate::Document;

/// Unicode composition, blanks and control characters.
pub(super) struct Normalise;

impl Filter for Normalise {
    fn name(&self) -> &'static str {
        "normalise"
    }

    fn about(&self) -> &'static str {
        "composes letters (NFC), joins blanks, removes control and invisible characters"
    }

    fn judge(&self, document: &Document, _: &Limits) -> Verdict {
        let text = normalised(&document.text);
        if text == document.text { Verdict::Keep } else { Verdict::Rewrite(text) }
    }
}

/// One space between words, no blanks at the ends of lines, at most one empty line between lines.
fn normalised(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\r' | '\n' | '\u{2028}' | '\u{2029}' => visible.push('\n'),
            // Invisible; the joiners U+200C and U+200D stay, since scripts and emoji need them.
            '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => {}
            blank if blank.is_whitespace() => visible.push(' '),
            control if control.is_control() => {}
            other => visible.push(other),
        }
    }
    let composed = if is_nfc(&visible) { visible } else { visible.nfc().collect() };
    let mut result = String::with_capacity(composed.len());
    let mut line_ends = 0;
    for line in composed.split('\n') {
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        if let Some(first) = words.next() {
            if !result.is_empty() {
                result.push_str(if line_ends > 1 { "\n\n" } else { "\n" });
            }
            result.push_str(first);
            for word in words {
                result.push(' ');
                result.push_str(word);
            }
            line_ends = 0;
        }
        line_ends += 1;
    }
    result
}
