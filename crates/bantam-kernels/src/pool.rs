//! The process's own threads: parallel loops whose start costs well under a microsecond while the workers are awake.
//!
//! Workers spin for a few dozen microseconds after each loop and then park. The caller is worker 0 and never waits for a worker that did
//! not come in time: a worker joins a loop through a gate, and the caller, once out of tasks, closes the gate and waits for those inside.
//! A loop inside a loop, or one that starts while another thread holds the pool, runs on its own thread, so nothing can deadlock.
//! Each thread begins with a stretch of the tasks of its own, so that neighbours in memory are read by one core, and then helps the others.
//! Tasks must not depend on who runs them: split work by [`threads`] or by fixed sizes, and results are the same bytes each time.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long an idle worker spins before it parks.
const SPIN: Duration = Duration::from_micros(50);
/// Claims per thread that a loop with many tasks is cut into.
const CLAIMS_PER_THREAD: usize = 16;
/// Stretches that the tasks of a loop are cut into at most; more threads than that share them.
const MOST_STRETCHES: usize = 64;
/// The gate's bit that lets workers in; the bits below it count those inside, the upper half counts loops.
const OPEN: u64 = 1 << 31;
const ONE_LOOP: u64 = 1 << 32;

thread_local! {
    /// Threads that loops started from this thread may use; 0 where nothing was said.
    static OVERRIDE: Cell<usize> = const { Cell::new(0) };
}

/// Threads wanted by `set_threads`; 0 until asked, then the CPUs that the system grants.
static WANTED: AtomicUsize = AtomicUsize::new(0);

static POOL: Pool = Pool {
    gate: AtomicU64::new(0),
    limit: AtomicUsize::new(0),
    next: [const { Padded(AtomicUsize::new(0)) }; MOST_STRETCHES],
    job: UnsafeCell::new(None),
    panic: Mutex::new(None),
    workers: Mutex::new(Vec::new()),
};

/// How many threads a loop started here would use: 1 inside a task of a loop.
pub fn threads() -> usize {
    match OVERRIDE.get() {
        0 => match WANTED.load(Ordering::Relaxed) {
            0 => {
                let granted = if cfg!(target_family = "wasm") {
                    1
                } else {
                    std::thread::available_parallelism().map_or(1, usize::from)
                };
                WANTED.store(granted, Ordering::Relaxed);
                granted
            }
            wanted => wanted,
        },
        scoped => scoped,
    }
}

/// Sets the number of threads for the whole process, the calling one included; 0 means one per CPU that the system grants.
pub fn set_threads(count: usize) {
    WANTED.store(count, Ordering::Relaxed);
}

/// Runs `run` with loops of this thread on `count` threads (at least 1): `with_threads(1, ..)` is for paths where latency counts.
pub fn with_threads<R>(count: usize, run: impl FnOnce() -> R) -> R {
    struct Restore(usize);
    impl Drop for Restore {
        fn drop(&mut self) {
            OVERRIDE.set(self.0);
        }
    }
    let _restore = Restore(OVERRIDE.replace(count.max(1)));
    run()
}

/// Calls `task` once for each number below `tasks`, on all threads, and returns when all calls have ended. A panic of a task is passed on
/// to the caller after the other threads have left the loop; tasks not yet begun are then left out.
pub fn for_each(tasks: usize, task: impl Fn(usize) + Sync) {
    let threads = threads();
    if tasks <= 1 || threads == 1 {
        return (0..tasks).for_each(task);
    }
    match POOL.workers.try_lock() {
        Ok(workers) => POOL.run(workers, threads, tasks, &task),
        Err(TryLockError::Poisoned(poisoned)) => POOL.run(poisoned.into_inner(), threads, tasks, &task),
        Err(TryLockError::WouldBlock) => with_threads(1, || (0..tasks).for_each(&task)),
    }
}

/// Cuts `data` into pieces of `size` (the last may be shorter) and calls `task` with each piece and its number, on all threads.
pub fn for_each_chunk<T: Send>(data: &mut [T], size: usize, task: impl Fn(usize, &mut [T]) + Sync) {
    let (length, size) = (data.len(), size.max(1));
    let base = Shared::new(data);
    for_each(length.div_ceil(size), |index| {
        let start = index * size;
        // SAFETY: each index is passed once, and the ranges of different indices do not meet.
        task(index, unsafe { base.slice(start, size.min(length - start)) });
    });
}

