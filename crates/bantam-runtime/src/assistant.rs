//! What answers people: labels with calibrated confidence, a reply, and a hand-over where it is not sure.

use std::collections::BTreeMap;
use std::path::Path;

use bantam_kernels::gemm::PackedFormat;
use bantam_model::folder::is_folder;
use serde::Serialize;

use crate::entities::{Entity, entities_of};
use crate::folder::read_folder;
use crate::tasks::{LabelScore, Scoring, descending};
use crate::{BundleParts, LoadError, TextClassifier};

/// Texts answered in one batch. Batches are laid end to end and never padded, so there is nothing to gain from
/// sorting texts by length.
const BATCH: usize = 64;
/// Bytes of a text that are looked at: far beyond any request, and what bounds the time of one.
const MOST_BYTES: usize = 20_000;
/// Answers that are told beside the first.
const ALTERNATIVES: usize = 3;
/// What is said where the bundle has nothing to say.
const HAND_OVER: &str = "I am not sure I understood that, so I am passing you on to a colleague.";

/// An assistant, ready to answer. It can be shared between threads.
pub struct Assistant {
    classifier: TextClassifier,
    parts: BundleParts,
    bytes: u64,
}

/// What an assistant says to one text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The likeliest label.
    pub label: String,
    /// Its calibrated probability, 0 to 1.
    pub confidence: f32,
    /// The probability that no label fits: 1 for an empty text, else 0 for a model that cannot tell.
    pub out_of_scope: f32,
    /// Whether the text seems to be about one of the labels, whether or not the assistant is sure which: false where a
    /// person takes over because it is out of scope.
    pub in_scope: bool,
    /// Why a person should take over; `None` where the assistant is sure enough to answer.
    pub hand_over: Option<HandOver>,
    /// What to say: the label's reply, or the hand-over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// Order numbers, dates and the like in the text.
    pub entities: Vec<Entity>,
    /// The likeliest labels with their probabilities, the first included.
    pub alternatives: Vec<(String, f32)>,
}

/// Why a person should take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HandOver {
    /// No label is likely enough.
    Unsure,
    /// That no label fits is likelier than the likeliest label.
    OutOfScope,
}

