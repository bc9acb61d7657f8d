//! Ctrl-C: it stops an answer, and ends the program where none is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const WAITING: u8 = 0;
const ANSWERING: u8 = 1;
const STOPPING: u8 = 2;

/// Whether an answer is under way, and is to stop.
#[derive(Clone, Default)]
pub(super) struct Interrupt(Arc<AtomicU8>);

impl Interrupt {
    /// An answer begins.
    pub(super) fn begin(&self) {
        self.0.store(ANSWERING, Ordering::SeqCst);
    }

    /// The answer is over.
    pub(super) fn end(&self) {
        self.0.store(WAITING, Ordering::SeqCst);
    }

    /// Whether the answer is to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.0.load(Ordering::SeqCst) == STOPPING
    }
}

/// Listens for Ctrl-C.
#[expect(clippy::exit, reason = "a signal while nothing is under way ends the program, as without a handler")]
pub(super) fn listen() -> Interrupt {
    let interrupt = Interrupt::default();
    let state = Arc::clone(&interrupt.0);
    // Where a handler cannot be set, Ctrl-C ends the program.
    let _ = ctrlc::set_handler(move || {
        if state.compare_exchange(ANSWERING, STOPPING, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            std::process::exit(130);
        }
    });
    interrupt
}
