//! The loops around the tiles: how a product is cut into tasks for the pool, and into blocks for the caches.
//!
//! A task owns some panels of columns and some rows of the output. Block by block of k it packs its part of the right factor, which then
//! lies in the second-level cache, and runs over its rows with it; the rows of a tile meanwhile stay in the first-level cache. Nothing is
//! shared between tasks but what was there before, so one parallel loop does a whole product. Only where the left factor needs conversion
//! (bf16, or stored transposed) a loop before it packs a part of bounded size.

use super::grouped::GroupedMatrix;
use super::pack::{self, Range, Source, Store};
use super::panel::{Layout, PANEL, SLICE};
use super::tile::{self, Arithmetic, HEIGHT, ROWS, Scales, TALL_ROWS, Tile, TileFunction};
use super::{Activation, Epilogue};
use crate::activation;
use crate::isa::Isa;
use crate::memory::Buffer;
use crate::pool::{self, Shared};

/// Most steps of the right factor per block: a panel of so many is a sixth of a small second-level cache.
const MOST_STEPS: usize = 640;
/// Words of packed right factor per task: half a small second-level cache.
const GROUP_WORDS: usize = 128 << 10;
/// Words of the left factor that are packed at once: half of a small third-level cache.
const LEFT_WORDS: usize = 4 << 20;
/// Words of the left factor that one task packs: some tens of microseconds of work.
const TASK_WORDS: usize = 1 << 17;
/// The cost of packing one column of a panel, in rows of output that could be computed instead. From measurements; only steers the split.
const PACKING_ROWS: usize = 24;
/// Numbers from one line to the next up to which lines are read as they lie: with more, those of a block compete for the first-level cache.
const MOST_IN_PLACE: usize = 640;
/// [`MOST_STEPS`] of factors that are read as they lie, so that they stay in the first-level cache.
const STEPS_IN_PLACE: usize = 64;
/// [`MOST_STEPS`] of products by AMX: so many of a tile's rows stay in the first-level cache. With half as many, sums that go to memory and back
/// cost up to a tenth.
const TILED_STEPS: usize = 288;
/// [`PACKING_ROWS`] of products by AMX, which are several times as fast.
const TILED_PACKING_ROWS: usize = 160;

