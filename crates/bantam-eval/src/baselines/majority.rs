//! Always answers the most frequent class of the training data.

use crate::{Classifier, Examples};

pub(super) const NAME: &str = "majority class";

/// The frequencies of the classes, and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Majority {
    scores: Vec<f32>,
}

impl Majority {
    /// Counts the classes; each counts as seen once more than it was, so that none is impossible.
    ///
    /// # Panics
    /// When a label is no class.
    pub fn train(examples: &Examples, classes: usize) -> Self {
        let mut counts = vec![1.0f64; classes];
        examples.labels().iter().flatten().for_each(|&label| counts[label] += 1.0);
        let sum: f64 = counts.iter().sum();
        Self { scores: counts.iter().map(|count| (count / sum).ln() as f32).collect() }
    }
}

impl Classifier for Majority {
    fn name(&self) -> &str {
        NAME
    }

    fn parameters(&self) -> u64 {
        self.scores.len() as u64
    }

    fn bytes(&self) -> u64 {
        size_of_val(self.scores.as_slice()) as u64
    }

    fn scores(&self, texts: &[&str]) -> Vec<Vec<f32>> {
        vec![self.scores.clone(); texts.len()]
    }
}
