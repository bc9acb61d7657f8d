//! Plain loops, compiled for the instruction set of the machine and spread over its threads.
//!
//! A kernel that is bound by memory, or whose inner loop runs along a row, is written once as an ordinary loop. Called through
//! [`vectorized`] it is inlined into a function that may use AVX2 or AVX-512, and the compiler does the rest. The compiler
//! never fuses products and sums by itself, so all instruction sets give the same numbers.

use std::ops::Range;

use crate::isa::Isa;
use crate::pool;

/// Runs `f` with the instructions of [`Isa::current`]. `f` must be a closure marked `#[inline(always)]`, as must what it calls.
#[inline]
pub(crate) fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    match Isa::current() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `current` answers Avx512 only where the CPU has what `avx512` enables.
        Isa::Avx512 | Isa::Amx => unsafe { avx512(f) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `current` answers Avx2 only where the CPU has what `avx2` enables.
        Isa::Avx2 => unsafe { avx2(f) },
        _ => f(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
fn avx512<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// Numbers that one task handles: enough to be worth waking a thread for, few enough to stay in the cache.
const PIECE: usize = 1 << 14;

/// Calls `task` with ranges of rows that together are `0..rows`, on all threads when there is enough to do. The ranges depend on the sizes
/// only, so that sums over them are the same for any number of threads.
pub(crate) fn for_each_range(rows: usize, width: usize, task: impl Fn(Range<usize>) + Sync) {
    let step = (PIECE / width.max(1)).max(1);
    pool::for_each(rows.div_ceil(step), |piece| task(piece * step..rows.min((piece + 1) * step)));
}

/// The sum, from the first to the last.
#[inline(always)]
pub(crate) fn sum(values: impl Iterator<Item = f32>) -> f32 {
    values.fold(0.0, |sum, value| sum + value)
}

/// Running sums or maxima of a loop that is made into vectors.
pub(crate) const LANES: usize = 16;

/// Puts lanes together, the upper half onto the lower: four dependent steps where one after another would be fifteen.
#[inline(always)]
pub(crate) fn fold_lanes(lanes: [f32; LANES], put: impl Fn(f32, f32) -> f32) -> f32 {
    // Were these steps known where the lanes are summed, the compiler would make vectors of two of them, as the last step has, all the way back.
    let lanes = std::hint::black_box(lanes);
    let eight: [f32; 8] = std::array::from_fn(|lane| put(lanes[lane], lanes[lane + 8]));
    let four: [f32; 4] = std::array::from_fn(|lane| put(eight[lane], eight[lane + 4]));
    let two: [f32; 2] = std::array::from_fn(|lane| put(four[lane], four[lane + 2]));
    put(two[0], two[1])
}

/// The sum of lanes.
#[inline(always)]
pub(crate) fn sum_lanes(lanes: [f32; LANES]) -> f32 {
    fold_lanes(lanes, |a, b| a + b)
}

/// The dot product of two slices of one length, in running sums.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let ((a_lanes, a_rest), (b_lanes, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest = sum(a_rest.iter().zip(b_rest).map(|(a, b)| a * b));
    sum_lanes(sums) + rest
}
