//! Numbers that still lie in their file, decoded as they are needed: a model is loaded without a second copy of it.

use std::ops::Range;
use std::sync::Arc;

use bantam_kernels::gemm::grouped::{Bits, GROUP};
use bantam_kernels::memory::Mapped;
use half::f16;

use crate::gguf::TensorFormat;
use crate::gguf::blocks::{q4::Q4_0, q8::Q8_0};

/// The numbers of one array in a mapped file.
#[derive(Debug, Clone)]
pub struct Stored {
    file: Arc<Mapped>,
    place: Range<usize>,
    format: TensorFormat,
    row_len: usize,
    /// Which row of the file each row is, where their orders differ.
    order: Option<Arc<[usize]>>,
}

impl Stored {
    /// Takes rows of `row_len` numbers, whole blocks of `format`, whose `bytes` are part of `file`; `None` where they are not.
    pub fn new(file: &Arc<Mapped>, bytes: &[u8], format: TensorFormat, row_len: usize) -> Option<Self> {
        let place = file.range_of(bytes)?;
        let row_bytes = row_len / format.block_len() * format.block_bytes();
        let is_whole =
            row_len > 0 && row_len.is_multiple_of(format.block_len()) && bytes.len().is_multiple_of(row_bytes);
        is_whole.then(|| Self { file: Arc::clone(file), place, format, row_len, order: None })
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.order.as_ref().map_or(self.place.len() / self.row_bytes(), |order| order.len())
    }

    /// Bytes in the file.
    pub fn bytes(&self) -> usize {
        self.rows() * self.row_bytes()
    }

    /// Writes the numbers of a row to `out`.
    pub fn decode(&self, row: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.format.decode(self.row(row)));
    }

    /// The rows `keep`, in that order.
    #[must_use]
    pub fn select_rows(&self, keep: &[usize]) -> Self {
        let order = keep.iter().map(|&row| self.order.as_ref().map_or(row, |order| order[row])).collect();
        Self { order: Some(order), ..self.clone() }
    }

    /// The bits of a code, where the numbers are codes that products can be computed with as they are (Q4_0, Q8_0).
    pub fn group_bits(&self) -> Option<Bits> {
        match self.format {
            TensorFormat::Q4_0 => Some(Bits::Four),
            TensorFormat::Q8_0 => Some(Bits::Eight),
            _ => None,
        }
    }

    /// Writes the scales and the codes of a row's groups, as
    /// [`GroupedMatrix::from_words`](bantam_kernels::gemm::grouped::GroupedMatrix::from_words) takes them.
    ///
    /// # Panics
    /// Where there is no [`Stored::group_bits`].
    pub fn groups(&self, row: usize, scales: &mut [f16], words: &mut [u32]) {
        let row = self.row(row);
        match self.format {
            TensorFormat::Q4_0 => {
                for ((block, scale), words) in Q4_0::all(row).zip(scales).zip(words.as_chunks_mut().0) {
                    (*scale, *words) = (block.scale(), block.words());
                }
            }
            TensorFormat::Q8_0 => {
                for ((block, scale), words) in Q8_0::all(row).zip(scales).zip(words.as_chunks_mut().0) {
                    (*scale, *words) = (block.scale(), block.words());
                }
            }
            other => panic!("{} has no groups of {GROUP} codes with a scale", other.name()),
        }
    }

    /// Gives back the memory of all of the file's bytes that were read so far: the system reads some around those that are asked for.
    pub fn forget(&self) {
        self.file.forget(0..self.file.len());
    }

    fn row_bytes(&self) -> usize {
        self.row_len / self.format.block_len() * self.format.block_bytes()
    }

    fn row(&self, row: usize) -> &[u8] {
        let row = self.order.as_ref().map_or(row, |order| order[row]);
        &self.file[self.place.clone()][row * self.row_bytes()..][..self.row_bytes()]
    }
}

impl PartialEq for Stored {
    /// Whether the numbers are the same, however they are stored.
    fn eq(&self, other: &Self) -> bool {
        let decoded = |stored: &Self, row: usize| stored.format.decode(stored.row(row));
        (self.row_len, self.rows()) == (other.row_len, other.rows())
            && (0..self.rows()).all(|row| decoded(self, row) == decoded(other, row))
    }
}
