//! Q6_K: codes of 6 bits in stretches of 16, whose scales are quantised to 8 bits.

use super::{block, half};

block! {
    /// 256 codes of 6 bits: `value = (scale * scales[s]) * (code - 32)`, where `s` is the stretch of 16.
    Q6K, 210 bytes, 256 numbers
}

impl Q6K<'_> {
    /// What multiplies the stretches' scales.
    pub fn scale(&self) -> f32 {
        half(*self.part(208))
    }

    /// The scales of the sixteen stretches.
    pub fn scales(&self) -> [i8; 16] {
        self.part::<16>(192).map(u8::cast_signed)
    }

    /// The codes, 0..=63.
    pub fn codes(&self) -> [u8; 256] {
        let (lower, upper) = (self.part::<128>(0), self.part::<64>(128));
        std::array::from_fn(|index| {
            // Each half of the block packs on its own: four rows of 32, their lower bits in 64 bytes, upper in 32.
            let (half, row, column) = (index / 128, index / 32 % 4, index % 32);
            let low = lower[half * 64 + row % 2 * 32 + column] >> (row / 2 * 4) & 15;
            low | (upper[half * 32 + column] >> (row * 2) & 3) << 4
        })
    }

    /// The numbers.
    pub fn values(&self) -> [f32; 256] {
        let (scale, scales, codes) = (self.scale(), self.scales(), self.codes());
        std::array::from_fn(|index| (scale * f32::from(scales[index / 16])) * (f32::from(codes[index]) - 32.0))
    }
}
