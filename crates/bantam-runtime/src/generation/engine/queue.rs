//! What the callers' threads and the engine's share: the requests that wait, and how things stand.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bantam_model::PastMeter;

use super::caller::faithful;
use super::turns::{Turns, Waiting};
use super::{EngineOptions, EngineStatus, Owner, Request, SubmitError};

/// Whether an engine takes and makes more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It takes requests.
    Open,
    /// It answers those that it has.
    Draining,
    /// It leaves everything.
    Ending,
}

/// Behind the lock.
struct Queue {
    waiting: Turns,
    phase: Phase,
    status: EngineStatus,
}

/// See above.
pub(super) struct Shared {
    pub(super) options: EngineOptions,
    pub(super) meter: PastMeter,
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    pub(super) fn new(mut options: EngineOptions) -> Self {
        options.most_running = options.most_running.max(1);
        options.chunk = options.chunk.max(1);
        let queue = Queue { waiting: Turns::default(), phase: Phase::Open, status: EngineStatus::default() };
        Self { options, queue: Mutex::new(queue), changed: Condvar::new(), meter: PastMeter::default() }
    }

    /// Has the answers to a request wait, all or none.
    pub(super) fn push(&self, requests: Vec<Request>, owner: Option<Owner>) -> Result<(), SubmitError> {
        let (asked, share) = (requests.len(), self.options.most_waiting.div_ceil(2));
        let most = self.options.most_running.saturating_add(share);
        if asked > most {
            return Err(SubmitError::TooMany { asked, most });
        }
        let mut queue = self.lock();
        if queue.phase != Phase::Open {
            return Err(SubmitError::Ending);
        }
        // Those that find a free place at the next step do not count as waiting.
        let places = self.options.most_running.saturating_sub(queue.status.running);
        let waiting = queue.waiting.len();
        if waiting + asked > self.options.most_waiting.saturating_add(places) {
            return Err(SubmitError::Busy { waiting });
        }
        let of_owner = queue.waiting.iter().filter(|waiting| owner.is_some() && waiting.owner == owner).count();
        if of_owner + asked > share.saturating_add(places) {
            return Err(if of_owner > 0 {
                SubmitError::OwnerBusy { waiting: of_owner }
            } else {
                SubmitError::Busy { waiting }
            });
        }
        let since = Instant::now();
        let waiting = |request: Request| {
            let sink = faithful(request.sink, request.prompt.len());
            Waiting { request: Request { sink, ..request }, since, owner }
        };
        queue.waiting.push(owner, requests.into_iter().map(waiting).collect());
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// Goes on to a later phase.
    pub(super) fn enter(&self, phase: Phase) {
        let mut queue = self.lock();
        queue.phase = queue.phase.max(phase);
        drop(queue);
        self.changed.notify_one();
    }

    pub(super) fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// Takes the answer whose turn it is, if it `fits`. One with which `fits` breaks is taken, too.
    pub(super) fn take_first(&self, fits: impl FnOnce(&Request) -> bool) -> Option<Waiting> {
        // Older than the lock, so that whoever asked does not hear of a panic under it.
        let mut first = None;
        let mut queue = self.lock();
        let taken = first.insert(queue.waiting.take()?);
        queue.status.running += 1;
        if !fits(&taken.request) {
            queue.status.running -= 1;
            first.take().into_iter().for_each(|first| queue.waiting.put_back(first));
        }
        first
    }

    /// Takes the answers whose time is over.
    pub(super) fn take_late(&self, now: Instant) -> Vec<Waiting> {
        self.lock().waiting.take_where(|waiting| waiting.request.deadline.is_some_and(|deadline| deadline <= now))
    }

    /// Takes the answers that nobody waits for any more.
    pub(super) fn take_left(&self) -> Vec<Waiting> {
        self.lock().waiting.take_where(|waiting| waiting.request.has_left.as_ref().is_some_and(|has_left| has_left()))
    }

    /// Takes all answers that wait.
    pub(super) fn take_all(&self) -> Vec<Waiting> {
        self.lock().waiting.take_where(|_| true)
    }

    /// Waits until an answer does; false when none will.
    pub(super) fn wait(&self) -> bool {
        let queue = self.lock();
        let is_idle = |queue: &mut Queue| queue.waiting.is_empty() && queue.phase == Phase::Open;
        let queue = self.changed.wait_while(queue, is_idle).unwrap_or_else(PoisonError::into_inner);
        !queue.waiting.is_empty()
    }

    /// Changes how things stand.
    pub(super) fn update(&self, change: impl FnOnce(&mut EngineStatus)) {
        change(&mut self.lock().status);
    }

    pub(super) fn status(&self) -> EngineStatus {
        let queue = self.lock();
        EngineStatus { waiting: queue.waiting.len(), past_bytes: self.meter.bytes(), ..queue.status }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
