//! Nearly equal texts, by MinHash with banding (Broder, 1997; Leskovec et al., Mining of Massive Datasets, chapter 3).
//!
//! A text is the set of its shingles. Texts that share a band of their MinHash signatures become candidates, and each
//! candidate is then verified: the answer is the true Jaccard similarity, never the estimate. With 16 bands of 6 rows, a
//! pair of similarity 0.85 becomes a candidate with probability 0.9995, one of 0.5 with 0.22.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::comparable;
use crate::Error;

/// How near is a duplicate, and how it is looked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NearOptions {
    /// What is compared.
    pub shingle: Shingle,
    /// Least Jaccard similarity of a duplicate, above 0, at most 1.
    pub threshold: f64,
    /// Bands of the signature, 1 to 64: more find more.
    pub bands: usize,
    /// Rows of each band, 1 to 64: more skip more of what is far.
    pub rows: usize,
}

/// The elements of the sets that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shingle {
    /// This many characters in a row; for short texts.
    Characters(usize),
    /// This many words in a row; for pages.
    Words(usize),
}

impl Default for NearOptions {
    fn default() -> Self {
        NearOptions { shingle: Shingle::Characters(4), threshold: 0.85, bands: 16, rows: 6 }
    }
}

impl NearOptions {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::BadOption`].
    pub fn check(&self) -> Result<(), Error> {
        let (Shingle::Characters(length) | Shingle::Words(length)) = self.shingle;
        let bad = |option, value: String, range| Err(Error::BadOption { option, value, range });
        if !(self.threshold > 0.0 && self.threshold <= 1.0) {
            return bad("near.threshold", self.threshold.to_string(), "above 0 and at most 1");
        }
        for (option, value) in [("near.bands", self.bands), ("near.rows", self.rows), ("near.shingle", length)] {
            if !(1..=64).contains(&value) {
                return bad(option, value.to_string(), "from 1 to 64");
            }
        }
        Ok(())
    }
}

/// A text, ready to be compared.
#[derive(Clone, Debug)]
pub struct Fingerprint {
    /// Hashes of all shingles, sorted, each once.
    shingles: Vec<u64>,
    /// A hash of each band.
    bands: Vec<u64>,
}

impl Fingerprint {
    /// The fingerprint of a text; `options` must have passed [`NearOptions::check`].
    pub fn of(text: &str, options: &NearOptions) -> Self {
        let mut shingles = shingles(&comparable(text), options.shingle);
        shingles.sort_unstable();
        shingles.dedup();
        let mut bands = Vec::with_capacity(options.bands);
        for band in 0..options.bands {
            let mut key = band as u64;
            for row in 0..options.rows {
                let (factor, addend) = permutation(band * options.rows + row);
                let least = shingles.iter().map(|&hash| (factor.wrapping_mul(hash).wrapping_add(addend)) >> 32).min();
                key = mix(key ^ least.unwrap_or(0)).wrapping_mul(PRIME);
            }
            bands.push(key);
        }
        Fingerprint { shingles, bands }
    }

    /// Jaccard similarity of the two sets of shingles, from 0 to 1. Two empty texts are equal.
    pub fn similarity(&self, other: &Fingerprint) -> f64 {
        let (left, right) = (&self.shingles, &other.shingles);
        let (mut at, mut beside, mut common) = (0, 0, 0usize);
        while at < left.len() && beside < right.len() {
            let (a, b) = (left[at], right[beside]);
            common += usize::from(a == b);
            at += usize::from(a <= b);
            beside += usize::from(b <= a);
        }
        let union = left.len() + right.len() - common;
        if union == 0 { 1.0 } else { common as f64 / union as f64 }
    }
}

/// A text found near another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Near {
    /// Its number in the index, in the order of insertion.
    pub index: usize,
    /// The true Jaccard similarity.
    pub similarity: f64,
}

/// Texts that can be asked for the nearest to another.
pub struct NearIndex {
    threshold: f64,
    buckets: Vec<HashMap<u64, Vec<u32>>>,
    prints: Vec<Fingerprint>,
}

/// Texts kept per bucket. Templates ("error 4711 in module ...") fill buckets with texts that are alike, yet no
/// duplicates; the bound keeps the work linear, and the other bands still find what is near.
const BUCKET: usize = 64;

impl NearIndex {
    /// An empty index.
    pub fn new(options: &NearOptions) -> Self {
        NearIndex { threshold: options.threshold, buckets: vec![HashMap::new(); options.bands], prints: Vec::new() }
    }

    /// Adds a text and returns its number.
    pub fn insert(&mut self, print: Fingerprint) -> usize {
        let index = self.prints.len();
        for (bucket, band) in self.buckets.iter_mut().zip(&print.bands) {
            let texts = bucket.entry(*band).or_default();
            if texts.len() < BUCKET {
                texts.push(index as u32);
            }
        }
        self.prints.push(print);
        index
    }

    /// The most similar text at or above the threshold, of equals the first inserted.
    pub fn nearest(&self, print: &Fingerprint) -> Option<Near> {
        self.nearest_where(print, |_| true)
    }

    /// [`NearIndex::nearest`] among the texts whose number passes `wanted`.
    pub fn nearest_where(&self, print: &Fingerprint, wanted: impl Fn(usize) -> bool) -> Option<Near> {
        let texts = self.buckets.iter().zip(&print.bands).filter_map(|(bucket, band)| bucket.get(band)).flatten();
        let mut candidates: Vec<u32> = texts.copied().collect();
        candidates.sort_unstable();
        candidates.dedup();
        let mut best: Option<Near> = None;
        for index in candidates.into_iter().map(|index| index as usize).filter(|&index| wanted(index)) {
            let other = &self.prints[index];
            // Sets whose sizes differ too much cannot be similar enough.
            let (small, large) =
                (print.shingles.len().min(other.shingles.len()), print.shingles.len().max(other.shingles.len()));
            if (small as f64) < self.threshold * large as f64 {
                continue;
            }
            let similarity = print.similarity(other);
            if similarity >= self.threshold && best.is_none_or(|best| similarity > best.similarity) {
                best = Some(Near { index, similarity });
            }
        }
        best
    }
}

fn shingles(text: &str, shingle: Shingle) -> Vec<u64> {
    let (length, trailing, starts): (usize, &[char], Vec<usize>) = match shingle {
        Shingle::Characters(length) => (length, &[], text.char_indices().map(|(at, _)| at).collect()),
        Shingle::Words(length) => {
            let after_spaces = text.match_indices(' ').map(|(at, _)| at + 1);
            (length, &[' '], (!text.is_empty()).then_some(0).into_iter().chain(after_spaces).collect())
        }
    };
    if starts.is_empty() {
        return Vec::new();
    }
    let end = |at: usize| starts.get(at + length).copied().unwrap_or(text.len());
    // A text shorter than one shingle is its only shingle.
    let count = (starts.len() + 1).saturating_sub(length).max(1);
    // The space behind the last word of a shingle is no part of it.
    (0..count)
        .map(|at| text[starts[at]..end(at)].trim_end_matches(trailing))
        .map(|part| hash(part.as_bytes()))
        .collect()
}

const PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a, mixed.
fn hash(bytes: &[u8]) -> u64 {
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)))
}

/// The finaliser of SplitMix64.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// Factor (odd) and addend of the `index`-th hash function `(factor * x + addend) >> 32`.
fn permutation(index: usize) -> (u64, u64) {
    let seed = index as u64 * 2;
    (
        mix(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1)) | 1,
        mix((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
    )
}
