//! How the codes of a group lie in words, and how they are found.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::{Bits, GROUP, PANEL};
use crate::vectorized::vectorized;

/// The layout of one group of one panel: words of four inputs (8 bits) or eight (4 bits), those of all outputs side by side.
#[derive(Clone, Copy)]
pub(super) struct Codes {
    pub(super) bits: Bits,
}

impl Codes {
    /// Words per group and output.
    pub(super) const fn words(self) -> usize {
        match self.bits {
            Bits::Four => GROUP / 8,
            Bits::Eight => GROUP / 4,
        }
    }

    /// What is added to a code, so that it has no sign.
    pub(super) const fn offset(self) -> i32 {
        match self.bits {
            Bits::Four => 8,
            Bits::Eight => 128,
        }
    }

    /// Writes one output's group.
    pub(super) fn write(self, codes: &[i8; GROUP], column: usize, words: &mut [u32]) {
        let code = |index: usize| (i32::from(codes[index]) + self.offset()) as u32;
        for step in 0..self.words() {
            words[step * PANEL + column] = match self.bits {
                // The lower halves of the bytes are the first four inputs, the upper halves the next four.
                Bits::Four => (0..4).map(|i| (code(8 * step + i) | code(8 * step + 4 + i) << 4) << (8 * i)).sum(),
                Bits::Eight => (0..4).map(|i| code(4 * step + i) << (8 * i)).sum(),
            };
        }
    }

    /// Reads one output's group.
    pub(super) fn read(self, words: &[u32], column: usize, codes: &mut [i8; GROUP]) {
        for (index, code) in codes.iter_mut().enumerate() {
            let raw = match self.bits {
                Bits::Four => words[index / 8 * PANEL + column] >> (8 * (index % 4) + index % 8 / 4 * 4) & 15,
                Bits::Eight => words[index / 4 * PANEL + column] >> (8 * (index % 4)) & 255,
            };
            *code = (raw as i32 - self.offset()) as i8;
        }
    }
}

/// Codes in -8..=7 for a group, and their scale. Among scales around those at which the extreme value becomes -8 (as ggml's Q4_0 has it) or 7,
/// the one with the least squared error is taken, where each number counts as much as it is large.
pub fn quantize_group4(values: &[f32; GROUP], codes: &mut [i8; GROUP]) -> f16 {
    let extreme = values.iter().copied().fold(0.0f32, |most, x| if x.abs() > most.abs() { x } else { most });
    codes.fill(0);
    if extreme == 0.0 || !extreme.is_finite() {
        return f16::from_f32(if extreme == 0.0 { 0.0 } else { f32::NAN });
    }
    let mut scales = [f16::ZERO; 2 * STEPS];
    let candidates: [f32; 2 * STEPS] = std::array::from_fn(|index| {
        let largest = if index % 2 == 0 { -8.0 } else { 7.0 };
        extreme / (largest * (1.08 - 0.02 * (index / 2) as f32))
    });
    scales.convert_from_f32_slice(&candidates);
    let mut rounded = [0.0; 2 * STEPS];
    scales.convert_to_f32_slice(&mut rounded);
    let mut best = (f32::INFINITY, 0);
    vectorized(
        #[inline(always)]
        || {
            for (index, scale) in rounded.into_iter().enumerate() {
                let error = error4(values, scale);
                if error < best.0 {
                    best = (error, index);
                }
            }
        },
    );
    let inverse = 1.0 / rounded[best.1];
    for (code, x) in codes.iter_mut().zip(values) {
        *code = code4(x * inverse) as i8;
    }
    scales[best.1]
}

/// Scales that are tried on either side.
const STEPS: usize = 13;

/// The nearest code of a number in units of the scale, within -8..=7.
#[inline(always)]
fn code4(x: f32) -> f32 {
    // Adding this number moves the fraction out of the mantissa: rounding to nearest even without a call.
    const MAGIC: f32 = 12_582_912.0;
    let clamped = if x > 7.0 {
        7.0
    } else if x >= -8.0 {
        x
    } else {
        -8.0
    };
    clamped + MAGIC - MAGIC
}

#[inline(always)]
fn error4(values: &[f32; GROUP], scale: f32) -> f32 {
    const LANES: usize = 16;
    let inverse = 1.0 / scale;
    let mut sums = [0.0f32; LANES];
    for values in values.as_chunks::<LANES>().0 {
        for (sum, x) in sums.iter_mut().zip(values) {
            let error = x - scale * code4(x * inverse);
            *sum += error * error * x.abs();
        }
    }
    sums.into_iter().sum()
}

/// Codes in -127..=127 for a group, and their scale, at which the extreme value becomes 127.
pub fn quantize_group8(values: &[f32; GROUP], codes: &mut [i8; GROUP]) -> f16 {
    let largest = values.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let scale = f16::from_f32(largest / 127.0);
    let inverse = if scale == f16::ZERO { 0.0 } else { 1.0 / scale.to_f32() };
    for (code, x) in codes.iter_mut().zip(values) {
        *code = (x * inverse).round_ties_even().clamp(-127.0, 127.0) as i8;
    }
    scale
}
