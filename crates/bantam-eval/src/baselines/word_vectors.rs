//! Vectors of words, learnt from which words stand near each other: words that are used alike lie close together, so that a model that knows
//! `vacation` from its examples has an idea of `holiday`.
//!
//! They are the strongest directions of the positive pointwise mutual information of words and their neighbours (Levy et al. 2015: "Improving
//! distributional similarity with lessons learned from word embeddings"), with neighbours counted by nearness, and rare ones smoothed.

use std::collections::HashMap;

use super::SparseRows;
use super::subspace::strongest;
use super::tfidf::word_hash;

/// A word that is seen less often has no vector.
const FEWEST: u32 = 3;
/// Words with vectors: the most frequent ones.
const MOST_WORDS: usize = 20_000;
/// How far neighbours are apart at most.
const REACH: usize = 5;
/// What a neighbour next door counts; one at `distance` counts a share of it. All shares are whole.
const NEXT_DOOR: u32 = 60;
/// The power of neighbours' frequencies, which makes rare ones less surprising.
const SMOOTHING: f64 = 0.75;
/// Pairs that are kept before equal ones are put together.
const PAIRS: usize = 1 << 22;

/// The vectors of words, times what the words weigh.
#[derive(Debug, Clone, PartialEq)]
pub struct WordVectors {
    width: usize,
    /// Hashes of the words, rising.
    words: Vec<u64>,
    /// \[words, width\]
    numbers: Vec<f32>,
}

impl WordVectors {
    /// Learns vectors of `width` numbers from `texts`. A word weighs more the fewer of the `examples` have it. The same input gives the same
    /// vectors.
    ///
    /// # Panics
    /// When `width` is zero.
    pub fn learn(texts: &[&str], examples: &[&str], width: usize, seed: u64) -> Self {
        assert!(width > 0, "vectors of {width} numbers");
        let mut counts: HashMap<u64, u32> = HashMap::new();
        for text in texts {
            words(text).for_each(|word| *counts.entry(word).or_default() += 1);
        }
        let mut known: Vec<(u64, u32)> = counts.into_iter().filter(|&(_, count)| count >= FEWEST).collect();
        known.sort_unstable_by_key(|&(word, count)| (std::cmp::Reverse(count), word));
        known.truncate(MOST_WORDS);
        let mut words: Vec<u64> = known.into_iter().map(|(word, _)| word).collect();
        words.sort_unstable();
        let near = neighbours(texts, &words);
        let [matrix, transposed] = information(&near, words.len());
        let vectors = strongest(&matrix, &transposed, width, seed);
        let mut numbers = Vec::with_capacity(vectors.len());
        for (vector, rarity) in vectors.chunks_exact(width).zip(rarities(examples, &words)) {
            let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
            let factor = if length > 0.0 { rarity / length } else { 0.0 };
            numbers.extend(vector.iter().map(|x| (x * factor) as f32));
        }
        Self { width, words, numbers }
    }

    /// Vectors from the parts of others ([`WordVectors::words`], [`WordVectors::numbers`]); `None` where these do not fit together.
    pub fn from_parts(words: Vec<u64>, numbers: Vec<f32>, width: usize) -> Option<Self> {
        let fits = words.len().checked_mul(width) == Some(numbers.len()) && words.is_sorted();
        fits.then_some(Self { width, words, numbers })
    }

    /// Numbers per word, and per text.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The hashes of the words, rising.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// \[words, width\]
    pub fn numbers(&self) -> &[f32] {
        &self.numbers
    }

    /// The sum of the vectors of a text's words, brought to length 1; zeros where it has no word that is known.
    pub fn of_text(&self, text: &str) -> Vec<f32> {
        let mut sum = vec![0.0f32; self.width];
        for index in words(text).filter_map(|word| self.words.binary_search(&word).ok()) {
            let vector = &self.numbers[index * self.width..][..self.width];
            sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += x);
        }
        let length = sum.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        if length > 0.0 {
            sum.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
        }
        sum
    }
}

/// The hashes of a text's words, in order.
fn words(text: &str) -> impl Iterator<Item = u64> {
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let runs = text.split(|&c| !(c.is_alphanumeric() || c == '_')).filter(|run| !run.is_empty());
    runs.map(word_hash).collect::<Vec<_>>().into_iter()
}

/// How often pairs of known words, the lower one first, stand near each other: rising, each once.
fn neighbours(texts: &[&str], known: &[u64]) -> Vec<((u32, u32), u32)> {
    let (mut all, mut latest) = (Vec::new(), Vec::new());
    for text in texts {
        let found: Vec<Option<u32>> =
            words(text).map(|word| known.binary_search(&word).ok().map(|index| index as u32)).collect();
        for (place, word) in found.iter().enumerate() {
            let Some(word) = *word else { continue };
            for (distance, other) in (1..=REACH as u32).zip(&found[place + 1..]) {
                let Some(other) = *other else { continue };
                latest.push(((word.min(other), word.max(other)), NEXT_DOOR / distance));
            }
        }
        if latest.len() > PAIRS {
            all = joined(all, &mut latest);
        }
    }
    joined(all, &mut latest)
}

