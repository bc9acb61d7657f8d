//! Inputs, quantised as they come: 8-bit codes with a scale per group.

#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::{Bits, Codes, GROUP};
use crate::gemm::Reading;
use crate::isa::Isa;
use crate::memory::Buffer;
use crate::pool::{self, Shared};
use crate::vectorized::vectorized;

/// Rows that one task quantises.
const ROWS: usize = 16;
/// Words of a group's codes.
pub(super) const WORDS: usize = GROUP / 4;
/// The largest code.
const LARGEST: f32 = 127.0;

/// Quantised rows.
pub(super) struct Input {
    /// `[rows][groups][WORDS]`.
    codes: Buffer,
    /// `[rows][groups]`.
    scales: Buffer,
    /// What each group's sum with a row of weights begins with, to make up for the weights' offset: `[rows][groups]`.
    starts: Vec<i32>,
    groups: usize,
}

/// Quantises groups of an input on any thread.
pub(super) struct Quantizer {
    codes: Shared<u32>,
    scales: Shared<f32>,
    starts: Shared<i32>,
    groups: usize,
    /// What the codes of the weights are above the codes that they mean.
    offset: i32,
    isa: Isa,
}

impl Input {
    /// Room for rows of `k` numbers, which are still to be quantised.
    pub(super) fn room(rows: usize, k: usize) -> Self {
        let groups = k.div_ceil(GROUP);
        Self {
            codes: Buffer::scratch(rows * groups * WORDS),
            scales: Buffer::scratch(rows * groups),
            starts: vec![0; rows * groups],
            groups,
        }
    }

    /// What quantises them, for weights of `bits`.
    pub(super) fn quantizer(&mut self, bits: Bits) -> Quantizer {
        Quantizer {
            codes: Shared::new(self.codes.words_mut()),
            scales: Shared::new(&mut self.scales),
            starts: Shared::new(&mut self.starts),
            groups: self.groups,
            offset: Codes { bits }.offset(),
            isa: Isa::current(),
        }
    }

    /// Quantises `x` `[rows, k]` for weights of `bits`.
    pub(super) fn quantize(x: Reading<'_>, rows: usize, k: usize, bits: Bits) -> Self {
        let mut input = Self::room(rows, k);
        let quantizer = input.quantizer(bits);
        pool::for_each(rows.div_ceil(ROWS), |task| {
            let rows = task * ROWS..rows.min((task + 1) * ROWS);
            x.with(rows.start * k..rows.end * k, |x| {
                vectorized(
                    #[inline(always)]
                    || {
                        for (row, numbers) in rows.zip(x.chunks_exact(k)) {
                            // SAFETY: tasks have different rows, and a row has as many groups as there is room for.
                            unsafe { quantizer.set_row(row, numbers) };
                        }
                    },
                );
            });
        });
        input
    }

    /// The codes of some rows.
    pub(super) fn codes(&self, row: usize, rows: usize) -> &[u32] {
        &self.codes.words()[row * self.groups * WORDS..][..rows * self.groups * WORDS]
    }

    /// The scales of some rows.
    pub(super) fn scales(&self, row: usize, rows: usize) -> &[f32] {
        &self.scales[row * self.groups..][..rows * self.groups]
    }

    /// The starts of some rows.
    pub(super) fn starts(&self, row: usize, rows: usize) -> &[i32] {
        &self.starts[row * self.groups..][..rows * self.groups]
    }
}

impl Quantizer {
    /// Quantises a row.
    ///
    /// # Safety
    /// The input lives, it has this row and all its groups, and nobody else uses them.
    #[inline(always)]
    unsafe fn set_row(&self, row: usize, numbers: &[f32]) {
        let (whole, rest) = numbers.as_chunks::<GROUP>();
        // SAFETY: the caller's promise.
        unsafe {
            for (group, numbers) in whole.iter().enumerate() {
                self.set(row, group, numbers);
            }
            if !rest.is_empty() {
                let mut last = [0.0; GROUP];
                last[..rest.len()].copy_from_slice(rest);
                self.set(row, whole.len(), &last);
            }
        }
    }

    /// Quantises one group.
    ///
    /// # Safety
    /// The input lives, it has this row and this group, and nobody else uses them.
    #[inline(always)]
    pub(super) unsafe fn set(&self, row: usize, group: usize, numbers: &[f32; GROUP]) {
        let place = row * self.groups + group;
        // SAFETY: the caller's promise; the instruction set is there.
        unsafe {
            let codes = &mut *self.codes.pointer().add(place * WORDS).cast::<[u32; WORDS]>();
            let (scale, sum) = match self.isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 | Isa::Amx => avx512::quantize_group(numbers, codes),
                _ => quantize_group(numbers, codes),
            };
            *self.scales.pointer().add(place) = scale;
            *self.starts.pointer().add(place) = -self.offset * sum;
        }
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
            let input = Input::quantize(Reading::Slice(&x), rows, k, Bits::Four);
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
