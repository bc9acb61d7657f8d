//! Order numbers: two or three letters with digits, digits after `#`, or digits that are called an order.

use super::{Finder, Needs, digits};

pub(super) const FINDER: Finder = Finder {
    kind: "order_number",
    needs: Needs::Digit,
    // Small letters before a space are a word ("to 90210"), unless the word order stands before them.
    pattern: r"(?i:\border(?:\s+(?:number|no\.?|id|ref(?:erence)?))?\s*(?:is|was|:)?\s*)(\#?\d{4,10}|(?i:[a-z]{2,3}[\- ]?\d{4,10}))\b|\b((?i:[a-z]{2,3}-?\d{5,9})|[A-Z]{2,3} \d{5,9})\b|(\#\d{4,10})\b",
    usual,
};

/// Words that stand before numbers in texts written in capitals.
const WORDS: &[&str] =
    &["AND", "ARE", "AT", "BUT", "BY", "FOR", "IN", "IS", "NO", "OF", "ON", "OR", "THE", "TO", "WAS"];

fn usual(text: &str) -> Option<String> {
    let letters: String = text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_uppercase();
    match letters.as_str() {
        "" => Some(digits(text)),
        word if WORDS.contains(&word) => None,
        letters => Some(format!("{letters}-{}", digits(text))),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_found_however_they_are_written() {
        super::super::check(
            "order_number",
            &[
                ("has LF-482913 left?", Some("LF-482913")),
                ("lf482913 any movement", Some("LF-482913")),
                ("order LF 310284", Some("LF-310284")),
                ("order lf 310284", Some("LF-310284")),
                ("my order #55120 is late", Some("55120")),
                ("#12345?", Some("12345")),
                ("order 12345", Some("12345")),
                ("my order number is 12345", Some("12345")),
                ("send it to 90210", None),
                ("SEND IT TO 90210", None),
                ("I will reorder 3 of them", None),
                ("order 12 of them", None),
            ],
        );
    }
}
