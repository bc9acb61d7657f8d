//! Register tiles of up to 6 rows by 4 vectors: 24 sums, 4 vectors of the right factor and one broadcast of the left fill the 32 registers,
//! and each step needs 10 loads for 24 multiply-adds, so that the two load ports are never the limit.

use super::super::Activation;
use super::super::panel::PANEL;
use super::super::tile::{Arithmetic, Tile, TileFunction};
use crate::isa::Isa;
use std::arch::x86_64::*;

const LANES: usize = 16;
const VECTORS: usize = PANEL / LANES;

/// The function for an arithmetic.
pub(in super::super) fn tile(isa: Isa, arithmetic: Arithmetic) -> TileFunction {
    match arithmetic {
        Arithmetic::F32 | Arithmetic::F32Rounded => f32_tile,
        Arithmetic::Bf16Pairs if isa.has_bf16() => pairs_tile,
        Arithmetic::Bf16Pairs | Arithmetic::Bf16Tiles => super::super::portable::tile(arithmetic),
        Arithmetic::Bf16Widened => widened_tile,
        Arithmetic::Int8 | Arithmetic::Int8Widened | Arithmetic::Int8Tiles => int8_tile,
    }
}

/// See [`super::super::tile::steady_function`].
pub(in super::super) fn steady_tile(isa: Isa, arithmetic: Arithmetic) -> TileFunction {
    match arithmetic {
        Arithmetic::F32 => steady_f32_tile,
        Arithmetic::Bf16Pairs if isa.has_bf16() => steady_pairs_tile,
        Arithmetic::Bf16Widened => steady_widened_tile,
        _ => tile(isa, arithmetic),
    }
}

/// See [`super::super::tile::half_function`].
pub(in super::super) fn half_tile() -> TileFunction {
    half_tile_of
}

/// See [`super::super::tile::int8_function`]. Two vectors of the right factor, of which each is used by 12 rows, are read half as fast as four
/// used by 6.
pub(in super::super) fn tall_int8_tile() -> (TileFunction, usize, usize) {
    (tall_int8_tile_of, 12, 2 * LANES)
}

/// Defines the function that picks the variant for the rows, vectors and tail of a tile.
macro_rules! choose_variant {
    ($name:ident, $variant:ident, $features:literal) => {
        #[target_feature(enable = $features)]
        unsafe fn $name(tile: &Tile) {
            // SAFETY: the caller's promise is the variant's.
            unsafe {
                match (tile.rows, tile.columns.div_ceil(LANES)) {
                    (1, 1) => $variant::<1, 1, 4>(tile),
                    (1, 2) => $variant::<1, 2, 4>(tile),
                    (1, 3) => $variant::<1, 3, 2>(tile),
                    (1, _) => $variant::<1, 4, 4>(tile),
                    (2, 1) => $variant::<2, 1, 4>(tile),
                    (2, 2) => $variant::<2, 2, 2>(tile),
                    (2, 3) => $variant::<2, 3, 2>(tile),
                    (2, _) => $variant::<2, 4, 1>(tile),
                    (3, 1) => $variant::<3, 1, 2>(tile),
                    (3, 2) => $variant::<3, 2, 2>(tile),
                    (3, 3) => $variant::<3, 3, 1>(tile),
                    (3, _) => $variant::<3, 4, 1>(tile),
                    (4, 1) => $variant::<4, 1, 2>(tile),
                    (4, 2) => $variant::<4, 2, 1>(tile),
                    (4, 3) => $variant::<4, 3, 1>(tile),
                    (4, _) => $variant::<4, 4, 1>(tile),
                    (5, 1) => $variant::<5, 1, 2>(tile),
                    (5, 2) => $variant::<5, 2, 1>(tile),
                    (5, 3) => $variant::<5, 3, 1>(tile),
                    (5, _) => $variant::<5, 4, 1>(tile),
                    (_, 1) => $variant::<6, 1, 2>(tile),
                    (_, 2) => $variant::<6, 2, 1>(tile),
                    (_, 3) => $variant::<6, 3, 1>(tile),
                    (_, _) => $variant::<6, 4, 1>(tile),
                }
            }
        }
    };
}

/// The same with one sum per element.
macro_rules! choose_steady_variant {
    ($name:ident, $variant:ident, $features:literal) => {
        #[target_feature(enable = $features)]
        unsafe fn $name(tile: &Tile) {
            // SAFETY: the caller's promise is the variant's.
            unsafe {
                match tile.rows {
                    1 => choose_vectors!($variant, 1, tile),
                    2 => choose_vectors!($variant, 2, tile),
                    3 => choose_vectors!($variant, 3, tile),
                    4 => choose_vectors!($variant, 4, tile),
                    5 => choose_vectors!($variant, 5, tile),
                    _ => choose_vectors!($variant, 6, tile),
                }
            }
        }
    };
}

