//! Products of blocks that are in the cache already, for kernels that arrange the work themselves (attention).

use super::pack::{Range, Source, right_panels};
use super::tile::{self, Arithmetic, Scales, Tile, TileFunction};
use super::{Activation, Operand};
use crate::isa::Isa;
use half::f16;

/// Columns of a panel of a packed right factor.
pub(crate) const PANEL: usize = tile::PANEL;
/// Most rows of a block.
pub(crate) const ROWS: usize = tile::ROWS;

/// A left factor at any strides: element (row, step) is `data[row * self.row + step * self.step]`.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) row: usize,
    pub(crate) step: usize,
}

impl Left<'_> {
    /// The same factor from a later row and step on.
    #[inline]
    pub(crate) fn from(self, row: usize, step: usize) -> Self {
        Left { data: &self.data[row * self.row + step * self.step..], ..self }
    }
}

/// Where a block of the product goes.
pub(crate) struct Target<'a> {
    pub(crate) data: &'a mut [f32],
    /// Elements from one row to the next.
    pub(crate) row: usize,
    /// Whether the sums are added to what is there.
    pub(crate) add: bool,
}

/// A right factor: words from one step to the next, and how many steps.
struct Right {
    words: *const u32,
    step: usize,
    steps: usize,
}

/// Multiplies f32 blocks with the instruction set that it was made for.
#[derive(Clone, Copy)]
pub(crate) struct BlockProduct {
    isa: Isa,
    tile: TileFunction,
    half: Option<TileFunction>,
}

impl BlockProduct {
    pub(crate) fn current() -> Self {
        let isa = Isa::current();
        BlockProduct { isa, tile: tile::function(isa, Arithmetic::F32), half: tile::half_function(isa) }
    }

    /// Packs a right factor `[k, n]` into `out` `[panels][k][PANEL]`; columns beyond the last become 0.
    pub(crate) fn pack(&self, right: Operand<'_>, out: &mut [f32]) {
        let range = Range { first_item: 0, items: right.columns, first_k: 0, k: right.rows };
        assert_eq!(out.len(), packed_len(right.rows, right.columns), "pack: {} x {}", right.rows, right.columns);
        // SAFETY: u32 and f32 have one size and alignment, and any bits are valid for both.
        let words = unsafe { std::slice::from_raw_parts_mut(out.as_mut_ptr().cast::<u32>(), out.len()) };
        right_panels(self.isa, Arithmetic::F32, &Source::right(&right), range, words);
    }

    /// `out[rows, columns] = left · right` for at most [`ROWS`] rows and one panel `[steps][PANEL]` of the right factor.
    #[inline]
    pub(crate) fn multiply(&self, [rows, columns]: [usize; 2], left: Left<'_>, right: &[f32], out: Target<'_>) {
        let right = Right { words: right.as_ptr().cast(), step: PANEL, steps: right.len() / PANEL };
        // SAFETY: whole panels; the function belongs to a set that `Isa::current` found on this machine.
        unsafe { self.run(self.tile, [rows, columns], left, right, out) }
    }

    /// Whether [`BlockProduct::multiply_half`] can be used.
    #[inline]
    pub(crate) fn has_half(&self) -> bool {
        self.half.is_some()
    }

    /// The same with rows of half-precision numbers on the right, `row` from one step to the next, which hold all columns; whole vectors of 16
    /// columns only.
    #[inline]
    pub(crate) fn multiply_half(
        &self,
        [rows, columns]: [usize; 2],
        left: Left<'_>,
        right: &[f16],
        row: usize,
        out: Target<'_>,
    ) {
        let steps = (right.len() + row - columns) / row;
        assert!(
            row.is_multiple_of(2) && columns.is_multiple_of(16) && (steps - 1) * row + columns <= right.len(),
            "{steps} rows of {columns} half-precision numbers, {row} apart, in {}",
            right.len()
        );
        let function = self.half.expect("asked for only where there is one");
        let right = Right { words: right.as_ptr().cast(), step: row / 2, steps };
        // SAFETY: the assertion covers the right factor; the function belongs to a set that `Isa::current` found on this machine.
        unsafe { self.run(function, [rows, columns], left, right, out) }
    }

    /// # Safety
    /// The right factor is readable for all its steps, and `function` belongs to a set that this machine has.
    #[inline]
    unsafe fn run(
        &self,
        function: TileFunction,
        [rows, columns]: [usize; 2],
        left: Left<'_>,
        right: Right,
        out: Target<'_>,
    ) {
        let steps = right.steps;
        assert!(
            (1..=ROWS).contains(&rows)
                && (1..=PANEL).contains(&columns)
                && steps > 0
                && (rows - 1) * left.row + (steps - 1) * left.step < left.data.len()
                && (rows - 1) * out.row + columns <= out.data.len(),
            "a block of {rows} x {columns} over {steps} steps: {} elements on the left, {} in the target",
            left.data.len(),
            out.data.len()
        );
        let tile = Tile {
            left: left.data.as_ptr().cast(),
            left_row: left.row,
            left_step: left.step,
            right: right.words,
            right_step: right.step,
            steps,
            rows,
            columns,
            out: out.data.as_mut_ptr(),
            out_row: out.row,
            add: out.add,
            bias: std::ptr::null(),
            activation: Activation::None,
            residual: std::ptr::null(),
            scales: Scales::NONE,
        };
        // SAFETY: the assertion covers the left factor and `out`, which is borrowed mutably; the caller promises the rest.
        unsafe { function(&tile) }
    }
}

/// Elements of a packed right factor.
pub(crate) fn packed_len(k: usize, n: usize) -> usize {
    n.next_multiple_of(PANEL) * k
}
