//! Inputs, quantised as they come: 8-bit codes with a scale per group.

#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::{Bits, Codes, GROUP};
use crate::gemm::Reading;
use crate::isa::Isa;
use crate::memory::Buffer;
use crate::pool::{self, Shared};
use crate::vectorized::vectorized;
use std::ops::Range;

/// Rows that one task quantises, after it may have made them: few, so that those of some answers at a time are shared by the threads.
const ROWS: usize = 4;
/// Words of a group's codes.
pub(super) const WORDS: usize = GROUP / 4;
/// The largest code.
const LARGEST: f32 = 127.0;

/// Quantised rows.
pub(super) struct Input {
    /// `[rows][groups][words]`, where `words` are [`WORDS`], or twice as many if each code has 16 bits.
    codes: Buffer,
    /// `[rows][groups]`.
    scales: Buffer,
    /// What each group's sum with a row of weights begins with, to make up for the weights' offset: `[rows][groups]`.
    starts: Vec<i32>,
    groups: usize,
    /// Words of a row's codes.
    stride: usize,
}

impl Input {
    /// Quantises `x` `[rows, k]` for weights of `bits`. Codes that are `wide` have 16 bits.
    pub(super) fn quantize(x: Reading<'_>, rows: usize, k: usize, bits: Bits, wide: bool) -> Self {
        let groups = k.div_ceil(GROUP);
        let stride = if wide { 2 * groups * WORDS } else { groups * WORDS };
        let mut input = Self {
            codes: Buffer::scratch(rows * stride),
            scales: Buffer::scratch(rows * groups),
            starts: vec![0; rows * groups],
            groups,
            stride,
        };
        let offset = Codes { bits }.offset();
        let isa = Isa::current();
        let (scales, starts) = (Shared::new(&mut input.scales), Shared::new(&mut input.starts));
        pool::for_each_chunk(input.codes.words_mut(), ROWS * stride, |task, codes| {
            let count = codes.len() / stride;
            // SAFETY: each task has its own rows.
            let (scales, starts) = unsafe {
                (scales.slice(task * ROWS * groups, count * groups), starts.slice(task * ROWS * groups, count * groups))
            };
            x.with(task * ROWS * k..(task * ROWS + count) * k, |x| {
                vectorized(
                    #[inline(always)]
                    || {
                        let outputs = codes.chunks_exact_mut(stride).zip(scales.chunks_exact_mut(groups));
                        for ((row, (codes, scales)), starts) in
                            x.chunks_exact(k).zip(outputs).zip(starts.chunks_exact_mut(groups))
                        {
                            quantize_row(row, isa, offset, codes, scales, starts, wide);
                        }
                    },
                );
            });
        });
        input
    }

    /// The codes of some rows.
    pub(super) fn codes(&self, rows: Range<usize>) -> &[u32] {
        &self.codes.words()[rows.start * self.stride..rows.end * self.stride]
    }

    /// The scales of some rows.
    pub(super) fn scales(&self, rows: Range<usize>) -> &[f32] {
        &self.scales[rows.start * self.groups..rows.end * self.groups]
    }

    /// The starts of some rows.
    pub(super) fn starts(&self, rows: Range<usize>) -> &[i32] {
        &self.starts[rows.start * self.groups..rows.end * self.groups]
    }
}

#[inline(always)]
fn quantize_row(
    row: &[f32],
    isa: Isa,
    offset: i32,
    codes: &mut [u32],
    scales: &mut [f32],
    starts: &mut [i32],
    wide: bool,
) {
    let outputs = codes.chunks_exact_mut(if wide { 2 * WORDS } else { WORDS }).zip(scales).zip(starts);
    let (whole, rest) = row.as_chunks::<GROUP>();
    let mut last = [0.0; GROUP];
    last[..rest.len()].copy_from_slice(rest);
    let groups = whole.iter().chain(if rest.is_empty() { None } else { Some(&last) });
    for (values, ((codes, scale), start)) in groups.zip(outputs) {
        let sum;
        let mut words = [0; WORDS];
        (*scale, sum) = match isa {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: called for this set only.
            Isa::Avx512 | Isa::Amx => unsafe { avx512::quantize_group(values, &mut words) },
            _ => quantize_group(values, &mut words),
        };
        *start = -offset * sum;
        if wide { widen(&words, codes) } else { codes[..WORDS].copy_from_slice(&words) }
    }
}

/// Codes of 16 bits, in pairs: the first and third of each four, and the second and fourth, as it is easiest to make such pairs of weights.
#[inline(always)]
fn widen(words: &[u32; WORDS], pairs: &mut [u32]) {
    let pair = |low: u8, high: u8| u32::from(low as i8 as u16) | u32::from(high as i8 as u16) << 16;
    for (word, pairs) in words.iter().zip(pairs.as_chunks_mut::<2>().0) {
        let [first, second, third, fourth] = word.to_le_bytes();
        *pairs = [pair(first, third), pair(second, fourth)];
    }
}

/// What to multiply a group's numbers by to get codes, and codes by to get numbers, given the largest magnitude. A group of zeros, or one whose
/// largest magnitude is no number, has codes 0, and in the second case that as its scale, so that the fault stays visible.
#[inline(always)]
pub(super) fn scale_of(largest: f32) -> Result<(f32, f32), f32> {
    let inverse = LARGEST / largest;
    match (inverse.is_finite(), largest.is_finite()) {
        (true, true) => Ok((inverse, largest / LARGEST)),
        (_, is_number) => Err(if is_number { 0.0 } else { f32::NAN }),
    }
}

/// Writes a group's codes, and returns their scale and their sum.
#[inline(always)]
fn quantize_group(values: &[f32; GROUP], words: &mut [u32; WORDS]) -> (f32, i32) {
    let largest = values.iter().fold(0u32, |most, x| most.max(x.to_bits() & 0x7fff_ffff));
    let (inverse, scale) = match scale_of(f32::from_bits(largest)) {
        Ok(scales) => scales,
        Err(scale) => {
            words.fill(0);
            return (scale, 0);
        }
    };
    // The magic number moves the fraction out of the mantissa: rounding to nearest even without a call.
    const MAGIC: f32 = 12_582_912.0;
    let codes = values.map(|x| (x * inverse + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32);
    let bytes = codes.map(|code| code as u8);
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    (scale, codes.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, for_each_isa};

    #[test]
    fn every_instruction_set_writes_the_same_codes_scales_and_starts() {
        let mut random = Random::new(5);
        let (k, rows) = (3 * GROUP + 7, 5);
        let mut x = random.vector(rows * k);
        x[..GROUP].fill(0.0);
        x[k + 3] = f32::INFINITY;
        x[2 * k + GROUP] = f32::NAN;
        x[3 * k..3 * k + GROUP].fill(1e-39);
        x[4 * k..4 * k + 4].copy_from_slice(&[127.0, 0.5, 1.5, -2.5]);
        let mut all = Vec::new();
        for_each_isa(|_| {
            let input = Input::quantize(Reading::Slice(&x), rows, k, Bits::Four, false);
            let scales: Vec<u32> = input.scales.iter().map(|scale| scale.to_bits()).collect();
            all.push((input.codes.words().to_vec(), scales, input.starts.clone()));
        });
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
        // Halves are rounded to even, and the starts make up for an offset of 8.
        let last = 4 * 4;
        assert_eq!(all[0].0[last * WORDS].to_le_bytes(), [127, 0, 2, -2i8 as u8]);
        let sum: i32 = all[0].0[last * WORDS..][..WORDS]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .map(|code| i32::from(code as i8))
            .sum();
        assert_eq!(all[0].2[last], -8 * sum);
    }
}
