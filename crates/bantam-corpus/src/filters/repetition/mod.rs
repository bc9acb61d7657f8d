//! Drops texts that say the same again and again.
//!
//! For documents of 50 words and more, the rules of Gopher (Rae et al., 2021, table A1) on lines and word n-grams, as
//! published in datatrove; for shorter ones, which those rules do not fit, only a sign or word many times in a row.

use std::collections::{HashMap, HashSet};

use super::{Filter, Limits, Verdict};
use crate::Document;

/// Repeated signs, words, lines and phrases.
pub(super) struct Repetition;

impl Filter for Repetition {
    fn name(&self) -> &'static str {
        "repetition"
    }

    fn about(&self) -> &'static str {
        "drops texts with runs of one sign or word, and long ones with repeated lines or phrases (Gopher)"
    }

    fn judge(&self, document: &Document, _: &Limits) -> Verdict {
        let text = document.text.as_str();
        if longest_run(text.chars().filter(|sign| sign.is_alphanumeric())) >= SIGNS_IN_A_ROW {
            return Verdict::Drop("repeated-sign");
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        if longest_run(words.iter().filter(|word| word.contains(char::is_alphabetic))) >= WORDS_IN_A_ROW {
            return Verdict::Drop("repeated-word");
        }
        if words.len() < GOPHER_WORDS {
            return Verdict::Keep;
        }
        if repeats_lines(text) {
            return Verdict::Drop("repeated-lines");
        }
        let characters = words.iter().map(|word| word.chars().count()).collect::<Vec<_>>();
        let total: usize = characters.iter().sum::<usize>() + words.len() - 1;
        let above = |share: f64, part: usize| part as f64 > share * total as f64;
        let top = [(2, 0.20), (3, 0.18), (4, 0.16)];
        let duplicated = [(5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10)];
        if top.iter().any(|&(length, share)| above(share, top_ngram(&words, &characters, length)))
            || duplicated.iter().any(|&(length, share)| above(share, duplicated_ngrams(&words, &characters, length)))
        {
            return Verdict::Drop("repeated-phrases");
        }
        Verdict::Keep
    }
}

const SIGNS_IN_A_ROW: usize = 16;
const WORDS_IN_A_ROW: usize = 6;
const GOPHER_WORDS: usize = 50;

fn longest_run<T: PartialEq>(items: impl Iterator<Item = T>) -> usize {
    let (mut longest, mut run, mut previous) = (0, 0, None);
    for item in items {
        run = if previous.as_ref() == Some(&item) { run + 1 } else { 1 };
        longest = longest.max(run);
        previous = Some(item);
    }
    longest
}

/// More than 30 % of the lines, or of the characters in lines more than 20 %, stood before.
fn repeats_lines(text: &str) -> bool {
    let mut seen = HashSet::new();
    let (mut lines, mut repeated, mut repeated_bytes) = (0usize, 0usize, 0usize);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        lines += 1;
        if !seen.insert(line) {
            repeated += 1;
            repeated_bytes += line.len();
        }
    }
    repeated as f64 > 0.30 * lines as f64 || repeated_bytes as f64 > 0.20 * text.len() as f64
}

/// Characters covered by the occurrences of the most frequent n-gram that occurs more than once.
fn top_ngram(words: &[&str], characters: &[usize], length: usize) -> usize {
    let mut counts: HashMap<&[&str], (usize, usize)> = HashMap::new();
    for (at, ngram) in words.windows(length).enumerate() {
        let size = characters[at..at + length].iter().sum::<usize>() + length - 1;
        counts.entry(ngram).or_insert((0, size)).0 += 1;
    }
    counts.values().filter(|(count, _)| *count > 1).map(|(count, size)| count * size).max().unwrap_or(0)
}

/// Characters covered by n-grams that stood before, none counted twice.
fn duplicated_ngrams(words: &[&str], characters: &[usize], length: usize) -> usize {
    let mut seen = HashSet::new();
    let (mut covered, mut at) = (0, 0);
    while at + length <= words.len() {
        if seen.insert(&words[at..at + length]) {
            at += 1;
        } else {
            covered += characters[at..at + length].iter().sum::<usize>();
            at += length;
        }
    }
    covered
}
