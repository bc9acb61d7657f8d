//! Curation as a whole, on texts whose fate is known beforehand.

use std::collections::{BTreeMap, HashSet};

use bantam_corpus::duplicates::{Fingerprint, NearIndex, NearOptions, Shingle};
use bantam_corpus::{
    ConflictRule, CurateOptions, Curated, Document, Error, Source, Warning, check_labels, curate, split, statistics,
};

fn documents(texts: &[(&str, &str)]) -> Vec<Document> {
    let document = |(index, (text, label)): (usize, &(&str, &str))| Document {
        id: format!("d{index}"),
        text: (*text).into(),
        label: (!label.is_empty()).then(|| (*label).into()),
        source: Source { file: "test".into(), line: index as u64 + 1 },
    };
    texts.iter().enumerate().map(document).collect()
}

fn ids(documents: &[Document]) -> Vec<&str> {
    documents.iter().map(|document| document.id.as_str()).collect()
}

fn reasons(curated: &Curated) -> Vec<(&str, &str, Option<&str>)> {
    curated
        .rejects
        .iter()
        .map(|reject| (reject.document.id.as_str(), reject.reason.as_str(), reject.of.as_deref()))
        .collect()
}

/// Texts of random words: far from each other.
fn random_texts(count: usize) -> Vec<String> {
    let mut state = 5u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let words: Vec<String> =
        (0..2_000).map(|_| (0..3 + next() % 6).map(|_| (b'a' + (next() % 26) as u8) as char).collect()).collect();
    (0..count).map(|_| (0..8).map(|_| words[next() % 2_000].as_str()).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn every_document_is_accounted_for() {
    let corpus = documents(&[
        ("Where is  my card?", "card"),                                // 0 rewritten, kept
        ("where is my card", "card"),                                  // 1 exact duplicate of 0
        ("", "card"),                                                  // 2 empty
        ("how do I get a new password for my account", "password"),    // 3 kept
        ("how do I get a new password for my account, x", "password"), // 4 near duplicate of 3
        ("close it", "card"),                                          // 5 conflict, two against one: kept
        ("Close it!", "card"),                                         // 6 exact duplicate of 5
        ("close it.", "account"),                                      // 7 conflict: dropped
        ("tell me the balance of my savings account", "balance"),      // 8 in the test data
        ("tell me the balance of my savings accounts", "balance"),     // 9 near the test data
        ("12345", "card"),                                             // 10 no letters
    ]);
    let held_out = documents(&[("Tell me the balance of my savings account!", "balance")]);
    let curated = curate(corpus.clone(), &held_out, &CurateOptions::default()).unwrap();
    assert_eq!(ids(&curated.kept), ["d0", "d3", "d5"]);
    assert_eq!(curated.kept[0].text, "Where is my card?");
    assert_eq!(
        reasons(&curated),
        [
            ("d2", "empty", None),
            ("d10", "no-letters", None),
            ("d7", "label-conflict", None),
            ("d1", "exact-duplicate", Some("d0")),
            ("d6", "exact-duplicate", Some("d5")),
            ("d4", "near-duplicate", Some("d3")),
            ("d9", "near-duplicate", Some("d8")),
            ("d8", "in-test-data", Some("d0")),
        ]
    );
    assert_eq!(curated.conflicts.len(), 1);
    assert_eq!(curated.conflicts[0].kept.as_deref(), Some("card"));
    let steps = &curated.funnel.steps;
    assert_eq!(steps[0].documents, corpus.len());
    assert!(steps.windows(2).all(|pair| pair[0].documents - pair[0].dropped == pair[1].documents));
    assert_eq!(steps.iter().map(|step| step.dropped).sum::<usize>(), curated.rejects.len());
    assert_eq!(steps.iter().find(|step| step.name == "normalise").unwrap().rewritten, 1);
    assert_eq!(steps.last().unwrap().reasons, BTreeMap::from([("in-test-data".to_owned(), 1)]));

    let without_near = CurateOptions { near: None, ..CurateOptions::default() };
    let curated = curate(corpus, &held_out, &without_near).unwrap();
    assert_eq!(ids(&curated.kept), ["d0", "d3", "d4", "d5", "d9"]);
}

#[test]
fn a_near_copy_of_the_test_data_leaks_whatever_its_label() {
    let corpus = documents(&[("please tell me the balance of my savings accounts", "a"), ("something else", "b")]);
    let held_out = documents(&[("please tell me the balance of my savings account", "c")]);
    let curated = curate(corpus, &held_out, &CurateOptions::default()).unwrap();
    assert_eq!(reasons(&curated), [("d0", "near-test-data", Some("d0"))]);
}

#[test]
fn conflicts_follow_the_rule() {
    let corpus = documents(&[
        ("close it", "b"),
        ("Close it", "a"),
        ("open it", "a"),
        ("close it?", "a"),
        ("x y", "a"),
        ("X y", "b"),
    ]);
    let kept = |rule| {
        let options = CurateOptions { conflicts: rule, exact: false, near: None, ..CurateOptions::default() };
        let curated = curate(corpus.clone(), &[], &options).unwrap();
        assert_eq!(curated.conflicts.len(), 2);
        assert_eq!(curated.conflicts[0].labels, BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]));
        ids(&curated.kept).join(" ")
    };
    assert_eq!(kept(ConflictRule::Majority), "d1 d2 d3");
    assert_eq!(kept(ConflictRule::First), "d0 d2 d4");
    assert_eq!(kept(ConflictRule::Drop), "d2");
    assert_eq!(kept(ConflictRule::Keep), "d0 d1 d2 d3 d4 d5");
}