/// Runs `other` on a thread of its own, named `name`, while `main` runs on this one, and returns what both gave, `other`'s first: for work that
/// loops cannot share. One after the other where one thread is wanted or the system gives none. A panic of either is passed on.
pub fn beside<A: Send, B>(name: &str, other: impl FnOnce() -> A + Send, main: impl FnOnce() -> B) -> (A, B) {
    if threads() == 1 {
        return (other(), main());
    }
    let other = Mutex::new(Some(other));
    let run = || other.lock().unwrap_or_else(PoisonError::into_inner).take().map(|other| other());
    let (theirs, ours) = std::thread::scope(|scope| {
        let helper = std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, run);
        let ours = main();
        let theirs = helper.ok().and_then(|helper| helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        (theirs, ours)
    });
    (theirs.or_else(run).expect("it runs once, there or here"), ours)
}

/// A mutable slice that the tasks of a loop write disjoint parts of.
#[derive(Clone, Copy)]
pub(crate) struct Shared<T> {
    pointer: *mut T,
    length: usize,
}

// SAFETY: `Shared` only hands out parts through unsafe functions whose callers promise that parts in use do not overlap.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Takes the whole slice; the borrow of `data` must outlast every use, which the loop's own return sees to.
    pub(crate) fn new(data: &mut [T]) -> Self {
        Shared { pointer: data.as_mut_ptr(), length: data.len() }
    }

    /// Where the slice starts, for tasks whose parts are not contiguous; they too must not meet.
    pub(crate) fn pointer(&self) -> *mut T {
        self.pointer
    }

    /// The part of `length` elements from `start`.
    ///
    /// # Safety
    /// The slice given to `new` is still borrowed, and no other part in use meets this one.
    #[expect(clippy::mut_from_ref, reason = "the caller promises that the parts are disjoint")]
    pub(crate) unsafe fn slice(&self, start: usize, length: usize) -> &mut [T] {
        assert!(start + length <= self.length, "part {start}+{length} of a slice of {}", self.length);
        // SAFETY: in bounds as asserted; not aliased as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(start), length) }
    }
}

/// On cache lines of its own: what one thread writes often must not slow down what another reads.
#[repr(align(128))]
struct Padded<T>(T);

struct Pool {
    gate: AtomicU64,
    /// Workers with an index below this may join the loop.
    limit: AtomicUsize,
    /// The next task to claim, per stretch.
    next: [Padded<AtomicUsize>; MOST_STRETCHES],
    job: UnsafeCell<Option<Job>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Locked by the thread whose loop runs.
    workers: Mutex<Vec<Worker>>,
}

// SAFETY: `job` is written only by the holder of `workers` while the gate is closed and empty, and read only from inside the gate.
unsafe impl Sync for Pool {}

struct Worker {
    thread: Thread,
    parked: Arc<AtomicBool>,
}

/// A loop in progress. The pointer outlives its use because the caller's frame waits for all who are inside the gate.
#[derive(Clone, Copy)]
struct Job {
    task: *const (dyn Fn(usize) + Sync),
    tasks: usize,
    stretches: usize,
    claim: usize,
    #[cfg(test)]
    isa: Option<crate::isa::Isa>,
}

impl Job {
    /// The first task of a stretch, and the end of the one before it.
    fn start(&self, stretch: usize) -> usize {
        self.tasks / self.stretches * stretch + (self.tasks % self.stretches).min(stretch)
    }
}

