//! The innermost step that all products share: one register tile of the output, summed over a stretch of k.
//!
//! Factors are streams of 32-bit words, each holding one step of k: one f32, two bf16 or four int8 ([`Arithmetic`]). The right factor lies in
//! panels of [`PANEL`] columns ([`super::panel`]); the left one gives one word per row and step, at any strides.

use super::panel::PANEL;
use super::{Activation, Epilogue};
use crate::curves;
use crate::isa::Isa;

/// Most rows of a tile, but of those of AMX.
pub(crate) const ROWS: usize = 6;
/// Most rows of a tile of AMX, which multiplies them [`HEIGHT`] at a time and reads so many.
pub(crate) const TALL_ROWS: usize = 32;
/// Most rows of a tile of [`Arithmetic::Int8Widened`].
pub(super) const WIDE_ROWS: usize = 48;
/// Rows from which AMX multiplies codes: fewer leave most of its registers empty.
const FEWEST_TILED: usize = 5;
/// Rows of a register of AMX.
pub(crate) const HEIGHT: usize = 16;

/// What the words of the two factors mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    /// Both factors are f32.
    F32,
    /// Both are f32 that hold bf16 values: for machines where f32 products are faster than bf16 ones, or where there are none of the latter.
    F32Rounded,
    /// Both are pairs of bf16, multiplied by a dot-product instruction.
    Bf16Pairs,
    /// The same with pairs of bf16 on the right, widened as they are read, and two words per step on the left: a little slower, but the
    /// packed weights take half the memory.
    Bf16Widened,
    /// Both are pairs of bf16, multiplied by AMX: the left factor lies in rows of words, and is readable for whole [`HEIGHT`]s of them.
    Bf16Tiles,
    /// The left is four u8, the right four i8, the sums are i32.
    Int8,
    /// The same for many rows, where no instruction multiplies bytes: they are widened for all rows before they are multiplied.
    Int8Widened,
    /// The same as [`Arithmetic::Int8`], multiplied by AMX, with a left factor as of [`Arithmetic::Bf16Tiles`].
    Int8Tiles,
}

impl Arithmetic {
    /// How bf16 products are best made on this machine, with weights packed for good or for one product only.
    pub(super) fn bf16(isa: Isa, is_packed: bool) -> Arithmetic {
        if isa == Isa::Amx {
            Arithmetic::Bf16Tiles
        } else if isa.pairs_are_fast() {
            Arithmetic::Bf16Pairs
        } else if is_packed {
            Arithmetic::Bf16Widened
        } else {
            Arithmetic::F32Rounded
        }
    }

    /// How codes of some rows are multiplied. Their sums are exact, so that a row may be multiplied in either way.
    pub(super) fn int8(isa: Isa, rows: usize) -> Arithmetic {
        match isa {
            Isa::Amx if rows >= FEWEST_TILED => Arithmetic::Int8Tiles,
            Isa::Avx2 if rows > ROWS => Arithmetic::Int8Widened,
            _ => Arithmetic::Int8,
        }
    }

    /// Whether the factors are codes of 8 bits.
    pub(super) fn is_int8(self) -> bool {
        matches!(self, Arithmetic::Int8 | Arithmetic::Int8Widened | Arithmetic::Int8Tiles)
    }

    /// Whether AMX multiplies them.
    pub(super) fn is_tiled(self) -> bool {
        matches!(self, Arithmetic::Bf16Tiles | Arithmetic::Int8Tiles)
    }

    /// Most rows of a tile.
    pub(super) fn rows(self) -> usize {
        match self {
            Arithmetic::Int8Widened => WIDE_ROWS,
            arithmetic if arithmetic.is_tiled() => TALL_ROWS,
            _ => ROWS,
        }
    }

    /// Elements of k per word of the right factor.
    pub(super) fn elements(self) -> usize {
        match self {
            Arithmetic::F32 | Arithmetic::F32Rounded => 1,
            Arithmetic::Bf16Pairs | Arithmetic::Bf16Widened | Arithmetic::Bf16Tiles => 2,
            Arithmetic::Int8 | Arithmetic::Int8Widened | Arithmetic::Int8Tiles => 4,
        }
    }

    /// Words of the left factor per word of the right one.
    pub(super) fn left_words(self) -> usize {
        if self == Arithmetic::Bf16Widened { 2 } else { 1 }
    }
}

/// Scales that turn sums of codes into numbers.
#[derive(Clone, Copy)]
pub(super) struct Scales {
    /// One per row of the tile.
    pub(super) rows: *const f32,
    /// One per column, up to the panel's width.
    pub(super) columns: *const f32,
    /// What the sums start from, per column, up to the panel's width: it takes the offset of the u8 codes out again.
    pub(super) start: *const i32,
}

/// One tile: what to sum, and where and how to store it.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub(super) left: *const u32,
    /// Words from one row of the left factor to the next.
    pub(super) left_row: usize,
    /// Words from one word of a row to the next.
    pub(super) left_step: usize,
    pub(super) right: *const u32,
    /// Words from one step of the right factor to the next.
    pub(super) right_step: usize,
    /// Words from one slice of its columns to the next ([`super::panel::Layout::to_next_slice`]).
    pub(super) right_slice: usize,
    /// Words of the right factor to sum over.
    pub(super) steps: usize,
    /// 1..=[`Arithmetic::rows`].
    pub(super) rows: usize,
    /// 1..=PANEL; the right factor is readable for a whole panel.
    pub(super) columns: usize,
    pub(super) out: *mut f32,
    pub(super) out_row: usize,
    /// Whether the sums are added to what `out` holds.
    pub(super) add: bool,
    /// One number per column, or null.
    pub(super) bias: *const f32,
    pub(super) activation: Activation,
    /// Laid out like `out`, or null.
    pub(super) residual: *const f32,
    /// For codes only.
    pub(super) scales: Scales,
}

