//! One answer, from a prompt to its end.

use std::time::{Duration, Instant};

use bantam_model::Past;

use super::LanguageModel;
use crate::sampling::{Constraint, Sampler, SamplingError, SamplingOptions, StopStrings, TextStream};

/// How an answer is made.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// The most tokens of the answer.
    pub tokens: usize,
    /// How each token is chosen.
    pub sampling: SamplingOptions,
    /// Texts that end the answer and are not part of it.
    pub stop: Vec<String>,
    /// Goes on where the model would end, as benchmarks do.
    pub ignores_end: bool,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model said so.
    End,
    /// One of the stop strings, by its number.
    Stop(usize),
    /// It has as many tokens as were asked for.
    Length,
    /// Prompt and answer fill all positions that the model knows. Nothing is dropped to make room.
    Context,
    /// The caller wanted no more.
    Stopped,
}

impl Finish {
    /// A word for it, as the OpenAI interface has it where it has one.
    pub fn name(self) -> &'static str {
        match self {
            Self::End | Self::Stop(_) => "stop",
            Self::Length | Self::Context => "length",
            Self::Stopped => "cancelled",
        }
    }
}

/// A finished answer.
#[derive(Debug, Clone)]
pub struct Generated {
    /// Its tokens, without the one that ended it.
    pub tokens: Vec<u32>,
    /// The logarithm of each token's probability.
    pub log_probabilities: Vec<f32>,
    /// Its text; empty for a model without tokenizer.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// What the prompt took.
    pub prompt_time: Duration,
    /// What the answer took.
    pub answer_time: Duration,
}

/// Why no answer could be begun.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// There is nothing to go on from.
    #[error("the prompt has no token; give at least one")]
    Empty,
    /// The prompt alone fills the context.
    #[error("the prompt has {tokens} tokens, and the model reads {most} at most with one left to answer; shorten it")]
    TooLong {
        /// Of the prompt.
        tokens: usize,
        /// What the prompt may have.
        most: usize,
    },
    /// An id that the model has no row for.
    #[error("token {token} is not in the vocabulary of {vocabulary}")]
    UnknownToken {
        /// The id.
        token: u32,
        /// How many there are.
        vocabulary: usize,
    },
    /// A setting out of its range.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// Nothing could be chosen: damaged weights give no numbers.
    #[error("no token can be chosen: the model's scores are no numbers; check its weights")]
    NoChoice,
    /// The form that the answer must have cannot be followed any further.
    #[error("the answer's form cannot be followed any further: {0}; make it simpler")]
    Form(String),
}

/// Answers a prompt. `show` gets each piece of text as it becomes certain, and says whether to go on; it is asked once a token.
///
/// # Errors
/// Before the first token: a prompt that the model cannot take, or settings out of range.
pub fn generate(
    model: &LanguageModel,
    prompt: &[u32],
    options: &GenerateOptions,
    constraint: Option<Box<dyn Constraint>>,
    show: &mut dyn FnMut(&str) -> bool,
) -> Result<Generated, GenerateError> {
    generate_after(model, &mut Past::new(), prompt, options, constraint, show)
}

/// [`generate`] for a model that has read the beginning of the prompt: `past` has read its first tokens, not all. Afterwards it has
/// read the prompt and the answer, but for the answer's last token.
///
/// # Errors
/// As [`generate`]; the past is empty then.
///
/// # Panics
/// When the past has read the whole prompt or more.
pub fn generate_after(
    model: &LanguageModel,
    past: &mut Past,
    prompt: &[u32],
    options: &GenerateOptions,
    mut constraint: Option<Box<dyn Constraint>>,
    show: &mut dyn FnMut(&str) -> bool,
) -> Result<Generated, GenerateError> {
    let read = std::mem::take(past);
    check(model, prompt, options)?;
    let mut sampler = Sampler::new(options.sampling.clone(), options.sampling.seed.unwrap_or(0));
    sampler.see_prompt(prompt);
    let (mut stream, mut stops) = (TextStream::new(), StopStrings::new(&options.stop));
    let began = Instant::now();
    let unread = &prompt[read.tokens()..];
    let (mut logits, now) = model.read(read, unread, &|| false).expect("nobody stops it");
    let (prompt_time, began) = (began.elapsed(), Instant::now());
    let (mut pasts, mut tokens, mut log_probabilities, mut text) = (vec![now], Vec::new(), Vec::new(), String::new());
    let finish = loop {
        if constraint.as_ref().is_some_and(|constraint| constraint.is_done()) {
            break Finish::End;
        }
        if tokens.len() == options.tokens {
            break Finish::Length;
        }
        let mask = constraint.as_mut().map(|constraint| constraint.mask());
        let Some(choice) = sampler.choose(&logits, mask) else {
            return Err(constraint.map_or(GenerateError::NoChoice, |constraint| {
                GenerateError::Form(constraint.fault().unwrap_or("no token can go on with it").to_owned())
            }));
        };
        if !options.ignores_end && model.is_end(choice.token) {
            break Finish::End;
        }
        sampler.accept(choice.token);
        if let Some(constraint) = &mut constraint {
            constraint.accept(choice.token);
        }
        tokens.push(choice.token);
        log_probabilities.push(choice.log_probability);
        let piece = model.tokenizer().map(|tokenizer| stream.push(tokenizer, choice.token)).unwrap_or_default();
        let shown = stops.push(&piece);
        text.push_str(&shown.text);
        if !show(&shown.text) {
            break Finish::Stopped;
        }
        if let Some(stop) = shown.stop {
            break Finish::Stop(stop.index);
        }
        if prompt.len() + tokens.len() >= model.max_tokens() {
            break Finish::Context;
        }
        if tokens.len() < options.tokens {
            let (scores, after) = model.next(pasts, &[&[choice.token]]);
            logits.copy_from_slice(scores.data());
            pasts = after;
        }
    };
    // A caller that wanted no more is not asked again.
    if !matches!(finish, Finish::Stop(_) | Finish::Stopped) {
        let rest = model.tokenizer().map(|tokenizer| stream.finish(tokenizer)).unwrap_or_default();
        let mut rest = stops.push(&rest).text;
        rest.push_str(&stops.finish());
        text.push_str(&rest);
        show(&rest);
    }
    *past = pasts.remove(0);
    Ok(Generated { tokens, log_probabilities, text, finish, prompt_time, answer_time: began.elapsed() })
}

fn check(model: &LanguageModel, prompt: &[u32], options: &GenerateOptions) -> Result<(), GenerateError> {
    let (vocabulary, most) = (model.vocabulary(), model.max_tokens().saturating_sub(1));
    if prompt.is_empty() {
        return Err(GenerateError::Empty);
    }
    if prompt.len() > most {
        return Err(GenerateError::TooLong { tokens: prompt.len(), most });
    }
    if let Some(&token) = prompt.iter().find(|&&token| token as usize >= vocabulary) {
        return Err(GenerateError::UnknownToken { token, vocabulary });
    }
    Ok(options.sampling.validate(vocabulary)?)
}
