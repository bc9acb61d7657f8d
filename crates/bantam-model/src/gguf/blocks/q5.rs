//! Q5_0 and Q5_1: codes of 5 bits, the fifth apart from the other four.

use super::{block, half, nibbles};

block! {
    /// 32 codes of 5 bits: `value = (code - 16) * scale`.
    Q5_0, 22 bytes, 32 numbers
}

impl Q5_0<'_> {
    /// The scale of all codes.
    pub fn scale(&self) -> f32 {
        half(*self.part(0))
    }

    /// The codes, 0..=31.
    pub fn codes(&self) -> [u8; 32] {
        joined(self.part(2), self.part(6))
    }

    /// The numbers.
    pub fn values(&self) -> [f32; 32] {
        let scale = self.scale();
        self.codes().map(|code| (f32::from(code) - 16.0) * scale)
    }
}

block! {
    /// 32 codes of 5 bits: `value = code * scale + least`.
    Q5_1, 24 bytes, 32 numbers
}

impl Q5_1<'_> {
    /// The scale of all codes.
    pub fn scale(&self) -> f32 {
        half(*self.part(0))
    }

    /// What the code 0 stands for.
    pub fn least(&self) -> f32 {
        half(*self.part(2))
    }

    /// The codes, 0..=31.
    pub fn codes(&self) -> [u8; 32] {
        joined(self.part(4), self.part(8))
    }

    /// The numbers.
    pub fn values(&self) -> [f32; 32] {
        let (scale, least) = (self.scale(), self.least());
        self.codes().map(|code| f32::from(code) * scale + least)
    }
}

/// Codes from their fifth bits, one bit per code, and their lower four.
fn joined(fifth: &[u8; 4], lower: &[u8; 16]) -> [u8; 32] {
    let (fifth, lower) = (u32::from_le_bytes(*fifth), nibbles(lower));
    std::array::from_fn(|index| lower[index] | ((fifth >> index & 1) as u8) << 4)
}
