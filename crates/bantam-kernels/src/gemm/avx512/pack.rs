//! Packing by whole vectors: lines that run along k are transposed in squares of 16 x 16 words; lines that run across items only need the
//! words of a pair of lines interleaved.

use super::super::pack::{Range, Source, Store};
use super::super::panel::PANEL;
use super::super::tile::{Arithmetic, ROWS};
use crate::isa::Isa;
use std::arch::x86_64::*;

const LANES: usize = 16;
/// Lines of the source that are asked for ahead of use, where lines lie too far apart for the hardware to do so.
const LINES_AHEAD: usize = 8;
/// Tiles of the left factor that are packed side by side: as many as three vectors of items make.
const TILES: usize = 3 * LANES / ROWS;

/// See [`super::super::pack::right_panels`].
pub(in super::super) fn right_panels(
    isa: Isa,
    arithmetic: Arithmetic,
    source: &Source<'_>,
    range: Range,
    out: &mut [u32],
    store: Store,
) {
    // SAFETY: the set is AVX-512, and its bf16 part is only used where it exists.
    unsafe {
        match arithmetic {
            Arithmetic::F32 => plain::right_panels(source, range, out, store),
            Arithmetic::F32Rounded => rounded::right_panels(source, range, out, store),
            _ if isa.has_bf16() => native::right_panels(source, range, out, store),
            _ => emulated::right_panels(source, range, out, store),
        }
    }
}

/// See [`super::super::pack::left_tile_steps`].
///
/// # Safety
/// As there.
pub(in super::super) unsafe fn left_tiles(
    isa: Isa,
    arithmetic: Arithmetic,
    source: &Source<'_>,
    range: Range,
    tile_words: usize,
    out: *mut u32,
) {
    // SAFETY: as above, and the caller's promise.
    unsafe {
        match arithmetic {
            Arithmetic::F32 => plain::left_tiles(source, range, tile_words, out),
            Arithmetic::F32Rounded => rounded::left_tiles(source, range, tile_words, out),
            _ if isa.has_bf16() => native::left_tiles(source, range, tile_words, out),
            _ => emulated::left_tiles(source, range, tile_words, out),
        }
    }
}

/// See [`super::super::pack::left_row`].
pub(in super::super) fn left_row(isa: Isa, arithmetic: Arithmetic, row: &[f32], out: &mut [u32]) {
    // SAFETY: as above.
    unsafe {
        match arithmetic {
            Arithmetic::F32 => plain::left_row(row, out, Store::Kept),
            Arithmetic::F32Rounded | Arithmetic::Bf16Widened => rounded::left_row(row, out, Store::Kept),
            _ if isa.has_bf16() => native::left_row(row, out, Store::Kept),
            _ => emulated::left_row(row, out, Store::Kept),
        }
    }
}

/// See [`super::super::pack::left_rows`].
///
/// # Safety
/// As there.
pub(in super::super) unsafe fn left_rows(
    isa: Isa,
    arithmetic: Arithmetic,
    source: &Source<'_>,
    range: Range,
    out: *mut u32,
    row_words: usize,
    store: Store,
) {
    // SAFETY: as above, and the caller's promise.
    unsafe {
        match arithmetic {
            Arithmetic::F32 => plain::left_rows(source, range, out, row_words, store),
            Arithmetic::F32Rounded | Arithmetic::Bf16Widened => {
                rounded::left_rows(source, range, out, row_words, store);
            }
            _ if isa.has_bf16() => native::left_rows(source, range, out, row_words, store),
            _ => emulated::left_rows(source, range, out, row_words, store),
        }
    }
}

/// See [`super::super::pack::pair_lines`]; the slices have one length, or the second is empty.
pub(in super::super) fn pair_lines(isa: Isa, low: &[f32], high: &[f32], out: &mut [u32]) {
    // SAFETY: as above.
    unsafe { if isa.has_bf16() { native_lines(low, high, out) } else { emulated_lines(low, high, out) } }
}

/// The mask of the first `count` lanes.
#[inline]
fn first(count: usize) -> __mmask16 {
    if count >= LANES { 0xffff } else { ((1u32 << count) - 1) as __mmask16 }
}

/// Up to 16 numbers from `pointer`; the rest are 0.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load(pointer: *const f32, count: usize) -> __m512 {
    // SAFETY: lanes beyond `count` are not read.
    unsafe { _mm512_maskz_loadu_ps(first(count), pointer) }
}

