//! Factors of bf16 products that several products share: rounded and laid out once.
//!
//! A linear layer multiplies three times: `y = x·Wᵀ`, `dx = dy·W` and `dW = dyᵀ·x`. Each of x, W and dy is in two of them, along its rows in one and
//! along its columns in the other. Activations and their gradients are laid out both ways in one pass over them, weights once for all the
//! batches of a step.

use super::driver::{Left, Product, Right, left_tile_words, odd_lines};
use super::pack::{self, Range, Source, Store};
use super::panel::{Layout, PANEL};
use super::tile::{Arithmetic, HEIGHT, ROWS};
use super::{Activation, Epilogue, Operand, PARALLEL};
use crate::halves::Halves;
use crate::isa::Isa;
use crate::memory::Buffer;
use crate::pool::{self, Shared};

/// Numbers below which a factor is packed on the calling thread: about ten microseconds.
const PARALLEL_NUMBERS: usize = 1 << 15;
/// Rows that a task packs both ways, so few that they stay in the first-level cache however far apart they lie. Their words in a tile of columns
/// are whole cache lines, and in a row of a tile of AMX one.
const BAND: usize = 16;
const TILED_BAND: usize = 32;
/// Tiles of columns that are packed together: twice as many as the packer writes side by side.
const TILES: usize = 16;

/// A matrix that is read once, a few rows at a time.
#[derive(Clone, Copy)]
pub enum Reading<'a> {
    /// As it lies in memory.
    Slice(&'a [f32]),
    /// As its rows are made: then they never take more memory than those of a few tasks. The numbers of the matrix begin at `first` of those made.
    Made {
        /// Makes them.
        rows: &'a dyn Make,
        /// The first one.
        first: usize,
    },
}

/// Numbers that are made when they are read, on any thread.
pub trait Make: Sync {
    /// Writes the numbers of a range of whole rows; the same ones each time.
    fn make(&self, numbers: std::ops::Range<usize>, out: &mut [f32]);
}

impl<'a> Reading<'a> {
    /// Some whole rows of the matrix, given by their numbers.
    #[must_use]
    pub fn part(self, numbers: std::ops::Range<usize>) -> Reading<'a> {
        match self {
            Reading::Slice(data) => Reading::Slice(&data[numbers]),
            Reading::Made { rows, first } => Reading::Made { rows, first: first + numbers.start },
        }
    }

    /// Panics if it is known to have another number of numbers.
    #[track_caller]
    pub(super) fn check(&self, numbers: usize) {
        if let Reading::Slice(data) = self {
            assert_eq!(data.len(), numbers, "gemm: a matrix of {numbers} numbers");
        }
    }

    /// Calls `read` with the numbers of a range of whole rows.
    pub fn with<R>(&self, numbers: std::ops::Range<usize>, read: impl FnOnce(&[f32]) -> R) -> R {
        match self {
            Reading::Slice(data) => read(&data[numbers]),
            Reading::Made { .. } => {
                let mut made = Buffer::scratch(numbers.len());
                self.copy(numbers, &mut made);
                read(&made)
            }
        }
    }

    /// Writes the numbers of a range of whole rows.
    pub fn copy(&self, numbers: std::ops::Range<usize>, out: &mut [f32]) {
        match self {
            Reading::Slice(data) => out.copy_from_slice(&data[numbers]),
            Reading::Made { rows, first } => rows.make(first + numbers.start..first + numbers.end, out),
        }
    }
}

/// The left factor `[rows, columns]` of a product.
pub struct LeftFactor {
    words: Buffer,
    rows: usize,
    columns: usize,
    arithmetic: Arithmetic,
    /// Words from one tile of rows to the next, from row to row, and from step to step.
    tile: usize,
    row: usize,
    step: usize,
}

/// The right factor `[rows, columns]` of a product.
pub struct RightFactor {
    words: Buffer,
    layout: Layout,
    rows: usize,
    columns: usize,
    arithmetic: Arithmetic,
}

impl LeftFactor {
    /// Room for rows of consecutive words. An odd number of cache lines lies from one to the next, so that those of a tile do not compete for one
    /// place of the cache.
    pub(super) fn of_rows(arithmetic: Arithmetic, rows: usize, columns: usize) -> LeftFactor {
        let row = odd_lines(pack::left_words(arithmetic, columns));
        let words = Buffer::scratch(rows.next_multiple_of(if arithmetic.is_tiled() { HEIGHT } else { ROWS }) * row);
        LeftFactor { words, rows, columns, arithmetic, tile: arithmetic.rows() * row, row, step: 1 }
    }

    /// Room for tiles of rows whose words lie side by side, step by step, or as AMX reads them.
    fn of_tiles(arithmetic: Arithmetic, rows: usize, columns: usize) -> LeftFactor {
        if arithmetic.is_tiled() {
            return LeftFactor::of_rows(arithmetic, rows, columns);
        }
        let tile = left_tile_words(arithmetic, pack::left_words(arithmetic, columns));
        let words = Buffer::scratch(rows.div_ceil(ROWS) * tile);
        LeftFactor { words, rows, columns, arithmetic, tile, row: 1, step: ROWS }
    }

