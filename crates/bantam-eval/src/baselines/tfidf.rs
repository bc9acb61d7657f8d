//! TF-IDF of words and of character n-grams within words, as scikit-learn computes it.
//!
//! Each analyser's part is `(1 + ln count) * (ln((1 + texts) / (1 + texts with it)) + 1)`, brought to length 1 by itself, like a
//! `FeatureUnion` of two `TfidfVectorizer(sublinear_tf=True)`. A term is known by a 64-bit hash of its characters: no string is
//! kept or compared, and two of 100,000 terms share a hash once in three billion vocabularies.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// What a text is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Analyser {
    /// Runs of two or more letters, digits and underscores, alone and in pairs of neighbours.
    Words,
    /// 2 to 5 characters in a row within a blank-separated word that has a blank put at either end.
    Characters,
    /// Two runs of letters, digits and underscores in their order with up to 6 others between, where the ends of the text count as runs.
    /// They are many, so that a pair counts from its second text on.
    Pairs,
}

const SHORTEST: usize = 2;
const LONGEST: usize = 5;
/// How far apart the words of a pair may be: 1 for neighbours.
const REACH: usize = 7;

impl Analyser {
    /// The hashes of all terms of a text, repetitions included.
    pub fn terms(self, text: &str) -> Vec<u64> {
        let text: Vec<char> = text.to_lowercase().chars().collect();
        let mut terms = Vec::new();
        match self {
            Self::Words => words(&text, &mut terms),
            Self::Characters => text.split(|c| c.is_whitespace()).for_each(|word| character_runs(word, &mut terms)),
            Self::Pairs => pairs(&text, &mut terms),
        }
        terms
    }

    /// The number of texts that make a term known.
    fn least_texts(self) -> u32 {
        if self == Self::Pairs { 2 } else { 1 }
    }
}

fn words(text: &[char], terms: &mut Vec<u64>) {
    let mut previous = None;
    let runs = text.split(|&c| !(c.is_alphanumeric() || c == '_'));
    for word in runs.filter(|run| run.len() >= 2) {
        let hash = word_hash(word);
        terms.push(hash);
        if let Some(previous) = previous {
            terms.push(word.iter().fold(extend(previous, &' '), extend));
        }
        previous = Some(hash);
    }
}

fn pairs(text: &[char], terms: &mut Vec<u64>) {
    let runs = text.split(|&c| !(c.is_alphanumeric() || c == '_')).filter(|run| !run.is_empty());
    let words: Vec<&[char]> = [&['^'][..]].into_iter().chain(runs).chain([&['$'][..]]).collect();
    for (index, word) in words.iter().enumerate() {
        let first = extend(word.iter().fold(PAIRS, extend), &' ');
        let second = |other: &&[char]| other.iter().fold(first, extend);
        terms.extend(words[index + 1..].iter().take(REACH).map(second));
    }
}

fn character_runs(word: &[char], terms: &mut Vec<u64>) {
    if word.is_empty() {
        return;
    }
    let padded: Vec<char> = std::iter::once(' ').chain(word.iter().copied()).chain(std::iter::once(' ')).collect();
    for start in 0..padded.len() {
        let mut hash = CHARACTERS;
        for (length, character) in (1..=LONGEST).zip(&padded[start..]) {
            hash = extend(hash, character);
            if length >= SHORTEST {
                terms.push(hash);
            }
        }
    }
}

/// Where the hashes of each analyser's terms begin, so that `at` the word is not `at` the run.
const WORDS: u64 = 0x9E37_79B9_7F4A_7C15;
const PAIRS: u64 = 0xD6E8_FEB8_6659_FD93;
const CHARACTERS: u64 = 0xC2B2_AE3D_27D4_EB4F;

/// The hash of a word alone.
pub(super) fn word_hash(word: &[char]) -> u64 {
    word.iter().fold(WORDS, extend)
}

/// Adds a character to a hash: multiplication spreads it upwards, the shift brings it back down.
fn extend(hash: u64, character: &char) -> u64 {
    let mixed = (hash ^ u64::from(u32::from(*character))).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 29)
}

/// A fitted vocabulary with the weight of each term.
#[derive(Debug, Clone, PartialEq)]
pub struct Tfidf {
    /// Their parts stand side by side in a row.
    analysers: Vec<Analyser>,
    hashes: Vec<u64>,
    weights: Vec<f32>,
    /// Open addressing: where the low bits of a hash lead, its column, or `FREE`. At most half full.
    slots: Vec<u32>,
}

const FREE: u32 = u32::MAX;

impl Tfidf {
    /// Learns the vocabulary of `texts` and how rare each term is. Frequent terms get the first columns, so that what is used most lies
    /// together in memory.
    pub fn fit(texts: &[&str], analysers: &[Analyser]) -> Self {
        let mut terms: Vec<(u64, u32)> = Vec::new();
        for &analyser in analysers {
            let mut frequencies: HashMap<u64, u32> = HashMap::new();
            for text in texts {
                let mut terms = analyser.terms(text);
                terms.sort_unstable();
                terms.dedup();
                terms.into_iter().for_each(|term| *frequencies.entry(term).or_default() += 1);
            }
            terms.extend(frequencies.into_iter().filter(|&(_, frequency)| frequency >= analyser.least_texts()));
        }
        terms.sort_unstable_by_key(|&(hash, frequency)| (std::cmp::Reverse(frequency), hash));
        let count = texts.len() as f64;
        let weight = |frequency: u32| (((1.0 + count) / (1.0 + f64::from(frequency))).ln() + 1.0) as f32;
        let (hashes, weights) = terms.into_iter().map(|(hash, frequency)| (hash, weight(frequency))).unzip();
        Self::from_parts(analysers.to_vec(), hashes, weights)
    }