/// Stores some of 16 words; past the caches only a whole line.
///
/// # Safety
/// The words of the mask are writable.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn put(out: *mut u32, mask: __mmask16, words: __m512i, store: Store) {
    const LINE: usize = 64;
    // SAFETY: the caller's promise.
    unsafe {
        if store == Store::PastCaches && mask == 0xffff && out.addr().is_multiple_of(LINE) {
            _mm512_stream_si512(out.cast(), words);
        } else {
            _mm512_mask_storeu_epi32(out.cast(), mask, words);
        }
    }
}

/// Rounds to bf16, to nearest even, in the upper half of each word.
#[inline]
#[target_feature(enable = "avx512f")]
fn round(x: __m512) -> __m512i {
    let bits = _mm512_castps_si512(x);
    let even = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
    let sum = _mm512_add_epi32(bits, _mm512_add_epi32(even, _mm512_set1_epi32(0x7fff)));
    let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
    let sum = _mm512_mask_or_epi32(sum, is_nan, bits, _mm512_set1_epi32(0x0040_0000));
    _mm512_and_si512(sum, _mm512_set1_epi32(0xffff_0000_u32 as i32))
}

/// The transpose of 16 x 16 words.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(rows: [__m512i; 16]) -> [__m512i; 16] {
    let mut a = rows;
    for i in (0..16).step_by(2) {
        a[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    let mut b = a;
    for i in (0..16).step_by(4) {
        b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    let mut c = b;
    for i in 0..4 {
        c[i] = _mm512_shuffle_i32x4::<0x88>(b[i], b[i + 4]);
        c[i + 4] = _mm512_shuffle_i32x4::<0xdd>(b[i], b[i + 4]);
        c[i + 8] = _mm512_shuffle_i32x4::<0x88>(b[i + 8], b[i + 12]);
        c[i + 12] = _mm512_shuffle_i32x4::<0xdd>(b[i + 8], b[i + 12]);
    }
    let mut d = c;
    for i in 0..8 {
        d[i] = _mm512_shuffle_i32x4::<0x88>(c[i], c[i + 8]);
        d[i + 8] = _mm512_shuffle_i32x4::<0xdd>(c[i], c[i + 8]);
    }
    d
}

/// The items of each of the tiles that three vectors make, from the first lane on; what lies beyond them is anything.
#[inline]
#[target_feature(enable = "avx512f")]
fn split_tiles([a, b, c]: [__m512i; 3]) -> [__m512i; TILES] {
    [
        a,
        _mm512_alignr_epi32::<6>(b, a),
        _mm512_alignr_epi32::<12>(b, a),
        _mm512_alignr_epi32::<2>(c, b),
        _mm512_alignr_epi32::<8>(c, b),
        _mm512_alignr_epi32::<14>(c, b),
        _mm512_alignr_epi32::<4>(c, c),
        _mm512_alignr_epi32::<10>(c, c),
    ]
}

/// Defines the packers for words of `$elements` numbers, given how a word is made of one number of each of two lines (`$across`) and how
/// 16 words are made of 32 consecutive numbers (`$along`).
macro_rules! define_packers {
    ($module:ident, $features:literal, $elements:literal, $across:ident, $along:ident) => {
        mod $module {
            use super::*;

            #[target_feature(enable = $features)]
            pub(super) unsafe fn right_panels(source: &Source<'_>, range: Range, out: &mut [u32], store: Store) {
                // SAFETY: the range lies within the source, and `out` holds its panels.
                unsafe {
                    if source.lines_are_items { along(source, range, out) } else { across(source, range, out, store) }
                }
            }

            /// Lines are steps of k: pairs of them are interleaved, a whole line of the range at a time.
            #[target_feature(enable = $features)]
            unsafe fn across(source: &Source<'_>, range: Range, out: &mut [u32], store: Store) {
                let Range { items, k, .. } = range;
                let (data, steps) = (source.part(range), k.div_ceil($elements));
                for step in 0..steps {
                    let low = data.wrapping_add(step * $elements * source.stride);
                    let has_high = $elements == 2 && step * $elements + 1 < k;
                    let ahead = low.wrapping_add(LINES_AHEAD * $elements * source.stride);
                    for item in (0..items.next_multiple_of(PANEL)).step_by(LANES) {
                        let count = items.saturating_sub(item);
                        let place = low.wrapping_add(item);
                        let words = &mut out[item / PANEL * steps * PANEL + step * PANEL + item % PANEL..][..LANES];
                        _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(item).cast());
                        // SAFETY: only lanes of items that exist are read, of the line and of the next where there is one.
                        unsafe {
                            let high = load(place.wrapping_add(source.stride), if has_high { count } else { 0 });
                            put(words.as_mut_ptr(), 0xffff, $across(load(place, count), high), store);
                        }
                    }
                }
            }

            /// Lines are items: squares of 16 items by 16 words are transposed.
            #[target_feature(enable = $features)]
            unsafe fn along(source: &Source<'_>, range: Range, out: &mut [u32]) {
                let Range { items, k, .. } = range;
                let (data, steps) = (source.part(range), k.div_ceil($elements));
                for item in (0..items.next_multiple_of(PANEL)).step_by(LANES) {
                    let count = items.saturating_sub(item).min(LANES);
                    let panel = &mut out[item / PANEL * steps * PANEL..][..steps * PANEL];
                    for step in (0..steps).step_by(LANES) {
                        let p = step * $elements;
                        let square: [__m512i; LANES] = std::array::from_fn(|row| {
                            let place = data.wrapping_add((item + row) * source.stride + p);
                            // The next items, whose lines the hardware cannot foresee.
                            let ahead = place.wrapping_add(LANES * source.stride);
                            for line in 0..$elements {
                                _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(line * LANES).cast());
                            }
                            // SAFETY: only elements of items and of k that exist are read.
                            unsafe { $along(place, if row < count { k - p } else { 0 }) }
                        });
                        let square = transpose(square);
                        let lines = panel[step * PANEL..].chunks_exact_mut(PANEL);
                        for (words, line) in square.into_iter().zip(lines) {
                            let line = &mut line[item % PANEL..][..LANES];
                            // SAFETY: the slice has as many words as the vector.
                            unsafe { _mm512_storeu_si512(line.as_mut_ptr().cast(), words) };
                        }
                    }
                }
            }

            #[target_feature(enable = $features)]
            pub(super) unsafe fn left_tiles(source: &Source<'_>, range: Range, tile_words: usize, out: *mut u32) {
                let Range { items, k, .. } = range;
                let data = source.part(range);
                let steps = k.div_ceil($elements);
                // A few tiles at a time read whole cache lines of each line of the source.
                for first_item in (0..items).step_by(TILES * ROWS) {
                    let items = (items - first_item).min(TILES * ROWS);
                    for step in 0..steps {
                        let line = data.wrapping_add(step * $elements * source.stride + first_item);
                        let ahead = line.wrapping_add(LINES_AHEAD * $elements * source.stride);
                        let has_high = $elements == 2 && step * $elements + 1 < k;
                        let out = out.wrapping_add(first_item / ROWS * tile_words + step * ROWS);
                        for item in (0..items).step_by(LANES) {
                            _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(item).cast());
                        }
                        // SAFETY: only lanes of rows that exist are read; the caller lends a tile's row of words for each step.
                        unsafe {
                            let pair = |item: usize, count: usize| {
                                let place = line.wrapping_add(item);
                                let high = load(place.wrapping_add(source.stride), if has_high { count } else { 0 });
                                $across(load(place, count), high)
                            };
                            if items == TILES * ROWS {
                                let vectors = [pair(0, LANES), pair(LANES, LANES), pair(2 * LANES, LANES)];
                                for (tile, words) in split_tiles(vectors).into_iter().enumerate() {
                                    let out = out.add(tile * tile_words);
                                    if step + 1 < steps {
                                        // What is beyond the tile's rows is overwritten by the next step.
                                        _mm256_storeu_si256(out.cast(), _mm512_castsi512_si256(words));
                                    } else {
                                        _mm512_mask_storeu_epi32(out.cast(), first(ROWS), words);
                                    }
                                }
                                continue;
                            }
                            for item in (0..items).step_by(ROWS) {
                                let words = pair(item, (items - item).min(ROWS));
                                let out = out.add(item / ROWS * tile_words);
                                _mm512_mask_storeu_epi32(out.cast(), first(ROWS), words);
                            }
                        }
                    }
                }
            }

            #[target_feature(enable = $features)]
            pub(super) unsafe fn left_rows(
                source: &Source<'_>,
                range: Range,
                out: *mut u32,
                row_words: usize,
                store: Store,
            ) {
                if !source.lines_are_items {
                    // SAFETY: the caller's promise.
                    return unsafe { left_columns(source, range, out, row_words, store) };
                }
                let Range { first_item, items, first_k, k } = range;
                for item in 0..items {
                    let line = &source.data[(first_item + item) * source.stride + first_k..][..k];
                    // SAFETY: the caller lends the words of these numbers in each row.
                    unsafe {
                        let out = out.add(item * row_words);
                        left_row(line, std::slice::from_raw_parts_mut(out, k.div_ceil($elements)), store);
                    }
                }
            }

            /// Lines are steps of k: squares of 16 words by 16 items are transposed.
            #[target_feature(enable = $features)]
            unsafe fn left_columns(source: &Source<'_>, range: Range, out: *mut u32, row_words: usize, store: Store) {
                let Range { items, k, .. } = range;
                let (data, steps) = (source.part(range), k.div_ceil($elements));
                for step in (0..steps).step_by(LANES) {
                    for item in (0..items).step_by(LANES) {
                        let count = items - item;
                        let square: [__m512i; LANES] = std::array::from_fn(|line| {
                            let p = (step + line) * $elements;
                            let place = data.wrapping_add(p * source.stride + item);
                            let lanes = |exists: bool| if exists { count } else { 0 };
                            // SAFETY: only numbers of lines and items that exist are read.
                            unsafe {
                                let high = load(place.wrapping_add(source.stride), lanes($elements == 2 && p + 1 < k));
                                $across(load(place, lanes(p < k)), high)
                            }
                        });
                        let words = first(steps - step);
                        for (row, line) in transpose(square).into_iter().take(count).enumerate() {
                            // SAFETY: the caller lends the words of these numbers in each row.
                            unsafe { put(out.add((item + row) * row_words + step), words, line, store) };
                        }
                    }
                }
            }

            #[target_feature(enable = $features)]
            pub(super) unsafe fn left_row(row: &[f32], out: &mut [u32], store: Store) {
                // Whole vectors need no masks.
                let (runs, rest) = row.as_chunks::<{ LANES * $elements }>();
                let (whole, out) = out.split_at_mut(runs.len() * LANES);
                for (words, run) in whole.as_chunks_mut::<LANES>().0.iter_mut().zip(runs) {
                    // SAFETY: both are whole.
                    unsafe { put(words.as_mut_ptr(), 0xffff, $along(run.as_ptr(), LANES * $elements), store) };
                }
                // SAFETY: only numbers that exist are read, and only words that exist are written.
                unsafe {
                    let words = $along(rest.as_ptr(), rest.len());
                    _mm512_mask_storeu_epi32(out.as_mut_ptr().cast(), first(out.len()), words);
                }
            }
        }
    };
}

