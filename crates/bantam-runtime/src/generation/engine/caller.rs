//! Who asked: told of each event, and always how it ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::{Event, Finished};
use crate::generation::Finish;

/// What hears of a request.
pub(super) type Sink = Box<dyn FnMut(Event) -> bool + Send>;

/// What a caller is told whose request went with something that broke. Not why: that may quote what others asked.
const BROKEN: &str = "the program broke off while it answered; this is a fault of the program, not of the request";

/// A sink until it has heard all. Should its request be lost in a panic, dropping it tells the caller.
struct Caller {
    sink: Option<Sink>,
    prompt_tokens: usize,
}

/// The same sink, asked no more once it is over or panicked, and told of a failure where nothing else was.
pub(super) fn faithful(sink: Sink, prompt_tokens: usize) -> Sink {
    let mut caller = Caller { sink: Some(sink), prompt_tokens };
    Box::new(move |event| caller.tell(event))
}

impl Caller {
    /// False when it has left, and when its sink panics: what others are answered does not depend on it.
    fn tell(&mut self, event: Event) -> bool {
        let is_last = matches!(event, Event::Finished(_));
        let Some(mut sink) = self.sink.take() else { return false };
        let told = catch_unwind(AssertUnwindSafe(move || (sink(event) && !is_last).then_some(sink)));
        self.sink = told.unwrap_or_default();
        self.sink.is_some()
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let fault = Some(BROKEN.to_owned());
        let finished = Finished { fault, ..Finished::empty(Finish::Failed, self.prompt_tokens, Duration::ZERO) };
        self.tell(Event::Finished(finished));
    }
}