impl Assistant {
    /// Loads a bundle, or a Hugging Face folder of a classifier with its matrices in int8.
    ///
    /// # Errors
    /// [`LoadError`], naming the file and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        Self::open(path, PackedFormat::Int8)
    }

    /// The same with a folder's matrices in any format; those of a bundle are in its own.
    ///
    /// # Errors
    /// As [`Assistant::load`].
    pub fn open(path: &Path, format: PackedFormat) -> Result<Self, LoadError> {
        if is_folder(path) {
            let (parts, classifier) = read_folder(path, format)?;
            let bytes = classifier.weights.bytes() as u64;
            return Ok(Self { classifier, parts, bytes });
        }
        let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        Self::assemble(BundleParts::read(path)?, path, bytes)
    }

    /// An assistant from parts in memory.
    ///
    /// # Errors
    /// [`LoadError::Refused`] when the parts contradict each other.
    pub fn from_parts(parts: BundleParts) -> Result<Self, LoadError> {
        let bytes = parts.to_bytes().len() as u64;
        Self::assemble(parts, Path::new("the bundle in memory"), bytes)
    }

    fn assemble(mut parts: BundleParts, path: &Path, bytes: u64) -> Result<Self, LoadError> {
        let classifier = parts.classifier(path)?;
        // They live in the classifier now.
        parts.arrays.clear();
        Ok(Self { classifier, parts, bytes })
    }

    /// What the bundle says about itself; its arrays have been taken out.
    pub fn parts(&self) -> &BundleParts {
        &self.parts
    }

    /// The model.
    pub fn classifier(&self) -> &TextClassifier {
        &self.classifier
    }

    /// The bundle's size on disk; of a folder, what the weights take in memory.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Answers one text.
    pub fn answer(&self, text: &str) -> Answer {
        let text = cut(text);
        let scores = self.classifier.logits(&[text]);
        self.judge(text, &scores[0])
    }

    /// Answers many texts, in their order.
    pub fn answer_all(&self, texts: &[&str]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(texts.len());
        for batch in texts.chunks(BATCH) {
            let batch: Vec<&str> = batch.iter().map(|text| cut(text)).collect();
            let scores = self.classifier.logits(&batch);
            answers.extend(batch.iter().zip(&scores).map(|(text, scores)| self.judge(text, scores)));
        }
        answers
    }

    /// The labels of many texts, the likeliest first: probabilities of which one is right are calibrated.
    pub fn rank_all(&self, texts: &[&str], scoring: Scoring, most: Option<usize>) -> Vec<Vec<LabelScore>> {
        let rank = |scores: &Vec<f32>| match scoring {
            Scoring::Softmax => {
                let probabilities = softmax(scores, self.parts.temperature);
                Scoring::Plain.ranked(&probabilities, &self.parts.labels, most)
            }
            other => other.ranked(&scores[..self.parts.labels.len()], &self.parts.labels, most),
        };
        let cut_texts =
            |batch: &[&str]| self.classifier.logits(&batch.iter().map(|text| cut(text)).collect::<Vec<_>>());
        texts.chunks(BATCH).flat_map(|batch| cut_texts(batch).iter().map(rank).collect::<Vec<_>>()).collect()
    }

    /// For each text, as far as it is looked at, the numbers that the labels are decided by, and the tokens of all texts together.
    pub fn embeddings(&self, texts: &[&str]) -> (Vec<Vec<f32>>, usize) {
        let texts: Vec<&str> = texts.iter().map(|text| cut(text)).collect();
        self.classifier.embeddings(&texts)
    }

    fn judge(&self, text: &str, scores: &[f32]) -> Answer {
        // The model has an opinion on nothing, too; people have not.
        let is_empty = text.trim().is_empty();
        let probabilities = if is_empty { vec![0.0; scores.len()] } else { softmax(scores, self.parts.temperature) };
        let labels = &self.parts.labels;
        let order = descending(&probabilities[..labels.len()], ALTERNATIVES);
        let best = order[0];
        let confidence = probabilities[best];
        // A sum of nothing would be -0.
        let outside = probabilities[labels.len()..].iter().fold(0.0, |sum, probability| sum + probability);
        // The threshold alone decides what is answered: with it the promise was kept on validation texts.
        let is_sure = confidence > 0.0 && self.parts.threshold.is_some_and(|threshold| confidence >= threshold);
        let hand_over = match is_sure {
            true => None,
            false if outside >= confidence => Some(HandOver::OutOfScope),
            false => Some(HandOver::Unsure),
        };
        let reply = if is_sure { self.parts.replies.get(&labels[best]).cloned() } else { Some(self.hand_over()) };
        let alternatives = order.iter().map(|&index| (labels[index].clone(), probabilities[index]));
        Answer {
            label: labels[best].clone(),
            confidence,
            out_of_scope: if is_empty { 1.0 } else { outside },
            in_scope: hand_over != Some(HandOver::OutOfScope),
            hand_over,
            reply,
            entities: entities_of(text),
            alternatives: alternatives.collect(),
        }
    }

    /// What is said when a person takes over.
    pub fn hand_over(&self) -> String {
        let own = &self.parts.hand_over;
        if own.is_empty() { HAND_OVER.to_owned() } else { own.clone() }
    }

    /// The replies by label.
    pub fn replies(&self) -> &BTreeMap<String, String> {
        &self.parts.replies
    }
}

/// The beginning of a text, cut at a character.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MOST_BYTES.min(text.len()))]
}

/// Probabilities of scores divided by a temperature. A score that is no number makes them all 0: nothing is certain.
fn softmax(scores: &[f32], temperature: f64) -> Vec<f32> {
    if !scores.iter().all(|score| score.is_finite()) {
        return vec![0.0; scores.len()];
    }
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let power = |&score: &f32| ((f64::from(score) - f64::from(top)) / temperature).exp();
    let powers: Vec<f64> = scores.iter().map(power).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| (power / sum) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_numbers_whatever_the_scores() {
        let sum = |scores: &[f32], temperature| softmax(scores, temperature).iter().sum::<f32>();
        assert!((sum(&[1.0, 2.0, 3.0], 1.0) - 1.0).abs() < 1e-6);
        assert!((sum(&[f32::MAX, f32::MIN, 0.0], 1e-6) - 1.0).abs() < 1e-6);
        assert_eq!(softmax(&[f32::NAN, 1.0], 1.0), [0.0, 0.0]);
        assert_eq!(softmax(&[f32::INFINITY, 1.0], 1.0), [0.0, 0.0]);
        let [odds] = [softmax(&[0.0, 2.0], 2.0)];
        assert!((odds[1] / odds[0] - std::f32::consts::E).abs() < 1e-5, "{odds:?}");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = "é".repeat(MOST_BYTES);
        assert_eq!(cut(&long).len(), MOST_BYTES);
        assert_eq!(cut(&format!("a{long}")).len(), MOST_BYTES - 1);
    }
}
