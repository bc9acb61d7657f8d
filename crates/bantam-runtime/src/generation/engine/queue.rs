//! What the callers' threads and the engine's share: the requests that wait, and how things stand.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bantam_model::PastMeter;

use super::caller::faithful;
use super::{EngineOptions, EngineStatus, Request, SubmitError};

/// A request, and when it came.
pub(super) struct Waiting {
    pub(super) request: Request,
    pub(super) since: Instant,
}

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
    /// First come first.
    waiting: VecDeque<Waiting>,
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
        let queue = Queue { waiting: VecDeque::new(), phase: Phase::Open, status: EngineStatus::default() };
        Self { options, queue: Mutex::new(queue), changed: Condvar::new(), meter: PastMeter::default() }
    }

    /// Puts a request behind the others.
    pub(super) fn push(&self, request: Request) -> Result<(), SubmitError> {
        let mut queue = self.lock();
        if queue.phase != Phase::Open {
            return Err(SubmitError::Ending);
        }
        // Those that find a free place at the next step do not count as waiting.
        let places = self.options.most_running.saturating_sub(queue.status.running);
        if queue.waiting.len() >= self.options.most_waiting.saturating_add(places) {
            return Err(SubmitError::Busy { waiting: queue.waiting.len() });
        }
        let sink = faithful(request.sink, request.prompt.len());
        queue.waiting.push_back(Waiting { request: Request { sink, ..request }, since: Instant::now() });
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

    /// Takes the first request that waits, if it `fits`. One with which `fits` breaks is taken, too.
    pub(super) fn take_first(&self, fits: impl FnOnce(&Request) -> bool) -> Option<Waiting> {
        // Older than the lock, so that whoever asked does not hear of a panic under it.
        let mut first = None;
        let mut queue = self.lock();
        let taken = first.insert(queue.waiting.pop_front()?);
        queue.status.running += 1;
        if !fits(&taken.request) {
            queue.status.running -= 1;
            first.take().into_iter().for_each(|first| queue.waiting.push_front(first));
        }
        first
    }

    /// Takes the requests whose time is over.
    pub(super) fn take_late(&self, now: Instant) -> Vec<Waiting> {
        let is_late = |waiting: &Waiting| waiting.request.deadline.is_some_and(|deadline| deadline <= now);
        let mut queue = self.lock();
        let late = (0..queue.waiting.len()).rev().filter(|&place| is_late(&queue.waiting[place]));
        let late: Vec<usize> = late.collect();
        late.into_iter().filter_map(|place| queue.waiting.remove(place)).collect()
    }

    /// Takes all requests that wait.
    pub(super) fn take_all(&self) -> VecDeque<Waiting> {
        std::mem::take(&mut self.lock().waiting)
    }

    /// Waits until a request does; false when none will.
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
