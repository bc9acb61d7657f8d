//! Laws of filters, over the registry, and the cases that each filter's folder lists.

use bantam_corpus::filters::{FILTERS, Filter, Limits, Verdict, chosen};
use bantam_corpus::{Document, Source};
use proptest::prelude::*;

fn document(text: &str) -> Document {
    Document { id: "x".into(), text: text.into(), label: None, source: Source { file: "x".into(), line: 1 } }
}

fn judge(filter: &dyn Filter, text: &str) -> Verdict {
    filter.judge(&document(text), &Limits::default())
}

/// Two calls agree, and a rewritten text is left alone.
fn obeys_the_laws(filter: &dyn Filter, text: &str) {
    let verdict = judge(filter, text);
    assert_eq!(judge(filter, text), verdict, "{} is deterministic on {text:?}", filter.name());
    if let Verdict::Rewrite(rewritten) = verdict {
        assert_ne!(rewritten, text, "{} calls it Keep when nothing changes", filter.name());
        assert_eq!(judge(filter, &rewritten), Verdict::Keep, "{} on {text:?}", filter.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn any_text(text in any::<String>()) {
        FILTERS.iter().for_each(|filter| obeys_the_laws(*filter, &text));
    }

    #[test]
    fn text_made_to_provoke(text in "([0-9+() .@a-z-]|\u{301}|\u{200b}|\r|\n|\u{0}|\u{a0}|Ã|©|a@b.c|1.2.3.4|\u{2000}|\u{1100}\u{1161}){0,40}") {
        FILTERS.iter().for_each(|filter| obeys_the_laws(*filter, &text));
    }

    #[test]
    fn long_repetitive_text(words in prop::collection::vec("[ab]{1,2}\n?", 0..200)) {
        FILTERS.iter().for_each(|filter| obeys_the_laws(*filter, &words.join(" ")));
    }
}

#[test]
fn the_listed_cases_hold() {
    for filter in FILTERS {
        let path = format!("{}/src/filters/{}/cases.md", env!("CARGO_MANIFEST_DIR"), filter.name());
        let cases = std::fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{path}: {fault}"));
        let mut count = 0;
        for line in cases.lines().filter_map(|line| line.strip_prefix("- ")) {
            let (wanted, rest) = line.split_at(line.find('"').unwrap_or_else(|| panic!("{path}: {line}")));
            let mut texts = serde_json::Deserializer::from_str(rest).into_iter::<String>();
            let text = texts.next().and_then(Result::ok).unwrap_or_else(|| panic!("{path}: {line}"));
            let verdict = judge(*filter, &text);
            match wanted.trim().split_once(' ').unwrap_or((wanted.trim(), "")) {
                ("keep", _) => assert_eq!(verdict, Verdict::Keep, "{line}"),
                ("drop", reason) => {
                    assert!(matches!(verdict, Verdict::Drop(found) if found == reason), "{line}: {verdict:?}");
                }
                ("rewrite", _) => {
                    let (_, result) = rest.split_once(" -> ").unwrap_or_else(|| panic!("{path}: {line}"));
                    assert_eq!(verdict, Verdict::Rewrite(serde_json::from_str(result).unwrap()), "{line}");
                }
                other => panic!("{path}: {other:?}"),
            }
            count += 1;
        }
        assert!(count >= 3, "{path} lists {count} cases");
    }
}

#[test]
fn names_are_unique_and_choosable() {
    let names: Vec<String> = FILTERS.iter().map(|filter| filter.name().to_owned()).collect();
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), names.len());
    assert_eq!(chosen(Some(&names)).unwrap().len(), names.len());
    assert!(chosen(None).unwrap().iter().all(|filter| filter.name() != "contact"), "masking is asked for");
    let message = chosen(Some(&["langauge".to_owned()])).err().unwrap().to_string();
    assert!(message.contains("langauge") && message.contains("normalise"), "{message}");
    assert!(FILTERS.iter().all(|filter| !filter.about().is_empty()));
}

#[test]
fn length_follows_its_limits() {
    let length = FILTERS.iter().find(|filter| filter.name() == "length").unwrap();
    let limits = Limits { min_characters: 3, max_characters: 5 };
    for (text, verdict) in
        [("äö", Verdict::Drop("too-short")), ("äöü", Verdict::Keep), ("äöüäöü", Verdict::Drop("too-long"))]
    {
        assert_eq!(length.judge(&document(text), &limits), verdict);
    }
}