#[test]
fn near_texts_of_different_labels_stay_and_are_reported() {
    let corpus = documents(&[
        ("I want to open the savings account today", "a"),
        ("I want to open the savings account today now", "b"),
    ]);
    let curated = curate(corpus, &[], &CurateOptions::default()).unwrap();
    assert_eq!(curated.kept.len(), 2);
    assert_eq!(curated.near_conflicts, [("d0".to_owned(), "d1".to_owned())]);
}

#[test]
fn similarity_is_the_true_jaccard() {
    let options = NearOptions { shingle: Shingle::Words(2), ..NearOptions::default() };
    let print = |text: &str| Fingerprint::of(text, &options);
    // {a b, b c, c d} and {a b, b c, c e}: two of four. One word alone is its own shingle.
    assert_eq!(print("a b c d").similarity(&print("A b, c e")), 0.5);
    assert_eq!(print("a").similarity(&print("a")), 1.0);
    assert_eq!(print("a").similarity(&print("b")), 0.0);
    assert_eq!(print("").similarity(&print(" ")), 1.0);
    // abcd bcde cdef against abcd bcde cdeX: two of four.
    let options = NearOptions { shingle: Shingle::Characters(4), ..NearOptions::default() };
    let print = |text: &str| Fingerprint::of(text, &options);
    assert_eq!(print("abcdef").similarity(&print("abcdex")), 0.5);
    assert_eq!(print("grüße!").similarity(&print("GRÜSSE")), 0.0);
}

#[test]
fn the_index_finds_what_comparing_all_pairs_finds() {
    let options = NearOptions::default();
    let mut texts = random_texts(300);
    for index in 0..150 {
        // Lengthened by one to four letters: similarities above and below the threshold.
        let copy = format!("{}{}", texts[index], &"wxyz"[..1 + index % 4]);
        texts.push(copy);
    }
    let prints: Vec<Fingerprint> = texts.iter().map(|text| Fingerprint::of(text, &options)).collect();
    let mut index = NearIndex::new(&options);
    let (mut pairs, mut found) = (0, 0);
    for (at, print) in prints.iter().enumerate() {
        let best = (0..at).map(|other| print.similarity(&prints[other])).fold(0.0, f64::max);
        let near = index.nearest(print);
        if let Some(near) = near {
            assert_eq!(near.similarity, print.similarity(&prints[near.index]));
            assert!(near.similarity >= options.threshold);
        }
        pairs += usize::from(best >= options.threshold);
        found += usize::from(near.is_some());
        index.insert(print.clone());
    }
    assert!(pairs >= 140, "{pairs} pairs were made");
    // Each pair is missed with probability 0.0005 at the threshold.
    assert_eq!(found, pairs);
}

