//! How the codes of a group lie in words, and how they are found.

use super::{Bits, GROUP, PANEL};
use half::f16;

/// The layout of one group of one panel: words of four inputs (8 bits) or eight (4 bits), those of all outputs side by side, and then the
/// outputs' scales, two to a word, so that a product reads one stream.
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

    /// Where the scales of a group begin among its words.
    pub(super) const fn scales(self) -> usize {
        self.words() * PANEL
    }

    /// Words of a group of a panel.
    pub(super) const fn group(self) -> usize {
        self.scales() + PANEL / 2
    }

    /// What is added to a code, so that it has no sign.
    pub(super) const fn offset(self) -> i32 {
        match self.bits {
            Bits::Four => 8,
            Bits::Eight => 128,
        }
    }

    /// Writes the scale of one output's group.
    pub(super) fn write_scale(self, scale: f16, column: usize, words: &mut [u32]) {
        let (word, shift) = (&mut words[self.scales() + column / 2], 16 * (column % 2));
        *word = *word & !(0xffff << shift) | u32::from(scale.to_bits()) << shift;
    }

    /// Reads the scale of one output's group.
    pub(super) fn read_scale(self, words: &[u32], column: usize) -> f16 {
        f16::from_bits((words[self.scales() + column / 2] >> (16 * (column % 2))) as u16)
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
