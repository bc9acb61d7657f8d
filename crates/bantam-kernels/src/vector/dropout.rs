//! Dropout from a counter: the same seed and place drop the same numbers, on any machine and in any order.

use super::{PIECE, expect_same};
use crate::pool;
use crate::vectorized::vectorized;

/// Sets a share `rate` of the numbers to 0 and scales the others by `1 / (1 - rate)`. Number `i` is decided by `seed` and `offset + i`
/// alone, so the backward pass calls this again with the gradient.
pub fn dropout(x: &[f32], rate: f32, seed: u64, offset: u64, out: &mut [f32]) {
    expect_same("dropout", &[x.len(), out.len()]);
    let (keep, key) = (1.0 / (1.0 - rate), mix(fold(seed)));
    let limit = (f64::from(rate) * f64::from(1u32 << 24)) as u32;
    pool::for_each_chunk(out, PIECE, |piece, out| {
        let start = piece * PIECE;
        let first = offset.wrapping_add(start as u64);
        vectorized(
            // By value: what is borrowed might be what is written, for all that the compiler knows, and no vectors would be made.
            #[inline(always)]
            move || {
                // The upper half of the place changes the key, the lower half is the counter: 32-bit arithmetic, which vectorises.
                let key = mix(key ^ (first >> 32) as u32);
                for (index, (out, &x)) in out.iter_mut().zip(&x[start..]).enumerate() {
                    let random = mix((first as u32).wrapping_add(index as u32) ^ key) >> 8;
                    *out = if random < limit { 0.0 } else { x * keep };
                }
            },
        );
    });
}

#[inline(always)]
fn fold(seed: u64) -> u32 {
    mix(seed as u32) ^ (seed >> 32) as u32
}

/// A bijection of 32 bits that mixes well (Ettinger, "lowbias32").
#[inline(always)]
fn mix(mut x: u32) -> u32 {
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}
