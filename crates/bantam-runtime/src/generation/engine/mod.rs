//! Many answers at a time, from one thread: continuous batching.
//!
//! In each step every answer under way gets a token and, beside them, prompts are read in pieces ([`plan`]), all in one pass of the model.
//! What waits has its place in turns ([`Turns`](turns::Turns)), so that a caller's wait does not grow with what others ask for.
//! [`Prefixes`](prefixes::Prefixes) keep what was read, so that a text with a known beginning is read from where it differs. An answer is the
//! same whatever is answered beside it, and whether its beginning was read anew or not: the kernels compute each row on its own. Where prompts
//! are read in another way than answers ([`LanguageModel::reads_prompts_apart`]), only what was read of a prompt is known to others.

mod caller;
#[cfg(test)]
mod fairness;
#[cfg(test)]
mod faults;
mod plan;
mod prefixes;
mod queue;
mod request;
mod step;
#[cfg(test)]
mod tests;
mod text;
mod turns;
mod worker;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

pub use super::AnswerToken;
use super::LanguageModel;
use super::generate::{GenerateError, check};
use queue::{Phase, Shared};
pub use request::{EngineOptions, EngineStatus, Event, Finished, Owner, Request, SubmitError};
use text::most_tokens;
use worker::Worker;

/// Answers the requests of many callers with one model. It owns a thread, which ends when it is dropped; what is under way then ends as
/// [`Finish::Stopped`](super::Finish::Stopped).
pub struct Engine {
    model: Arc<LanguageModel>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    block_bytes: usize,
}

impl Engine {
    /// Starts the thread. One token is read at once, to learn what memory a text takes.
    ///
    /// # Panics
    /// When the system gives no thread.
    pub fn start(model: Arc<LanguageModel>, options: EngineOptions) -> Self {
        let block_bytes = model.past_block_bytes();
        let shared = Arc::new(Shared::new(options));
        let worker = Worker::new(Arc::clone(&model), Arc::clone(&shared), block_bytes);
        let builder = std::thread::Builder::new().name("bantam-engine".to_owned());
        let thread = builder.spawn(move || worker.run()).expect("the system starts a thread");
        Self { model, shared, thread: Mutex::new(Some(thread)), block_bytes }
    }

    /// The model.
    pub fn model(&self) -> &Arc<LanguageModel> {
        &self.model
    }

    /// Takes a request of nobody in particular. Its sink hears of it from the engine's thread.
    ///
    /// # Errors
    /// When too many wait already, when the model cannot take it, or when the engine is ending.
    pub fn submit(&self, request: Request) -> Result<(), SubmitError> {
        self.submit_all(vec![request], None)
    }

    /// Takes several that were asked for together, all or none. They have one turn among all that wait, and share it with what else
    /// waits of their owner.
    ///
    /// # Errors
    /// As for one, and where they are more than the engine ever has places for.
    pub fn submit_all(&self, requests: Vec<Request>, owner: Option<Owner>) -> Result<(), SubmitError> {
        requests.iter().try_for_each(|request| self.check(request))?;
        self.shared.push(requests, owner)
    }

    /// Whether a request could be answered if it were alone.
    fn check(&self, request: &Request) -> Result<(), SubmitError> {
        check(&self.model, &request.prompt, &request.options).map_err(SubmitError::Invalid)?;
        // A block may be begun by one text and written on by another, which then has its own copy.
        let blocks = most_tokens(&self.model, request).div_ceil(bantam_model::Past::BLOCK) + 1;
        let (bytes, most) = (blocks.saturating_mul(self.block_bytes), self.shared.options.past_bytes);
        if bytes > most {
            return Err(SubmitError::Invalid(GenerateError::TooLarge { bytes, most }));
        }
        Ok(())
    }

    /// Tokens for which there is memory, of all texts together.
    pub fn past_capacity(&self) -> usize {
        (self.shared.options.past_bytes / self.block_bytes.max(1)).saturating_mul(bantam_model::Past::BLOCK)
    }

    /// How things stand.
    pub fn status(&self) -> EngineStatus {
        self.shared.status()
    }

    /// Whether it takes requests; not once it is drained, nor should its thread have ended by itself.
    pub fn is_open(&self) -> bool {
        self.shared.phase() == Phase::Open
    }

    /// Refuses new requests, waits until those taken have their answers, and ends the thread.
    pub fn drain(&self) {
        self.end(Phase::Draining);
    }

    fn end(&self, phase: Phase) {
        self.shared.enter(phase);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A sink may hold the engine, and then its own thread drops it.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // A panic was told when it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.end(Phase::Ending);
    }
}
