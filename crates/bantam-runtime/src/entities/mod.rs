//! What a request names: order numbers, dates, amounts and addresses, found by pattern. A file for each kind.

mod amount;
mod date;
mod email;
mod order_number;
mod phone;
mod postcode;
mod tracking_number;

use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;

/// A stretch of text that names something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entity {
    /// What it is: `order_number`, `tracking_number`, `date`, `email`, `amount`, `postcode` or `phone`.
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

/// What a text must hold before a pattern is tried: most requests name nothing, and should cost nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    Digit,
    At,
}

/// How one kind is found, and brought into its usual form.
struct Finder {
    kind: &'static str,
    needs: Needs,
    /// Matched without Unicode classes. Where it has groups, the first one that took part is the entity.
    pattern: &'static str,
    /// The usual form; `None` for what only looked like one.
    usual: fn(&str) -> Option<String>,
}

/// The kinds. Of two that begin at the same place the longer wins, then the earlier in this list.
const FINDERS: &[Finder] = &[
    email::FINDER,
    tracking_number::FINDER,
    postcode::FINDER,
    phone::FINDER,
    order_number::FINDER,
    amount::FINDER,
    date::FINDER,
];

static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    // Without Unicode classes the patterns are small, and compile in a fraction of the time.
    let compile =
        |finder: &Finder| Regex::new(&format!("(?-u){}", finder.pattern)).expect("a test compiles every pattern");
    FINDERS.iter().map(compile).collect()
});

/// All entities of `text`, in its order, without overlaps.
pub fn entities_of(text: &str) -> Vec<Entity> {
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    let mut hits = Vec::new();
    for (rank, finder) in FINDERS.iter().enumerate() {
        let possible = match finder.needs {
            Needs::Nothing => true,
            Needs::Digit => has_digit,
            Needs::At => text.contains('@'),
        };
        if possible {
            for groups in PATTERNS[rank].captures_iter(text) {
                hits.extend(groups.iter().skip(1).flatten().next().or(groups.get(0)).map(|hit| (hit, rank)));
            }
        }
    }
    hits.sort_by_key(|&(hit, rank)| (hit.start(), std::cmp::Reverse(hit.end()), rank));
    let mut found: Vec<Entity> = Vec::new();
    for (hit, rank) in hits {
        let finder = &FINDERS[rank];
        if found.last().is_none_or(|last| last.end <= hit.start())
            && let Some(value) = (finder.usual)(hit.as_str())
        {
            let (text, start, end) = (hit.as_str().to_owned(), hit.start(), hit.end());
            found.push(Entity { kind: finder.kind, text, value, start, end });
        }
    }
    found
}

/// The ASCII digits of `text`.
fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Asserts that each text names exactly the one entity of `kind` with the value beside it, or none of that kind.
#[cfg(test)]
fn check(kind: &str, cases: &[(&str, Option<&str>)]) {
    for (text, expected) in cases {
        let found = entities_of(text);
        let values: Vec<&str> = found.iter().filter(|e| e.kind == kind).map(|e| e.value.as_str()).collect();
        assert_eq!(values, expected.iter().copied().collect::<Vec<_>>(), "{text}: {found:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_do_not_overlap_stand_in_order_and_quote_the_text() {
        let text = "Ünlucky! On 3 March I paid £20 for LF-100200, mail me@example.org or call 01632 960001 “thanks”";
        let found = entities_of(text);
        let kinds: Vec<&str> = found.iter().map(|entity| entity.kind).collect();
        assert_eq!(kinds, ["date", "amount", "order_number", "email", "phone"], "{found:?}");
        assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start), "{found:?}");
        assert!(found.iter().all(|entity| text[entity.start..entity.end] == entity.text));
        assert!(entities_of("where is my parcel").is_empty());
        assert!(entities_of("").is_empty());
    }

    #[test]
    fn the_longer_of_two_readings_wins() {
        check("date", &[("order 2026-03-14", Some("2026-03-14"))]);
        check("order_number", &[("order 2026-03-14", None), ("write to lf482913@example.org", None)]);
        check("postcode", &[("send it to Fresno CA 90210", Some("CA 90210"))]);
    }

    #[test]
    fn long_texts_take_time_in_proportion() {
        let start = std::time::Instant::now();
        for text in ["12 ".repeat(7000), "a@".repeat(10_000), "+0".repeat(10_000), "£1 ".repeat(6000)] {
            entities_of(&text);
        }
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    }
}
