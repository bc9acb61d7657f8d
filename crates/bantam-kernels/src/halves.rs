//! Numbers rounded to bf16 to keep them in half the memory: two in a word, those of the first half of the data below those of the second.

use crate::gemm::block::pair_lines;
use crate::memory::Buffer;
use crate::pool::{self, Shared};
use crate::vectorized::vectorized;

/// Words that one task packs or unpacks.
const PIECE: usize = 1 << 14;

/// Rounds to bf16, to the nearest, ties to even; the last of an odd number has no partner.
pub fn pack(data: &[f32]) -> Buffer {
    let count = data.len().div_ceil(2);
    let (first, second) = data.split_at(count);
    let mut pairs = Buffer::scratch(count);
    pool::for_each_chunk(pairs.words_mut(), PIECE, |piece, words| {
        let start = piece * PIECE;
        let paired = words.len().min(second.len() - start);
        let (both, rest) = words.split_at_mut(paired);
        pair_lines(&first[start..][..paired], &second[start..][..paired], both);
        pair_lines(&first[start + paired..][..rest.len()], &[], rest);
    });
    pairs
}

/// The `length` numbers that were packed.
pub fn unpack(pairs: &Buffer, length: usize) -> Buffer {
    assert_eq!(pairs.len(), length.div_ceil(2), "unpack: {length} numbers in {} words", pairs.len());
    let mut data = Buffer::scratch(length);
    let (first, second) = data.split_at_mut(pairs.len());
    let length = second.len();
    let (first, second) = (Shared::new(first), Shared::new(second));
    pool::for_each(pairs.len().div_ceil(PIECE), |piece| {
        let start = piece * PIECE;
        let words = &pairs.words()[start..pairs.len().min(start + PIECE)];
        let paired = words.len().min(length - start);
        // SAFETY: the pieces of different tasks do not meet.
        let (first, second) = unsafe { (first.slice(start, words.len()), second.slice(start, paired)) };
        vectorized(
            #[inline(always)]
            || {
                first.iter_mut().zip(words).for_each(|(x, word)| *x = f32::from_bits(word << 16));
                second.iter_mut().zip(words).for_each(|(x, word)| *x = f32::from_bits(word & 0xFFFF_0000));
            },
        );
    });
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, for_each_isa};

    #[test]
    fn halves_come_back_within_a_rounding_at_every_length() {
        for_each_isa(|isa| {
            for length in [0, 1, 2, 3, 7, 1000, 2 * PIECE - 1, 2 * PIECE, 2 * PIECE + 1, 5 * PIECE + 3] {
                let data = Random::new(length as u64).vector(length);
                let back = unpack(&pack(&data), length);
                for (index, (value, back)) in data.iter().zip(back.iter()).enumerate() {
                    let error = (value - back).abs();
                    assert!(error <= value.abs() / 256.0, "{index} of {length}, {isa:?}: {value} became {back}");
                }
                // Rounding twice is rounding once.
                assert_eq!(unpack(&pack(&back), length)[..], back[..]);
            }
        });
    }

    #[test]
    fn ties_go_to_even_and_special_numbers_stay() {
        for_each_isa(|_| {
            let special = [0x3F80_8000, 0x3F81_8000, 0x7F80_0000, 0xFF80_0000, 0x8000_0000, 0x7F80_0001, u32::MAX];
            let back = unpack(&pack(&special.map(f32::from_bits)), special.len());
            assert_eq!(back[..5], [1.0, f32::from_bits(0x3F82_0000), f32::INFINITY, f32::NEG_INFINITY, -0.0]);
            assert!(back[4].is_sign_negative() && back[5].is_nan() && back[6].is_nan());
        });
    }
}
