//! Tiles of up to 32 rows by 64 columns, in blocks of 32 columns: four registers of sums, and two registers on either side. The two loads for each
//! product of two registers are half of what the load ports can do.

use std::mem::MaybeUninit;

use super::super::Activation;
use super::super::avx512::{store_codes, store_rows};
use super::super::panel::PANEL;
use super::super::tile::{Arithmetic, HEIGHT, Tile, TileFunction};
use super::Aligned;
use super::block::{BF16, Block, BlockFunction, INT8, STEPS};

/// Columns of a register of sums.
const LANES: usize = 16;
/// Rows and columns of a block.
const ROWS: usize = 2 * HEIGHT;
const COLUMNS: usize = 2 * LANES;
/// What sums of bf16 begin with.
static ZEROS: Aligned<[f32; COLUMNS]> = Aligned([0.0; COLUMNS]);

/// The function for an arithmetic of tiles.
pub(in super::super) fn tile(arithmetic: Arithmetic) -> TileFunction {
    if arithmetic == Arithmetic::Int8Tiles { int8_tile } else { bf16_tile }
}

unsafe fn bf16_tile(tile: &Tile) {
    // SAFETY: the tile's promise, which is that of its parts; sums are written for whole registers before they are read.
    unsafe {
        let last = Last::of(tile);
        for column in (0..tile.columns).step_by(COLUMNS) {
            let mut part = part(tile, column);
            let mut sums = MaybeUninit::<Aligned<[f32; ROWS * COLUMNS]>>::uninit();
            let sums = sums.as_mut_ptr().cast();
            let is_whole = part.rows.is_multiple_of(HEIGHT) && part.columns.is_multiple_of(LANES);
            // Sums begin with what they are added to however many rows there are, so that a row does not depend on those beside it.
            let mut before = std::ptr::null();
            if part.add {
                before = part.out.cast_const();
                part.add = false;
            } else if part.activation == Activation::None {
                before = std::mem::replace(&mut part.residual, before);
            }
            let start = match (before.is_null(), is_whole) {
                (true, _) => (ZEROS.0.as_ptr(), 0),
                (false, true) => (before, part.out_row),
                (false, false) => {
                    copy_rows(before, &part, sums);
                    (sums.cast_const(), COLUMNS)
                }
            };
            let is_plain = part.bias.is_null() && part.residual.is_null() && part.activation == Activation::None;
            if is_plain && is_whole {
                multiply(&BF16, &part, column, &last, start, (part.out, part.out_row));
            } else {
                multiply(&BF16, &part, column, &last, start, (sums, COLUMNS));
                store_rows(sums, COLUMNS, &part);
            }
        }
    }
}

/// Copies what the sums of a block begin with, filled up with zeros.
///
/// # Safety
/// The tile's promise; `from` lies like its output, and `sums` are writable for a whole block.
unsafe fn copy_rows(from: *const f32, part: &Tile, sums: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        sums.write_bytes(0, ROWS * COLUMNS);
        for row in 0..part.rows {
            from.add(row * part.out_row).copy_to_nonoverlapping(sums.add(row * COLUMNS), part.columns);
        }
    }
}

unsafe fn int8_tile(tile: &Tile) {
    // SAFETY: as above; the scales of codes are readable for the tile's rows and for whole registers of columns.
    unsafe {
        let last = Last::of(tile);
        for column in (0..tile.columns).step_by(COLUMNS) {
            let part = part(tile, column);
            let mut sums = MaybeUninit::<Aligned<[i32; ROWS * COLUMNS]>>::uninit();
            let sums = sums.as_mut_ptr().cast::<i32>();
            multiply(&INT8, &part, column, &last, (part.scales.start.cast(), 0), (sums.cast(), COLUMNS));
            store_codes(sums, COLUMNS, &part);
        }
    }
}

/// A block of a tile, from a column on.
fn part(tile: &Tile, column: usize) -> Tile {
    let from = |pointer: *const f32| if pointer.is_null() { pointer } else { pointer.wrapping_add(column) };
    let mut part = Tile {
        right: tile.right.wrapping_add(column),
        columns: COLUMNS.min(tile.columns - column),
        out: tile.out.wrapping_add(column),
        bias: from(tile.bias),
        residual: from(tile.residual),
        ..*tile
    };
    part.scales.columns = from(tile.scales.columns);
    part.scales.start = tile.scales.start.wrapping_add(column);
    part
}

/// Multiplies a block. Sums begin with those of a matrix, given with the numbers from one row to the next (of which there may be 0), and go to
/// another.
///
/// # Safety
/// The tile's promise; both matrices are there for whole registers, and nobody else uses the second.
unsafe fn multiply(
    functions: &[[BlockFunction; 2]; 2],
    part: &Tile,
    column: usize,
    last: &Option<Last>,
    (start, start_row): (*const f32, usize),
    (out, out_row): (*mut f32, usize),
) {
    let (last_left, last_right) = match last {
        Some(last) => (last.left.as_ptr().cast(), last.right.as_ptr().cast::<u32>().wrapping_add(column)),
        None => (std::ptr::null(), std::ptr::null()),
    };
    let block = Block {
        start: start.cast(),
        start_row: start_row * size_of::<f32>(),
        left: part.left,
        left_row: part.left_row * size_of::<u32>(),
        right: part.right,
        right_row: PANEL * size_of::<u32>(),
        whole: part.steps / STEPS,
        last_left,
        last_right,
        out: out.cast(),
        out_row: out_row * size_of::<f32>(),
    };
    // SAFETY: the caller's promise.
    unsafe { functions[usize::from(part.rows > HEIGHT)][usize::from(part.columns > LANES)](&block) }
}

/// The last steps of k where they fill no register, filled up with zeros.
#[repr(align(64))]
struct Last {
    left: [[u32; STEPS]; ROWS],
    right: [[u32; PANEL]; STEPS],
}

impl Last {
    /// # Safety
    /// The tile's promise.
    unsafe fn of(tile: &Tile) -> Option<Last> {
        let (whole, rest) = (tile.steps / STEPS * STEPS, tile.steps % STEPS);
        if rest == 0 {
            return None;
        }
        let mut last = Last { left: [[0; STEPS]; ROWS], right: [[0; PANEL]; STEPS] };
        let columns = tile.columns.next_multiple_of(LANES);
        // SAFETY: rows of the tile, and whole registers of its columns, can be read.
        unsafe {
            for (row, place) in last.left.iter_mut().enumerate().take(tile.rows) {
                tile.left.add(row * tile.left_row + whole).copy_to_nonoverlapping(place.as_mut_ptr(), rest);
            }
            for (step, place) in last.right.iter_mut().enumerate().take(rest) {
                tile.right.add((whole + step) * PANEL).copy_to_nonoverlapping(place.as_mut_ptr(), columns);
            }
        }
        Some(last)
    }
}