/// Both, with equal pairs put together; the second is left empty.
fn joined<K: Ord + Copy>(mut all: Vec<(K, u32)>, latest: &mut Vec<(K, u32)>) -> Vec<(K, u32)> {
    all.append(latest);
    all.sort_unstable();
    all.dedup_by(|next, kept| {
        let is_equal = next.0 == kept.0;
        if is_equal {
            kept.1 = kept.1.saturating_add(next.1);
        }
        is_equal
    });
    all
}

/// By how much more often than by chance words stand near neighbours: the logarithm where it is above zero, \[words, neighbours\] and the other
/// way about.
fn information(near: &[((u32, u32), u32)], words: usize) -> [SparseRows; 2] {
    let mut totals = vec![0.0f64; words];
    let mut rows: Vec<Vec<(u32, f64)>> = vec![Vec::new(); words];
    for &((a, b), count) in near {
        let count = f64::from(count);
        totals[a as usize] += count;
        totals[b as usize] += count;
        rows[a as usize].push((b, if a == b { 2.0 * count } else { count }));
        if a != b {
            rows[b as usize].push((a, count));
        }
    }
    let smoothed: Vec<f64> = totals.iter().map(|total| total.powf(SMOOTHING)).collect();
    let all: f64 = smoothed.iter().sum();
    let mut matrices = [SparseRows::new(words), SparseRows::new(words)];
    for (word, row) in rows.iter_mut().enumerate() {
        row.sort_unstable_by_key(|&(other, _)| other);
        for (matrix, is_turned) in matrices.iter_mut().zip([false, true]) {
            let told = row.iter().map(|&(other, count)| {
                let (word, neighbour) = if is_turned { (other as usize, word) } else { (word, other as usize) };
                (other, (count / (totals[word] * smoothed[neighbour] / all)).ln() as f32)
            });
            matrix.push(&told.filter(|(_, told)| *told > 0.0).collect::<Vec<_>>());
        }
    }
    matrices
}

/// What each word weighs: the logarithm of how few of the examples have it.
fn rarities(examples: &[&str], known: &[u64]) -> Vec<f64> {
    let mut having = vec![0u32; known.len()];
    for text in examples {
        let mut found: Vec<usize> = words(text).filter_map(|word| known.binary_search(&word).ok()).collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter().for_each(|index| having[index] += 1);
    }
    let all = examples.len() as f64;
    having.into_iter().map(|count| ((1.0 + all) / (1.0 + f64::from(count))).ln()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sentences about two kinds of things, of which each has its own verbs.
    pub(crate) fn sentences() -> Vec<String> {
        let mut texts = Vec::new();
        for (things, verbs) in [
            (["cat", "dog", "horse", "bird"], ["sleeps", "eats", "runs", "drinks"]),
            (["train", "bus", "ferry", "plane"], ["departs", "arrives", "stops", "leaves"]),
        ] {
            for (index, thing) in things.iter().enumerate() {
                // No thing has all verbs.
                for (_, verb) in verbs.iter().enumerate().filter(|(place, _)| *place != index) {
                    for ending in ["today", "at noon", "again", "there"] {
                        texts.push(format!("the {thing} {verb} {ending}"));
                    }
                }
            }
        }
        texts
    }

    #[test]
    fn words_that_are_used_alike_lie_close_together() {
        let texts = sentences();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = WordVectors::learn(&texts, &texts, 6, 1);
        let likeness =
            |a: &str, b: &str| -> f32 { vectors.of_text(a).iter().zip(vectors.of_text(b)).map(|(x, y)| x * y).sum() };
        for (one, kin, stranger) in [("cat", "dog", "bus"), ("Train", "ferry", "bird"), ("sleeps", "eats", "departs")] {
            let (near, far) = (likeness(one, kin), likeness(one, stranger));
            assert!(near > far + 0.3, "{one}: {kin} {near}, {stranger} {far}");
        }
        assert_eq!(vectors, WordVectors::learn(&texts, &texts, 6, 1));
        let length: f32 = vectors.of_text("the cat sleeps").iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5 && vectors.of_text("unheard of").iter().all(|&x| x == 0.0));
    }

    #[test]
    fn few_and_strange_texts_give_vectors_of_zeros_and_no_panic() {
        for texts in [vec![], vec![""], vec!["a a a a"], vec!["one two three", "? !", "\u{0}"]] {
            let vectors = WordVectors::learn(&texts, &texts, 4, 1);
            assert!(vectors.of_text("a one").iter().all(|x| x.is_finite()));
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        assert!(WordVectors::from_parts(vec![1, 2], vec![0.0; 6], 3).is_some());
        assert!(WordVectors::from_parts(vec![1, 2], vec![0.0; 5], 3).is_none());
        assert!(WordVectors::from_parts(vec![2, 1], vec![0.0; 6], 3).is_none());
    }
}