    /// As a product reads it.
    pub(super) fn left(&self) -> Left<'_> {
        Left::Packed { words: self.words.words(), tile: self.tile, row: self.row, step: self.step }
    }

    pub(super) fn words_mut(&mut self) -> &mut [u32] {
        self.words.words_mut()
    }

    /// Words from one row to the next, where it lies in rows.
    pub(super) fn row_words(&self) -> usize {
        self.row
    }
}

impl RightFactor {
    fn room(arithmetic: Arithmetic, rows: usize, columns: usize) -> RightFactor {
        let layout = Layout::of(Isa::current(), rows.div_ceil(arithmetic.elements()));
        let words = Buffer::scratch(columns.div_ceil(PANEL) * layout.words());
        RightFactor { words, layout, rows, columns, arithmetic }
    }

    /// Rounds `b` `[k, n]`, on all threads.
    pub fn pack(b: Operand<'_>) -> RightFactor {
        b.check("b");
        let (isa, k) = (Isa::current(), b.rows);
        let mut factor = RightFactor::room(Arithmetic::bf16(isa, false), k, b.columns);
        let RightFactor { arithmetic, layout, .. } = factor;
        let source = Source::right(&b);
        pool::with_threads(threads(k * b.columns), || {
            pool::for_each_chunk(factor.words.words_mut(), layout.words(), |panel, words| {
                let range = columns_of(panel, PANEL, b.columns, k);
                pack::right_panels(isa, arithmetic, &source, range, layout, words, Store::Kept);
            });
        });
        factor
    }

    /// Whether this is laid out for a factor of this shape, and for the instruction set that products use now.
    pub fn fits(&self, rows: usize, columns: usize) -> bool {
        [self.rows, self.columns] == [rows, columns] && self.arithmetic == Arithmetic::bf16(Isa::current(), false)
    }
}

/// The input `x` `[m, k]` of a linear layer: as it is, for the product with the weights, and where `learns`, as the right factor of the weights'
/// gradient.
pub fn pack_input(x: Reading<'_>, m: usize, k: usize, learns: bool) -> (LeftFactor, Option<RightFactor>) {
    let isa = Isa::current();
    let arithmetic = Arithmetic::bf16(isa, false);
    let mut left = LeftFactor::of_rows(arithmetic, m, k);
    let mut right = learns.then(|| RightFactor::room(arithmetic, m, k));
    let row = left.row;
    let left_words = Shared::new(left.words.words_mut());
    let right_words = right.as_mut().map(|right| (Shared::new(right.words.words_mut()), right.layout));
    for_each_block(arithmetic, x, [m, k], PANEL, |rows, first, block, store| {
        let part = Range { first_item: 0, items: block.columns, first_k: 0, k: rows.len() };
        if let Some((words, layout)) = &right_words {
            let (slice, steps) = (layout.slice(), rows.len().div_ceil(arithmetic.elements()));
            let panel = first / PANEL * layout.words();
            for column in (0..PANEL).step_by(slice) {
                let place = panel + layout.place(rows.start / arithmetic.elements(), column);
                // SAFETY: each task has rows of its own, an even number of them before its first, which are steps of each slice.
                let words = unsafe { words.slice(place, steps * slice) };
                let items = slice.min(block.columns.saturating_sub(column));
                let part = Range { first_item: column, items, ..part };
                pack::right_panels(isa, arithmetic, &Source::right(&block), part, layout.over(steps), words, store);
            }
        }
        let place = rows.start * row + pack::left_words(arithmetic, first);
        // SAFETY: each task has rows of its own.
        unsafe {
            let words = left_words.pointer().add(place);
            pack::left_rows(isa, arithmetic, &Source::left(&block), turned(part), words, row, store);
        }
    });
    (left, right)
}

