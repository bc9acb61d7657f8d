//! Labels of texts.

use serde::Serialize;

use super::numbers::{descending, sigmoid, softmax};
use super::{Head, TaskModel};

/// What becomes of a classifier's scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scoring {
    /// Probabilities of which one is right.
    Softmax,
    /// Each is right or wrong by itself.
    Sigmoid,
    /// They stay what they are.
    Plain,
}

/// A label and how likely it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelScore {
    /// The label.
    pub label: String,
    /// Its score.
    pub score: f32,
}

impl Scoring {
    /// What becomes of a row of scores.
    pub fn apply(self, scores: &[f32]) -> Vec<f32> {
        match self {
            Self::Softmax => softmax(scores),
            Self::Sigmoid => scores.iter().map(|&score| sigmoid(score)).collect(),
            Self::Plain => scores.to_vec(),
        }
    }

    /// What becomes of a row of scores, with its labels: the best first, `most` of them.
    pub fn ranked(self, scores: &[f32], labels: &[String], most: Option<usize>) -> Vec<LabelScore> {
        let scores = self.apply(scores);
        let labelled = &scores[..labels.len().min(scores.len())];
        let order = descending(labelled, most.unwrap_or(usize::MAX)).into_iter();
        order.map(|index| LabelScore { label: labels[index].clone(), score: scores[index] }).collect()
    }
}

impl TaskModel {
    /// What becomes of its scores where a request does not say: by its config's `problem_type`, else by the number of labels.
    pub fn scoring(&self) -> Scoring {
        match (self.problem(), self.head()) {
            (Some("regression"), _) => Scoring::Plain,
            (Some("multi_label_classification"), _) | (_, Head::Labels(1)) => Scoring::Sigmoid,
            _ => Scoring::Softmax,
        }
    }
}
