//! What the tests of this crate share: random numbers, a loop over the instruction sets, and a comparison scaled to the sums involved.

use crate::isa::{Isa, scoped};

/// A deterministic generator (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit` (at least 1).
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Uniform in -1..1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    /// `length` numbers uniform in -1..1.
    pub(crate) fn vector(&mut self, length: usize) -> Vec<f32> {
        (0..length).map(|_| self.unit()).collect()
    }
}

/// Runs `test` with each instruction set of this machine, on this thread and on the pool's workers.
pub(crate) fn for_each_isa(mut test: impl FnMut(Isa)) {
    for isa in Isa::available() {
        scoped::with(Some(isa), || test(isa));
    }
}

/// Asserts that `actual` is within `tolerance` of `expected`, relative to the root mean square of `expected` (at least 1e-6), element by
/// element: a bound that neither cancellation nor a single large element can loosen.
#[track_caller]
pub(crate) fn assert_close(actual: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}: lengths");
    let squares: f64 = expected.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
    let scale = ((squares / expected.len().max(1) as f64).sqrt() as f32).max(1e-6);
    for (index, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        let error = (a - e).abs();
        assert!(
            error <= tolerance * scale.max(e.abs()),
            "{what}: element {index} is {a}, expected {e} (scale {scale}, tolerance {tolerance})"
        );
    }
}