/// The gradient `dy` `[m, n]` of a linear layer's result, as the left factor of what is wanted: as it is for the gradient of the input, and its
/// transpose for that of the weights.
pub fn pack_upstream(dy: Reading<'_>, m: usize, n: usize, wants: [bool; 2]) -> [Option<LeftFactor>; 2] {
    let isa = Isa::current();
    let arithmetic = Arithmetic::bf16(isa, false);
    let mut rows = wants[0].then(|| LeftFactor::of_rows(arithmetic, m, n));
    let mut columns = wants[1].then(|| LeftFactor::of_tiles(arithmetic, n, m));
    let row_words = rows.as_mut().map(|rows| (Shared::new(rows.words.words_mut()), rows.row));
    let column_words =
        columns.as_mut().map(|columns| (Shared::new(columns.words.words_mut()), columns.tile, columns.row));
    for_each_block(arithmetic, dy, [m, n], TILES * ROWS, |rows, first, block, store| {
        let part = Range { first_item: 0, items: block.columns, first_k: 0, k: rows.len() };
        let step = rows.start / arithmetic.elements();
        let source = Source::left(&block.t());
        match &column_words {
            // SAFETY: each task has rows of its own, an even number of them before its first, which are steps of each tile.
            Some((words, _, row)) if arithmetic.is_tiled() => unsafe {
                let words = words.pointer().add(first * row + step);
                pack::left_rows(isa, arithmetic, &source, part, words, *row, store);
            },
            // SAFETY: as above.
            Some((words, tile, _)) => unsafe {
                let words = words.pointer().add(first / ROWS * tile + step * ROWS);
                pack::left_tile_steps(isa, arithmetic, &source, part, *tile, words);
            },
            None => {}
        }
        if let Some((words, row)) = &row_words {
            let place = rows.start * row + pack::left_words(arithmetic, first);
            // SAFETY: each task has rows of its own.
            unsafe {
                let words = words.pointer().add(place);
                pack::left_rows(isa, arithmetic, &Source::left(&block), turned(part), words, *row, store);
            }
        }
    });
    [rows, columns]
}

/// Calls `pack` with each block of a matrix `[m, n]`, its rows and its first column, and how to store it, on all threads: bands of rows, which tasks
/// have to themselves, in stretches of `width` columns.
fn for_each_block(
    arithmetic: Arithmetic,
    data: Reading<'_>,
    [m, n]: [usize; 2],
    width: usize,
    pack: impl Fn(std::ops::Range<usize>, usize, Operand<'_>, Store) + Sync,
) {
    let store = Store::of(m * n / arithmetic.elements());
    let height = if arithmetic.is_tiled() { TILED_BAND } else { BAND };
    pool::with_threads(threads(m * n), || {
        pool::for_each(m.div_ceil(height), |band| {
            let rows = band * height..m.min((band + 1) * height);
            data.with(rows.start * n..rows.end * n, |data| {
                for first in (0..n).step_by(width) {
                    let block = Operand::new(&data[first..], rows.len(), width.min(n - first));
                    pack(rows.clone(), first, Operand { stride: n, ..block }, store);
                }
            });
            store.finish();
        });
    });
}

/// `out = left · right` `[m, n]` with the epilogue, on all threads.
pub fn multiply_factors(left: &LeftFactor, right: &RightFactor, out: &mut [f32], epilogue: &Epilogue<'_>) {
    epilogue.check(left.rows, right.columns, out.len());
    assert!(
        !epilogue.accumulate || epilogue.activation == Activation::None,
        "gemm: an activation needs the whole sum before it is added to anything"
    );
    product(left, right, epilogue).run(out);
}

/// The same, rounded to bf16 as it is stored: half of the memory that is written, and read afterwards. Nothing but a bias is added.
pub fn multiply_factors_rounded(left: &LeftFactor, right: &RightFactor, bias: Option<&[f32]>) -> Halves {
    let length = left.rows * right.columns;
    let epilogue = Epilogue { bias, ..Epilogue::default() };
    epilogue.check(left.rows, right.columns, length);
    let product = product(left, right, &epilogue);
    if product.rounds_well() {
        let mut halves = Halves::scratch(length);
        product.run_rounded(halves.words_mut(), right.columns / 2);
        return halves;
    }
    let mut out = Buffer::scratch(length);
    product.run(&mut out);
    Halves::pack(&out)
}

fn product<'a>(left: &'a LeftFactor, right: &'a RightFactor, epilogue: &Epilogue<'a>) -> Product<'a> {
    let (m, k, n) = (left.rows, left.columns, right.columns);
    assert!(
        right.rows == k && left.arithmetic == right.arithmetic,
        "gemm: {m} x {k} in {:?} times {} x {n} in {:?}",
        left.arithmetic,
        right.rows,
        right.arithmetic
    );
    Product {
        isa: Isa::current(),
        arithmetic: left.arithmetic,
        m,
        n,
        k,
        left: left.left(),
        right: Right::Panels { words: right.words.words(), layout: right.layout, scales: &[], start: &[] },
        epilogue: *epilogue,
        threads: if m * n * k < PARALLEL { 1 } else { pool::threads() },
    }
}

fn threads(numbers: usize) -> usize {
    if numbers < PARALLEL_NUMBERS { 1 } else { pool::threads() }
}

/// All `k` elements of a group of `size` of the `columns`.
fn columns_of(group: usize, size: usize, columns: usize, k: usize) -> Range {
    Range { first_item: group * size, items: size.min(columns - group * size), first_k: 0, k }
}

/// The same rectangle with items and elements of k in each other's place.
fn turned(range: Range) -> Range {
    Range { first_item: range.first_k, items: range.k, first_k: range.first_item, k: range.items }
}
