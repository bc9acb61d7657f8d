//! Postcodes of the United Kingdom, and ZIP codes of the United States that follow a state or are called so.

use super::{Finder, Needs};

pub(super) const FINDER: Finder = Finder {
    kind: "postcode",
    needs: Needs::Digit,
    // The last two letters of a British postcode are never C, I, K, M, O or V.
    pattern: r"\b([A-Z]{1,2}\d[A-Z\d]?\s?\d[ABD-HJLNP-UW-Z]{2}|[a-z]{1,2}\d[a-z\d]?\s\d[abd-hjlnp-uw-z]{2})\b|\b((?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY])\s+\d{5}(?:-\d{4})?)\b|(?i:\bzip(?:\s?code)?\s*(?:is|:)?\s*)(\d{5}(?:-\d{4})?)\b",
    usual,
};

fn usual(text: &str) -> Option<String> {
    if text.as_bytes().last().is_some_and(u8::is_ascii_digit) {
        return Some(text.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
    }
    // "flat b2 3rd floor" is no postcode.
    let is_ordinal = ["1st", "2nd", "3rd", "th"].iter().any(|end| text.ends_with(end));
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_uppercase();
    let (outward, inward) = compact.split_at_checked(compact.len().checked_sub(3)?)?;
    (!is_ordinal).then(|| format!("{outward} {inward}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn british_and_american_codes_are_told_from_other_numbers() {
        super::super::check(
            "postcode",
            &[
                ("we moved to SW1A 1AA", Some("SW1A 1AA")),
                ("m11ae or M11AE", Some("M1 1AE")),
                ("ship to ls2 9jt please", Some("LS2 9JT")),
                ("flat b2 3rd floor", None),
                ("Austin, TX 78701-1234", Some("TX 78701-1234")),
                ("my zip code is 90210", Some("90210")),
                ("I have 90210 points", None),
            ],
        );
    }
}
