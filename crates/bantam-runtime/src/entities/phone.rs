//! Telephone numbers: international with `+`, British with a leading 0, American in three groups.

use super::{Finder, Needs, digits};

pub(super) const FINDER: Finder = Finder {
    kind: "phone",
    needs: Needs::Digit,
    pattern: r"\+\d{1,3}(?:[\s().\-]{0,3}\d){7,12}\b|(?:\b0|\(0)(?:[\s().\-]{0,2}\d){9,10}\b|(?:\(\d{3}\)\s?|\b\d{3}[.\- ])\d{3}[.\- ]\d{4}\b",
    usual,
};

fn usual(text: &str) -> Option<String> {
    let plus = if text.starts_with('+') { "+" } else { "" };
    // In "+44 (0)20" the bracketed zero is not dialled from abroad.
    let number = if plus.is_empty() { digits(text) } else { digits(&text.replace("(0)", "")) };
    (10..=15).contains(&number.len()).then(|| format!("{plus}{number}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_lose_their_spaces_and_keep_their_country() {
        super::super::check(
            "phone",
            &[
                ("ring 07700 900123", Some("07700900123")),
                ("call (01632) 960 001 now", Some("01632960001")),
                ("+44 (0)20 7946 0958", Some("+442079460958")),
                ("+1 415-555-0132", Some("+14155550132")),
                ("(415) 555-0132", Some("4155550132")),
                ("415-555-0132", Some("4155550132")),
                ("it costs 0.50", None),
                ("order 12345", None),
            ],
        );
    }
}
