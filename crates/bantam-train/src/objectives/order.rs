//! Which examples a step sees: a fresh shuffle every epoch, found from the step number alone.

use std::sync::{Mutex, PoisonError};

use bantam_model::Random;

/// The order in which `count` examples are visited, `batch` at a time.
#[derive(Debug)]
pub struct Order {
    count: usize,
    batch: usize,
    seed: u64,
    /// The last epoch that was asked for, and its shuffle: steps come one after the other.
    shuffled: Mutex<(usize, Vec<usize>)>,
}

impl Order {
    /// Visits `count` examples, at least one, in batches of `batch`.
    ///
    /// # Panics
    /// When either is zero.
    pub fn new(count: usize, batch: usize, seed: u64) -> Self {
        assert!(count > 0 && batch > 0, "an order needs examples and a batch size, not {count} and {batch}");
        Self { count, batch: batch.min(count), seed, shuffled: Mutex::default() }
    }

    /// Micro-batches in one epoch.
    pub fn per_epoch(&self) -> usize {
        self.count.div_ceil(self.batch)
    }

    /// The examples of micro-batch `index`. The last one of an epoch is filled up from the epoch's beginning.
    pub fn batch(&self, index: usize) -> Vec<usize> {
        let (epoch, place) = (index / self.per_epoch(), index % self.per_epoch());
        let mut shuffled = self.shuffled.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, examples) = &mut *shuffled;
        if *last != epoch || examples.is_empty() {
            examples.clear();
            examples.extend(0..self.count);
            Random::new(self.seed, 0x6f72_6465_7200_0000 + epoch as u64).shuffle(examples);
            *last = epoch;
        }
        (0..self.batch).map(|i| examples[(place * self.batch + i) % self.count]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_visits_every_example_and_the_next_in_another_order() {
        let order = Order::new(10, 4, 1);
        let epoch = |e: usize| -> Vec<usize> { (0..3).flat_map(|i| order.batch(e * 3 + i)).collect() };
        let mut first = epoch(0);
        assert_ne!(first, epoch(1));
        assert_eq!(first, epoch(0));
        assert_eq!(Order::new(10, 4, 1).batch(5), epoch(1)[8..12], "whatever was asked for before");
        first.truncate(10);
        first.sort_unstable();
        assert_eq!(first, (0..10).collect::<Vec<_>>());
    }
}
