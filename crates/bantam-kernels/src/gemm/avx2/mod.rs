//! The AVX2 forms: register tiles of 6 x 16 sums, packing, and plain loops compiled for this set.

mod int8;
pub(super) mod pack;
mod tile;

use super::quantize::quantize_token_portable;

pub(super) use tile::tile;

/// See [`super::quantize::quantize_token`]: the plain form, compiled for this set.
pub(super) fn quantize_token(token: &[f32], words: &mut [u32]) -> f32 {
    #[target_feature(enable = "avx2,fma")]
    fn compiled(token: &[f32], words: &mut [u32]) -> f32 {
        quantize_token_portable(token, words)
    }
    // SAFETY: called for this set only.
    unsafe { compiled(token, words) }
}
