//! Divergence: how far a model's predictions stray from those of the one it was made from.

use bantam_kernels::loss::log_softmax_rows;
use bantam_kernels::pool;
use bantam_runtime::generation::LanguageModel;
use serde::Serialize;

use super::{LanguageError, Windows, chunks, interval_of, mean};
use crate::interval::{Interval, quantile};

/// How far a model is from its original on a text. Intervals come from resampled windows; they are `None` for a single one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Divergence {
    /// Mean Kullback-Leibler divergence of the model's predictions from the original's, in nats per token: `Σ p ln(p / q)`, `p` the original.
    pub mean_divergence: f64,
    /// Its interval.
    pub mean_divergence_interval: Option<Interval>,
    /// What half of the tokens stay below.
    pub median_divergence: f64,
    /// What 99 of 100 tokens stay below.
    pub quantile_99_divergence: f64,
    /// Share of tokens for which both hold the same successor for the likeliest.
    pub top_1_agreement: f64,
    /// Its interval.
    pub top_1_agreement_interval: Option<Interval>,
    /// Of the model.
    pub perplexity: f64,
    /// Of the original.
    pub original_perplexity: f64,
    /// The first divided by the second.
    pub perplexity_ratio: f64,
    /// Its interval, window by window.
    pub perplexity_ratio_interval: Option<Interval>,
    /// Tokens that count.
    pub tokens: usize,
    /// Windows that were read.
    pub windows: usize,
    /// Tokens in each.
    pub context: usize,
}

/// What one token shows.
#[derive(Clone, Copy, Default)]
struct Seen {
    divergence: f64,
    agrees: bool,
    /// Negative log-likelihoods of the true successor.
    loss: f64,
    original_loss: f64,
}

/// Compares `model` with `original` on all windows. `watch` is told the share that is done and says whether to go on.
///
/// # Errors
/// When the two have different vocabularies, one cannot read the windows, scores are no numbers, or `watch` ends it.
pub fn divergence(
    model: &LanguageModel,
    original: &LanguageModel,
    windows: &Windows,
    watch: &mut dyn FnMut(f64) -> bool,
) -> Result<Divergence, LanguageError> {
    let vocabulary = original.vocabulary();
    if model.vocabulary() != vocabulary {
        return Err(LanguageError::Vocabularies { model: model.vocabulary(), original: vocabulary });
    }
    windows.check(model)?;
    windows.check(original)?;
    let scored = windows.scored();
    let mut seen: Vec<Seen> = Vec::with_capacity(windows.count() * scored.len());
    for index in 0..windows.count() {
        let window = windows.window(index);
        let states = [original, model].map(|model| model.states(&window));
        for places in chunks(scored.clone()) {
            let [p, q] = [(original, &states[0]), (model, &states[1])].map(|(model, states)| {
                let mut scores = model.scores(states, places.clone()).data().to_vec();
                log_softmax_rows(&mut scores, vocabulary);
                scores
            });
            let first = seen.len();
            seen.resize(first + places.len(), Seen::default());
            pool::for_each_chunk(&mut seen[first..], 1, |row, seen| {
                let range = row * vocabulary..(row + 1) * vocabulary;
                seen[0] = compared(&p[range.clone()], &q[range], window[places.start + row + 1] as usize);
            });
        }
        if !seen.iter().all(|seen| (seen.divergence + seen.loss + seen.original_loss).is_finite()) {
            return Err(LanguageError::NoNumbers);
        }
        if !watch((index + 1) as f64 / windows.count() as f64) {
            return Err(LanguageError::Stopped);
        }
    }
    Ok(summary(&seen, windows))
}

/// Two rows of log-probabilities.
fn compared(p: &[f32], q: &[f32], successor: usize) -> Seen {
    let terms = p.iter().zip(q).map(|(&p, &q)| f64::from(p).exp() * (f64::from(p) - f64::from(q)));
    // Rounding can leave a sum below zero, which no divergence is.
    let divergence = terms.sum::<f64>();
    let divergence = if divergence < 0.0 { 0.0 } else { divergence };
    Seen {
        divergence,
        agrees: likeliest(p) == likeliest(q),
        loss: -f64::from(q[successor]),
        original_loss: -f64::from(p[successor]),
    }
}

/// The first of the largest.
fn likeliest(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, index| if row[index] > row[best] { index } else { best })
}

fn summary(seen: &[Seen], windows: &Windows) -> Divergence {
    let by_window = |figure: &dyn Fn(&Seen) -> f64| -> Vec<f64> {
        let means = seen.chunks(windows.scored().len());
        means.map(|seen| seen.iter().map(figure).sum::<f64>() / seen.len() as f64).collect()
    };
    let divergences = by_window(&|seen| seen.divergence);
    let agreements = by_window(&|seen| f64::from(u8::from(seen.agrees)));
    let (losses, original_losses) = (by_window(&|seen| seen.loss), by_window(&|seen| seen.original_loss));
    let differences = by_window(&|seen| seen.loss - seen.original_loss);
    let mut sorted: Vec<f64> = seen.iter().map(|seen| seen.divergence).collect();
    sorted.sort_by(f64::total_cmp);
    Divergence {
        mean_divergence: mean(&divergences),
        mean_divergence_interval: interval_of(&divergences, |mean| mean),
        median_divergence: quantile(&sorted, 0.5),
        quantile_99_divergence: quantile(&sorted, 0.99),
        top_1_agreement: mean(&agreements),
        top_1_agreement_interval: interval_of(&agreements, |mean| mean),
        perplexity: mean(&losses).exp(),
        original_perplexity: mean(&original_losses).exp(),
        perplexity_ratio: mean(&differences).exp(),
        perplexity_ratio_interval: interval_of(&differences, f64::exp),
        tokens: seen.len(),
        windows: windows.count(),
        context: windows.context(),
    }
}
