//! The number formats of ggml, one file per family, each block as a view of its bytes.
//!
//! A view costs nothing: a kernel that multiplies with blocks directly walks `all` of a tensor's bytes and takes scales
//! and codes from each. Layouts and order of arithmetic: `ggml-quants.c` of the ggml project.

pub mod k4;
pub mod k5;
pub mod k6;
pub mod plain;
pub mod q4;
pub mod q5;
pub mod q8;
mod scales;

use half::f16;

/// Declares the view of a block: its size in bytes and numbers, and how a tensor's bytes are walked.
macro_rules! block {
    ($(#[$documentation:meta])* $name:ident, $bytes:literal bytes, $len:literal numbers) => {
        $(#[$documentation])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name<'a>(&'a [u8; $bytes]);

        impl<'a> $name<'a> {
            /// Bytes of a block.
            pub const BYTES: usize = $bytes;
            /// Numbers in a block.
            pub const LEN: usize = $len;

            /// The blocks in `bytes`, in order. Bytes after the last whole block are passed over.
            pub fn all(bytes: &'a [u8]) -> impl ExactSizeIterator<Item = Self> {
                bytes.as_chunks::<$bytes>().0.iter().map(Self)
            }

            /// `N` bytes from `at`. The compiler sees both, so nothing is checked twice at run time.
            fn part<const N: usize>(&self, at: usize) -> &'a [u8; N] {
                self.0[at..].first_chunk().expect("a part lies within its block")
            }
        }
    };
}
pub(crate) use block;

/// The half-precision number in two bytes.
fn half(bytes: [u8; 2]) -> f32 {
    f16::from_le_bytes(bytes).to_f32()
}

/// The 32 codes of 4 bits in 16 bytes: the lower halves of all bytes, then the upper halves.
fn nibbles(bytes: &[u8; 16]) -> [u8; 32] {
    std::array::from_fn(|index| if index < 16 { bytes[index] & 15 } else { bytes[index - 16] >> 4 })
}
