//! Brings factors into the order in which the tiles read them, rounding to bf16 on the way.

use super::Operand;
use super::panel::Layout;
#[cfg(target_arch = "x86_64")]
use super::panel::PANEL;
use super::tile::{Arithmetic, ROWS};
use crate::isa::Isa;

/// A factor seen from its inner dimension: `items` are rows of the left factor or columns of the right one, and each has `k` elements.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) data: &'a [f32],
    /// Elements from one stored line to the next.
    pub(super) stride: usize,
    /// Whether a stored line is an item; otherwise it is one step of k across all items.
    pub(super) lines_are_items: bool,
}

impl<'a> Source<'a> {
    pub(super) fn left(operand: &Operand<'a>) -> Source<'a> {
        Source { data: operand.data, stride: operand.stride, lines_are_items: !operand.transposed }
    }

    pub(super) fn right(operand: &Operand<'a>) -> Source<'a> {
        Source { data: operand.data, stride: operand.stride, lines_are_items: operand.transposed }
    }

    /// Element (item, k), which must exist.
    #[inline(always)]
    fn at(&self, item: usize, k: usize) -> f32 {
        self.data[if self.lines_are_items { item * self.stride + k } else { k * self.stride + item }]
    }

    /// A pointer to the first element of a rectangle that lies within the factor.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn part(&self, range: Range) -> *const f32 {
        let Range { first_item, items, first_k, k } = range;
        if items == 0 || k == 0 {
            return self.data.as_ptr();
        }
        let place =
            |item: usize, k: usize| if self.lines_are_items { item * self.stride + k } else { k * self.stride + item };
        assert!(
            place(first_item + items - 1, first_k + k - 1) < self.data.len(),
            "{range:?} of {} elements",
            self.data.len()
        );
        self.data[place(first_item, first_k)..].as_ptr()
    }
}

/// A rectangle of a factor: `items` from `first_item`, `k` elements of each from `first_k`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) first_item: usize,
    pub(super) items: usize,
    pub(super) first_k: usize,
    pub(super) k: usize,
}

/// Where words go on their way to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Store {
    /// Into the caches, for who reads them next.
    Kept,
    /// Past the caches where they fill whole lines, so that memory is not read before it is written: for more words than caches hold. The writer
    /// ends with [`Store::finish`].
    PastCaches,
}

impl Store {
    /// Bytes from which words go past the caches: more than the second-level cache of a core.
    const FEWEST: usize = 4 << 20;

    /// For so many words.
    pub(super) fn of(words: usize) -> Store {
        if words * size_of::<u32>() >= Store::FEWEST { Store::PastCaches } else { Store::Kept }
    }

    /// Has all words be in memory before this thread says that its work is done.
    #[inline]
    pub(super) fn finish(self) {
        #[cfg(target_arch = "x86_64")]
        if self == Store::PastCaches {
            // SAFETY: every x86-64 has this instruction.
            unsafe { std::arch::x86_64::_mm_sfence() };
        }
    }
}

/// Packs panels of the right factor, or slices of one, laid out over the steps of the range. Elements of k that do not exist become 0, as do
/// columns up to a whole [`super::panel::SLICE`]; what lies in those beyond is anything.
pub(super) fn right_panels(
    isa: Isa,
    arithmetic: Arithmetic,
    source: &Source<'_>,
    range: Range,
    layout: Layout,
    out: &mut [u32],
    store: Store,
) {
    #[cfg(not(target_arch = "x86_64"))]
    let _ = store;
    debug_assert!(out.len() >= range.items.next_multiple_of(layout.slice()) * range.k.div_ceil(arithmetic.elements()));
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Amx => {
            assert!(layout.slice() == PANEL, "{isa} reads whole panels");
            super::avx512::pack::right_panels(isa, arithmetic, source, range, out, store);
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => super::avx2::pack::right_panels(arithmetic, source, range, layout, out),
        _ => right_panels_portable(arithmetic, source, range, layout, out),
    }
}

