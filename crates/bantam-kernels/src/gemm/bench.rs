//! How near a product comes to the machine's ceiling, for `bantam bench gemm`.

use super::{Epilogue, Operand, PackedFormat, PackedMatrix, Precision, multiply};
use crate::ceiling::{self, Unit};
use crate::memory::Buffer;
use crate::pool;
use std::time::{Duration, Instant};

/// The shortest stretch that is timed: long against the clock, short against the slices of a busy scheduler.
const STRETCH: Duration = Duration::from_micros(300);
/// A measurement takes at least this long and these rounds, and stops at the limit once it has one round.
const LEAST: Duration = Duration::from_millis(200);
const LEAST_ROUNDS: usize = 8;
const LIMIT: Duration = Duration::from_secs(4);

/// What [`bench`] found. Both rates are the best of several rounds that alternate between the product and the ceiling, so that neither is
/// hurt by what else the machine does for a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// Of the product; a multiply-add is two operations.
    pub operations_per_second: f64,
    /// Of the loop in registers ([`ceiling::measure_once`]).
    pub ceiling_operations_per_second: f64,
}

impl Measurement {
    /// The share of the ceiling that the product reaches.
    pub fn ceiling_share(&self) -> f64 {
        self.operations_per_second / self.ceiling_operations_per_second
    }
}

/// Times a linear layer, x [m, k] · weight [n, k] transposed, on `threads` threads: f32 and bf16 as in training, with the weight as it lies in
/// memory, int8 as in inference, with the weight packed before and the inputs quantised in the measured time.
pub fn bench(unit: Unit, m: usize, n: usize, k: usize, threads: usize) -> Measurement {
    let (x, weight, mut out) = (noise(m * k), noise(n * k), Buffer::zeroed(m * n));
    let packed = (unit == Unit::Int8).then(|| PackedMatrix::pack(&weight, n, k, PackedFormat::Int8));
    let precision = if unit == Unit::Bf16 { Precision::Bf16 } else { Precision::F32 };
    let mut product = || match &packed {
        Some(packed) => packed.multiply(&x, m, &mut out, &Epilogue::default()),
        None => {
            multiply(precision, Operand::new(&x, m, k), Operand::new(&weight, n, k).t(), &mut out, &Epilogue::default())
        }
    };
    let operations = 2.0 * m as f64 * n as f64 * k as f64;
    pool::with_threads(threads, || {
        // The first call brings buffers and workers to life; the second says how many calls make a stretch.
        product();
        let start = Instant::now();
        product();
        let calls = (STRETCH.as_secs_f64() / start.elapsed().as_secs_f64().max(1e-7)).ceil().max(1.0);
        let mut best = Measurement { operations_per_second: 0.0, ceiling_operations_per_second: 0.0 };
        let (start, mut rounds) = (Instant::now(), 0);
        while rounds == 0 || start.elapsed() < LIMIT && (start.elapsed() < LEAST || rounds < LEAST_ROUNDS) {
            let ceiling = ceiling::measure_once(unit, threads);
            let stretch = Instant::now();
            (0..calls as usize).for_each(|_| product());
            let rate = operations * calls / stretch.elapsed().as_secs_f64();
            best.operations_per_second = best.operations_per_second.max(rate);
            best.ceiling_operations_per_second = best.ceiling_operations_per_second.max(ceiling);
            rounds += 1;
        }
        best
    })
}

/// Numbers in -0.5..0.5 without a pattern that could matter.
fn noise(length: usize) -> Buffer {
    let mut data = Buffer::scratch(length);
    for (place, value) in data.iter_mut().enumerate() {
        *value = (place.wrapping_mul(0x9E37_79B1) >> 8 & 0xffff) as f32 / 65536.0 - 0.5;
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_plausible() {
        for unit in [Unit::F32, Unit::Bf16, Unit::Int8] {
            let measured = bench(unit, 96, 128, 128, 1);
            assert!(measured.operations_per_second > 1e8, "{measured:?}");
            assert!(measured.ceiling_share() > 0.01 && measured.ceiling_share() < 1.3, "{measured:?}");
        }
    }
}
