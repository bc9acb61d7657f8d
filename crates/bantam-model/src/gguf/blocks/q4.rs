//! Q4_0 and Q4_1: codes of 4 bits.

use half::f16;

use super::{block, half, nibbles};

block! {
    /// 32 codes of 4 bits: `value = (code - 8) * scale`.
    Q4_0, 18 bytes, 32 numbers
}

impl Q4_0<'_> {
    /// The scale of all codes.
    pub fn scale(&self) -> f16 {
        f16::from_le_bytes(*self.part(0))
    }

    /// The codes, 0..=15.
    pub fn codes(&self) -> [u8; 32] {
        nibbles(self.part(2))
    }

    /// The numbers.
    pub fn values(&self) -> [f32; 32] {
        let scale = self.scale().to_f32();
        self.codes().map(|code| (f32::from(code) - 8.0) * scale)
    }

    /// The codes in the order of [`from_words`](bantam_kernels::gemm::grouped::GroupedMatrix::from_words): eight to a word.
    pub fn words(&self) -> [u32; 4] {
        const LOW: u32 = 0x0f0f_0f0f;
        let [a, b, c, d]: [u32; 4] = std::array::from_fn(|index| u32::from_le_bytes(*self.part(2 + 4 * index)));
        [a & LOW | (b & LOW) << 4, c & LOW | (d & LOW) << 4, a >> 4 & LOW | b & !LOW, c >> 4 & LOW | d & !LOW]
    }
}

block! {
    /// 32 codes of 4 bits: `value = code * scale + least`.
    Q4_1, 20 bytes, 32 numbers
}

impl Q4_1<'_> {
    /// The scale of all codes.
    pub fn scale(&self) -> f32 {
        half(*self.part(0))
    }

    /// What the code 0 stands for.
    pub fn least(&self) -> f32 {
        half(*self.part(2))
    }

    /// The codes, 0..=15.
    pub fn codes(&self) -> [u8; 32] {
        nibbles(self.part(4))
    }

    /// The numbers.
    pub fn values(&self) -> [f32; 32] {
        let (scale, least) = (self.scale(), self.least());
        self.codes().map(|code| f32::from(code) * scale + least)
    }
}

/// The Q4_0 block in which the number farthest from zero has the code 0, so that it is met exactly.
pub fn encode(numbers: &[f32; 32]) -> [u8; 18] {
    let farthest = numbers.iter().fold(0.0, |far: f32, &number| if number.abs() > far.abs() { number } else { far });
    let scale = farthest / -8.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    packed(&numbers.map(|number| ((number * inverse + 8.5) as u8).min(15).cast_signed() - 8), f16::from_f32(scale))
}

/// The Q4_0 block of codes in -8..=7.
pub fn packed(codes: &[i8; 32], scale: f16) -> [u8; 18] {
    let raw = |index: usize| (codes[index] + 8).cast_unsigned();
    let mut block = [0; 18];
    block[..2].copy_from_slice(&scale.to_le_bytes());
    for (index, byte) in block[2..].iter_mut().enumerate() {
        *byte = raw(index) | raw(index + 16) << 4;
    }
    block
}
