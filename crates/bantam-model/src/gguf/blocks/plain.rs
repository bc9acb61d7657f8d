//! Plain floats of 32 and 16 bits.

use half::{bf16, f16};

/// 32-bit floats.
pub fn decode_f32(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&number| f32::from_le_bytes(number)).collect()
}

/// IEEE half-precision floats, widened.
pub fn decode_f16(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&number| f16::from_le_bytes(number).to_f32()).collect()
}

/// Upper halves of 32-bit floats, widened.
pub fn decode_bf16(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&number| bf16::from_le_bytes(number).to_f32()).collect()
}

/// The bytes of 32-bit floats.
pub fn encode_f32(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Rounds to half precision, ties to even.
pub fn encode_f16(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|&number| f16::from_f32(number).to_le_bytes()).collect()
}

/// Rounds to the upper halves of 32-bit floats, ties to even.
pub fn encode_bf16(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|&number| bf16::from_f32(number).to_le_bytes()).collect()
}