macro_rules! choose_vectors {
    ($variant:ident, $rows:literal, $tile:ident) => {
        match $tile.columns.div_ceil(LANES) {
            1 => $variant::<$rows, 1, 1>($tile),
            2 => $variant::<$rows, 2, 1>($tile),
            3 => $variant::<$rows, 3, 1>($tile),
            _ => $variant::<$rows, 4, 1>($tile),
        }
    };
}

/// Defines the sum over k of a tile of R rows by V vectors. U > 1 interleaves that many independent sums, for tiles with too few sums of
/// their own to hide the latency of a multiply-add.
macro_rules! sum_steps {
    ($name:ident, $features:literal, $sum:ty, $zero:expr, $add:ident, $left_words:literal, $step:ident) => {
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn $name<const R: usize, const V: usize, const U: usize>(
            tile: &Tile,
            start: [$sum; V],
        ) -> [[$sum; V]; R] {
            let mut sums = [[[$zero; V]; R]; U];
            sums[0] = [start; R];
            let (mut left, mut right) = (tile.left, tile.right);
            let (left_row, left_step) = (tile.left_row, tile.left_step);
            // SAFETY: the tile's pointers are valid for its rows, steps and a whole panel of columns.
            unsafe {
                for _ in 0..tile.steps / U {
                    for sums in &mut sums {
                        $step::<R, V>(sums, left, left_row, left_step, right);
                        left = left.add(left_step * $left_words);
                        right = right.add(tile.right_step);
                    }
                }
                for _ in 0..tile.steps % U {
                    $step::<R, V>(&mut sums[0], left, left_row, left_step, right);
                    left = left.add(left_step * $left_words);
                    right = right.add(tile.right_step);
                }
            }
            let mut total = sums[0];
            for part in &sums[1..] {
                for r in 0..R {
                    for v in 0..V {
                        total[r][v] = $add(total[r][v], part[r][v]);
                    }
                }
            }
            total
        }
    };
}

