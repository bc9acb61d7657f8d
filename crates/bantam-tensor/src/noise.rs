//! Where dropout takes its random numbers from: a counter, so that a run with the same seed drops the same numbers.

/// A share of numbers to drop, and the place in the sequence of random numbers. [`Noise::none`] leaves tensors as they are, so that no
/// layer asks whether it is being trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    rate: f32,
    seed: u64,
    counter: u64,
}

impl Noise {
    /// Drops nothing.
    pub fn none() -> Noise {
        Noise { rate: 0.0, seed: 0, counter: 0 }
    }

    /// Drops each number with the probability `rate`, in `0..1`, and scales the others by `1 / (1 - rate)`.
    pub fn new(rate: f32, seed: u64) -> Noise {
        assert!((0.0..1.0).contains(&rate), "the rate of dropout is in 0..1, not {rate}");
        Noise { rate, seed, counter: 0 }
    }

    /// Whether every number is kept.
    pub fn is_none(&self) -> bool {
        self.rate == 0.0
    }

    /// The share of numbers dropped.
    pub fn rate(&self) -> f32 {
        self.rate
    }

    /// The seed that the random numbers follow from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How many random numbers have been used: with rate and seed, all that a checkpoint must hold.
    pub fn counter(&self) -> u64 {
        self.counter
    }

    /// The same noise from the place `counter` on.
    pub fn resume(mut self, counter: u64) -> Noise {
        self.counter = counter;
        self
    }

    /// Sets aside the next `count` random numbers and returns the place of the first.
    pub(crate) fn advance(&mut self, count: usize) -> u64 {
        let start = self.counter;
        self.counter += count as u64;
        start
    }
}
