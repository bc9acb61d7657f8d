//! What a request names: order numbers, dates, amounts and addresses, found by pattern.

use std::sync::OnceLock;

use regex::Regex;
use serde::Serialize;

/// A stretch of text that names something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entity {
    /// What it is: `order_number`, `date`, `email`, `amount`, `postcode` or `phone`.
    pub kind: &'static str,
    /// As it stands in the text.
    pub text: String,
    /// In its usual form: `LF-482913` for `lf482913`.
    pub value: String,
    /// First byte in the text.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// How one kind is found, and brought into its usual form.
struct Finder {
    kind: &'static str,
    pattern: &'static str,
    usual: fn(&str) -> String,
}

/// The kinds, the surest first: where two overlap, the earlier wins.
const FINDERS: &[Finder] = &[
    Finder {
        kind: "email",
        pattern: r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)*\.[A-Za-z]{2,}",
        usual: str::to_lowercase,
    },
    Finder { kind: "order_number", pattern: r"(?i)\b[a-z]{2,3}[\- ]?\d{5,9}\b|#\d{4,10}\b", usual: order_number },
    Finder {
        kind: "amount",
        pattern: r"[£$€]\s?\d+(?:,\d{3})*(?:\.\d{1,2})?\b|\b\d+(?:\.\d{2})?\s?(?:pounds|quid|euros?|dollars?|GBP|EUR|USD)\b",
        usual: str::to_owned,
    },
    Finder {
        kind: "date",
        pattern: r"(?ix)\b(?:
            \d{4}-\d{2}-\d{2}
            | \d{1,2}[/.]\d{1,2}[/.]\d{2,4}
            | \d{1,2}(?:st|nd|rd|th)?\s+(?:of\s+)?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)[a-z]*(?:\s+\d{4})?
            | (?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)[a-z]*\s+\d{1,2}(?:st|nd|rd|th)?(?:,?\s+\d{4})?
            | (?:(?:last|next|this|on)\s+)?(?:mon|tues|wednes|thurs|fri|satur|sun)day
            | yesterday | today | tomorrow | tonight | last\s+week | next\s+week
            | the\s+\d{1,2}(?:st|nd|rd|th)
        )\b",
        usual: str::to_lowercase,
    },
    Finder { kind: "postcode", pattern: r"\b[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}\b", usual: str::to_owned },
    Finder { kind: "phone", pattern: r"(?:\+\d{1,3}[\s\-]?|\b0)\d{2,4}[\s\-]?\d{3,4}[\s\-]?\d{3,4}\b", usual: digits },
];

/// All entities of `text`, in its order, without overlaps.
pub fn entities_of(text: &str) -> Vec<Entity> {
    // All kinds but weekdays and the like need a digit or an `@`; most requests have neither.
    static PATTERNS: OnceLock<Vec<Regex>> = OnceLock::new();
    let patterns = PATTERNS.get_or_init(|| {
        FINDERS.iter().map(|finder| Regex::new(finder.pattern).expect("the patterns are tested")).collect()
    });
    let mut found: Vec<Entity> = Vec::new();
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    for (finder, pattern) in FINDERS.iter().zip(patterns) {
        let possible = match finder.kind {
            "email" => text.contains('@'),
            "date" => true,
            _ => has_digit,
        };
        if !possible {
            continue;
        }
        for hit in pattern.find_iter(text) {
            if found.iter().all(|other| hit.end() <= other.start || hit.start() >= other.end) {
                let (text, value) = (hit.as_str().to_owned(), (finder.usual)(hit.as_str()));
                found.push(Entity { kind: finder.kind, text, value, start: hit.start(), end: hit.end() });
            }
        }
    }
    found.sort_by_key(|entity| entity.start);
    found
}

fn order_number(text: &str) -> String {
    let letters: String = text.chars().filter(char::is_ascii_alphabetic).collect();
    let number = digits(text);
    if letters.is_empty() { number } else { format!("{}-{number}", letters.to_uppercase()) }
}

fn digits(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_found_in_its_usual_forms() {
        let cases = [
            ("has LF-482913 left?", "order_number", "LF-482913"),
            ("lf482913 any movement", "order_number", "LF-482913"),
            ("order LF 310284", "order_number", "LF-310284"),
            ("my order #55120 is late", "order_number", "55120"),
            ("refunded £18.50 only", "amount", "£18.50"),
            ("you owe me 15 quid", "amount", "15 quid"),
            ("bought on 3 March", "date", "3 march"),
            ("paid 2026-03-14", "date", "2026-03-14"),
            ("on the 14th of march", "date", "14th of march"),
            ("deliver it next Tuesday", "date", "next tuesday"),
            ("it came yesterday", "date", "yesterday"),
            ("write to P.Whitcombe@Example.org", "email", "p.whitcombe@example.org"),
            ("we moved to SW1A 1AA", "postcode", "SW1A 1AA"),
            ("ring 07700 900123", "phone", "07700900123"),
        ];
        for (text, kind, value) in cases {
            let found = entities_of(text);
            assert!(found.iter().any(|e| e.kind == kind && e.value == value), "{text}: {found:?}");
        }
    }

    #[test]
    fn entities_do_not_overlap_stand_in_order_and_quote_the_text() {
        let text = "On 3 March I paid £20 for LF-100200, mail me@example.org or call 01632 960001";
        let found = entities_of(text);
        assert!(found.len() >= 5, "{found:?}");
        assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start), "{found:?}");
        assert!(found.iter().all(|entity| text[entity.start..entity.end] == entity.text));
        assert!(entities_of("where is my parcel").is_empty());
    }
}
