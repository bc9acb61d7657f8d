//! What callers and engine say to each other.

use std::time::{Duration, Instant};

use bantam_kernels::gemm::grouped::GroupedMatrix;

use crate::generation::{AnswerToken, Finish, GenerateError, GenerateOptions};
use crate::sampling::Constraint;

/// What an engine may use.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Texts that advance together, at least 1.
    pub most_running: usize,
    /// Answers that wait while so many run; one more is refused as [`SubmitError::Busy`]. One request, or one owner, has half of these
    /// places at most, so that others find one.
    pub most_waiting: usize,
    /// Bytes of all pasts together, those kept for texts to come included. A text begins when all that it may take is free.
    pub past_bytes: usize,
    /// Tokens of prompts that are read in a step beside answers under way, at least 1: more read faster, fewer let answers wait less.
    pub chunk: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        // Where prompts are read apart, to unpack the weights for a piece takes as long as to read some thirty tokens.
        let chunk = if GroupedMatrix::reads_prompts_apart() { 64 } else { 32 };
        Self { most_running: 32, most_waiting: 256, past_bytes: 1 << 30, chunk }
    }
}

/// Who asks, where that is known: a hash of a key, for example.
pub type Owner = [u8; 32];

/// A prompt, and how it is to be answered.
pub struct Request {
    /// Token ids, at least one.
    pub prompt: Vec<u32>,
    /// How the answer is made.
    pub options: GenerateOptions,
    /// How many of the likeliest tokens are told with each token.
    pub top_log_probabilities: usize,
    /// A form that the answer must have.
    pub constraint: Option<Box<dyn Constraint>>,
    /// When the answer is of no use any more; it then ends as [`Finish::Deadline`].
    pub deadline: Option<Instant>,
    /// Tells whether the caller has left while the request waits, so that it keeps no place. It must neither wait nor ask the engine.
    pub has_left: Option<Box<dyn Fn() -> bool + Send>>,
    /// Hears each event, on the engine's thread: it must not wait. When it returns false, or panics, the caller has left, and
    /// it is not asked again; else it hears [`Event::Finished`], whatever breaks.
    pub sink: Box<dyn FnMut(Event) -> bool + Send>,
}

/// What happens to a request.
#[derive(Debug)]
pub enum Event {
    /// So many tokens of the prompt are read, the reused included; told so that a caller who left is missed before the answer begins.
    Reading(usize),
    /// The answer has a token more.
    Token(AnswerToken),
    /// The answer is over; nothing follows.
    Finished(Finished),
}

/// How an answer ended.
#[derive(Debug)]
pub struct Finished {
    /// Text that was held back till now.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// What went wrong where it ended as [`Finish::Failed`]; `None` where the model's scores are no numbers.
    pub fault: Option<String>,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those of them that were read before, in another text.
    pub reused_tokens: usize,
    /// Tokens of the answer, without the one that ended it.
    pub answer_tokens: usize,
    /// From the request until it was begun.
    pub waiting_time: Duration,
    /// From then to the first token.
    pub prompt_time: Duration,
    /// From then to the end.
    pub answer_time: Duration,
}

impl Finished {
    /// The end of an answer that was not begun.
    pub(super) fn empty(finish: Finish, prompt_tokens: usize, waiting_time: Duration) -> Self {
        Self {
            text: String::new(),
            finish,
            fault: None,
            prompt_tokens,
            reused_tokens: 0,
            answer_tokens: 0,
            waiting_time,
            prompt_time: Duration::ZERO,
            answer_time: Duration::ZERO,
        }
    }
}

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// As many requests wait as may.
    #[error("{waiting} answers wait already; try again later")]
    Busy {
        /// How many.
        waiting: usize,
    },
    /// As many answers of one owner wait as may.
    #[error("{waiting} answers of this caller wait already; try again later")]
    OwnerBusy {
        /// How many.
        waiting: usize,
    },
    /// There will never be places for so many.
    #[error("{asked} answers at a time are more than the {most} that may be made and wait")]
    TooMany {
        /// How many were asked for together.
        asked: usize,
        /// How many have a place in an idle engine.
        most: usize,
    },
    /// It can never be answered.
    #[error(transparent)]
    Invalid(GenerateError),
    /// The engine takes no more.
    #[error("the engine is ending")]
    Ending,
}

/// How an engine stands, and what it did since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineStatus {
    /// Texts that advance.
    pub running: usize,
    /// Answers that wait.
    pub waiting: usize,
    /// Memory of all pasts; blocks that texts share count once.
    pub past_bytes: usize,
    /// Texts that are kept for others that begin like them.
    pub cached_prefixes: usize,
    /// Tokens of prompts, the reused included.
    pub prompt_tokens: u64,
    /// Tokens of prompts that had been read before.
    pub reused_tokens: u64,
    /// Tokens of answers.
    pub answer_tokens: u64,
    /// Requests that came to their end.
    pub finished_requests: u64,
    /// Requests whose callers left.
    pub cancelled_requests: u64,
}
