//! The likeliest answers as wholes, by beam search.

use super::generate::{Finish, GenerateError, check_prompt};
use super::model::LanguageModel;
use crate::sampling::{BeamOptions, TextStream, beam_search};

/// One of the likeliest answers.
#[derive(Debug, Clone, PartialEq)]
pub struct LikelyAnswer {
    /// Its tokens, without the one that ended it.
    pub tokens: Vec<u32>,
    /// What it adds to the prompt's text; empty for a model without tokenizer.
    pub text: String,
    /// The logarithm of its probability, the end included.
    pub log_probability: f64,
    /// What answers are ordered by: the same, divided by the penalty of its length.
    pub score: f64,
    /// [`Finish::End`], [`Finish::Length`] or [`Finish::Context`].
    pub finish: Finish,
}

/// The likeliest answers to a prompt, best first. `tokens` is the most that an answer has, and the model's own ends end it. `is_stopped` is asked
/// once a step, and what was found until then is returned.
///
/// # Errors
/// A prompt that the model cannot take, a search without beams or results, and scores that are no numbers.
pub fn likely_answers(
    model: &LanguageModel,
    prompt: &[u32],
    tokens: usize,
    search: &BeamOptions,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Vec<LikelyAnswer>, GenerateError> {
    check_prompt(model, prompt)?;
    let room = model.max_tokens() - prompt.len();
    let options = BeamOptions { most_tokens: tokens.min(room), ends: model.ends().to_vec(), ..search.clone() };
    let mut pasts = Vec::new();
    let found = beam_search(&options, |open| {
        let rows: Option<Vec<Vec<f32>>> = if pasts.is_empty() {
            model.read(model.past(), prompt, is_stopped).map(|(scores, past)| {
                pasts.push(past);
                vec![scores]
            })
        } else if is_stopped() {
            None
        } else {
            let own = open.iter().map(|hypothesis| pasts[hypothesis.parent].clone()).collect();
            let last: Vec<&[u32]> =
                open.iter().map(|hypothesis| &hypothesis.tokens[hypothesis.tokens.len() - 1..]).collect();
            let (scores, after) = model.next(own, &last);
            pasts = after;
            Some(scores.data().chunks_exact(model.vocabulary()).map(<[f32]>::to_vec).collect())
        };
        rows.unwrap_or_default()
    });
    if found.is_empty() && options.most_tokens > 0 && !is_stopped() {
        return Err(GenerateError::NoChoice);
    }
    Ok(found
        .into_iter()
        .map(|hypothesis| {
            let (log_probability, score) = (hypothesis.log_probability, hypothesis.score(options.length_penalty));
            let mut tokens = hypothesis.tokens;
            let has_ended = tokens.last().is_some_and(|&token| model.is_end(token));
            tokens.truncate(tokens.len() - usize::from(has_ended));
            let finish = match (has_ended, tokens.len() == room) {
                (true, _) => Finish::End,
                (false, true) => Finish::Context,
                (false, false) => Finish::Length,
            };
            LikelyAnswer { text: text(model, prompt, &tokens), tokens, log_probability, score, finish }
        })
        .collect())
}

/// What the tokens add to the prompt's text.
fn text(model: &LanguageModel, prompt: &[u32], tokens: &[u32]) -> String {
    let Some(tokenizer) = model.tokenizer() else { return String::new() };
    let mut stream = TextStream::after(tokenizer, prompt);
    let mut text: String = tokens.iter().map(|&token| stream.push(tokenizer, token)).collect();
    text.push_str(&stream.finish(tokenizer));
    text
}