#[test]
fn twenty_thousand_short_texts_take_under_a_second_on_one_core() {
    let texts = random_texts(20_000);
    let options = NearOptions::default();
    let started = std::time::Instant::now();
    let mut index = NearIndex::new(&options);
    for text in &texts {
        let print = Fingerprint::of(text, &options);
        if index.nearest(&print).is_none() {
            index.insert(print);
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    assert!(seconds < 1.0, "{seconds} s");
}

#[test]
fn curation_gives_the_same_on_any_number_of_threads() {
    let texts = random_texts(500);
    let pairs: Vec<(&str, &str)> =
        texts.iter().enumerate().map(|(at, text)| (text.as_str(), ["a", "b"][at % 2])).collect();
    let mut corpus = documents(&pairs);
    corpus.extend(corpus.clone());
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let curated = pool.install(|| curate(corpus.clone(), &corpus[..50], &CurateOptions::default()).unwrap());
        (curated.kept, curated.rejects, curated.funnel)
    };
    assert!(run(1) == run(4));
}

#[test]
fn options_out_of_range_are_refused() {
    for near in [
        NearOptions { threshold: 0.0, ..NearOptions::default() },
        NearOptions { threshold: f64::NAN, ..NearOptions::default() },
        NearOptions { bands: 0, ..NearOptions::default() },
        NearOptions { shingle: Shingle::Words(0), ..NearOptions::default() },
    ] {
        let options = CurateOptions { near: Some(near), ..CurateOptions::default() };
        assert!(matches!(curate(Vec::new(), &[], &options), Err(Error::BadOption { .. })));
    }
    assert!(split(Vec::new(), 1.0, 0).is_err());
}

#[test]
fn splits_are_stratified_and_stable() {
    let texts: Vec<(String, &str)> =
        (0..100).map(|at| (format!("text {at}"), if at < 80 { "many" } else { "few" })).collect();
    let mut pairs: Vec<(&str, &str)> = texts.iter().map(|(text, label)| (text.as_str(), *label)).collect();
    pairs.extend([("one of a kind", "single"), ("two a", "pair"), ("two b", "pair")]);
    let corpus = documents(&pairs);
    let (rest, held) = split(corpus.clone(), 0.1, 7).unwrap();
    let count = statistics(&held).labels;
    assert_eq!(count, BTreeMap::from([("few".to_owned(), 2), ("many".to_owned(), 8), ("pair".to_owned(), 1)]));
    assert_eq!(rest.len() + held.len(), corpus.len());
    let all: HashSet<&str> = ids(&rest).into_iter().chain(ids(&held)).collect();
    assert_eq!(all.len(), corpus.len());
    let mut shuffled = corpus.clone();
    shuffled.reverse();
    let again: HashSet<String> = split(shuffled, 0.1, 7).unwrap().1.into_iter().map(|document| document.id).collect();
    assert_eq!(again, held.iter().map(|document| document.id.clone()).collect(), "order does not matter");
    assert_ne!(ids(&split(corpus.clone(), 0.1, 8).unwrap().1), ids(&held), "the seed does");
    assert!(split(corpus, 0.0, 7).unwrap().1.is_empty());
}

#[test]
fn statistics_and_checks() {
    let corpus = documents(&[("a b", "x"), ("abc", "x"), ("abcd e f", "Y one"), ("a", "y-one")]);
    let found = statistics(&corpus);
    assert_eq!((found.documents, found.unlabelled, found.labels["x"]), (4, 0, 2));
    assert_eq!(
        (found.characters.least, found.characters.median, found.characters.p95, found.characters.most),
        (1, 3, 8, 8)
    );
    assert_eq!(found.words.mean, 7.0 / 4.0);
    let warnings = check_labels(&corpus, 2).unwrap();
    assert_eq!(warnings.len(), 3);
    assert!(matches!(&warnings[2], Warning::AlikeLabels { label, other } if label == "Y one" && other == "y-one"));
    assert!(warnings[0].to_string().contains("has 1 examples"));
    assert!(matches!(
        check_labels(&documents(&[("a", "x"), ("b", "x")]), 1),
        Err(Error::TooFewLabels { found: 1, .. })
    ));
    let message = check_labels(&documents(&[("a", "x"), ("b", "")]), 1).unwrap_err().to_string();
    assert!(message.contains("1 documents have no label, the first at test:2"), "{message}");
    assert!(matches!(check_labels(&[], 1), Err(Error::TooFewLabels { found: 0, .. })));
}
