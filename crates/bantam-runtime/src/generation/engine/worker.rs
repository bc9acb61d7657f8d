//! The engine's thread: which texts are under way, and what memory they may use.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use bantam_model::Past;

use super::prefixes::{Prefixes, common};
use super::queue::{Phase, Shared};
use super::text::{Text, blocks_to_come};
use super::turns::Waiting;
use super::{Event, Finished, Request};
use crate::generation::{Finish, LanguageModel};

/// Tokens that are worth taking from another text: the block that they end in must be copied, which takes as long as to read some.
const LEAST_REUSED: usize = 16;

/// See above.
pub(super) struct Worker {
    pub(super) model: Arc<LanguageModel>,
    pub(super) shared: Arc<Shared>,
    /// Those under way, the oldest first.
    pub(super) texts: Vec<Text>,
    pub(super) prefixes: Prefixes,
    block_bytes: usize,
}

impl Worker {
    pub(super) fn new(model: Arc<LanguageModel>, shared: Arc<Shared>, block_bytes: usize) -> Self {
        Self { model, shared, texts: Vec::new(), prefixes: Prefixes::default(), block_bytes }
    }

    /// Answers until the engine ends.
    pub(super) fn run(mut self) {
        while self.shared.phase() != Phase::Ending {
            // What breaks as it is begun leaves those under way as they were.
            self.outlive(Self::begin);
            if self.texts.is_empty() {
                if !self.shared.wait() {
                    break;
                }
            } else if !self.outlive(Self::step) {
                // What breaks in a step costs the answers that were in it, whose pasts went with it, and none to come.
                self.outlive(|worker| worker.texts.clear());
                self.settle();
            }
        }
        self.outlive(Self::leave);
    }

    /// Does a part of the work; false where it breaks. Requests that went with it were told of that as they were dropped.
    fn outlive(&mut self, work: impl FnOnce(&mut Self)) -> bool {
        let is_whole = catch_unwind(AssertUnwindSafe(|| work(self))).is_ok();
        if !is_whole {
            self.settle();
        }
        is_whole
    }

    /// Takes note that texts which were running are no more.
    fn settle(&self) {
        let running = self.texts.len();
        self.shared.update(|status| {
            status.finished_requests += status.running.saturating_sub(running) as u64;
            status.running = running;
        });
    }

    /// Begins those that wait as long as there is room; not those whose time is over, or whose callers have left.
    fn begin(&mut self) {
        let left = self.shared.take_left();
        self.shared.update(|status| status.cancelled_requests += left.len() as u64);
        drop(left);
        self.shared.take_late(Instant::now()).into_iter().for_each(|late| self.refuse(late, Finish::Deadline));
        let shared = Arc::clone(&self.shared);
        while self.texts.len() < shared.options.most_running {
            let mut past = self.model.past().metered(&shared.meter);
            let first = shared.take_first(|request| {
                if let Some(known) = known(&self.model, &self.texts, &mut self.prefixes, &request.prompt) {
                    past = known;
                }
                self.make_room(request, &past)
            });
            let Some(first) = first else { return };
            self.texts.push(Text::new(&self.model, first, past));
        }
    }

    /// Whether a request with this past can be answered to its end beside the others, once texts that nobody reads are forgotten.
    fn make_room(&mut self, request: &Request, past: &Past) -> bool {
        let to_come: usize = self.texts.iter().map(|text| text.blocks_to_come(&self.model)).sum();
        let bytes = (to_come + blocks_to_come(&self.model, request, past)).saturating_mul(self.block_bytes);
        while self.shared.meter.bytes().saturating_add(bytes) > self.shared.options.past_bytes {
            if !self.prefixes.forget_one() {
                return self.texts.is_empty();
            }
        }
        true
    }

    /// Looks once more for what the others have read by now, before a text is begun to be read.
    pub(super) fn catch_up(&mut self, index: usize) {
        if self.texts[index].is_fresh()
            && let Some(past) = known(&self.model, &self.texts, &mut self.prefixes, &self.texts[index].tokens)
            && past.tokens() > self.texts[index].past.tokens()
        {
            self.texts[index].start_from(past);
        }
    }

    /// Ends a text under way; what was read of it is kept for others.
    pub(super) fn end(&mut self, index: usize, finish: Finish, is_told: bool) {
        let mut text = self.texts.remove(index);
        let shared = text.shared_tokens(&self.model);
        let mut past = std::mem::take(&mut text.past);
        let mut tokens = std::mem::take(&mut text.tokens);
        tokens.truncate(shared);
        // Guesses that were right have been read, but not told, where the caller left between them.
        past.truncate(tokens.len());
        self.prefixes.keep(tokens, past);
        self.shared.update(|status| {
            status.running = self.texts.len();
            status.cached_prefixes = self.prefixes.len();
            if is_told { status.finished_requests += 1 } else { status.cancelled_requests += 1 }
        });
        if is_told {
            text.finish(&self.model, finish);
        }
    }

    /// Ends everything.
    fn leave(&mut self) {
        (0..self.texts.len()).rev().for_each(|index| self.end(index, Finish::Stopped, true));
        self.shared.take_all().into_iter().for_each(|waiting| self.refuse(waiting, Finish::Stopped));
    }

    /// Ends what was not begun.
    fn refuse(&self, Waiting { mut request, since, .. }: Waiting, finish: Finish) {
        self.shared.update(|status| status.finished_requests += 1);
        (request.sink)(Event::Finished(Finished::empty(finish, request.prompt.len(), since.elapsed())));
    }
}

impl Drop for Worker {
    /// Should the thread end by a panic all the same, nobody waits for it.
    fn drop(&mut self) {
        self.shared.enter(Phase::Ending);
        self.shared.take_all();
        self.shared.update(|status| (status.running, status.cached_prefixes) = (0, 0));
    }
}

/// What was read of another text that begins like `prompt`, as far as that; at least one token stays to be read.
fn known(model: &LanguageModel, texts: &[Text], prefixes: &mut Prefixes, prompt: &[u32]) -> Option<Past> {
    let under_way = texts.iter().map(|text| (common(&text.tokens[..text.shared_tokens(model)], prompt), &text.past));
    let (length, past) = under_way.chain(prefixes.longest(prompt)).max_by_key(|&(length, _)| length)?;
    let length = length.min(prompt.len() - 1);
    (length >= LEAST_REUSED).then(|| {
        let mut past = past.clone();
        past.truncate(length);
        past
    })
}