/// Packs tiles of rows of the left factor: `[tiles]`, each with the words of a row one after another (where lines are rows), or with those
/// of a step (`[k words][ROWS]`, where lines are steps). Tiles share `out` evenly, and what they leave of it stays as it was.
pub(super) fn left_tiles(isa: Isa, arithmetic: Arithmetic, source: &Source<'_>, range: Range, out: &mut [u32]) {
    let Range { first_item, items, first_k, k } = range;
    let tile_words = out.len() / items.div_ceil(ROWS).max(1);
    let words = left_words(arithmetic, k);
    assert!(tile_words >= words * ROWS, "{range:?} does not fit {} words", out.len());
    if words == 0 {
        return;
    }
    if !source.lines_are_items {
        // SAFETY: the words of all tiles lie within `out`, as asserted.
        return unsafe { left_tile_steps(isa, arithmetic, source, range, tile_words, out.as_mut_ptr()) };
    }
    for (tile, out) in out.chunks_exact_mut(tile_words).enumerate() {
        for (row, out) in out.chunks_exact_mut(words).enumerate().take(ROWS.min(items - tile * ROWS)) {
            let start = (first_item + tile * ROWS + row) * source.stride + first_k;
            left_row(isa, arithmetic, &source.data[start..][..k], out);
        }
    }
}

/// Converts a row of the left factor into consecutive words.
pub(super) fn left_row(isa: Isa, arithmetic: Arithmetic, row: &[f32], out: &mut [u32]) {
    debug_assert!(out.len() == left_words(arithmetic, row.len()));
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Amx => super::avx512::pack::left_row(isa, arithmetic, row, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => super::avx2::pack::left_row(arithmetic, row, out),
        _ => left_row_portable(arithmetic, row, out),
    }
}

/// Packs the part of some steps into tiles of a left factor whose lines are steps: `[ROWS]` words for each step, from `out` on, and `tile_words`
/// from one tile to the next.
///
/// # Safety
/// The words of these steps are writable and nobody else's, in all tiles that the range has items of.
pub(super) unsafe fn left_tile_steps(
    isa: Isa,
    arithmetic: Arithmetic,
    source: &Source<'_>,
    range: Range,
    tile_words: usize,
    out: *mut u32,
) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Amx if arithmetic != Arithmetic::Bf16Widened => {
            // SAFETY: the caller's promise.
            return unsafe { super::avx512::pack::left_tiles(isa, arithmetic, source, range, tile_words, out) };
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 if matches!(arithmetic, Arithmetic::F32 | Arithmetic::F32Rounded) => {
            // SAFETY: the caller's promise.
            return unsafe { super::avx2::pack::left_tiles(arithmetic, source, range, tile_words, out) };
        }
        _ => {}
    }
    let Range { first_item, items, first_k, k } = range;
    for item in 0..items {
        for step in 0..left_words(arithmetic, k) {
            let word = left_word(arithmetic, k, step, |p| source.at(first_item + item, first_k + p));
            // SAFETY: the caller's promise.
            unsafe { *out.add(item / ROWS * tile_words + step * ROWS + item % ROWS) = word };
        }
    }
}

