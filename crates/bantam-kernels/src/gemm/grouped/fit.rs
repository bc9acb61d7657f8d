//! The scale and the codes that fit a group of weights best.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::{Bits, GROUP};
use crate::vectorized::vectorized;

/// Scales that are tried before the best is refined.
const SCALES: usize = 48;
/// Refinements at most; each must lessen the error.
const REFINEMENTS: usize = 8;

/// Codes of a group, -8..=7 or -127..=127, and their scale: of many scales tried the one with the least `Σ importance * (value - scale * code)²`,
/// refined by turns of the best scale for the codes and the best codes for the scale. Scales are rounded to half precision first, so that codes
/// fit the scale that is stored. A group with a number that is not finite has that as its scale.
pub fn fit_group(values: &[f32; GROUP], importance: &[f32; GROUP], bits: Bits, codes: &mut [i8; GROUP]) -> f16 {
    let extreme = values.iter().copied().fold(0.0f32, |most, x| if x.abs() > most.abs() { x } else { most });
    codes.fill(0);
    if !values.iter().all(|x| x.is_finite()) {
        return f16::NAN;
    }
    if extreme == 0.0 {
        return f16::ZERO;
    }
    let candidates: [f32; SCALES] = std::array::from_fn(|index| extreme / divisor(bits, index));
    let (mut scales, mut rounded) = ([f16::ZERO; SCALES], [0.0; SCALES]);
    scales.convert_from_f32_slice(&candidates);
    scales.convert_to_f32_slice(&mut rounded);
    let mut best = Fit { error: f32::INFINITY, scale: rounded[0], refined: rounded[0] };
    let range = range(bits);
    vectorized(
        #[inline(always)]
        || {
            for scale in rounded {
                let fit = fit(values, importance, scale, range);
                if fit.error < best.error {
                    best = fit;
                }
            }
            for _ in 0..REFINEMENTS {
                let next = fit(values, importance, f16::from_f32(best.refined).to_f32(), range);
                if next.error < best.error {
                    best = next;
                } else {
                    break;
                }
            }
        },
    );
    let inverse = 1.0 / best.scale;
    for (code, x) in codes.iter_mut().zip(values) {
        *code = nearest(x * inverse, range) as i8;
    }
    f16::from_f32(best.scale)
}

/// The least and the largest code.
fn range(bits: Bits) -> [f32; 2] {
    match bits {
        Bits::Four => [-8.0, 7.0],
        // The least of eight bits has no counterpart, which some kernels elsewhere take for granted.
        Bits::Eight => [-127.0, 127.0],
    }
}

/// What the extreme value is divided by for scale `index`. Of four bits it becomes -8 or 7, or less, or so much more that it is cut off, which
/// pays where others count more; of eight bits at most 127, since cutting off costs more there than it gains.
fn divisor(bits: Bits, index: usize) -> f32 {
    match bits {
        Bits::Four => {
            let largest = if index.is_multiple_of(2) { -8.0 } else { 7.0 };
            largest * (1.35 - 0.025 * (index / 2) as f32)
        }
        Bits::Eight => 127.0 - 0.25 * index as f32,
    }
}

/// A scale, how badly it fits, and the scale that would fit its codes best.
#[derive(Clone, Copy)]
struct Fit {
    error: f32,
    scale: f32,
    refined: f32,
}

#[inline(always)]
fn fit(values: &[f32; GROUP], importance: &[f32; GROUP], scale: f32, range: [f32; 2]) -> Fit {
    const LANES: usize = 16;
    let inverse = 1.0 / scale;
    let (mut errors, mut products, mut squares) = ([0.0f32; LANES], [0.0f32; LANES], [0.0f32; LANES]);
    let lanes = values.as_chunks::<LANES>().0.iter().zip(importance.as_chunks::<LANES>().0);
    for (values, importance) in lanes {
        for lane in 0..LANES {
            let (x, importance) = (values[lane], importance[lane]);
            let code = nearest(x * inverse, range);
            let error = x - scale * code;
            errors[lane] += importance * error * error;
            products[lane] += importance * x * code;
            squares[lane] += importance * code * code;
        }
    }
    let sum = |lanes: [f32; LANES]| lanes.into_iter().sum::<f32>();
    Fit { error: sum(errors), scale, refined: sum(products) / sum(squares) }
}

/// The nearest code of a number in units of the scale.
#[inline(always)]
fn nearest(x: f32, [low, high]: [f32; 2]) -> f32 {
    // Adding this number moves the fraction out of the mantissa: rounding to nearest even without a call.
    const MAGIC: f32 = 12_582_912.0;
    let clamped = if x > high {
        high
    } else if x >= low {
        x
    } else {
        low
    };
    clamped + MAGIC - MAGIC
}
