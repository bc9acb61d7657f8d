//! The machine's own limits, measured: what the best loop of each kind could reach if it never touched memory, and how fast memory is read.
//!
//! Kernels are judged by their share of these figures. A shared machine is noisy, so all are the best of several short tries.

use crate::gemm::Precision;
use crate::isa::Isa;
use crate::memory::Buffer;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// A kind of multiply-add.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// f32 times f32 into f32.
    F32,
    /// bf16 times bf16 into f32, by whichever instruction the kernels use for it ([`Isa::bf16_is_fast`]).
    Bf16,
    /// int8 times int8 into i32.
    Int8,
}

impl From<Precision> for Unit {
    fn from(precision: Precision) -> Unit {
        match precision {
            Precision::F32 => Unit::F32,
            Precision::Bf16 => Unit::Bf16,
        }
    }
}

/// Tries of [`measure`].
const TRIES: usize = 8;
/// Rounds of a register loop: well under a millisecond, so that some tries run undisturbed.
const ROUNDS: usize = 40_000;
/// Bytes read to measure the memory: more than most caches hold.
const MEMORY_BYTES: usize = 256 << 20;

/// Operations per second (a multiply-add is two) on `threads` threads at once, by a loop in registers.
pub fn measure(unit: Unit, threads: usize) -> f64 {
    (0..TRIES).map(|_| measure_once(unit, threads)).fold(0.0, f64::max)
}

/// One try of [`measure`]: about half a millisecond.
pub fn measure_once(unit: Unit, threads: usize) -> f64 {
    let (function, operations) = register_loop(Isa::current(), unit);
    on_threads(threads, |_| {
        let start = Instant::now();
        // SAFETY: the loop was chosen for the machine's instruction set.
        unsafe { function(ROUNDS) };
        (ROUNDS * operations) as f64 / start.elapsed().as_secs_f64()
    })
}

/// Bytes per second that `threads` threads read from memory together.
pub fn read_bandwidth(threads: usize) -> f64 {
    let mut data = Buffer::zeroed(MEMORY_BYTES / size_of::<f32>());
    // Fresh memory is one shared page of zeros until it is written.
    data.iter_mut().step_by(1024).for_each(|value| *value = 1.0);
    let share = data.len() / threads.max(1);
    (0..3)
        .map(|_| {
            on_threads(threads, |index| {
                let part = &data[index * share..][..share];
                let start = Instant::now();
                black_box(sum(part));
                size_of_val(part) as f64 / start.elapsed().as_secs_f64()
            })
        })
        .fold(0.0, f64::max)
}

/// Runs `rate` on `threads` threads that start together, and adds what they return.
fn on_threads(threads: usize, rate: impl Fn(usize) -> f64 + Sync) -> f64 {
    let ready = AtomicUsize::new(0);
    let wait_and_run = |index: usize| {
        ready.fetch_add(1, Ordering::AcqRel);
        while ready.load(Ordering::Acquire) < threads {
            std::thread::yield_now();
        }
        rate(index)
    };
    if threads <= 1 {
        return rate(0);
    }
    std::thread::scope(|scope| {
        let run = &wait_and_run;
        let handles: Vec<_> = (1..threads).map(|index| scope.spawn(move || run(index))).collect();
        wait_and_run(0) + handles.into_iter().map(|handle| handle.join().unwrap_or(0.0)).sum::<f64>()
    })
}

/// Adds in 64 lanes, so that loads and not additions are the limit.
fn sum(data: &[f32]) -> f32 {
    let mut lanes = [0u32; 64];
    for piece in data.as_chunks::<64>().0 {
        for (lane, value) in lanes.iter_mut().zip(piece) {
            *lane ^= value.to_bits();
        }
    }
    f32::from_bits(lanes.iter().fold(0, |all, lane| all ^ lane))
}

type Loop = unsafe fn(usize);

