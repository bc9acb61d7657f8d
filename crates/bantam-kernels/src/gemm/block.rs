//! Products of blocks that are in the cache already, for kernels that arrange the work themselves (attention).

use super::pack::{Range, Source, Store, left_row, left_rows, right_panels};
use super::panel::{Layout, SLICE};
use super::tile::{self, Arithmetic, Scales, Tile, TileFunction};
use super::{Activation, Operand};
use crate::isa::Isa;
use half::{bf16, f16};

/// Most rows of a block.
pub(crate) const ROWS: usize = tile::ROWS;
/// Most rows of a block by AMX, which reads a left factor for whole [`HEIGHT`]s of rows.
pub(crate) const TALL_ROWS: usize = tile::TALL_ROWS;
pub(crate) use super::panel::PANEL;
pub(crate) use tile::HEIGHT;

/// Packed pairs come in whole vectors of this many words.
const LANES: usize = 16;

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

/// A left factor of pairs of bf16, each in a word: rows of words, `row` apart.
#[derive(Clone, Copy)]
pub(crate) struct PairLeft<'a> {
    pub(crate) words: &'a [u32],
    pub(crate) row: usize,
}

impl PairLeft<'_> {
    /// The same factor from a later row and pair on.
    #[inline]
    pub(crate) fn from(self, row: usize, pair: usize) -> Self {
        PairLeft { words: &self.words[row * self.row + pair..], ..self }
    }
}

/// Rounds a row to pairs of bf16 in words; the last of an odd number has no partner.
#[inline]
pub(crate) fn pack_pairs(row: &[f32], words: &mut [u32]) {
    left_row(Isa::current(), Arithmetic::Bf16Pairs, row, words);
}

/// A left factor of pairs of bf16 whose rows are columns of words: `step` from one pair to the next.
#[derive(Clone, Copy)]
pub(crate) struct PairColumns<'a> {
    pub(crate) words: &'a [u32],
    pub(crate) step: usize,
}

/// Rounds two lines of numbers to pairs of bf16, number by number; the second is as long as the first, or empty.
#[inline]
pub(crate) fn pair_lines(first: &[f32], second: &[f32], words: &mut [u32]) {
    super::pack::pair_lines(Isa::current(), first, second, words);
}

/// Where a block of the product goes.
pub(crate) struct Target<'a> {
    pub(crate) data: &'a mut [f32],
    /// Elements from one row to the next.
    pub(crate) row: usize,
    /// Whether the sums are added to what is there.
    pub(crate) add: bool,
}

/// A left factor as words: how many may be read, and how far apart rows and steps are.
struct LeftWords {
    words: *const u32,
    length: usize,
    row: usize,
    step: usize,
}

impl From<Left<'_>> for LeftWords {
    #[inline]
    fn from(left: Left<'_>) -> Self {
        LeftWords { words: left.data.as_ptr().cast(), length: left.data.len(), row: left.row, step: left.step }
    }
}

impl From<PairLeft<'_>> for LeftWords {
    #[inline]
    fn from(left: PairLeft<'_>) -> Self {
        LeftWords { words: left.words.as_ptr(), length: left.words.len(), row: left.row, step: 1 }
    }
}

impl From<PairColumns<'_>> for LeftWords {
    #[inline]
    fn from(left: PairColumns<'_>) -> Self {
        LeftWords { words: left.words.as_ptr(), length: left.words.len(), row: 1, step: left.step }
    }
}

/// A right factor: words from one step to the next, and how many steps.
struct Right {
    words: *const u32,
    step: usize,
    steps: usize,
}

/// Multiplies blocks with the instruction set that it was made for. A row of a product does not depend on the rows beside it.
#[derive(Clone, Copy)]
pub(crate) struct BlockProduct {
    isa: Isa,
    tile: TileFunction,
    half: Option<TileFunction>,
    pairs: TileFunction,
    /// By AMX.
    tall: Option<TileFunction>,
}

impl BlockProduct {
    pub(crate) fn current() -> Self {
        let isa = Isa::current();
        let [tile, pairs] =
            [Arithmetic::F32, Arithmetic::Bf16Pairs].map(|arithmetic| tile::steady_function(isa, arithmetic));
        BlockProduct { isa, tile, half: tile::half_function(isa), pairs, tall: None }
    }

    /// [`BlockProduct::current`] with [`BlockProduct::multiply_tall`], where the machine has AMX; for work within [`BlockProduct::with_tall`].
    pub(crate) fn tall() -> Self {
        let product = Self::current();
        let function = || tile::steady_function(product.isa, Arithmetic::Bf16Tiles);
        BlockProduct { tall: (product.isa == Isa::Amx).then(function), ..product }
    }

    /// Whether [`BlockProduct::multiply_tall`] can be used.
    #[inline]
    pub(crate) fn is_tall(&self) -> bool {
        self.tall.is_some()
    }

