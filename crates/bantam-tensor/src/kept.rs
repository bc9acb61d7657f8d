//! What an op keeps of its input until the backward pass: the numbers, their upper halves, or a way to make them again.

use crate::shared::Shared;
use bantam_kernels::memory::Buffer;
use bantam_kernels::pool;
use std::sync::Arc;

/// How the ops that use a tensor keep it: settled by the op that made it.
#[derive(Clone, Default)]
pub enum Keep {
    /// As it is, shared with everyone who holds it.
    #[default]
    Whole,
    /// Rounded to bf16: half the memory. For results that are only that exact, such as products in bf16.
    Half,
    /// Not at all: the function makes it again in one cheap pass from what its own op keeps anyway.
    Again(Arc<dyn Fn() -> Buffer + Send + Sync>),
}

impl Keep {
    /// Makes a tensor's numbers again by `make`, which must give what the forward pass gave.
    pub fn again(make: impl Fn() -> Buffer + Send + Sync + 'static) -> Keep {
        Keep::Again(Arc::new(make))
    }
}

/// A tensor's numbers, kept for the backward pass; clones share them.
#[derive(Clone)]
pub struct Kept(Form);

#[derive(Clone)]
enum Form {
    Whole(Shared),
    Half { pairs: Arc<Buffer>, length: usize },
    Again(Arc<dyn Fn() -> Buffer + Send + Sync>),
}

impl Kept {
    pub(crate) fn new(data: &Shared, keep: &Keep) -> Kept {
        Kept(match keep {
            Keep::Whole => Form::Whole(data.clone()),
            Keep::Half => Form::Half { pairs: Arc::new(pack(data)), length: data.len() },
            Keep::Again(make) => Form::Again(make.clone()),
        })
    }

    /// How users of the same numbers share what is kept here.
    pub(crate) fn shared(&self) -> Keep {
        match &self.0 {
            Form::Whole(_) => Keep::Whole,
            Form::Half { .. } | Form::Again(_) => {
                let kept = self.clone();
                Keep::again(move || kept.load().into_owned())
            }
        }
    }

    /// The numbers.
    pub fn load(&self) -> Shared {
        match &self.0 {
            Form::Whole(data) => data.clone(),
            Form::Half { pairs, length } => unpack(pairs, *length).into(),
            Form::Again(make) => make().into(),
        }
    }
}

/// Pairs that one task packs or unpacks.
const PIECE: usize = 1 << 14;

/// Rounds to bf16 (to the nearest, ties to even) and puts two numbers in each word: number `i` in the lower half of word `i`, the number as
/// far into the second half of the data in the upper half.
fn pack(data: &[f32]) -> Buffer {
    let count = data.len().div_ceil(2);
    let (first, second) = data.split_at(count);
    let mut pairs = Buffer::scratch(count);
    pool::for_each_chunk(&mut pairs, PIECE, |piece, words| {
        let start = piece * PIECE;
        let full = words.len().min(second.len() - start.min(second.len()));
        let (paired, rest) = words.split_at_mut(full);
        let first = &first[start..];
        for ((word, &lower), &upper) in paired.iter_mut().zip(first).zip(&second[start.min(second.len())..]) {
            *word = f32::from_bits(round(lower) >> 16 | round(upper) & 0xFFFF_0000);
        }
        for (word, &lower) in rest.iter_mut().zip(&first[full..]) {
            *word = f32::from_bits(round(lower) >> 16);
        }
    });
    pairs
}

fn unpack(pairs: &[f32], length: usize) -> Buffer {
    let mut data = Buffer::scratch(length);
    let (first, second) = data.split_at_mut(pairs.len());
    pool::for_each_chunk(first, PIECE, |piece, numbers| {
        for (number, word) in numbers.iter_mut().zip(&pairs[piece * PIECE..]) {
            *number = f32::from_bits(word.to_bits() << 16);
        }
    });
    pool::for_each_chunk(second, PIECE, |piece, numbers| {
        for (number, word) in numbers.iter_mut().zip(&pairs[piece * PIECE..]) {
            *number = f32::from_bits(word.to_bits() & 0xFFFF_0000);
        }
    });
    data
}

/// The bits of `value` rounded to bf16 in the upper half. A NaN stays one: its quiet bit is set, and nothing is carried into its exponent.
#[inline]
fn round(value: f32) -> u32 {
    let bits = value.to_bits();
    if value.is_nan() { bits | 0x0040_0000 } else { bits + 0x7FFF + (bits >> 16 & 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    #[test]
    fn halves_come_back_within_a_rounding_at_every_length() {
        for length in [0, 1, 2, 3, 7, 1000, 2 * PIECE - 1, 2 * PIECE, 2 * PIECE + 1, 5 * PIECE + 3] {
            let data = Random::new(length as u64).vector(length);
            let back = unpack(&pack(&data), length);
            for (index, (value, back)) in data.iter().zip(back.iter()).enumerate() {
                assert!((value - back).abs() <= value.abs() / 256.0, "{index} of {length}: {value} became {back}");
            }
            // Rounding twice is rounding once.
            assert_eq!(unpack(&pack(&back), length)[..], back[..]);
        }
    }

    #[test]
    fn ties_go_to_even_and_special_numbers_stay() {
        let above = f32::from_bits(0x3F80_8000);
        let odd = f32::from_bits(0x3F81_8000);
        let data = [
            above,
            odd,
            f32::INFINITY,
            f32::NEG_INFINITY,
            -0.0,
            f32::from_bits(0x7F80_0001),
            f32::from_bits(0xFFFF_FFFF),
        ];
        let back = unpack(&pack(&data), data.len());
        assert_eq!(back[..5], [1.0, f32::from_bits(0x3F82_0000), f32::INFINITY, f32::NEG_INFINITY, -0.0]);
        assert!(back[4].is_sign_negative() && back[5].is_nan() && back[6].is_nan());
    }
}