impl Pool {
    fn run(
        &'static self,
        mut workers: MutexGuard<'_, Vec<Worker>>,
        threads: usize,
        tasks: usize,
        task: &(dyn Fn(usize) + Sync),
    ) {
        self.hire(&mut workers, threads - 1);
        // SAFETY: only the lifetime is erased; this frame does not end before the gate is empty.
        let task = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(task) };
        let claim = (tasks / (threads * CLAIMS_PER_THREAD)).max(1);
        let stretches = threads.min(MOST_STRETCHES);
        let job = Job {
            task,
            tasks,
            stretches,
            claim,
            #[cfg(test)]
            isa: crate::isa::scoped::get(),
        };
        // SAFETY: this thread holds the pool and the gate is closed and empty.
        unsafe { *self.job.get() = Some(job) };
        for (stretch, next) in self.next[..stretches].iter().enumerate() {
            next.0.store(job.start(stretch), Ordering::Relaxed);
        }
        self.limit.store(threads - 1, Ordering::Relaxed);
        let epoch = (self.gate.load(Ordering::Relaxed) & !(ONE_LOOP - 1)).wrapping_add(ONE_LOOP);
        self.gate.store(epoch | OPEN, Ordering::SeqCst);
        for worker in workers.iter().take(threads - 1) {
            if worker.parked.load(Ordering::SeqCst) && worker.parked.swap(false, Ordering::SeqCst) {
                worker.thread.unpark();
            }
        }
        self.work(job, 0);
        self.gate.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0u32;
        while self.gate.load(Ordering::Acquire) != epoch {
            spins += 1;
            if spins.is_multiple_of(4096) { std::thread::yield_now() } else { spin_loop() }
        }
        // A task may have panicked on any thread; nobody else can touch the slot now.
        let panic = self.panic.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        drop(workers);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Claims and runs tasks until none is left, those of the thread's own stretch first.
    fn work(&self, job: Job, thread: usize) {
        let result = catch_unwind(AssertUnwindSafe(|| {
            with_threads(1, || {
                for stretch in (0..job.stretches).map(|offset| (thread + offset) % job.stretches) {
                    let end = job.start(stretch + 1);
                    loop {
                        let first = self.next[stretch].0.fetch_add(job.claim, Ordering::Relaxed);
                        if first >= end {
                            break;
                        }
                        for index in first..end.min(first + job.claim) {
                            // SAFETY: the closure is alive while anyone is inside the gate, and it is `Sync`.
                            unsafe { (*job.task)(index) };
                        }
                    }
                }
            });
        }));
        if let Err(panic) = result {
            self.next[..job.stretches].iter().for_each(|next| next.0.store(job.tasks, Ordering::Relaxed));
            self.panic.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(panic);
        }
    }

    /// Starts workers until there are `count`; where the system refuses, the loop makes do with those that exist.
    fn hire(&'static self, workers: &mut Vec<Worker>, count: usize) {
        while workers.len() < count {
            let (index, parked) = (workers.len(), Arc::new(AtomicBool::new(false)));
            let flag = Arc::clone(&parked);
            let builder = std::thread::Builder::new().name(format!("bantam-{}", index + 1));
            let Ok(handle) = builder.spawn(move || self.serve(index, &flag)) else { return };
            workers.push(Worker { thread: handle.thread().clone(), parked });
        }
    }

