//! Q8_0: codes of 8 bits.

use half::f16;

use super::block;

block! {
    /// 32 codes of 8 bits: `value = code * scale`.
    Q8_0, 34 bytes, 32 numbers
}

impl Q8_0<'_> {
    /// The scale of all codes.
    pub fn scale(&self) -> f16 {
        f16::from_le_bytes(*self.part(0))
    }

    /// The codes, -128..=127.
    pub fn codes(&self) -> [i8; 32] {
        self.part::<32>(2).map(u8::cast_signed)
    }

    /// The numbers.
    pub fn values(&self) -> [f32; 32] {
        let scale = self.scale().to_f32();
        self.codes().map(|code| f32::from(code) * scale)
    }

    /// The codes in the order of [`from_words`](bantam_kernels::gemm::grouped::GroupedMatrix::from_words): four to a word, without sign.
    pub fn words(&self) -> [u32; 8] {
        std::array::from_fn(|index| u32::from_le_bytes(*self.part(2 + 4 * index)) ^ 0x8080_8080)
    }
}

/// The block whose largest code is 127; ties round away from zero.
pub fn encode(numbers: &[f32; 32]) -> [u8; 34] {
    let largest = numbers.iter().fold(0.0, |largest: f32, number| largest.max(number.abs()));
    let scale = largest / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    packed(&numbers.map(|number| (number * inverse).round() as i8), f16::from_f32(scale))
}

/// The block of codes that are there already.
pub fn packed(codes: &[i8; 32], scale: f16) -> [u8; 34] {
    let mut block = [0; 34];
    block[..2].copy_from_slice(&scale.to_le_bytes());
    block[2..].iter_mut().zip(codes).for_each(|(byte, code)| *byte = code.cast_unsigned());
    block
}