    /// Runs what calls [`BlockProduct::multiply_tall`], and no other product that is not of this.
    #[inline]
    pub(crate) fn with_tall<R>(&self, f: impl FnOnce() -> R) -> R {
        let arithmetic = if self.is_tall() { Arithmetic::Bf16Tiles } else { Arithmetic::F32 };
        tile::with_tiles(arithmetic, f)
    }

    /// Packs a right factor `[k, n]` into `out` `[panels][k][PANEL]`; columns up to a whole vector of 16 become 0, what lies beyond is anything.
    pub(crate) fn pack(&self, right: Operand<'_>, out: &mut [f32]) {
        let range = Range { first_item: 0, items: right.columns, first_k: 0, k: right.rows };
        assert_eq!(out.len(), packed_len(right.rows, right.columns), "pack: {} x {}", right.rows, right.columns);
        // SAFETY: u32 and f32 have one size and alignment, and any bits are valid for both.
        let words = unsafe { std::slice::from_raw_parts_mut(out.as_mut_ptr().cast::<u32>(), out.len()) };
        let layout = Layout::of_rows(right.rows);
        right_panels(self.isa, Arithmetic::F32, &Source::right(&right), range, layout, words, Store::Kept);
    }

    /// Packs a right factor `[k, n]` as pairs of bf16, `[panels][pairs of k][PANEL]`; what is missing to whole pairs becomes 0, columns as of
    /// [`BlockProduct::pack`].
    pub(crate) fn pack_pairs(&self, right: Operand<'_>, out: &mut [u32]) {
        let range = Range { first_item: 0, items: right.columns, first_k: 0, k: right.rows };
        let layout = Layout::of_rows(right.rows.div_ceil(2));
        right_panels(self.isa, Arithmetic::Bf16Pairs, &Source::right(&right), range, layout, out, Store::Kept);
    }

    /// `out[rows, columns] = left · right` for at most [`ROWS`] rows and one panel `[steps][PANEL]` of the right factor.
    #[inline]
    pub(crate) fn multiply(&self, [rows, columns]: [usize; 2], left: Left<'_>, right: &[f32], out: Target<'_>) {
        let right = Right { words: right.as_ptr().cast(), step: PANEL, steps: right.len() / PANEL };
        // SAFETY: whole panels; the function belongs to a set that `Isa::current` found on this machine.
        unsafe { self.run(self.tile, ROWS, [rows, columns], left.into(), right, out) }
    }

    /// The same for at most [`TALL_ROWS`] rows with pairs of bf16 on both sides: a panel `[steps][PANEL]` on the right, and on the left rows that
    /// are there, with any numbers, up to a whole [`HEIGHT`].
    #[inline]
    pub(crate) fn multiply_tall(&self, shape: [usize; 2], left: PairLeft<'_>, right: &[u32], out: Target<'_>) {
        let function = self.tall.expect("asked for only where there is one");
        let right = Right { words: right.as_ptr(), step: PANEL, steps: right.len() / PANEL };
        let last = (shape[0].next_multiple_of(HEIGHT) - 1) * left.row + right.steps;
        assert!(last <= left.words.len(), "{} rows of words in {}", shape[0], left.words.len());
        // SAFETY: whole panels, and the assertion covers the rows beyond the last; the function belongs to a set of this machine.
        unsafe { self.run(function, TALL_ROWS, shape, left.into(), right, out) }
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
        unsafe { self.run(function, ROWS, [rows, columns], left.into(), right, out) }
    }

    /// The same with pairs of bf16 on both sides: rows of words on the right, `row` from one step to the next, which hold all columns in whole
    /// vectors of 16.
    #[inline]
    pub(crate) fn multiply_pairs(
        &self,
        shape: [usize; 2],
        left: PairLeft<'_>,
        right: &[u32],
        row: usize,
        out: Target<'_>,
    ) {
        self.pairs(shape, left.into(), right, row, out);
    }

    /// [`BlockProduct::multiply_tall`] where that can be used, else [`BlockProduct::multiply_pairs`], with a panel on the right.
    #[inline]
    pub(crate) fn multiply_panel(&self, shape: [usize; 2], left: PairLeft<'_>, right: &[u32], out: Target<'_>) {
        if self.is_tall() {
            self.multiply_tall(shape, left, right, out);
        } else {
            self.multiply_pairs(shape, left, right, PANEL, out);
        }
    }

    /// [`BlockProduct::multiply_pairs`] with a left factor whose rows are columns of words.
    #[inline]
    pub(crate) fn multiply_pair_columns(
        &self,
        shape: [usize; 2],
        left: PairColumns<'_>,
        right: &[u32],
        row: usize,
        out: Target<'_>,
    ) {
        self.pairs(shape, left.into(), right, row, out);
    }

    #[inline]
    fn pairs(&self, [rows, columns]: [usize; 2], left: LeftWords, right: &[u32], row: usize, out: Target<'_>) {
        let read = columns.next_multiple_of(16);
        let steps = (right.len() + row - read) / row;
        assert!(
            (steps - 1) * row + read <= right.len(),
            "{steps} rows of {read} words, {row} apart, in {}",
            right.len()
        );
        let right = Right { words: right.as_ptr(), step: row, steps };
        // SAFETY: the assertion covers the right factor; the function belongs to a set that `Isa::current` found on this machine.
        unsafe { self.run(self.pairs, ROWS, [rows, columns], left, right, out) }
    }