/// Adds to the sums one step of the left factor's rows times one of the right.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn add_products<const R: usize, const V: usize>(
    sums: &mut [[__m512; V]; R],
    left: *const u32,
    left_row: usize,
    right: [__m512; V],
) {
    for (r, sums) in sums.iter_mut().enumerate() {
        // SAFETY: as promised to `sum_steps`.
        let left = _mm512_set1_ps(unsafe { *left.add(r * left_row).cast() });
        for (sum, right) in sums.iter_mut().zip(right) {
            *sum = _mm512_fmadd_ps(left, right, *sum);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn f32_step<const R: usize, const V: usize>(
    sums: &mut [[__m512; V]; R],
    left: *const u32,
    left_row: usize,
    _: usize,
    right: *const u32,
) {
    // SAFETY: as promised to `sum_steps`.
    unsafe {
        let right: [__m512; V] = std::array::from_fn(|v| _mm512_loadu_ps(right.add(v * LANES).cast()));
        add_products(sums, left, left_row, right);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn half_step<const R: usize, const V: usize>(
    sums: &mut [[__m512; V]; R],
    left: *const u32,
    left_row: usize,
    _: usize,
    right: *const u32,
) {
    // SAFETY: as promised to `sum_steps`, with 16 numbers in 8 words.
    unsafe {
        let right: [__m512; V] =
            std::array::from_fn(|v| _mm512_cvtph_ps(_mm256_loadu_si256(right.add(v * LANES / 2).cast())));
        add_products(sums, left, left_row, right);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn widened_step<const R: usize, const V: usize>(
    sums: &mut [[__m512; V]; R],
    left: *const u32,
    left_row: usize,
    left_step: usize,
    right: *const u32,
) {
    // SAFETY: as promised to `sum_steps`.
    unsafe {
        for half in 0..2 {
            let right: [__m512; V] = std::array::from_fn(|v| {
                let pairs = _mm512_loadu_si512(right.add(v * LANES).cast());
                _mm512_castsi512_ps(if half == 0 {
                    _mm512_slli_epi32::<16>(pairs)
                } else {
                    _mm512_and_si512(pairs, _mm512_set1_epi32(0xffff_0000_u32 as i32))
                })
            });
            add_products(sums, left.add(half * left_step), left_row, right);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn pairs_step<const R: usize, const V: usize>(
    sums: &mut [[__m512; V]; R],
    left: *const u32,
    left_row: usize,
    _: usize,
    right: *const u32,
) {
    // SAFETY: as promised to `sum_steps`; the transmutes only change how 512 bits are named.
    unsafe {
        let right: [__m512bh; V] =
            std::array::from_fn(|v| std::mem::transmute(_mm512_loadu_si512(right.add(v * LANES).cast())));
        for (r, sums) in sums.iter_mut().enumerate() {
            let left = std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(*left.add(r * left_row).cast()));
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = _mm512_dpbf16_ps(*sum, left, right);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn int8_step<const R: usize, const V: usize>(
    sums: &mut [[__m512i; V]; R],
    left: *const u32,
    left_row: usize,
    _: usize,
    right: *const u32,
) {
    // SAFETY: as promised to `sum_steps`.
    unsafe {
        let right: [__m512i; V] = std::array::from_fn(|v| _mm512_loadu_si512(right.add(v * LANES).cast()));
        for (r, sums) in sums.iter_mut().enumerate() {
            let left = _mm512_set1_epi32(*left.add(r * left_row).cast());
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = _mm512_dpbusd_epi32(*sum, left, right);
            }
        }
    }
}

sum_steps!(f32_sums, "avx512f,avx512bw,avx512dq,avx512vl", __m512, _mm512_setzero_ps(), _mm512_add_ps, 1, f32_step);
sum_steps!(half_sums, "avx512f,avx512bw,avx512dq,avx512vl", __m512, _mm512_setzero_ps(), _mm512_add_ps, 1, half_step);
sum_steps!(
    widened_sums,
    "avx512f,avx512bw,avx512dq,avx512vl",
    __m512,
    _mm512_setzero_ps(),
    _mm512_add_ps,
    2,
    widened_step
);
sum_steps!(
    pairs_sums,
    "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16",
    __m512,
    _mm512_setzero_ps(),
    _mm512_add_ps,
    1,
    pairs_step
);
sum_steps!(
    int8_sums,
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni",
    __m512i,
    _mm512_setzero_si512(),
    _mm512_add_epi32,
    1,
    int8_step
);

/// Defines a variant: the sums, then the store.
macro_rules! float_variant {
    ($name:ident, $sums:ident, $features:literal) => {
        #[target_feature(enable = $features)]
        unsafe fn $name<const R: usize, const V: usize, const U: usize>(tile: &Tile) {
            // SAFETY: the tile's promise.
            unsafe {
                if tile.add {
                    prefetch::<R>(tile);
                }
                let sums = $sums::<R, V, U>(tile, [_mm512_setzero_ps(); V]);
                store(&sums, tile);
            }
        }
    };
}

float_variant!(f32_variant, f32_sums, "avx512f,avx512bw,avx512dq,avx512vl");
float_variant!(half_variant, half_sums, "avx512f,avx512bw,avx512dq,avx512vl");
float_variant!(widened_variant, widened_sums, "avx512f,avx512bw,avx512dq,avx512vl");
float_variant!(pairs_variant, pairs_sums, "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16");
choose_variant!(f32_tile, f32_variant, "avx512f,avx512bw,avx512dq,avx512vl");
choose_steady_variant!(steady_f32_tile, f32_variant, "avx512f,avx512bw,avx512dq,avx512vl");
choose_steady_variant!(half_tile_of, half_variant, "avx512f,avx512bw,avx512dq,avx512vl");
choose_variant!(widened_tile, widened_variant, "avx512f,avx512bw,avx512dq,avx512vl");
choose_steady_variant!(steady_widened_tile, widened_variant, "avx512f,avx512bw,avx512dq,avx512vl");
choose_variant!(pairs_tile, pairs_variant, "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16");
choose_steady_variant!(steady_pairs_tile, pairs_variant, "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16");
choose_variant!(int8_tile, int8_variant, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni");

macro_rules! choose_tall_rows {
    ($tile:ident, $vectors:literal, $most:literal, $($rows:literal)*) => {
        match $tile.rows {
            $($rows => int8_variant::<$rows, $vectors, 1>($tile),)*
            _ => int8_variant::<$most, $vectors, 1>($tile),
        }
    };
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn tall_int8_tile_of(tile: &Tile) {
    // SAFETY: the caller's promise is the variant's.
    unsafe {
        match (tile.rows, tile.columns > LANES) {
            (1, false) => int8_variant::<1, 1, 4>(tile),
            (1, true) => int8_variant::<1, 2, 4>(tile),
            (2, false) => int8_variant::<2, 1, 4>(tile),
            (2, true) => int8_variant::<2, 2, 2>(tile),
            (_, false) => choose_tall_rows!(tile, 1, 12, 3 4 5 6 7 8 9 10 11),
            (_, true) => choose_tall_rows!(tile, 2, 12, 3 4 5 6 7 8 9 10 11),
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn int8_variant<const R: usize, const V: usize, const U: usize>(tile: &Tile) {
    // SAFETY: the tile's promise; the scales of an int8 tile are valid for its rows and for a whole panel.
    unsafe {
        let start = std::array::from_fn(|v| _mm512_loadu_si512(tile.scales.start.add(v * LANES).cast()));
        let sums = int8_sums::<R, V, U>(tile, start);
        let scale: [__m512; V] = std::array::from_fn(|v| _mm512_loadu_ps(tile.scales.columns.add(v * LANES)));
        let mut scaled = [[_mm512_setzero_ps(); V]; R];
        for r in 0..R {
            let row_scale = _mm512_set1_ps(*tile.scales.rows.add(r));
            for v in 0..V {
                scaled[r][v] = _mm512_mul_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sums[r][v]), scale[v]), row_scale);
            }
        }
        store(&scaled, tile);
    }
}

/// Asks for the rows of `out` early, because their sums are added to them at the end.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn prefetch<const R: usize>(tile: &Tile) {
    for r in 0..R {
        for line in 0..VECTORS {
            _mm_prefetch::<_MM_HINT_T0>(tile.out.wrapping_add(r * tile.out_row + line * LANES).cast());
        }
    }
}

/// Stores the sums as the tile says.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn store<const R: usize, const V: usize>(sums: &[[__m512; V]; R], tile: &Tile) {
    // SAFETY: the tile's promise.
    unsafe { store_each([R, V], tile, |row, v| sums[row][v]) }
}

/// Stores a tile of at most two vectors of columns from sums that lie in memory, `pitch` from one row to the next.
///
/// # Safety
/// The sums are readable for whole vectors; the tile's promise.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(in super::super) unsafe fn store_rows(sums: *const f32, pitch: usize, tile: &Tile) {
    // SAFETY: the caller's promise.
    unsafe {
        store_each([tile.rows, tile.columns.div_ceil(LANES)], tile, |row, v| {
            _mm512_loadu_ps(sums.add(row * pitch + v * LANES))
        })
    }
}

/// The same for whole sums of codes, which are made numbers on the way.
///
/// # Safety
/// The same; the scales are readable for the rows and whole vectors of columns.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(in super::super) unsafe fn store_codes(sums: *const i32, pitch: usize, tile: &Tile) {
    // SAFETY: the caller's promise.
    unsafe {
        let scales: [__m512; 2] = std::array::from_fn(|v| {
            if v * LANES < tile.columns {
                _mm512_loadu_ps(tile.scales.columns.add(v * LANES))
            } else {
                _mm512_setzero_ps()
            }
        });
        store_each([tile.rows, tile.columns.div_ceil(LANES)], tile, |row, v| {
            let sum = _mm512_cvtepi32_ps(_mm512_loadu_si512(sums.add(row * pitch + v * LANES).cast()));
            _mm512_mul_ps(_mm512_mul_ps(sum, scales[v]), _mm512_set1_ps(*tile.scales.rows.add(row)))
        });
    }
}

/// Stores the sum that `of` gives for a row and a vector, the last vector under a mask.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn store_each([rows, vectors]: [usize; 2], tile: &Tile, of: impl Fn(usize, usize) -> __m512) {
    let tail = tile.columns - (vectors - 1) * LANES;
    let mask = (0xffff_u32 >> (LANES - tail)) as __mmask16;
    let is_linear = tile.activation == Activation::None;
    // SAFETY: each row has `columns` elements in `out` and in what is added to it; lanes beyond them are masked off.
    unsafe {
        for v in 0..vectors {
            let mask = if v + 1 == vectors { mask } else { 0xffff };
            let bias = if tile.bias.is_null() {
                _mm512_setzero_ps()
            } else {
                _mm512_maskz_loadu_ps(mask, tile.bias.add(v * LANES))
            };
            for row in 0..rows {
                let place = row * tile.out_row + v * LANES;
                let mut value = of(row, v);
                if !tile.bias.is_null() {
                    value = _mm512_add_ps(value, bias);
                }
                if tile.add {
                    value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, tile.out.add(place)));
                }
                if is_linear && !tile.residual.is_null() {
                    value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, tile.residual.add(place)));
                }
                _mm512_mask_storeu_ps(tile.out.add(place), mask, value);
            }
        }
        if !is_linear {
            finish(tile);
        }
    }
}

/// Kept out of the tiles themselves, which it would bloat.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn finish(tile: &Tile) {
    // SAFETY: the tile's promise.
    unsafe { super::super::tile::finish(tile) }
}