/// A word is one number: the second line does not exist.
#[inline]
#[target_feature(enable = "avx512f")]
fn single(low: __m512, _: __m512) -> __m512i {
    _mm512_castps_si512(low)
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn single_run(pointer: *const f32, count: usize) -> __m512i {
    // SAFETY: lanes beyond `count` are not read.
    _mm512_castps_si512(unsafe { load(pointer, count) })
}

#[inline]
#[target_feature(enable = "avx512f")]
fn rounded_single(low: __m512, _: __m512) -> __m512i {
    round(low)
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn rounded_run(pointer: *const f32, count: usize) -> __m512i {
    // SAFETY: lanes beyond `count` are not read.
    round(unsafe { load(pointer, count) })
}

#[inline]
#[target_feature(enable = "avx512f")]
fn emulated_pair(low: __m512, high: __m512) -> __m512i {
    _mm512_or_si512(_mm512_srli_epi32::<16>(round(low)), round(high))
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn emulated_run(pointer: *const f32, count: usize) -> __m512i {
    // SAFETY: lanes beyond `count` are not read.
    let (a, b) = unsafe { (load(pointer, count), load(pointer.wrapping_add(LANES), count.saturating_sub(LANES))) };
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
    emulated_pair(_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b))
}

/// Rounds two vectors to pairs of bf16, number by number.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(in super::super) fn native_pair(low: __m512, high: __m512) -> __m512i {
    // SAFETY: both types are 512 bits.
    let halves: __m512i = unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(high, low)) };
    // Lane 2i takes number i of the lower half, lane 2i + 1 that of the upper half.
    let places = _mm512_setr_epi32(
        0x0010_0000,
        0x0011_0001,
        0x0012_0002,
        0x0013_0003,
        0x0014_0004,
        0x0015_0005,
        0x0016_0006,
        0x0017_0007,
        0x0018_0008,
        0x0019_0009,
        0x001a_000a,
        0x001b_000b,
        0x001c_000c,
        0x001d_000d,
        0x001e_000e,
        0x001f_000f,
    );
    _mm512_permutexvar_epi16(places, halves)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn native_run(pointer: *const f32, count: usize) -> __m512i {
    // SAFETY: lanes beyond `count` are not read; both types are 512 bits.
    unsafe {
        let (a, b) = (load(pointer, count), load(pointer.wrapping_add(LANES), count.saturating_sub(LANES)));
        std::mem::transmute(_mm512_cvtne2ps_pbh(b, a))
    }
}

