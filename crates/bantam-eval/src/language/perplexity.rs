//! Perplexity: among how many equally likely tokens a model hesitates, on average.

use bantam_kernels::loss::log_softmax_rows;
use bantam_runtime::generation::LanguageModel;
use serde::Serialize;

use super::{LanguageError, Windows, chunks, interval_of, mean};
use crate::interval::Interval;

/// How well a model predicts a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Perplexity {
    /// The exponential of the mean negative log-likelihood of the tokens that count.
    pub perplexity: f64,
    /// Its interval, from resampled windows; `None` for a single one.
    pub interval: Option<Interval>,
    /// The mean negative log-likelihood in bits, divided by the text's bytes per token: comparable between vocabularies. `None` for bare ids.
    pub bits_per_byte: Option<f64>,
    /// Tokens that count.
    pub tokens: usize,
    /// Windows that were read.
    pub windows: usize,
    /// Tokens in each.
    pub context: usize,
}

/// Measures a model on all windows. `watch` is told the share that is done and says whether to go on.
///
/// # Errors
/// When the model cannot read the windows, when its scores are no numbers, or when `watch` ends it.
pub fn perplexity(
    model: &LanguageModel,
    windows: &Windows,
    watch: &mut dyn FnMut(f64) -> bool,
) -> Result<Perplexity, LanguageError> {
    windows.check(model)?;
    let scored = windows.scored();
    let mut losses = Vec::with_capacity(windows.count());
    for index in 0..windows.count() {
        let window = windows.window(index);
        let states = model.states(&window);
        let mut sum = 0.0;
        for places in chunks(scored.clone()) {
            let mut scores = model.scores(&states, places.clone()).data().to_vec();
            log_softmax_rows(&mut scores, model.vocabulary());
            let rows = scores.chunks_exact(model.vocabulary());
            sum -= places.zip(rows).map(|(place, row)| f64::from(row[window[place + 1] as usize])).sum::<f64>();
        }
        if !sum.is_finite() {
            return Err(LanguageError::NoNumbers);
        }
        losses.push(sum / scored.len() as f64);
        if !watch((index + 1) as f64 / windows.count() as f64) {
            return Err(LanguageError::Stopped);
        }
    }
    let loss = mean(&losses);
    Ok(Perplexity {
        perplexity: loss.exp(),
        interval: interval_of(&losses, f64::exp),
        bits_per_byte: windows.bytes_per_token().map(|bytes| loss / std::f64::consts::LN_2 / bytes),
        tokens: losses.len() * scored.len(),
        windows: losses.len(),
        context: windows.context(),
    })
}
