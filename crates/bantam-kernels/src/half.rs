//! Half-precision numbers made wide, a vector at a time.

use half::f16;
#[cfg(not(target_arch = "x86_64"))]
use half::slice::HalfFloatSliceExt;

/// `out = x`, for slices of one length.
#[inline]
pub(crate) fn widen(x: &[f16], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "widen: lengths differ");
    #[cfg(target_arch = "x86_64")]
    match crate::isa::Isa::current() {
        // SAFETY: the set is there.
        crate::isa::Isa::Avx512 | crate::isa::Isa::Amx => unsafe { avx512(x, out) },
        _ => half::slice::HalfFloatSliceExt::convert_to_f32_slice(x, out),
    }
    #[cfg(not(target_arch = "x86_64"))]
    x.convert_to_f32_slice(out);
}

/// Asks for numbers that will be read soon, where the hardware cannot foresee it. Does nothing where there is no way to ask. They come as far as
/// the second-level cache, which can wait for more lines at a time than the first.
#[inline(always)]
pub(crate) fn prefetch<T>(x: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in x.chunks(64 / size_of::<T>()) {
        // SAFETY: a prefetch reads nothing that the program sees, and every x86-64 has it.
        unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = x;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn avx512(x: &[f16], out: &mut [f32]) {
    use std::arch::x86_64::{
        _mm256_loadu_si256, _mm256_maskz_loadu_epi16, _mm512_cvtph_ps, _mm512_mask_storeu_ps, _mm512_storeu_ps,
    };
    const LANES: usize = 16;
    let (wholes, rest) = x.as_chunks::<LANES>();
    let (out_wholes, out_rest) = out.as_chunks_mut::<LANES>();
    for (x, out) in wholes.iter().zip(out_wholes) {
        // SAFETY: both hold a vector.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), _mm512_cvtph_ps(_mm256_loadu_si256(x.as_ptr().cast()))) };
    }
    let mask = ((1u32 << rest.len()) - 1) as u16;
    // SAFETY: lanes beyond the rest are neither read nor written.
    unsafe {
        let wide = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, rest.as_ptr().cast()));
        _mm512_mask_storeu_ps(out_rest.as_mut_ptr(), mask, wide);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::for_each_isa;

    #[test]
    fn every_finite_number_is_widened_exactly_at_every_length() {
        for_each_isa(|isa| {
            let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).filter(|x| x.is_finite()).collect();
            for numbers in [&all[..], &all[5..6], &all[..15], &all[100..147], &[]] {
                let mut out = vec![9.0; numbers.len()];
                widen(numbers, &mut out);
                let expected: Vec<f32> = numbers.iter().map(|x| x.to_f32()).collect();
                assert_eq!(out, expected, "{isa:?}");
            }
        });
    }
}
