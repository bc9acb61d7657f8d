//! Inputs, quantised as they come: 8-bit codes with a scale per group.

use super::{Bits, Codes, GROUP};
use crate::memory::Buffer;
use crate::pool::{self, Shared};
use crate::vectorized::vectorized;

/// Rows that one task quantises.
const ROWS: usize = 16;
/// Words of a group's codes.
const WORDS: usize = GROUP / 4;

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

impl Input {
    /// Quantises `x` `[rows, k]` for weights of `bits`.
    pub(super) fn quantize(x: &[f32], k: usize, bits: Bits) -> Self {
        let (rows, groups) = (x.len() / k, k.div_ceil(GROUP));
        let mut input = Self {
            codes: Buffer::scratch(rows * groups * WORDS),
            scales: Buffer::scratch(rows * groups),
            starts: vec![0; rows * groups],
            groups,
        };
        let offset = Codes { bits }.offset();
        let (scales, starts) = (Shared::new(&mut input.scales), Shared::new(&mut input.starts));
        pool::for_each_chunk(input.codes.words_mut(), ROWS * groups * WORDS, |task, codes| {
            let count = codes.len() / (groups * WORDS);
            // SAFETY: each task has its own rows.
            let (scales, starts) = unsafe {
                (scales.slice(task * ROWS * groups, count * groups), starts.slice(task * ROWS * groups, count * groups))
            };
            let x = &x[task * ROWS * k..][..count * k];
            vectorized(
                #[inline(always)]
                || {
                    let outputs = codes.chunks_exact_mut(groups * WORDS).zip(scales.chunks_exact_mut(groups));
                    for ((row, (codes, scales)), starts) in
                        x.chunks_exact(k).zip(outputs).zip(starts.chunks_exact_mut(groups))
                    {
                        quantize_row(row, offset, codes, scales, starts);
                    }
                },
            );
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

#[inline(always)]
fn quantize_row(row: &[f32], offset: i32, codes: &mut [u32], scales: &mut [f32], starts: &mut [i32]) {
    let outputs = codes.as_chunks_mut::<WORDS>().0.iter_mut().zip(scales).zip(starts);
    let (whole, rest) = row.as_chunks::<GROUP>();
    let mut last = [0.0; GROUP];
    last[..rest.len()].copy_from_slice(rest);
    let groups = whole.iter().chain(if rest.is_empty() { None } else { Some(&last) });
    for (values, ((codes, scale), start)) in groups.zip(outputs) {
        (*scale, *start) = quantize_group(values, offset, codes);
    }
}

/// A group whose largest magnitude is no number has codes 0 and that as its scale, so that the fault stays visible.
#[inline(always)]
fn quantize_group(values: &[f32; GROUP], offset: i32, words: &mut [u32; WORDS]) -> (f32, i32) {
    let largest = values.iter().fold(0u32, |most, x| most.max(x.to_bits() & 0x7fff_ffff));
    let largest = f32::from_bits(largest);
    let inverse = 127.0 / largest;
    if !inverse.is_finite() || !largest.is_finite() {
        words.fill(0);
        return (if largest.is_finite() { 0.0 } else { f32::NAN }, 0);
    }
    let mut codes = [0i32; GROUP];
    for (code, x) in codes.iter_mut().zip(values) {
        // The magic number moves the fraction out of the mantissa: rounding to nearest even without a call.
        const MAGIC: f32 = 12_582_912.0;
        *code = (x * inverse + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32;
    }
    for (word, codes) in words.iter_mut().zip(codes.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(codes.map(|code| code as i8 as u8));
    }
    (largest / 127.0, -offset * codes.iter().sum::<i32>())
}
