//! Numbers of carriers: UPS, postal unions (two letters, nine digits, the country), and what is called a tracking number.

use super::{Finder, Needs};

pub(super) const FINDER: Finder = Finder {
    kind: "tracking_number",
    needs: Needs::Digit,
    pattern: r"(?i)\b(1Z[0-9A-Z]{16})\b|\b([A-Z]{2}\s?\d{9}\s?[A-Z]{2})\b|\btracking(?:\s+(?:number|no\.?|id|code|reference|ref))?\s*(?:is|was|:|\#)?\s*([A-Z0-9]{8,30})\b",
    usual,
};

fn usual(text: &str) -> Option<String> {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    (digits >= 6).then(|| text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    #[test]
    fn carriers_numbers_are_found_with_and_without_the_word() {
        super::super::check(
            "tracking_number",
            &[
                ("1Z999AA10123456784 is stuck", Some("1Z999AA10123456784")),
                ("royal mail ab123456789gb", Some("AB123456789GB")),
                ("tracking number is 1234567890123", Some("1234567890123")),
                ("tracking: JJD0002233445566", Some("JJD0002233445566")),
                ("tracking information", None),
                ("where can I see tracking", None),
            ],
        );
    }
}