/// The left factor of a product.
#[derive(Clone, Copy)]
pub(super) enum Left<'a> {
    /// To be read in place or packed, as the arithmetic asks.
    Source(Source<'a>),
    /// Words packed before for all of k; from one tile of rows to the next, from row to row, and from step to step.
    Packed { words: &'a [u32], tile: usize, row: usize, step: usize },
    /// Quantised rows of consecutive words, and the scale of each row.
    Codes { words: &'a [u32], stride: usize, scales: &'a [f32] },
}

/// The right factor of a product.
#[derive(Clone, Copy)]
pub(super) enum Right<'a> {
    /// To be packed by the tasks that need it.
    Source(Source<'a>),
    /// To be unpacked by the tasks that need it, into pairs of bf16.
    Grouped(&'a GroupedMatrix),
    /// The same with twice the columns: those of the first half are bent, and multiplied by those of the second half. For [`Product::run_rounded`].
    Gated(&'a GroupedMatrix, activation::Activation),
    /// To be read as it lies, with lines across the columns: for [`Arithmetic::F32`] and whole slices of columns.
    Rows(Source<'a>),
    /// Panels packed before over all of k; for int8 with the scale and the starting sum of each column, for whole panels.
    Panels { words: &'a [u32], layout: Layout, scales: &'a [f32], start: &'a [i32] },
}

/// A product [m, n] over k and what is done to it.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    pub(super) isa: Isa,
    pub(super) arithmetic: Arithmetic,
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    pub(super) left: Left<'a>,
    pub(super) right: Right<'a>,
    pub(super) epilogue: Epilogue<'a>,
    /// Threads to use at most.
    pub(super) threads: usize,
}

/// The left factor as the tiles read it.
#[derive(Clone, Copy)]
struct LeftView {
    words: *const u32,
    /// Words from one tile of rows to the next, from row to row, and from step to step.
    tile: usize,
    row: usize,
    step: usize,
}

// SAFETY: tasks only read through the pointer, while the slice it came from is borrowed by the frame that started them.
unsafe impl Sync for LeftView {}

/// A block of the right factor as the tiles read it.
#[derive(Clone, Copy)]
struct RightView {
    words: *const u32,
    /// Words from one panel to the next, from slice to slice, and from step to step.
    panel: usize,
    slice: usize,
    step: usize,
}

impl RightView {
    /// Panels of a layout, so many words apart.
    fn new(words: *const u32, panel: usize, layout: Layout) -> RightView {
        RightView { words, panel, slice: layout.to_next_slice(), step: layout.to_next_step() }
    }
}

/// A stretch of rows and of k for which the left factor is ready.
struct Stretch {
    rows: std::ops::Range<usize>,
    k: std::ops::Range<usize>,
}

/// Where the output goes.
enum Output {
    /// Its numbers.
    Whole(Shared<f32>),
    /// Pairs of them, rounded to bf16, and the words from one row to the next.
    Rounded(Shared<u32>, usize, Store),
}

impl Product<'_> {
    /// Computes the product into `out` [m, n].
    pub(super) fn run(&self, out: &mut [f32]) {
        if self.m == 0 || self.n == 0 {
            return;
        }
        if self.epilogue.accumulate && self.epilogue.activation != Activation::None {
            // The activation needs the whole sum, which blocks of k can only gather in the output itself.
            let mut product = Buffer::scratch(self.m * self.n);
            let epilogue = Epilogue { accumulate: false, ..self.epilogue };
            Product { epilogue, ..*self }.run(&mut product);
            return out.iter_mut().zip(product.iter()).for_each(|(out, value)| *out += value);
        }
        let (m, k) = (self.m, self.k);
        if let (Left::Source(left), Right::Source(right)) = (self.left, self.right)
            && self.reads_in_place(&left, &right)
        {
            // SAFETY: u32 and f32 have one size and alignment, and any bits are valid for both.
            let words = unsafe { std::slice::from_raw_parts(left.data.as_ptr().cast(), left.data.len()) };
            let left = Left::Packed { words, tile: ROWS, row: 1, step: left.stride };
            return Product { left, right: Right::Rows(right), ..*self }.run(out);
        }
        let out = &Output::Whole(Shared::new(out));
        match self.left {
            Left::Codes { words, stride, .. } => {
                let view =
                    LeftView { words: words.as_ptr(), tile: self.arithmetic.rows() * stride, row: stride, step: 1 };
                self.sweep(&view, &Stretch { rows: 0..m, k: 0..k }, out);
            }
            Left::Packed { words, tile, row, step } => {
                let view = LeftView { words: words.as_ptr(), tile, row, step };
                self.sweep(&view, &Stretch { rows: 0..m, k: 0..k }, out);
            }
            Left::Source(source) if self.arithmetic == Arithmetic::F32 && (source.lines_are_items || k == 0) => {
                let view = LeftView {
                    words: source.data.as_ptr().cast(),
                    tile: ROWS * source.stride,
                    row: source.stride,
                    step: 1,
                };
                self.sweep(&view, &Stretch { rows: 0..m, k: 0..k }, out);
            }
            Left::Source(source) => {
                let height = self.arithmetic.rows();
                let most_k = self.block_steps(k) * self.arithmetic.elements();
                let tile = left_tile_words(self.arithmetic, pack::left_words(self.arithmetic, most_k));
                let most_tiles = (LEFT_WORDS / tile).max(1);
                let most_rows = most_tiles * height;
                let mut packed = Buffer::scratch(m.div_ceil(height).min(most_tiles) * tile);
                for first_row in (0..m).step_by(most_rows) {
                    for first_k in (0..k.max(1)).step_by(most_k) {
                        let stretch = Stretch {
                            rows: first_row..m.min(first_row + most_rows),
                            k: first_k..k.min(first_k + most_k),
                        };
                        let view = self.pack_left(&source, &stretch, packed.words_mut());
                        self.sweep(&view, &stretch, out);
                    }
                }
            }
        }
    }

    /// Whether [`Product::run_rounded`] is worth while, which takes all steps of k at once, and possible.
    pub(super) fn rounds_well(&self) -> bool {
        let steps = self.k.div_ceil(self.arithmetic.elements());
        steps <= MOST_STEPS && self.n.is_multiple_of(2) && !self.epilogue.accumulate
    }

    /// Computes a product whose left factor is packed, into pairs of bf16: `out` [m, row], of which n / 2 words in each row are written.
    pub(super) fn run_rounded(&self, out: &mut [u32], row_words: usize) {
        let Left::Packed { words, tile, row, step } = self.left else {
            unreachable!("only packed factors are multiplied into pairs");
        };
        if self.m > 0 && self.n > 0 {
            let view = LeftView { words: words.as_ptr(), tile, row, step };
            let store = Store::of(out.len());
            let out = Output::Rounded(Shared::new(out), row_words, store);
            self.sweep(&view, &Stretch { rows: 0..self.m, k: 0..self.k }, &out);
        }
    }

    /// Whether both factors are best read as they lie: lines of both are steps of k, and short, as for the gradient of a small layer's weights.
    /// Packing would take half as long as multiplying.
    fn reads_in_place(&self, left: &Source<'_>, right: &Source<'_>) -> bool {
        self.isa == Isa::Avx2
            && self.arithmetic == Arithmetic::F32
            && !left.lines_are_items
            && !right.lines_are_items
            && left.stride.max(right.stride) <= MOST_IN_PLACE
            && self.n.is_multiple_of(SLICE)
            && self.k > 0
    }

    /// Whether sums begin with what is added to them: products by AMX need not pass over them again.
    fn begins_with_residual(&self) -> bool {
        self.arithmetic == Arithmetic::Bf16Tiles && self.epilogue.activation == Activation::None
    }

    /// Steps of each block of `k` elements, at least 1: blocks of equal length, or all at once where sums cannot be stored in between.
    fn block_steps(&self, k: usize) -> usize {
        let steps = k.div_ceil(self.arithmetic.elements());
        let (blocks, whole) = match self.arithmetic {
            arithmetic if arithmetic.is_int8() => (1, 4),
            Arithmetic::Bf16Tiles => (steps.div_ceil(TILED_STEPS), HEIGHT),
            _ if matches!(self.right, Right::Rows(_)) => (steps.div_ceil(STEPS_IN_PLACE), 4),
            _ => (steps.div_ceil(MOST_STEPS), 4),
        };
        steps.div_ceil(blocks.max(1)).next_multiple_of(whole).min(steps).max(1)
    }

    /// Packs a stretch of the left factor on all threads.
    fn pack_left(&self, source: &Source<'_>, stretch: &Stretch, packed: &mut [u32]) -> LeftView {
        let (k, height) = (stretch.k.len(), self.arithmetic.rows());
        let words = pack::left_words(self.arithmetic, k);
        let tile = left_tile_words(self.arithmetic, words);
        let (row, step) = match self.arithmetic {
            arithmetic if arithmetic.is_tiled() => (tile / height, 1),
            _ if source.lines_are_items => (words, 1),
            _ => (1, height),
        };
        let view = LeftView { words: packed.as_ptr(), tile, row, step };
        let tiles_per_task = (TASK_WORDS / tile).max(1);
        let packed = &mut packed[..stretch.rows.len().div_ceil(height) * tile];
        pool::with_threads(self.threads, || {
            pool::for_each_chunk(packed, tiles_per_task * tile, |task, packed| {
                let first_item = stretch.rows.start + task * tiles_per_task * height;
                let items = (packed.len() / tile * height).min(stretch.rows.end - first_item);
                let range = Range { first_item, items, first_k: stretch.k.start, k };
                if self.arithmetic.is_tiled() {
                    // SAFETY: the words of all rows lie within `packed`.
                    unsafe {
                        let words = packed.as_mut_ptr();
                        pack::left_rows(self.isa, self.arithmetic, source, range, words, row, Store::Kept);
                    }
                } else {
                    pack::left_tiles(self.isa, self.arithmetic, source, range, packed);
                }
            });
        });
        view
    }

    /// Adds the stretch's part of the sums to the output, and finishes the output with the last part.
    fn sweep(&self, left: &LeftView, stretch: &Stretch, out: &Output) {
        let steps = stretch.k.len().div_ceil(self.arithmetic.elements());
        let block = match out {
            Output::Whole(_) => self.block_steps(stretch.k.len()),
            Output::Rounded(..) => steps.max(1),
        };
        // Words of each column that a task packs.
        let packed_steps = match self.right {
            Right::Panels { .. } | Right::Rows(_) => 0,
            Right::Source(_) | Right::Grouped(_) => block,
            Right::Gated(..) => 2 * block,
        };
        let is_fine = matches!(self.left, Left::Packed { .. }) && packed_steps == 0;
        let split = Split::new(self.arithmetic, stretch.rows.len(), self.n, block, packed_steps, is_fine, self.threads);
        let function = match self.right {
            Right::Source(_) | Right::Rows(_) => tile::function(self.isa, self.arithmetic),
            // Answers computed side by side are those computed alone.
            Right::Panels { .. } | Right::Grouped(_) | Right::Gated(..) => {
                tile::steady_function(self.isa, self.arithmetic)
            }
        };
        pool::with_threads(self.threads, || {
            pool::for_each(split.groups * split.row_parts, |task| {
                let (group, part) = (task / split.row_parts, task % split.row_parts);
                let panels = group * split.panels..((group + 1) * split.panels).min(self.n.div_ceil(PANEL));
                let rows = part * split.rows..((part + 1) * split.rows).min(stretch.rows.len());
                let mut packed = Buffer::scratch(panels.len() * packed_steps * PANEL);
                tile::with_tiles(self.arithmetic, || {
                    for first in (0..steps.max(1)).step_by(block) {
                        let steps = first..(first + block).min(steps);
                        let part = Part { left, stretch, rows: rows.clone(), panels: panels.clone(), steps };
                        // SAFETY: tasks have different rows or different panels, so that no two write the same element.
                        unsafe { self.block(function, &part, packed.words_mut(), out) };
                    }
                });
            });
        });
    }

    /// Runs the tiles of one task and one block of k.
    ///
    /// # Safety
    /// Nobody else writes the part's rows and columns of `out`.
    unsafe fn block(&self, function: TileFunction, part: &Part<'_>, packed: &mut [u32], out: &Output) {
        let Part { left, stretch, rows, panels, steps } = part;
        let elements = self.arithmetic.elements();
        let first_k = stretch.k.start + steps.start * elements;
        let k = (stretch.k.start + steps.end * elements).min(stretch.k.end) - first_k.min(stretch.k.end);
        let first_item = panels.start * PANEL;
        let range = Range { first_item, items: self.n.min(panels.end * PANEL) - first_item, first_k, k };
        let length = steps.len() * PANEL;
        let layout = Layout::of(self.isa, steps.len());
        // Between the panels of a gated product are those that they let through.
        let right = match self.right {
            Right::Source(source) => {
                let packed = &mut packed[..panels.len() * length];
                pack::right_panels(self.isa, self.arithmetic, &source, range, layout, packed, Store::Kept);
                RightView::new(packed.as_ptr(), length, layout)
            }
            Right::Grouped(matrix) => {
                matrix.panels_of_pairs(self.isa, range, &mut packed[..panels.len() * length]);
                RightView::new(packed.as_ptr(), length, layout)
            }
            Right::Gated(matrix, _) => {
                for (panel, packed) in panels.clone().zip(packed.chunks_exact_mut(2 * length)) {
                    let first_item = panel * PANEL;
                    let gate = Range { first_item, items: PANEL.min(self.n - first_item), ..range };
                    let (gate_words, up_words) = packed.split_at_mut(length);
                    matrix.panels_of_pairs(self.isa, gate, gate_words);
                    matrix.panels_of_pairs(self.isa, Range { first_item: self.n + first_item, ..gate }, up_words);
                }
                RightView::new(packed.as_ptr(), 2 * length, layout)
            }
            Right::Rows(source) => RightView {
                words: source.data[first_k * source.stride + first_item..].as_ptr().cast(),
                panel: PANEL,
                slice: SLICE,
                step: source.stride,
            },
            Right::Panels { words, layout, .. } => {
                let first = words[panels.start * layout.words()..].as_ptr();
                RightView::new(first.wrapping_add(layout.place(first_k / elements, 0)), layout.words(), layout)
            }
        };
        let is_first = first_k == 0;
        let is_last = first_k + k == self.k;
        let optional =
            |slice: Option<&[f32]>, is_now: bool| slice.filter(|_| is_now).map_or(std::ptr::null(), <[f32]>::as_ptr);
        let bias = optional(self.epilogue.bias, is_last);
        let residual = optional(self.epilogue.residual, if self.begins_with_residual() { is_first } else { is_last });
        let height = self.arithmetic.rows();
        // What is rounded before it is stored: the sums of a tile, and those that they let through.
        let numbers = if matches!(out, Output::Rounded(..)) { TALL_ROWS * PANEL } else { 0 };
        let mut sums = Buffer::zeroed(2 * numbers);
        let (sums, other_sums) = sums.split_at_mut(numbers);
        for row in (rows.start..rows.end).step_by(height) {
            let out_row = stretch.rows.start + row;
            for (index, panel) in panels.clone().enumerate() {
                let column = panel * PANEL;
                let place = out_row * self.n + column;
                let words = right.words.wrapping_add(index * right.panel);
                let tile = |words: *const u32, out: *mut f32, out_row_numbers: usize| Tile {
                    left: left.words.wrapping_add(
                        row / height * left.tile + steps.start * self.arithmetic.left_words() * left.step,
                    ),
                    left_row: left.row,
                    left_step: left.step,
                    right: words,
                    right_step: right.step,
                    right_slice: right.slice,
                    steps: steps.len(),
                    rows: height.min(rows.end - row),
                    columns: PANEL.min(self.n - column),
                    out,
                    out_row: out_row_numbers,
                    add: self.epilogue.accumulate || !is_first,
                    bias: offset(bias, column),
                    activation: if is_last { self.epilogue.activation } else { Activation::None },
                    residual: offset(residual, place),
                    scales: self.scales(out_row, column),
                };
                let (rounded, row_words, store) = match out {
                    Output::Whole(out) => {
                        // SAFETY: all pointers were derived from slices that cover the tile; the instruction set was checked when it was chosen.
                        unsafe { function(&tile(words, out.pointer().wrapping_add(place), self.n)) };
                        continue;
                    }
                    Output::Rounded(rounded, row_words, store) => (rounded, *row_words, *store),
                };
                let tile_of = |words: *const u32, sums: &mut [f32]| {
                    let tile = tile(words, sums.as_mut_ptr(), PANEL);
                    // SAFETY: as above; the sums have room for the largest tile.
                    unsafe { function(&tile) };
                    tile
                };
                let Tile { rows, columns, .. } = tile_of(words, sums);
                let numbers = rows * PANEL;
                if let Right::Gated(_, activation) = self.right {
                    tile_of(words.wrapping_add(length), other_sums);
                    activation::gate(activation, &mut sums[..numbers], &other_sums[..numbers]);
                }
                let source = Source { data: &sums[..numbers], stride: PANEL, lines_are_items: true };
                let range = Range { first_item: 0, items: rows, first_k: 0, k: columns };
                let rounded = rounded.pointer().wrapping_add(out_row * row_words + column / 2);
                // SAFETY: nobody else writes these rows and columns, and a row has room for all columns.
                unsafe {
                    pack::left_rows(self.isa, Arithmetic::Bf16Pairs, &source, range, rounded, row_words, store);
                }
            }
        }
        if let Output::Rounded(_, _, store) = out {
            store.finish();
        }
    }

    fn scales(&self, row: usize, column: usize) -> Scales {
        match (self.left, self.right) {
            (Left::Codes { scales: rows, .. }, Right::Panels { scales, start, .. }) => Scales {
                rows: rows[row..].as_ptr(),
                columns: scales[column..].as_ptr(),
                start: start[column..].as_ptr(),
            },
            _ => Scales::NONE,
        }
    }
}

/// One task's share of one block of k; rows are counted from the stretch's first.
struct Part<'a> {
    left: &'a LeftView,
    stretch: &'a Stretch,
    rows: std::ops::Range<usize>,
    panels: std::ops::Range<usize>,
    steps: std::ops::Range<usize>,
}

/// Words from one packed tile of the left factor to the next, given those of a row: an odd number of cache lines, because tiles are written
/// side by side and would otherwise compete for the same few places of the first-level cache. In tiles of AMX so many for each row.
pub(super) fn left_tile_words(arithmetic: Arithmetic, row: usize) -> usize {
    if arithmetic.is_tiled() { arithmetic.rows() * odd_lines(row) } else { odd_lines(ROWS * row) }
}

/// So many words, up to an odd number of cache lines.
pub(super) fn odd_lines(words: usize) -> usize {
    const LINE: usize = 16;
    words.next_multiple_of(LINE) | LINE
}

fn offset(pointer: *const f32, elements: usize) -> *const f32 {
    if pointer.is_null() { pointer } else { pointer.wrapping_add(elements) }
}

/// How the output is cut: groups of panels times parts of the rows.
#[derive(Clone, Copy, Debug)]
struct Split {
    groups: usize,
    panels: usize,
    row_parts: usize,
    rows: usize,
}

impl Split {
    /// The split with the least work on the busiest thread, packing included. It depends on the shape and the threads only, so that results
    /// are the same each time.
    fn new(
        arithmetic: Arithmetic,
        m: usize,
        n: usize,
        block: usize,
        packed_steps: usize,
        is_fine: bool,
        threads: usize,
    ) -> Split {
        let height = arithmetic.rows();
        let panels = n.div_ceil(PANEL);
        let most_panels = (GROUP_WORDS / (block.max(packed_steps) * PANEL)).clamp(1, panels);
        if threads == 1 {
            return Split { groups: panels.div_ceil(most_panels), panels: most_panels, row_parts: 1, rows: m };
        }
        let tiles = m.div_ceil(height);
        let packing = match packed_steps {
            0 => 0,
            _ if arithmetic.is_tiled() => TILED_PACKING_ROWS,
            _ => PACKING_ROWS,
        };
        let mut best = (usize::MAX, Split { groups: 1, panels: most_panels, row_parts: 1, rows: m });
        let most_parts = tiles.min(8 * threads);
        for group_panels in (1..=most_panels).rev() {
            let groups = panels.div_ceil(group_panels);
            for row_parts in 1..=most_parts {
                let rows = tiles.div_ceil(row_parts) * height;
                let row_parts = tiles.div_ceil(rows / height);
                let rounds = (groups * row_parts).div_ceil(threads);
                // Each row is also read once per group: about the work of a quarter of a panel.
                let task = group_panels * (rows + packing) * 4 + rows;
                // Where all is packed, smaller tasks cost nothing, and a thread that was held up has less left to wait for.
                let cost = rounds * task + if is_fine { task / 4 } else { 0 };
                if cost < best.0 {
                    best = (cost, Split { groups, panels: group_panels, row_parts, rows });
                }
            }
        }
        best.1
    }
}