/// The loop for a unit, and its operations per round.
fn register_loop(isa: Isa, unit: Unit) -> (Loop, usize) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Amx if unit != Unit::F32 => crate::gemm::register_loop(unit == Unit::Int8),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Amx => match unit {
            Unit::Bf16 if isa.pairs_are_fast() => (x86::bf16_pairs, 2 * 2 * 16 * x86::CHAINS),
            Unit::F32 | Unit::Bf16 => (x86::f32_avx512, 2 * 16 * x86::CHAINS),
            Unit::Int8 => (x86::int8_vnni, 2 * 4 * 16 * x86::CHAINS),
        },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => match unit {
            Unit::F32 | Unit::Bf16 => (x86::f32_avx2, 2 * 8 * x86::CHAINS),
            Unit::Int8 => (x86::int16_avx2, 2 * 2 * 8 * x86::CHAINS),
        },
        _ => match unit {
            Unit::F32 | Unit::Bf16 => (plain_f32, 2 * PLAIN_LANES),
            Unit::Int8 => (plain_i32, 2 * PLAIN_LANES),
        },
    }
}

const PLAIN_LANES: usize = 64;

unsafe fn plain_f32(rounds: usize) {
    let (mut sums, factor) = ([0.0f32; PLAIN_LANES], black_box(0.5f32));
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = *sum * factor + factor;
        }
    }
    black_box(sums);
}

unsafe fn plain_i32(rounds: usize) {
    let (mut sums, factor) = ([0i32; PLAIN_LANES], black_box(3i32));
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = sum.wrapping_mul(factor).wrapping_add(factor);
        }
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// Independent sums: enough to hide the latency of any of the instructions, few enough for 16 registers.
    pub(super) const CHAINS: usize = 12;

    macro_rules! register_loop {
        ($name:ident, $features:literal, $sum:ty, $zero:expr, $factor:expr, |$s:ident, $f:ident| $step:expr) => {
            #[target_feature(enable = $features)]
            pub(super) unsafe fn $name(rounds: usize) {
                let mut sums: [$sum; CHAINS] = [$zero; CHAINS];
                let $f = black_box($factor);
                for _ in 0..rounds {
                    for sum in &mut sums {
                        let $s = *sum;
                        *sum = $step;
                    }
                }
                black_box(sums);
            }
        };
    }

    register_loop!(f32_avx512, "avx512f", __m512, _mm512_setzero_ps(), _mm512_set1_ps(0.5), |s, f| _mm512_fmadd_ps(
        f, f, s
    ));
    register_loop!(f32_avx2, "avx2,fma", __m256, _mm256_setzero_ps(), _mm256_set1_ps(0.5), |s, f| _mm256_fmadd_ps(
        f, f, s
    ));
    register_loop!(int8_vnni, "avx512f,avx512vnni", __m512i, _mm512_setzero_si512(), _mm512_set1_epi8(3), |s, f| {
        _mm512_dpbusd_epi32(s, f, f)
    });
    register_loop!(int16_avx2, "avx2,fma", __m256i, _mm256_setzero_si256(), _mm256_set1_epi16(3), |s, f| {
        _mm256_add_epi32(s, _mm256_madd_epi16(s, f))
    });
    register_loop!(bf16_pairs, "avx512f,avx512bf16", __m512, _mm512_setzero_ps(), _mm512_set1_epi16(0x3f00), |s, f| {
        // SAFETY: both types are 512 bits.
        let f = unsafe { std::mem::transmute::<__m512i, __m512bh>(f) };
        _mm512_dpbf16_ps(s, f, f)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_plausible() {
        crate::testing::for_each_isa(|isa| {
            for unit in [Unit::F32, Unit::Bf16, Unit::Int8] {
                let one = measure_once(unit, 1);
                assert!(one > 1e8 && one < 1e14, "{isa} {unit:?}: {one}");
            }
        });
        assert!(measure_once(Unit::F32, 2) > 1e8);
    }
}