define_packers!(plain, "avx512f,avx512bw,avx512dq,avx512vl", 1, single, single_run);
define_packers!(rounded, "avx512f,avx512bw,avx512dq,avx512vl", 1, rounded_single, rounded_run);
define_packers!(emulated, "avx512f,avx512bw,avx512dq,avx512vl", 2, emulated_pair, emulated_run);
define_packers!(native, "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16", 2, native_pair, native_run);

/// See [`super::super::block::BlockProduct::pack_pair_columns`].
///
/// # Safety
/// The CPU has AVX512-BF16; `items` lines of `k` numbers can be read, `stride` apart, and `k / 2` (rounded up) rows of `row` words written.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
pub(in super::super) unsafe fn pair_columns(
    data: *const f32,
    stride: usize,
    items: usize,
    k: usize,
    out: *mut u32,
    row: usize,
) {
    let steps = k.div_ceil(2);
    for item in (0..row).step_by(LANES) {
        for step in (0..steps).step_by(LANES) {
            let square: [__m512i; LANES] = std::array::from_fn(|line| {
                let place = data.wrapping_add((item + line) * stride + 2 * step);
                // SAFETY: only numbers of lines that exist are read.
                unsafe { native_run(place, if item + line < items { k - 2 * step } else { 0 }) }
            });
            for (index, words) in transpose(square).into_iter().take(steps - step).enumerate() {
                // SAFETY: the row exists, and has room for whole vectors.
                unsafe { _mm512_storeu_si512(out.add((step + index) * row + item).cast(), words) };
            }
        }
    }
}

