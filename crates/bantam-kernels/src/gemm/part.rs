//! Parts of int8 products, for kernels that arrange the work themselves (the layers of encoders): some rows of codes by some inputs and some
//! outputs of a matrix, on the calling thread.

use std::ops::Range;

use super::Activation;
use super::block::Target;
use super::packed::{PackedFormat, PackedMatrix, SUMMED};
use super::panel::{PANEL, SLICE};
use super::quantize::{OFFSET, quantize_gelu, quantize_token};
use super::tile::{self, HEIGHT, Scales, Tile};
use crate::isa::Isa;
use crate::memory::Buffer;

/// Columns that a part of the outputs may begin with are multiples of this.
pub(crate) const ALIGNED: usize = SLICE;

/// Rows of int8 codes with a scale each: a left factor.
pub(crate) struct Codes {
    words: Buffer,
    scales: Buffer,
    stride: usize,
}

impl Codes {
    /// Room for `rows` rows of `width` numbers.
    pub(crate) fn new(rows: usize, width: usize) -> Self {
        let stride = width.div_ceil(4);
        Codes { words: room(rows, stride), scales: Buffer::scratch(rows), stride }
    }

    /// The codes of rows of numbers that lie one after another.
    pub(crate) fn of(isa: Isa, rows: &[f32], width: usize) -> Self {
        let mut codes = Codes::new(rows.len() / width, width);
        for (row, numbers) in rows.chunks_exact(width).enumerate() {
            codes.set(isa, row, numbers);
        }
        codes
    }

    /// Quantises one row.
    #[inline]
    pub(crate) fn set(&mut self, isa: Isa, row: usize, numbers: &[f32]) {
        let words = &mut self.words.words_mut()[row * self.stride..][..self.stride];
        self.scales[row] = quantize_token(isa, numbers, words);
    }

    /// Bends one row by GELU, in place, and quantises it.
    #[inline]
    pub(crate) fn set_gelu(&mut self, isa: Isa, row: usize, numbers: &mut [f32]) {
        let words = &mut self.words.words_mut()[row * self.stride..][..self.stride];
        self.scales[row] = quantize_gelu(isa, numbers, words);
    }

    /// Copies of some rows.
    pub(crate) fn select(&self, rows: impl ExactSizeIterator<Item = usize>) -> Self {
        let stride = self.stride;
        let mut some = Codes { words: room(rows.len(), stride), scales: Buffer::scratch(rows.len()), stride };
        for (to, from) in rows.enumerate() {
            some.words[to * stride..][..stride].copy_from_slice(&self.words[from * stride..][..stride]);
            some.scales[to] = self.scales[from];
        }
        some
    }

    fn rows(&self) -> usize {
        self.scales.len()
    }
}

/// Words for some rows, and for those that the registers of AMX read beyond them.
fn room(rows: usize, stride: usize) -> Buffer {
    Buffer::scratch(rows.next_multiple_of(HEIGHT) * stride)
}

impl PackedMatrix {
    /// `out = codes · weight[outputs, inputs]ᵀ + bias` for int8 weights, with codes of those inputs only. Parts of the inputs begin at multiples
    /// of [`SUMMED`], parts of the outputs at multiples of [`ALIGNED`]. `bias` is that of the outputs.
    pub(crate) fn multiply_part(
        &self,
        codes: &Codes,
        inputs: Range<usize>,
        outputs: Range<usize>,
        bias: Option<&[f32]>,
        out: Target<'_>,
    ) {
        let (rows, columns) = (codes.rows(), outputs.len());
        if rows == 0 || columns == 0 {
            return;
        }
        let whole = |end: usize| end.is_multiple_of(SUMMED) || end == self.columns();
        assert!(
            self.format() == PackedFormat::Int8
                && whole(inputs.start)
                && whole(inputs.end)
                && inputs.end <= self.columns()
                && outputs.start.is_multiple_of(ALIGNED)
                && outputs.end <= self.rows()
                && codes.stride == inputs.len().div_ceil(4)
                && bias.is_none_or(|bias| bias.len() == columns)
                && (rows - 1) * out.row + columns <= out.data.len(),
            "a part {inputs:?} x {outputs:?} of {self:?} by {rows} rows of {} words",
            codes.stride
        );
        let function = tile::int8_function(Isa::current(), rows);
        let steps = codes.stride;
        let layout = self.layout;
        let padded = self.rows().next_multiple_of(PANEL);
        let sums = |end: usize| &self.sums[end.div_ceil(SUMMED) * padded..][..padded];
        let (before, after) = (sums(inputs.start), sums(inputs.end));
        tile::with_tiles(function.arithmetic, || {
            let mut column = outputs.start;
            while column < outputs.end {
                let place = column % PANEL;
                let count = function.columns.min(PANEL - place).min(outputs.end - column);
                let mut start = [0i32; PANEL];
                for (lane, start) in start[..count.next_multiple_of(ALIGNED)].iter_mut().enumerate() {
                    *start = -OFFSET * (after[column + lane] - before[column + lane]);
                }
                let first_word = column / PANEL * layout.words() + layout.place(inputs.start / 4, place);
                let right = self.words()[first_word..].as_ptr();
                let first = column - outputs.start;
                for row in (0..rows).step_by(function.rows) {
                    let tile = Tile {
                        left: codes.words.words()[row * codes.stride..].as_ptr(),
                        left_row: codes.stride,
                        left_step: 1,
                        right,
                        right_step: layout.to_next_step(),
                        right_slice: layout.to_next_slice(),
                        steps,
                        rows: function.rows.min(rows - row),
                        columns: count,
                        out: out.data[row * out.row + first..].as_mut_ptr(),
                        out_row: out.row,
                        add: out.add,
                        bias: bias.map_or(std::ptr::null(), |bias| bias[first..].as_ptr()),
                        activation: Activation::None,
                        residual: std::ptr::null(),
                        scales: Scales {
                            rows: codes.scales[row..].as_ptr(),
                            columns: self.scales[column..].as_ptr(),
                            start: start.as_ptr(),
                        },
                    };
                    // SAFETY: the assertion covers codes, inputs, outputs and `out`; tiles read whole groups of 16 columns, which exist as
                    // panels are whole and groups begin at multiples of 16, and rows in whole registers, for which codes have room.
                    unsafe { (function.tile)(&tile) };
                }
                column += count;
            }
        });
    }
}
