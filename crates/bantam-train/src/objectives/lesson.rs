//! What classifiers learn from: texts with a label, a teacher's scores, or both.

use std::borrow::Cow;

use bantam_model::{Batch, Random, TextEncoder};
use serde::{Deserialize, Serialize};

/// A text to learn from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lesson {
    /// The text.
    pub text: String,
    /// Its class; `None` where only a teacher has an opinion.
    pub label: Option<u32>,
    /// The teacher's logits, one per class; empty where there is no teacher.
    pub scores: Vec<f32>,
}

impl Lesson {
    /// A text with its class.
    pub fn labelled(text: impl Into<String>, label: u32) -> Self {
        Self { text: text.into(), label: Some(label), scores: Vec::new() }
    }
}

/// Drops each word of `text` with probability `rate`, but never all of them: a cheap way to many more texts, which keeps a
/// model from leaning on any one word (word dropout, Iyyer et al. 2015).
pub fn thinned<'a>(text: &'a str, rate: f32, random: &mut Random) -> Cow<'a, str> {
    if rate <= 0.0 {
        return Cow::Borrowed(text);
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let left: Vec<&str> = words.iter().copied().filter(|_| random.uniform() >= rate).collect();
    if left.is_empty() || left.len() == words.len() { Cow::Borrowed(text) } else { Cow::Owned(left.join(" ")) }
}

/// The lessons numbered `chosen` as a batch, each thinned by `rate`.
pub(super) fn batch(
    encoder: &TextEncoder,
    lessons: &[Lesson],
    chosen: &[usize],
    rate: f32,
    random: &mut Random,
) -> Batch {
    let texts: Vec<Cow<str>> = chosen.iter().map(|&index| thinned(&lessons[index].text, rate, random)).collect();
    encoder.batch(texts.iter().map(AsRef::as_ref))
}

/// The mean number of tokens in a lesson, for progress: from at most a thousand of them.
pub(super) fn mean_tokens(encoder: &TextEncoder, lessons: &[Lesson]) -> f64 {
    let some = lessons.iter().step_by((lessons.len() / 1000).max(1));
    let (sum, count) =
        some.fold((0, 0), |(sum, count), lesson| (sum + encoder.encode(&lesson.text).tokens.len(), count + 1));
    sum as f64 / f64::from(count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_drops_its_share_of_words_keeps_their_order_and_never_all() {
        let text = "one two three four five six seven eight nine ten";
        let mut random = Random::new(3, 0);
        let mut left = 0;
        for _ in 0..1000 {
            let thin = thinned(text, 0.3, &mut random);
            let mut rest = text.split(' ');
            assert!(thin.split(' ').all(|word| rest.any(|other| other == word)), "{thin}");
            left += thin.split(' ').count();
        }
        assert!((6_700..7_300).contains(&left), "{left} of 10,000 words are left");
        assert_eq!(thinned("word", 0.99, &mut random), "word");
        assert_eq!(thinned(text, 0.0, &mut random), text);
    }
}