/// See [`super::super::block::BlockProduct::pack_pair_rows`].
///
/// # Safety
/// As [`pair_columns`], with `items / 2` (rounded up) rows of words.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
pub(in super::super) unsafe fn pair_rows(
    data: *const f32,
    stride: usize,
    items: usize,
    k: usize,
    out: *mut u32,
    row: usize,
) {
    for pair in 0..items.div_ceil(2) {
        let line = data.wrapping_add(2 * pair * stride);
        for column in (0..row).step_by(LANES) {
            let count = k.saturating_sub(column);
            let has_high = 2 * pair + 1 < items;
            // SAFETY: only numbers that exist are read, and the row has room for whole vectors.
            unsafe {
                let low = load(line.wrapping_add(column), count);
                let high = load(line.wrapping_add(stride + column), if has_high { count } else { 0 });
                _mm512_storeu_si512(out.add(pair * row + column).cast(), native_pair(low, high));
            }
        }
    }
}

/// Defines the packer of two lines whose slices have one length, or whose second is empty.
macro_rules! define_pair_lines {
    ($name:ident, $features:literal, $pair:ident) => {
        #[target_feature(enable = $features)]
        unsafe fn $name(low: &[f32], high: &[f32], out: &mut [u32]) {
            for (index, words) in out.chunks_mut(LANES).enumerate() {
                let (place, count) = (index * LANES, words.len());
                // SAFETY: only numbers that exist are read, and only the chunk is written.
                unsafe {
                    let high = load(high.as_ptr().wrapping_add(place), if high.is_empty() { 0 } else { count });
                    let pair = $pair(load(low.as_ptr().wrapping_add(place), count), high);
                    _mm512_mask_storeu_epi32(words.as_mut_ptr().cast(), first(count), pair);
                }
            }
        }
    };
}

define_pair_lines!(emulated_lines, "avx512f,avx512bw,avx512dq,avx512vl", emulated_pair);
define_pair_lines!(native_lines, "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16", native_pair);
