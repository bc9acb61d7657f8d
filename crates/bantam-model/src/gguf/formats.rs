//! The number formats of tensors: their names, their numbers in a file and their sizes.

use super::blocks::{k4, k5, k6, plain, q4, q5, q8};
use super::error::GgufError;
use crate::arrays::{Array, Values};
use bantam_kernels::gemm::grouped::Bits;

/// How the numbers of a tensor are stored. Names as in ggml.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TensorFormat {
    /// 32-bit floats.
    F32,
    /// IEEE half-precision floats.
    F16,
    /// The upper halves of 32-bit floats.
    Bf16,
    /// 32 codes of 4 bits with a scale.
    Q4_0,
    /// 32 codes of 4 bits with a scale and a least value.
    Q4_1,
    /// 32 codes of 5 bits with a scale.
    Q5_0,
    /// 32 codes of 5 bits with a scale and a least value.
    Q5_1,
    /// 32 codes of 8 bits with a scale.
    Q8_0,
    /// 256 codes of 4 bits, with scales and least values of 6 bits for each 32.
    Q4K,
    /// 256 codes of 5 bits, with scales and least values of 6 bits for each 32.
    Q5K,
    /// 256 codes of 6 bits, with scales of 8 bits for each 16.
    Q6K,
}

use TensorFormat::{Bf16, F16, F32, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};

impl TensorFormat {
    /// Every format.
    pub const ALL: [TensorFormat; 11] = [F32, F16, Bf16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4K, Q5K, Q6K];

