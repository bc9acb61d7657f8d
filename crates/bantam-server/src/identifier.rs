//! Identifiers that nobody can guess, and the time in seconds as the protocols have it.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
static COUNT: AtomicU64 = AtomicU64::new(0);

/// A new identifier, such as `chatcmpl-` and 32 digits.
pub(crate) fn identifier(prefix: &str) -> String {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}{:016x}{:016x}", KEY.hash_one((number, 0)), KEY.hash_one((number, 1)))
}

/// A seed for a request that names none.
pub(crate) fn seed() -> u64 {
    KEY.hash_one((COUNT.fetch_add(1, Ordering::Relaxed), 2))
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
