//! Q5_K: Q4_K with a fifth bit for each code.

use super::scales::unpack;
use super::{block, half};

block! {
    /// 256 codes of 5 bits: `value = (scale * scales[s]) * code - least * leasts[s]`, where `s` is the stretch of 32.
    Q5K, 176 bytes, 256 numbers
}

impl Q5K<'_> {
    /// What multiplies the stretches' scales.
    pub fn scale(&self) -> f32 {
        half(*self.part(0))
    }

    /// What multiplies the stretches' least values.
    pub fn least(&self) -> f32 {
        half(*self.part(2))
    }

    /// Scales and least values of the eight stretches, 0..=63.
    pub fn stretches(&self) -> ([u8; 8], [u8; 8]) {
        unpack(self.part(4))
    }

    /// The codes, 0..=31.
    pub fn codes(&self) -> [u8; 256] {
        let (fifth, lower) = (self.part::<32>(16), self.part::<128>(48));
        std::array::from_fn(|index| {
            let low = lower[index / 64 * 32 + index % 32] >> (index / 32 % 2 * 4) & 15;
            low | (fifth[index % 32] >> (index / 32) & 1) << 4
        })
    }

    /// The numbers.
    pub fn values(&self) -> [f32; 256] {
        let (scale, least, (scales, leasts), codes) = (self.scale(), self.least(), self.stretches(), self.codes());
        std::array::from_fn(|index| {
            let stretch = index / 32;
            (scale * f32::from(scales[stretch])) * f32::from(codes[index]) - least * f32::from(leasts[stretch])
        })
    }
}
