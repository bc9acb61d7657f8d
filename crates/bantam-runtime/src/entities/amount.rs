//! Sums of money: a sign or a word of a currency with a number.

use super::{Finder, Needs};

pub(super) const FINDER: Finder = Finder {
    kind: "amount",
    needs: Needs::Digit,
    pattern: r"(?i)(?:£|\$|€)\s?\d+(?:,\d{3})*(?:\.\d{1,2})?\b|\b\d+(?:,\d{3})*(?:\.\d{1,2})?\s?(?:pounds?|quid|euros?|dollars?|bucks|pence|cents|gbp|eur|usd)\b|\b\d+(?:,\d{3})*(?:\.\d{1,2})?\s?€|\b\d{1,2}p\b",
    usual,
};

/// `GBP 34.99`: the code of ISO 4217 and the number.
fn usual(text: &str) -> Option<String> {
    let number: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    let word: String = text.chars().filter(|c| c.is_alphabetic() || "£$€".contains(*c)).collect();
    let (code, is_hundredth) = match word.to_lowercase().as_str() {
        "£" | "pound" | "pounds" | "quid" | "gbp" => ("GBP", false),
        "$" | "dollar" | "dollars" | "bucks" | "usd" => ("USD", false),
        "€" | "euro" | "euros" | "eur" => ("EUR", false),
        "p" | "pence" => ("GBP", true),
        "cents" => ("USD", true),
        _ => return None,
    };
    if is_hundredth {
        let count: u64 = number.parse().ok()?;
        return Some(format!("{code} {}.{:02}", count / 100, count % 100));
    }
    Some(format!("{code} {number}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn sums_get_the_code_of_their_currency() {
        super::super::check(
            "amount",
            &[
                ("refunded £18.50 only", Some("GBP 18.50")),
                ("£1,234.56", Some("GBP 1234.56")),
                ("you owe me 15 quid", Some("GBP 15")),
                ("it was $5.", Some("USD 5")),
                ("20 euros", Some("EUR 20")),
                ("cost 12.99 €", Some("EUR 12.99")),
                ("only 50p", Some("GBP 0.50")),
                ("2 parcels", None),
                ("1080p screen", None),
            ],
        );
    }
}