impl Scales {
    pub(super) const NONE: Scales =
        Scales { rows: std::ptr::null(), columns: std::ptr::null(), start: std::ptr::null() };
}

/// Computes one tile.
///
/// # Safety
/// All pointers of the tile are valid for its shape, `out` is written by nobody else, and the CPU has the instruction set of the function.
pub(super) type TileFunction = unsafe fn(&Tile);

/// The function for an instruction set; an arithmetic that the set lacks falls to the plain one. Functions of AMX are called while
/// [`with_tiles`] runs.
pub(super) fn function(isa: Isa, arithmetic: Arithmetic) -> TileFunction {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Amx if arithmetic.is_tiled() => super::amx::tile(arithmetic),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Amx => super::avx512::tile(isa, arithmetic),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => super::avx2::tile(arithmetic),
        _ => super::portable::tile(arithmetic),
    }
}

/// A function whose sums over k go in one order whatever the rows, so that a row of a product does not depend on those beside it; for floats.
pub(super) fn steady_function(isa: Isa, arithmetic: Arithmetic) -> TileFunction {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Amx if arithmetic.is_tiled() => super::amx::tile(arithmetic),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Amx => super::avx512::steady_tile(isa, arithmetic),
        _ => function(isa, arithmetic),
    }
}

/// Runs `f`, which calls tiles and nothing else that would call this, with the registers of AMX set up where the arithmetic needs them.
#[inline]
pub(super) fn with_tiles<R>(arithmetic: Arithmetic, f: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: tiled arithmetics are chosen for AMX only, and calls are not nested.
    let _registers = arithmetic.is_tiled().then(|| unsafe { super::amx::Registers::set_up() });
    #[cfg(not(target_arch = "x86_64"))]
    let _ = arithmetic;
    f()
}

/// How some rows of codes are multiplied by a right factor that stays in the first-level cache.
pub(super) struct Int8Function {
    pub(super) tile: TileFunction,
    pub(super) arithmetic: Arithmetic,
    /// Rows of each tile but the last, and most columns.
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// The function for so many rows.
pub(super) fn int8_function(isa: Isa, rows: usize) -> Int8Function {
    let arithmetic = Arithmetic::int8(isa, rows);
    if arithmetic.is_tiled() {
        return Int8Function { tile: function(isa, arithmetic), arithmetic, rows: TALL_ROWS, columns: PANEL };
    }
    let (tile, most_rows, columns) = match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Amx => super::avx512::tall_int8_tile(),
        _ => (function(isa, arithmetic), arithmetic.rows(), PANEL),
    };
    // As many tiles as needed, of about equal height.
    Int8Function { tile, arithmetic, rows: rows.div_ceil(rows.div_ceil(most_rows)), columns }
}

/// A steady function for a left factor of f32 and a right one of half-precision numbers, two to a word, which are widened as they are read; only
/// whole vectors of 16 columns. `None` where widening them before costs no more.
pub(super) fn half_function(isa: Isa) -> Option<TileFunction> {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Amx => Some(super::avx512::half_tile()),
        _ => None,
    }
}

/// Applies the activation to a tile that was stored without it, then adds the residual. Inlined into a function of each set, for which the
/// compiler makes vectors of it.
///
/// # Safety
/// The tile's own promise.
#[inline(always)]
pub(super) unsafe fn finish(tile: &Tile) {
    for row in 0..tile.rows {
        let place = row * tile.out_row;
        // SAFETY: the tile's rows lie in `out`, and in the residual if there is one.
        let out = unsafe { std::slice::from_raw_parts_mut(tile.out.add(place), tile.columns) };
        activate(tile.activation, out);
        if !tile.residual.is_null() {
            // SAFETY: as above.
            let residual = unsafe { std::slice::from_raw_parts(tile.residual.add(place), tile.columns) };
            out.iter_mut().zip(residual).for_each(|(out, residual)| *out += residual);
        }
    }
}

/// Finishes a row whose sums are at hand: `column` is its first column, `place` its first element in the whole output.
/// Inlined like [`finish`].
#[inline(always)]
pub(super) fn finish_row(sums: &mut [f32], column: usize, place: usize, epilogue: &Epilogue<'_>, out: &mut [f32]) {
    let add = |sums: &mut [f32], other: &[f32]| sums.iter_mut().zip(other).for_each(|(sum, other)| *sum += other);
    if let Some(bias) = epilogue.bias {
        add(sums, &bias[column..]);
    }
    activate(epilogue.activation, sums);
    if let Some(residual) = epilogue.residual {
        add(sums, &residual[place..]);
    }
    if epilogue.accumulate { add(out, sums) } else { out.copy_from_slice(sums) }
}

/// Inlined like [`finish`], for the same reason.
#[inline(always)]
fn activate(activation: Activation, row: &mut [f32]) {
    match activation {
        Activation::None => {}
        Activation::Gelu => apply(row, |x| 0.5 * x * (1.0 + curves::erf(x * std::f32::consts::FRAC_1_SQRT_2))),
        Activation::Relu => apply(row, |x| if x < 0.0 { 0.0 } else { x }),
        Activation::Silu => apply(row, |x| x * curves::sigmoid(x)),
        Activation::Tanh => apply(row, curves::tanh),
    }
}

#[inline(always)]
fn apply(row: &mut [f32], function: impl Fn(f32) -> f32) {
    row.iter_mut().for_each(|x| *x = function(*x));
}
