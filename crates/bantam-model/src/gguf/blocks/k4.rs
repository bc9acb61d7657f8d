//! Q4_K: codes of 4 bits in stretches of 32, whose scales and least values are themselves quantised.

use super::scales::unpack;
use super::{block, half};

block! {
    /// 256 codes of 4 bits: `value = (scale * scales[s]) * code - least * leasts[s]`, where `s` is the stretch of 32.
    Q4K, 144 bytes, 256 numbers
}

impl Q4K<'_> {
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

    /// The codes, 0..=15.
    pub fn codes(&self) -> [u8; 256] {
        let bytes = self.part::<128>(16);
        std::array::from_fn(|index| bytes[index / 64 * 32 + index % 32] >> (index / 32 % 2 * 4) & 15)
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