/// Converts a rectangle of a left factor into rows of words, `row_words` from one to the next, of which the first begins at `out`. Lines are items,
/// or the arithmetic is tiled. The rectangle begins with the first element of a word.
///
/// # Safety
/// The rectangle's words in `out` are writable and nobody else's.
pub(super) unsafe fn left_rows(
    isa: Isa,
    arithmetic: Arithmetic,
    source: &Source<'_>,
    range: Range,
    out: *mut u32,
    row_words: usize,
    store: Store,
) {
    debug_assert!(
        (source.lines_are_items || arithmetic.is_tiled()) && range.first_k.is_multiple_of(arithmetic.elements())
    );
    #[cfg(target_arch = "x86_64")]
    if isa >= Isa::Avx512 {
        // SAFETY: the caller's promise.
        return unsafe { super::avx512::pack::left_rows(isa, arithmetic, source, range, out, row_words, store) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = store;
    let Range { first_item, items, first_k, k } = range;
    for item in 0..items {
        // SAFETY: the caller lends the words of these numbers in each row.
        let words = unsafe { std::slice::from_raw_parts_mut(out.add(item * row_words), left_words(arithmetic, k)) };
        left_row(isa, arithmetic, &source.data[(first_item + item) * source.stride + first_k..][..k], words);
    }
}

/// Rounds two lines of numbers to pairs of bf16, number by number; the second is as long as the first, or empty.
pub(super) fn pair_lines(isa: Isa, low: &[f32], high: &[f32], out: &mut [u32]) {
    assert!(low.len() == out.len() && (high.is_empty() || high.len() == out.len()), "pair_lines: lengths differ");
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Amx => super::avx512::pack::pair_lines(isa, low, high, out),
        _ => {
            for (index, out) in out.iter_mut().enumerate() {
                *out = pair([low[index], high.get(index).copied().unwrap_or(0.0)]);
            }
        }
    }
}

/// Words of the left factor for `k` elements.
pub(super) fn left_words(arithmetic: Arithmetic, k: usize) -> usize {
    k.div_ceil(arithmetic.elements()) * arithmetic.left_words()
}

/// Rounds to bf16, to nearest even.
#[inline(always)]
fn rounded(value: f32) -> u32 {
    let bits = value.to_bits();
    if value.is_nan() { (bits | 0x0040_0000) & 0xffff_0000 } else { (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff_0000 }
}

/// Two numbers as bf16 in a word, the first lower.
#[inline(always)]
pub(super) fn pair([low, high]: [f32; 2]) -> u32 {
    (rounded(low) >> 16) | rounded(high)
}

/// The word at `step` of an item whose element k is `at(k)`, for the right factor and for the left one of pairs.
#[inline(always)]
fn word(arithmetic: Arithmetic, k: usize, step: usize, at: impl Fn(usize) -> f32) -> u32 {
    match arithmetic {
        Arithmetic::F32 => at(step).to_bits(),
        Arithmetic::F32Rounded => rounded(at(step)),
        _ => {
            let high = if 2 * step + 1 < k { at(2 * step + 1) } else { 0.0 };
            pair([at(2 * step), high])
        }
    }
}

/// The word at `step` of a row of the left factor.
#[inline(always)]
fn left_word(arithmetic: Arithmetic, k: usize, step: usize, at: impl Fn(usize) -> f32) -> u32 {
    match arithmetic {
        Arithmetic::Bf16Widened if step < k => rounded(at(step)),
        Arithmetic::Bf16Widened => 0,
        _ => word(arithmetic, k, step, at),
    }
}

/// [`right_panels`] in plain Rust.
#[inline(always)]
pub(super) fn right_panels_portable(
    arithmetic: Arithmetic,
    source: &Source<'_>,
    range: Range,
    layout: Layout,
    out: &mut [u32],
) {
    let Range { first_item, items, first_k, k } = range;
    let (steps, slice) = (k.div_ceil(arithmetic.elements()), layout.slice());
    for (index, out) in out.chunks_exact_mut((steps * slice).max(1)).enumerate() {
        let first = index * slice;
        let count = slice.min(items.saturating_sub(first));
        for (step, line) in out.chunks_exact_mut(slice).enumerate() {
            for (item, out) in line[..count].iter_mut().enumerate() {
                *out = word(arithmetic, k, step, |p| source.at(first_item + first + item, first_k + p));
            }
            line[count..].fill(0);
        }
    }
}

/// [`left_row`] in plain Rust.
pub(super) fn left_row_portable(arithmetic: Arithmetic, row: &[f32], out: &mut [u32]) {
    for (step, out) in out.iter_mut().enumerate() {
        *out = left_word(arithmetic, row.len(), step, |p| row[p]);
    }
}