    /// A vocabulary from the parts of another ([`Tfidf::analysers`], [`Tfidf::hashes`], [`Tfidf::weights`]).
    ///
    /// # Panics
    /// When the two differ in length.
    pub fn from_parts(analysers: Vec<Analyser>, hashes: Vec<u64>, weights: Vec<f32>) -> Self {
        assert_eq!(hashes.len(), weights.len(), "{} hashes and {} weights", hashes.len(), weights.len());
        let mut slots = vec![FREE; (hashes.len() * 2).next_power_of_two().max(2)];
        for (column, &hash) in hashes.iter().enumerate() {
            let mut slot = hash as usize & (slots.len() - 1);
            while slots[slot] != FREE {
                slot = (slot + 1) & (slots.len() - 1);
            }
            slots[slot] = column as u32;
        }
        Self { analysers, hashes, weights, slots }
    }

    /// What texts are cut into.
    pub fn analysers(&self) -> &[Analyser] {
        &self.analysers
    }

    /// The hash of each column's term.
    pub fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    /// The inverse document frequency of each column's term.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// How many terms are known.
    pub fn width(&self) -> usize {
        self.hashes.len()
    }

    /// The row of a text: rising columns, and values whose squares sum to 1 for each analyser that found a known term.
    pub fn transform(&self, text: &str) -> Vec<(u32, f32)> {
        let mut row: Vec<(u32, f32)> = Vec::new();
        for analyser in &self.analysers {
            let mut columns: Vec<u32> = analyser.terms(text).into_iter().filter_map(|term| self.column(term)).collect();
            columns.sort_unstable();
            let first = row.len();
            for equals in columns.chunk_by(|a, b| a == b) {
                let frequency = 1.0 + (equals.len() as f32).ln();
                row.push((equals[0], frequency * self.weights[equals[0] as usize]));
            }
            let length = row[first..].iter().map(|(_, value)| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            row[first..].iter_mut().for_each(|(_, value)| *value = (f64::from(*value) / length) as f32);
        }
        row.sort_unstable_by_key(|(column, _)| *column);
        row
    }

    fn column(&self, hash: u64) -> Option<u32> {
        let mut slot = hash as usize & (self.slots.len() - 1);
        while self.slots[slot] != FREE {
            if self.hashes[self.slots[slot] as usize] == hash {
                return Some(self.slots[slot]);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: [Analyser; 2] = [Analyser::Words, Analyser::Characters];

    fn word(text: &str) -> u64 {
        text.chars().fold(WORDS, |hash, c| extend(hash, &c))
    }

    fn run(text: &str) -> u64 {
        text.chars().fold(CHARACTERS, |hash, c| extend(hash, &c))
    }

    #[test]
    fn words_of_two_letters_and_their_pairs() {
        let terms = Analyser::Words.terms("I can't PAY_1 é2!");
        assert_eq!(terms, ["can", "pay_1", "can pay_1", "é2", "pay_1 é2"].map(word));
        assert!(Analyser::Words.terms("?").is_empty());
    }

    #[test]
    fn pairs_keep_their_order_and_reach_over_other_words() {
        let (one, two) = ("a b", "b x x x x x x x a");
        let pair = |text: &str| text.chars().fold(PAIRS, |hash, c| extend(hash, &c));
        let mut terms = Analyser::Pairs.terms(one);
        let mut expected = ["^ a", "^ b", "^ $", "a b", "a $", "b $"].map(pair);
        terms.sort_unstable();
        expected.sort_unstable();
        assert_eq!(terms, expected);
        let far = Analyser::Pairs.terms(two);
        assert!(far.contains(&pair("b x")) && far.contains(&pair("x a")) && !far.contains(&pair("b a")));
        let tfidf = Tfidf::fit(&[one, two], &[Analyser::Pairs]);
        assert!(
            tfidf.column(pair("a $")).is_some() && tfidf.column(pair("a b")).is_none(),
            "`a b` is in one text only"
        );
    }

    #[test]
    fn runs_of_characters_stay_within_words() {
        let mut terms = Analyser::Characters.terms(" a\t Bcd ");
        let mut expected = vec![" a", "a ", " a "];
        expected.extend([" b", "bc", "cd", "d ", " bc", "bcd", "cd ", " bcd", "bcd ", " bcd "]);
        let mut expected: Vec<u64> = expected.into_iter().map(run).collect();
        terms.sort_unstable();
        expected.sort_unstable();
        assert_eq!(terms, expected);
    }

    #[test]
    fn unknown_and_empty_texts_give_empty_rows() {
        let tfidf = Tfidf::fit(&["pay my card", "lost my card"], &USUAL);
        assert_eq!(tfidf.transform(""), []);
        assert_eq!(tfidf.transform("ψψ"), []);
        assert_eq!(Tfidf::fit(&[], &USUAL).transform("card"), []);
        let row = tfidf.transform("my card");
        let squares: f32 = row.iter().map(|(_, value)| value * value).sum();
        assert!((squares - 2.0).abs() < 1e-5, "one for the words, one for the runs: {squares}");
    }
}