    /// Packs `items` columns of `k` lines, `stride` apart, as rows of pairs of bf16, `row` words apart: a left factor of
    /// [`BlockProduct::multiply_tall`].
    pub(crate) fn pack_tall_columns(
        &self,
        lines: &[f32],
        stride: usize,
        items: usize,
        k: usize,
        out: &mut [u32],
        row: usize,
    ) {
        check_lines(lines, stride, k, items, out, (items - 1) * row + k.div_ceil(2));
        let source = Source { data: lines, stride, lines_are_items: false };
        let range = Range { first_item: 0, items, first_k: 0, k };
        // SAFETY: the words of all rows are within `out`, as checked.
        unsafe { left_rows(self.isa, Arithmetic::Bf16Tiles, &source, range, out.as_mut_ptr(), row, Store::Kept) };
    }

    /// Packs `items` lines of `k` numbers, `stride` apart, as columns of pairs of bf16: `[k / 2][row]` words, where `row` is `items` up to whole
    /// vectors of 16; what does not exist becomes 0.
    pub(crate) fn pack_pair_columns(&self, lines: &[f32], stride: usize, items: usize, k: usize, out: &mut [u32]) {
        let row = items.next_multiple_of(LANES);
        check_lines(lines, stride, items, k, out, k.div_ceil(2) * row);
        match self.isa {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the set has the instructions, and the lines and words were checked.
            isa if isa.has_bf16() => unsafe {
                super::avx512::pack::pair_columns(lines.as_ptr(), stride, items, k, out.as_mut_ptr(), row);
            },
            _ => {
                let at = |item: usize, p: usize| if item < items && p < k { lines[item * stride + p] } else { 0.0 };
                for (step, words) in out.chunks_exact_mut(row).take(k.div_ceil(2)).enumerate() {
                    for (item, word) in words.iter_mut().enumerate() {
                        *word = pair(at(item, 2 * step), at(item, 2 * step + 1));
                    }
                }
            }
        }
    }

    /// The same as rows: `[items / 2][row]` words of the numbers of two lines, where `row` is `k` up to whole vectors of 16.
    pub(crate) fn pack_pair_rows(&self, lines: &[f32], stride: usize, items: usize, k: usize, out: &mut [u32]) {
        let row = k.next_multiple_of(LANES);
        check_lines(lines, stride, items, k, out, items.div_ceil(2) * row);
        match self.isa {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            isa if isa.has_bf16() => unsafe {
                super::avx512::pack::pair_rows(lines.as_ptr(), stride, items, k, out.as_mut_ptr(), row);
            },
            _ => {
                let at = |item: usize, p: usize| if item < items && p < k { lines[item * stride + p] } else { 0.0 };
                for (step, words) in out.chunks_exact_mut(row).take(items.div_ceil(2)).enumerate() {
                    for (p, word) in words.iter_mut().enumerate() {
                        *word = pair(at(2 * step, p), at(2 * step + 1, p));
                    }
                }
            }
        }
    }

    /// # Safety
    /// The right factor is readable for all its steps, and `function` belongs to a set that this machine has.
    #[inline]
    unsafe fn run(
        &self,
        function: TileFunction,
        most_rows: usize,
        [rows, columns]: [usize; 2],
        left: LeftWords,
        right: Right,
        out: Target<'_>,
    ) {
        let steps = right.steps;
        assert!(
            (1..=most_rows).contains(&rows)
                && (1..=PANEL).contains(&columns)
                && steps > 0
                && (rows - 1) * left.row + (steps - 1) * left.step < left.length
                && (rows - 1) * out.row + columns <= out.data.len(),
            "a block of {rows} x {columns} over {steps} steps: {} elements on the left, {} in the target",
            left.length,
            out.data.len()
        );
        let tile = Tile {
            left: left.words,
            left_row: left.row,
            left_step: left.step,
            right: right.words,
            right_step: right.step,
            right_slice: SLICE,
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

/// Panics where lines or words are missing.
fn check_lines(lines: &[f32], stride: usize, items: usize, k: usize, out: &[u32], words: usize) {
    assert!(
        items > 0 && k > 0 && (items - 1) * stride + k <= lines.len() && words <= out.len(),
        "{items} lines of {k} numbers, {stride} apart, in {}, as {words} words in {}",
        lines.len(),
        out.len()
    );
}

/// Two numbers as bf16 in one word.
fn pair(low: f32, high: f32) -> u32 {
    u32::from(bf16::from_f32(low).to_bits()) | u32::from(bf16::from_f32(high).to_bits()) << 16
}

/// Elements of a packed right factor.
pub(crate) fn packed_len(k: usize, n: usize) -> usize {
    n.next_multiple_of(PANEL) * k
}
