//! One answer, from a prompt to its end.

use std::time::{Duration, Instant};

use bantam_model::Past;

use super::LanguageModel;
use super::answer::{Answer, DRAFT};
use crate::sampling::{Constraint, SamplingError, SamplingOptions};

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
    /// The answer goes on with the prompt's own text, so that its first word has the space that is before it; else it is a text by itself,
    /// as after the marks of a conversation, and always where it has a form.
    pub continues: bool,
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
    /// The time that the caller gave was over.
    Deadline,
    /// No token could be chosen: the model's scores are no numbers, or the form that the answer must have allows none.
    Failed,
}

impl Finish {
    /// A word for it, as the OpenAI interface has it where it has one.
    pub fn name(self) -> &'static str {
        match self {
            Self::End | Self::Stop(_) => "stop",
            Self::Length | Self::Context => "length",
            Self::Stopped => "cancelled",
            Self::Deadline => "deadline",
            Self::Failed => "failed",
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
    /// The likeliest tokens in each token's place with the logarithms of their probabilities, likeliest first; see [`generate_with_top`].
    pub top: Vec<Vec<(u32, f32)>>,
    /// Its text; empty for a model without tokenizer.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Passes of the model that it took, the prompt's last included: fewer than tokens where guesses were right.
    pub passes: usize,
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
    /// An engine could never keep what it reads of prompt and answer.
    #[error(
        "prompt and answer take {bytes} bytes of past, and all texts together may have {most}; ask for fewer tokens, or allow more bytes"
    )]
    TooLarge {
        /// Of this text at its end.
        bytes: usize,
        /// What the engine may use.
        most: usize,
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
    generate_after(model, &mut model.past(), prompt, options, constraint, show)
}

/// [`generate`] that also tells so many of the likeliest tokens in each place, before the settings change what is likely.
///
/// # Errors
/// As [`generate`].
pub fn generate_with_top(
    model: &LanguageModel,
    prompt: &[u32],
    options: &GenerateOptions,
    top: usize,
    constraint: Option<Box<dyn Constraint>>,
    show: &mut dyn FnMut(&str) -> bool,
) -> Result<Generated, GenerateError> {
    check(model, prompt, options)?;
    let answer = Answer::new(model, prompt, options).constrained(constraint).with_top(top);
    go_on(model, &mut model.past(), prompt, answer, show)
}

/// [`generate`] for a model that has read the beginning of the prompt: `past` has read its first tokens, not all. Afterwards it has
/// read the prompt and the answer, the answer's last token perhaps not.
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
    constraint: Option<Box<dyn Constraint>>,
    show: &mut dyn FnMut(&str) -> bool,
) -> Result<Generated, GenerateError> {
    let mut read = std::mem::take(past);
    check(model, prompt, options)?;
    let answer = Answer::new(model, prompt, options).constrained(constraint);
    let generated = go_on(model, &mut read, prompt, answer, show)?;
    *past = read;
    Ok(generated)
}

/// The loop of an answer, after what the past has read of the prompt.
fn go_on(
    model: &LanguageModel,
    past: &mut Past,
    prompt: &[u32],
    mut answer: Answer,
    show: &mut dyn FnMut(&str) -> bool,
) -> Result<Generated, GenerateError> {
    let read = std::mem::take(past);
    let began = Instant::now();
    let unread = &prompt[read.tokens()..];
    let (scores, now) = model.read(read, unread, &|| false).expect("nobody stops it");
    let (prompt_time, began) = (began.elapsed(), Instant::now());
    let (mut pasts, mut text) = (vec![now], String::new());
    let (mut tokens, mut log_probabilities, mut top) = (Vec::new(), Vec::new(), Vec::new());
    let mut chosen = answer.choose_all(model, &scores, &[]);
    let mut passes = 1;
    let finish = 'answer: loop {
        for next in std::mem::take(&mut chosen) {
            let Some(token) = next.token else { break 'answer next.finish.expect("no token, no answer") };
            tokens.push(token.token);
            log_probabilities.push(token.log_probability);
            top.push(token.top);
            text.push_str(&token.text);
            if !show(&token.text) {
                break 'answer Finish::Stopped;
            }
            if let Some(finish) = next.finish {
                break 'answer finish;
            }
        }
        let draft = answer.draft(DRAFT);
        let piece: Vec<u32> = tokens.last().into_iter().chain(&draft).copied().collect();
        let (scores, after) = model.advance(pasts, &[&piece], &[piece.len()], 0);
        pasts = after;
        passes += 1;
        chosen = answer.choose_all(model, scores.data(), &draft);
        // The last one chosen is not read yet, and wrong guesses are forgotten.
        pasts[0].truncate(prompt.len() + tokens.len() + chosen.len() - 1);
    };
    // Nor are those that the caller did not want to see.
    pasts[0].truncate(prompt.len() + tokens.len());
    // A caller that wanted no more is not asked again.
    if finish == Finish::Failed {
        return Err(answer.fault().map_or(GenerateError::NoChoice, GenerateError::Form));
    } else if finish != Finish::Stopped {
        let rest = answer.rest(model, finish);
        text.push_str(&rest);
        show(&rest);
    }
    *past = pasts.remove(0);
    Ok(Generated { tokens, log_probabilities, top, text, finish, passes, prompt_time, answer_time: began.elapsed() })
}

/// Whether a model can answer a prompt with these options.
pub(super) fn check(model: &LanguageModel, prompt: &[u32], options: &GenerateOptions) -> Result<(), GenerateError> {
    check_prompt(model, prompt)?;
    Ok(options.sampling.validate(model.vocabulary())?)
}

/// Whether a model can answer a prompt.
pub(super) fn check_prompt(model: &LanguageModel, prompt: &[u32]) -> Result<(), GenerateError> {
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
    Ok(())
}