    /// A worker's life: wait for a new loop, join it if allowed, help, leave.
    fn serve(&self, index: usize, parked: &AtomicBool) {
        let mut seen = 0;
        loop {
            let gate = self.wait(seen, parked);
            seen = gate & !(ONE_LOOP - 1);
            if index < self.limit.load(Ordering::Acquire) && self.enter(seen) {
                // SAFETY: inside the gate the job is set and not written.
                if let Some(job) = unsafe { *self.job.get() } {
                    #[cfg(test)]
                    crate::isa::scoped::with(job.isa, || self.work(job, index + 1));
                    #[cfg(not(test))]
                    self.work(job, index + 1);
                }
                self.gate.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }

    /// Counts the worker in, unless the loop `epoch` has closed.
    fn enter(&self, epoch: u64) -> bool {
        let mut gate = self.gate.load(Ordering::Acquire);
        while gate & !(ONE_LOOP - 1) == epoch && gate & OPEN != 0 {
            match self.gate.compare_exchange_weak(gate, gate + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => gate = now,
            }
        }
        false
    }

    /// Spins, then parks, until the gate opens for another loop than `seen`.
    fn wait(&self, seen: u64, parked: &AtomicBool) -> u64 {
        let is_new = |gate: u64| gate & OPEN != 0 && gate & !(ONE_LOOP - 1) != seen;
        loop {
            let start = Instant::now();
            while start.elapsed() < SPIN {
                for _ in 0..16 {
                    let gate = self.gate.load(Ordering::Acquire);
                    if is_new(gate) {
                        return gate;
                    }
                    spin_loop();
                }
            }
            // The flag goes up before the last look at the gate, so a caller either sees the flag or is seen here.
            parked.store(true, Ordering::SeqCst);
            let gate = self.gate.load(Ordering::SeqCst);
            if is_new(gate) {
                parked.store(false, Ordering::SeqCst);
                return gate;
            }
            while parked.load(Ordering::SeqCst) {
                std::thread::park();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum_of_squares(tasks: usize) -> usize {
        let sum = AtomicUsize::new(0);
        for_each(tasks, |index| {
            sum.fetch_add(index * index, Ordering::Relaxed);
        });
        sum.into_inner()
    }

    fn expected(tasks: usize) -> usize {
        (0..tasks).map(|index| index * index).sum()
    }

    #[test]
    fn every_task_runs_once_for_any_count_of_threads() {
        for threads in [1, 2, 3, 7] {
            with_threads(threads, || {
                for tasks in [0, 1, 2, 3, 17, 1000, 40_000] {
                    assert_eq!(sum_of_squares(tasks), expected(tasks), "{tasks} tasks on {threads} threads");
                }
            });
        }
    }

    #[test]
    fn work_beside_other_work_runs_once_for_any_count_of_threads() {
        for threads in [1, 3] {
            with_threads(threads, || {
                let runs = AtomicUsize::new(0);
                let other = || runs.fetch_add(1, Ordering::Relaxed);
                let main = || sum_of_squares(1000);
                assert_eq!(beside("other", other, main), (0, expected(1000)), "{threads} threads");
                assert_eq!(runs.into_inner(), 1, "{threads} threads");
            });
        }
        let panic = || with_threads(2, || beside("other", || panic!("no luck"), || ()));
        assert_eq!(catch_unwind(panic).unwrap_err().downcast_ref(), Some(&"no luck"));
    }

    #[test]
    fn many_short_loops_from_many_callers() {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for round in 0..3000 {
                        let tasks = round % 9;
                        with_threads(3, || assert_eq!(sum_of_squares(tasks), expected(tasks)));
                    }
                });
            }
        });
    }

    #[test]
    fn loops_inside_loops_run_on_one_thread() {
        let inner = AtomicUsize::new(0);
        with_threads(4, || {
            for_each(8, |_| {
                assert_eq!(threads(), 1);
                for_each(10, |_| {
                    inner.fetch_add(1, Ordering::Relaxed);
                });
            });
            assert_eq!(threads(), 4);
        });
        assert_eq!(inner.into_inner(), 80);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        for round in 0..20 {
            let result = std::panic::catch_unwind(|| {
                with_threads(3, || for_each(64, |index| assert!(index != round, "task {index}")))
            });
            let payload = result.unwrap_err();
            assert_eq!(payload.downcast_ref::<String>().unwrap(), &format!("task {round}"));
            with_threads(3, || assert_eq!(sum_of_squares(100), expected(100)));
        }
    }

    #[test]
    fn chunks_cover_the_slice_in_order() {
        let mut data = vec![0u32; 1003];
        with_threads(3, || {
            for_each_chunk(&mut data, 10, |index, chunk| {
                assert!(chunk.len() == if index == 100 { 3 } else { 10 });
                chunk.fill(index as u32);
            });
        });
        assert!(data.iter().enumerate().all(|(place, &value)| value == (place / 10) as u32));
        for_each_chunk(&mut data[..0], 4, |_, _| panic!("no piece of nothing"));
    }

    #[test]
    fn workers_that_parked_are_woken() {
        with_threads(2, || {
            assert_eq!(sum_of_squares(10), expected(10));
            std::thread::sleep(Duration::from_millis(5));
            let helped = AtomicBool::new(false);
            let caller = std::thread::current().id();
            // The caller waits inside its own task, so only a woken worker can end the loop; another test may hold the pool meanwhile.
            for _ in 0..200 {
                let start = Instant::now();
                for_each(2, |_| {
                    if std::thread::current().id() != caller {
                        helped.store(true, Ordering::SeqCst);
                    }
                    while !helped.load(Ordering::SeqCst) && start.elapsed() < Duration::from_millis(20) {
                        spin_loop();
                    }
                });
                if helped.load(Ordering::SeqCst) {
                    return;
                }
            }
            panic!("no worker ever came");
        });
    }
}
