//! E-mail addresses.

use super::{Finder, Needs};

pub(super) const FINDER: Finder = Finder {
    kind: "email",
    needs: Needs::At,
    pattern: r"\b[A-Za-z0-9][A-Za-z0-9._%+\-]{0,63}@[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63}){0,8}\.[A-Za-z]{2,24}\b",
    usual: |text| Some(text.to_ascii_lowercase()),
};

#[cfg(test)]
mod tests {
    #[test]
    fn addresses_end_before_the_sentence_does() {
        super::super::check(
            "email",
            &[
                ("write to P.Whitcombe@Example.org.", Some("p.whitcombe@example.org")),
                ("me+shop@mail.example.co.uk, please", Some("me+shop@mail.example.co.uk")),
                ("meet me @ noon", None),
                ("@example", None),
                ("me@localhost", None),
            ],
        );
    }
}
