//! Numbers rounded to bf16, in half the memory.

use crate::gemm::Make;
use crate::gemm::block::pack_pairs;
use crate::memory::Buffer;
use crate::pool;
use crate::vectorized::vectorized;
use std::ops::Range;

/// Words that one task packs.
const PIECE: usize = 1 << 14;

/// Numbers as bf16, one after another.
pub struct Halves {
    /// Two in a word, the first of them lower.
    words: Buffer,
    length: usize,
}

impl Halves {
    /// Rounds to the nearest, ties to even.
    pub fn pack(data: &[f32]) -> Halves {
        let mut halves = Halves::scratch(data.len());
        pool::for_each_chunk(halves.words.words_mut(), PIECE, |piece, words| {
            let start = 2 * PIECE * piece;
            pack_pairs(&data[start..data.len().min(start + 2 * words.len())], words);
        });
        halves
    }

    /// Room for numbers that are not written yet.
    pub(crate) fn scratch(length: usize) -> Halves {
        Halves { words: Buffer::scratch(length.div_ceil(2)), length }
    }

    pub(crate) fn words_mut(&mut self) -> &mut [u32] {
        self.words.words_mut()
    }

    fn numbers(&self) -> &[u16] {
        const { assert!(cfg!(target_endian = "little"), "the first number of a word is the lower one") };
        // SAFETY: a word has room for two numbers of 16 bits, at a coarser alignment, and every bit pattern is valid for both.
        unsafe { std::slice::from_raw_parts(self.words.words().as_ptr().cast(), self.length) }
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl Make for Halves {
    fn make(&self, numbers: Range<usize>, out: &mut [f32]) {
        assert!(numbers.end <= self.length && numbers.len() == out.len(), "{numbers:?} of {} halves", self.length);
        let halves = &self.numbers()[numbers];
        vectorized(
            #[inline(always)]
            || out.iter_mut().zip(halves).for_each(|(out, &half)| *out = f32::from_bits(u32::from(half) << 16)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, for_each_isa};

    fn unpack(halves: &Halves) -> Vec<f32> {
        let mut out = vec![0.0; halves.len()];
        halves.make(0..halves.len(), &mut out);
        out
    }

    #[test]
    fn halves_come_back_within_a_rounding_at_every_length() {
        for_each_isa(|isa| {
            for length in [0, 1, 2, 3, 7, 1000, 2 * PIECE - 1, 2 * PIECE, 2 * PIECE + 1, 5 * PIECE + 3] {
                let data = Random::new(length as u64).vector(length);
                let back = unpack(&Halves::pack(&data));
                for (index, (value, back)) in data.iter().zip(&back).enumerate() {
                    let error = (value - back).abs();
                    assert!(error <= value.abs() / 256.0, "{index} of {length}, {isa:?}: {value} became {back}");
                }
                // Rounding twice is rounding once.
                assert_eq!(unpack(&Halves::pack(&back)), back);
            }
        });
    }

    #[test]
    fn any_part_comes_back_alone() {
        let halves = Halves::pack(&Random::new(3).vector(67));
        let whole = unpack(&halves);
        for start in 0..=67 {
            for end in start..=67 {
                let mut part = vec![0.0; end - start];
                halves.make(start..end, &mut part);
                assert_eq!(part, whole[start..end], "{start}..{end}");
            }
        }
    }

    #[test]
    fn ties_go_to_even_and_special_numbers_stay() {
        for_each_isa(|_| {
            let special = [0x3F80_8000, 0x3F81_8000, 0x7F80_0000, 0xFF80_0000, 0x8000_0000, 0x7F80_0001, u32::MAX];
            let back = unpack(&Halves::pack(&special.map(f32::from_bits)));
            assert_eq!(back[..5], [1.0, f32::from_bits(0x3F82_0000), f32::INFINITY, f32::NEG_INFINITY, -0.0]);
            assert!(back[4].is_sign_negative() && back[5].is_nan() && back[6].is_nan());
        });
    }
}
