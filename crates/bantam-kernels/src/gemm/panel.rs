//! How the words of a packed right factor lie in its panels.

use crate::isa::Isa;

/// Columns of a packed panel: four vectors of AVX-512.
pub(crate) const PANEL: usize = 64;
/// Columns of which every tile reads all, where it reads one: as many as the sums of an AVX2 tile have.
pub(super) const SLICE: usize = 16;

/// A panel over some steps of k: `[PANEL / slice][steps][slice]` words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// The logarithm of `slice`: places are found for each vector that is packed, and a division would take longer than its copy.
    bits: u32,
    steps: usize,
}

impl Layout {
    /// As the tiles of an instruction set read it best. Those of AVX2 walk through a slice of 16 columns: with the other columns of a panel in
    /// between they would read one cache line of every four, and these lines compete for a quarter of the first-level cache.
    pub(super) fn of(isa: Isa, steps: usize) -> Layout {
        Layout { bits: if isa == Isa::Avx2 { SLICE.ilog2() } else { PANEL.ilog2() }, steps }
    }

    /// `[steps][PANEL]` words, of which any stretch of steps can be read.
    pub(super) fn of_rows(steps: usize) -> Layout {
        Layout { bits: PANEL.ilog2(), steps }
    }

    /// The same over other steps.
    pub(super) fn over(self, steps: usize) -> Layout {
        Layout { steps, ..self }
    }

    /// Words of the panel.
    pub(super) fn words(self) -> usize {
        self.steps * PANEL
    }

    /// Columns that lie together.
    pub(super) fn slice(self) -> usize {
        1 << self.bits
    }

    /// Words from one step to the next.
    pub(super) fn to_next_step(self) -> usize {
        self.slice()
    }

    /// Words from one [`SLICE`] of columns to the next.
    pub(super) fn to_next_slice(self) -> usize {
        self.place(0, SLICE)
    }

    /// The word of a step and a column.
    #[inline(always)]
    pub(super) fn place(self, step: usize, column: usize) -> usize {
        (((column >> self.bits) * self.steps + step) << self.bits) + (column & (self.slice() - 1))
    }
}
