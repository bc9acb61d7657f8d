//! How well language models predict a text, and how far one strays from another.
//!
//! [`Windows`] cuts the text; [`perplexity`] measures one model on it, [`divergence`] two side by side. No more than [`CHUNK`] tokens' scores exist
//! at a time.

mod divergence;
mod perplexity;
#[cfg(test)]
mod tests;
mod windows;

pub use divergence::{Divergence, divergence};
pub use perplexity::{Perplexity, perplexity};
pub use windows::Windows;

use std::ops::Range;

use crate::interval::{Interval, bootstrap};

/// Tokens whose scores exist at the same time.
const CHUNK: usize = 64;
/// Resamples of the windows behind each interval.
const ROUNDS: usize = 1_000;

/// Why nothing could be measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LanguageError {
    /// Not one window can be filled.
    #[error("the text has {tokens} tokens, and a window needs {context}; take a longer text or smaller windows")]
    TooShort {
        /// Of the text.
        tokens: usize,
        /// Of a window.
        context: usize,
    },
    /// A window that no model could read.
    #[error("windows of {context} tokens cannot be: from {least} to {most}, which is what the model reads")]
    Context {
        /// Of a window.
        context: usize,
        /// The smallest window of which anything is scored.
        least: usize,
        /// The model's positions.
        most: usize,
    },
    /// An id that the model has no row for.
    #[error(
        "token {token} is not in the model's vocabulary of {vocabulary}; take a text that was split by its tokenizer"
    )]
    UnknownToken {
        /// The id.
        token: u32,
        /// How many there are.
        vocabulary: usize,
    },
    /// Two models that know different tokens.
    #[error(
        "the model knows {model} tokens and the original {original}; only models with one vocabulary can be compared"
    )]
    Vocabularies {
        /// Of the model.
        model: usize,
        /// Of the original.
        original: usize,
    },
    /// Damaged weights.
    #[error("a model's scores are no numbers; check its weights")]
    NoNumbers,
    /// The caller wanted no more.
    #[error("stopped before all windows were read")]
    Stopped,
}

/// The positions of a range in pieces of [`CHUNK`].
fn chunks(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(CHUNK).map(move |start| start..(start + CHUNK).min(range.end))
}

/// The interval of a figure that follows from the windows' means, by resampling whole windows: tokens of one window are not independent.
fn interval_of(means: &[f64], figure: impl Fn(f64) -> f64 + Sync) -> Option<Interval> {
    let mean = |sample: &[usize]| sample.iter().map(|&window| means[window]).sum::<f64>() / sample.len() as f64;
    bootstrap(means.len(), ROUNDS, 0, |sample| Some(figure(mean(sample))))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
