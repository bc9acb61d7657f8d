//! What encoders are asked for beside labels of texts: labels of tokens, places of answers, hidden tokens, or their states alone.

use bantam_tensor::Tensor;

use super::Architecture;
use crate::layers::Pooling;
use crate::pass::Pass;
use crate::weights::Weights;

/// What an encoder's head scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// It has none: its states are what it is for.
    Nothing,
    /// Labels of a whole text, as many as it says.
    Labels(usize),
    /// Labels of each token, as many as it says.
    TokenLabels(usize),
    /// Whether an answer begins, and whether it ends, at each token.
    Span,
    /// All tokens of the vocabulary, at the places of hidden ones.
    Vocabulary,
}

impl Head {
    /// The end of the names that `transformers` gives to models with this head.
    pub fn family_suffix(self) -> &'static str {
        match self {
            Self::Nothing => "Model",
            Self::Labels(_) => "ForSequenceClassification",
            Self::TokenLabels(_) => "ForTokenClassification",
            Self::Span => "ForQuestionAnswering",
            Self::Vocabulary => "ForMaskedLM",
        }
    }

    /// The columns of its scores where they are labels, else 0.
    pub fn labels(self) -> usize {
        match self {
            Self::Labels(count) | Self::TokenLabels(count) => count,
            Self::Span => 2,
            Self::Nothing | Self::Vocabulary => 0,
        }
    }
}

/// An encoder with the head of a task.
pub trait TaskEncoder: Architecture {
    /// What its head scores.
    fn head_kind(&self) -> Head;

    /// Which row its head reads of a whole text.
    fn pooling(&self) -> Pooling;

    /// What the head makes of rows `[rows, width]` of the last of [`Architecture::hidden`]: pooled ones for labels of texts, those of
    /// tokens otherwise. Without a head, the rows themselves.
    fn score(&self, weights: &Weights, rows: &Tensor, pass: &mut Pass) -> Tensor;
}
