//! One request under way.

use std::time::{Duration, Instant};

use bantam_model::Past;

use super::turns::Waiting;
use super::{Event, Finished, Request};
use crate::generation::answer::{Answer, Next};
use crate::generation::{Finish, LanguageModel};

/// A prompt with its answer so far.
pub(super) struct Text {
    /// Prompt, then answer.
    pub(super) tokens: Vec<u32>,
    /// What was read of them.
    pub(super) past: Past,
    /// Tokens that its past was given, not made for it.
    pub(super) reused: usize,
    pub(super) answer: Answer,
    /// What the last step chose.
    pub(super) next: Vec<Next>,
    /// What is guessed to follow the tokens.
    pub(super) draft: Vec<u32>,
    request: Request,
    began: Instant,
    waiting_time: Duration,
    prompt_time: Option<Duration>,
}

impl Text {
    pub(super) fn new(model: &LanguageModel, waiting: Waiting, past: Past) -> Self {
        let Waiting { mut request, since, .. } = waiting;
        let answer = Answer::new(model, &request.prompt, &request.options)
            .constrained(request.constraint.take())
            .with_top(request.top_log_probabilities);
        let tokens = request.prompt.clone();
        let waiting_time = since.elapsed();
        Self {
            tokens,
            reused: past.tokens(),
            past,
            answer,
            next: Vec::new(),
            draft: Vec::new(),
            request,
            began: Instant::now(),
            waiting_time,
            prompt_time: None,
        }
    }

    /// Tokens that the model has not read.
    pub(super) fn unread(&self) -> &[u32] {
        &self.tokens[self.past.tokens()..]
    }

    /// How many of its tokens were read as any text that begins with them reads them.
    pub(super) fn shared_tokens(&self, model: &LanguageModel) -> usize {
        let read = self.past.tokens();
        if model.reads_prompts_apart() { read.min(self.prompt_tokens()) } else { read }
    }

    /// Whether its prompt is read.
    pub(super) fn is_answered(&self) -> bool {
        self.answer.tokens() > 0
    }

    /// Whether nothing was read for it yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.past.tokens() == self.reused
    }

    /// Tokens of the prompt.
    pub(super) fn prompt_tokens(&self) -> usize {
        self.request.prompt.len()
    }

    /// Blocks that its past may still take.
    pub(super) fn blocks_to_come(&self, model: &LanguageModel) -> usize {
        blocks_to_come(model, &self.request, &self.past)
    }

    /// Takes the beginning from another text.
    pub(super) fn start_from(&mut self, past: Past) {
        self.reused = past.tokens();
        self.past = past;
    }

    /// Whether the caller's time is over.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.request.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Tells the caller; false when it has left.
    pub(super) fn tell(&mut self, event: Event) -> bool {
        (self.request.sink)(event)
    }

    /// Guesses what follows, where all is read but the last token: `most` tokens at most, which are read with it.
    pub(super) fn guess(&mut self, most: usize) {
        if self.is_answered() {
            self.draft = self.answer.draft(most);
            self.tokens.extend(&self.draft);
        }
    }

    /// Chooses what follows by the model's scores after the last token and those guessed, and forgets the wrong guesses.
    pub(super) fn choose(&mut self, model: &LanguageModel, scores: &[f32]) {
        let draft = std::mem::take(&mut self.draft);
        self.tokens.truncate(self.tokens.len() - draft.len());
        self.next = self.answer.choose_all(model, scores, &draft);
        self.past.truncate(self.tokens.len() + self.next.len() - 1);
    }

    /// Tokens that the last step chose.
    pub(super) fn chosen(&self) -> usize {
        self.next.iter().filter(|next| next.token.is_some()).count()
    }

    /// Takes in what was chosen and tells it. Why the text ends, if it does, and whether its caller is there to hear that.
    pub(super) fn take_next(&mut self) -> Option<(Finish, bool)> {
        self.prompt_time.get_or_insert_with(|| self.began.elapsed());
        for next in std::mem::take(&mut self.next) {
            if let Some(token) = next.token {
                self.tokens.push(token.token);
                if !self.tell(Event::Token(token)) {
                    return Some((Finish::Stopped, false));
                }
            }
            if let Some(finish) = next.finish {
                return Some((finish, true));
            }
        }
        None
    }

    /// Tells that it is over.
    pub(super) fn finish(&mut self, model: &LanguageModel, finish: Finish) {
        let (text, time) = (self.answer.rest(model, finish), self.began.elapsed());
        let prompt_time = self.prompt_time.unwrap_or(time);
        let of_form = |fault| format!("the answer's form cannot be followed any further: {fault}");
        let fault = match finish {
            Finish::Failed => self.answer.fault().map(of_form),
            _ => None,
        };
        self.tell(Event::Finished(Finished {
            text,
            finish,
            fault,
            prompt_tokens: self.prompt_tokens(),
            reused_tokens: self.reused,
            answer_tokens: self.answer.tokens(),
            waiting_time: self.waiting_time,
            prompt_time,
            answer_time: time - prompt_time,
        }));
    }
}

/// Tokens that a text has at most.
pub(super) fn most_tokens(model: &LanguageModel, request: &Request) -> usize {
    request.prompt.len().saturating_add(request.options.tokens).min(model.max_tokens())
}

/// Blocks that a request's past may still take: those not begun, and the last one, which other texts may share.
pub(super) fn blocks_to_come(model: &LanguageModel, request: &Request, past: &Past) -> usize {
    most_tokens(model, request).div_ceil(Past::BLOCK) - past.tokens() / Past::BLOCK
}