    /// The format with the number `number` in files, `None` where it is not known here.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.number() == number)
    }

    /// The format's number in files (`ggml_type`).
    pub fn number(self) -> u32 {
        match self {
            F32 => 0,
            F16 => 1,
            Q4_0 => 2,
            Q4_1 => 3,
            Q5_0 => 6,
            Q5_1 => 7,
            Q8_0 => 8,
            Q4K => 12,
            Q5K => 13,
            Q6K => 14,
            Bf16 => 30,
        }
    }

    /// What ggml calls it.
    pub fn name(self) -> &'static str {
        match self {
            F32 => "F32",
            F16 => "F16",
            Bf16 => "BF16",
            Q4_0 => "Q4_0",
            Q4_1 => "Q4_1",
            Q5_0 => "Q5_0",
            Q5_1 => "Q5_1",
            Q8_0 => "Q8_0",
            Q4K => "Q4_K",
            Q5K => "Q5_K",
            Q6K => "Q6_K",
        }
    }

    /// The format that holds groups of codes just as they are; `None` for other values.
    pub(super) fn of_groups(values: &Values) -> Option<Self> {
        match values {
            Values::Grouped { bits: Bits::Four, .. } => Some(Q4_0),
            Values::Grouped { bits: Bits::Eight, .. } => Some(Q8_0),
            Values::F32(_) | Values::Int8 { .. } | Values::Stored(_) => None,
        }
    }

    /// Numbers in a block: rows are a whole number of blocks.
    pub fn block_len(self) -> usize {
        match self {
            F32 | F16 | Bf16 => 1,
            Q4_0 | Q4_1 | Q5_0 | Q5_1 | Q8_0 => 32,
            Q4K | Q5K | Q6K => 256,
        }
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        match self {
            F32 => 4,
            F16 | Bf16 => 2,
            Q4_0 => q4::Q4_0::BYTES,
            Q4_1 => q4::Q4_1::BYTES,
            Q5_0 => q5::Q5_0::BYTES,
            Q5_1 => q5::Q5_1::BYTES,
            Q8_0 => q8::Q8_0::BYTES,
            Q4K => k4::Q4K::BYTES,
            Q5K => k5::Q5K::BYTES,
            Q6K => k6::Q6K::BYTES,
        }
    }

    /// The numbers in `bytes`, exactly as ggml decodes them. Bytes after the last whole block are passed over.
    pub fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            F32 => plain::decode_f32(bytes),
            F16 => plain::decode_f16(bytes),
            Bf16 => plain::decode_bf16(bytes),
            Q4_0 => joined(q4::Q4_0::all(bytes).map(|block| block.values())),
            Q4_1 => joined(q4::Q4_1::all(bytes).map(|block| block.values())),
            Q5_0 => joined(q5::Q5_0::all(bytes).map(|block| block.values())),
            Q5_1 => joined(q5::Q5_1::all(bytes).map(|block| block.values())),
            Q8_0 => joined(q8::Q8_0::all(bytes).map(|block| block.values())),
            Q4K => joined(k4::Q4K::all(bytes).map(|block| block.values())),
            Q5K => joined(k5::Q5K::all(bytes).map(|block| block.values())),
            Q6K => joined(k6::Q6K::all(bytes).map(|block| block.values())),
        }
    }

    /// The bytes of an array: groups of codes that the format holds just as they are, everything else by [`TensorFormat::encode`].
    ///
    /// # Errors
    /// As [`TensorFormat::encode`].
    pub fn encode_array(self, name: &str, array: &Array) -> Result<Vec<u8>, GgufError> {
        let row_len = array.shape.last().copied().unwrap_or(1);
        match &array.values {
            Values::Grouped { codes, scales, .. } if Self::of_groups(&array.values) == Some(self) => {
                if let Some(scale) = scales.iter().find(|scale| !scale.is_finite()) {
                    let problem = format!("a group has the scale {scale}; its numbers are too large, or none at all");
                    return Err(GgufError::Unfit { name: name.to_owned(), format: self.name(), problem });
                }
                let groups = codes.as_chunks().0.iter().zip(scales);
                Ok(match self {
                    Q4_0 => joined(groups.map(|(codes, scale)| q4::packed(codes, *scale))),
                    _ => joined(groups.map(|(codes, scale)| q8::packed(codes, *scale))),
                })
            }
            _ => self.encode(name, &array.to_f32(), row_len),
        }
    }

    /// The bytes of `numbers`, exactly as ggml's reference encodes them. `name` is the tensor's, for messages;
    /// `row_len` the numbers in one row.
    ///
    /// # Errors
    /// When the format is one that is only read, rows are not whole blocks, or a number does not fit.
    pub fn encode(self, name: &str, numbers: &[f32], row_len: usize) -> Result<Vec<u8>, GgufError> {
        let unfit = |problem: String| GgufError::Unfit { name: name.to_owned(), format: self.name(), problem };
        let block = self.block_len();
        if !row_len.is_multiple_of(block) || !numbers.len().is_multiple_of(row_len.max(1)) {
            return Err(unfit(format!("rows of {row_len} numbers are no whole blocks of {block}; write it as F16")));
        }
        let bytes = match self {
            F32 => plain::encode_f32(numbers),
            F16 => plain::encode_f16(numbers),
            Bf16 => plain::encode_bf16(numbers),
            Q8_0 => joined(numbers.as_chunks().0.iter().map(q8::encode)),
            Q4_0 => joined(numbers.as_chunks().0.iter().map(q4::encode)),
            Q4_1 | Q5_0 | Q5_1 | Q4K | Q5K | Q6K => {
                return Err(unfit("the format is only read; choose F32, F16, BF16, Q8_0 or Q4_0".to_owned()));
            }
        };
        // A scale beyond half precision would turn a whole block into infinities without a word.
        let largest = match self {
            F16 => 65_504.0,
            Q8_0 => 65_504.0 * 127.0,
            Q4_0 => 65_504.0 * 8.0,
            _ => f32::MAX,
        };
        match numbers.iter().find(|number| !number.is_finite() || number.abs() > largest) {
            Some(number) => Err(unfit(format!("it holds the number {number:e}; train or convert the model again"))),
            None => Ok(bytes),
        }
    }
}

/// Blocks end to end, in memory that is taken once.
fn joined<T: Copy, const N: usize>(blocks: impl ExactSizeIterator<Item = [T; N]>) -> Vec<T> {
    let mut all = Vec::with_capacity(blocks.len() * N);
    blocks.for_each(|block| all.extend_from_slice(&block));
    all
}

/// What ggml calls formats that are not read here.
pub(super) fn known_name(number: u32) -> Option<&'static str> {
    Some(match number {
        4 => "Q4_2",
        5 => "Q4_3",
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return None,
    })
}
