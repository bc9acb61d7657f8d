//! Packing of words that hold one number each: lines that run along k are transposed in squares of 8 x 8, lines that run across items are copied.

use super::super::pack::{Range, Source, left_row_portable, right_panels_portable};
use super::super::panel::{Layout, PANEL, SLICE};
use super::super::tile::{Arithmetic, ROWS};
use std::arch::x86_64::*;

const LANES: usize = 8;
/// Tiles of the left factor that are packed side by side: their items are whole cache lines.
const TILES: usize = 8;

/// See [`super::super::pack::right_panels`].
pub(in super::super) fn right_panels(
    arithmetic: Arithmetic,
    source: &Source<'_>,
    range: Range,
    layout: Layout,
    out: &mut [u32],
) {
    #[target_feature(enable = "avx2,fma")]
    fn compiled(arithmetic: Arithmetic, source: &Source<'_>, range: Range, layout: Layout, out: &mut [u32]) {
        right_panels_portable(arithmetic, source, range, layout, out);
    }
    // SAFETY: called for this set only.
    unsafe {
        match arithmetic {
            Arithmetic::F32 => panels::<false>(source, range, layout, out),
            Arithmetic::F32Rounded => panels::<true>(source, range, layout, out),
            _ => compiled(arithmetic, source, range, layout, out),
        }
    }
}

/// See [`super::super::pack::left_tile_steps`].
///
/// # Safety
/// As there; a word holds one number.
pub(in super::super) unsafe fn left_tiles(
    arithmetic: Arithmetic,
    source: &Source<'_>,
    range: Range,
    tile_words: usize,
    out: *mut u32,
) {
    // SAFETY: called for this set only, and the caller's promise.
    unsafe {
        match arithmetic {
            Arithmetic::F32 => tiles::<false>(source, range, tile_words, out),
            _ => tiles::<true>(source, range, tile_words, out),
        }
    }
}

/// See [`super::super::pack::left_row`].
pub(in super::super) fn left_row(arithmetic: Arithmetic, row: &[f32], out: &mut [u32]) {
    match arithmetic {
        Arithmetic::F32Rounded | Arithmetic::Bf16Widened => {
            let (words, beyond) = out.split_at_mut(row.len());
            // SAFETY: called for this set only.
            unsafe { line::<true>(row, words) };
            beyond.fill(0);
        }
        _ => left_row_portable(arithmetic, row, out),
    }
}

/// The words of eight numbers.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn words<const ROUNDED: bool>(numbers: __m256) -> __m256i {
    let bits = _mm256_castps_si256(numbers);
    if !ROUNDED {
        return bits;
    }
    let even = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
    let nearest = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), even);
    let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x0040_0000));
    let is_nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(numbers, numbers));
    let bits = _mm256_blendv_epi8(nearest, quiet, is_nan);
    _mm256_and_si256(bits, _mm256_set1_epi32(0xffff_0000_u32 as i32))
}

/// The words of a line, one after another.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn line<const ROUNDED: bool>(from: &[f32], to: &mut [u32]) {
    let (from, from_rest) = from.as_chunks::<LANES>();
    let (to, to_rest) = to.as_chunks_mut::<LANES>();
    let convert = |from: &[f32; LANES], to: &mut [u32; LANES]| {
        // SAFETY: both have the size of the vector.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), words::<ROUNDED>(_mm256_loadu_ps(from.as_ptr()))) }
    };
    for (from, to) in from.iter().zip(to) {
        convert(from, to);
    }
    if from_rest.is_empty() {
        return;
    }
    let (mut last, mut last_words) = ([0.0; LANES], [0; LANES]);
    last[..from_rest.len()].copy_from_slice(from_rest);
    convert(&last, &mut last_words);
    to_rest.copy_from_slice(&last_words[..to_rest.len()]);
}

#[target_feature(enable = "avx2,fma")]
fn panels<const ROUNDED: bool>(source: &Source<'_>, range: Range, layout: Layout, out: &mut [u32]) {
    let Range { first_item, items, first_k, k } = range;
    // A panel at a time: a line is read whole before the next one, wherever its slices go.
    for (panel, out) in out.chunks_mut((k * PANEL).max(1)).enumerate() {
        let first = panel * PANEL;
        let items = PANEL.min(items.saturating_sub(first));
        let wanted = Range { first_item: first_item + first, items, first_k, k };
        if source.lines_are_items {
            for column in (0..items).step_by(LANES) {
                let wanted =
                    Range { first_item: wanted.first_item + column, items: LANES.min(items - column), ..wanted };
                turned::<ROUNDED>(source, wanted, layout.to_next_step(), &mut out[layout.place(0, column)..]);
            }
        } else {
            copied::<ROUNDED>(source, wanted, layout, out);
        }
        // What is missing to a whole slice.
        let missing = items..items.next_multiple_of(SLICE);
        for column in missing.start.next_multiple_of(LANES)..missing.end {
            (0..k).for_each(|step| out[layout.place(step, column)] = 0);
        }
    }
}

/// The words of a panel whose lines are steps. Lanes beyond the items are zeros.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn copied<const ROUNDED: bool>(source: &Source<'_>, range: Range, layout: Layout, out: &mut [u32]) {
    let Range { items, k, .. } = range;
    assert!(out.len() >= items.next_multiple_of(layout.slice()) * k, "{range:?} into {} words", out.len());
    let from = source.part(range);
    for step in 0..k {
        for column in (0..items).step_by(LANES) {
            // SAFETY: the rectangle lies within the source, lanes beyond the items are masked off, and whole slices within `out`.
            unsafe {
                let from = from.add(step * source.stride + column);
                let numbers = match items - column {
                    count @ 0..LANES => _mm256_maskload_ps(from, mask(count)),
                    _ => _mm256_loadu_ps(from),
                };
                let place = out.as_mut_ptr().add(layout.place(step, column));
                _mm256_storeu_si256(place.cast(), words::<ROUNDED>(numbers));
            }
        }
    }
}

/// The words of up to eight items whose lines they are, side by side in each step, `row` words from one to the next. Lanes beyond the items are
/// zeros.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn turned<const ROUNDED: bool>(source: &Source<'_>, range: Range, row: usize, out: &mut [u32]) {
    let (from, stride) = (source.part(range), source.stride);
    for step in (0..range.k).step_by(LANES) {
        let (steps, mut rows) = (LANES.min(range.k - step), [_mm256_setzero_ps(); LANES]);
        let mask = mask(steps);
        for (item, row) in rows.iter_mut().enumerate().take(range.items) {
            // SAFETY: the rectangle lies within the source, and lanes beyond its steps are masked off.
            *row = unsafe {
                let from = from.add(item * stride + step);
                if steps == LANES { _mm256_loadu_ps(from) } else { _mm256_maskload_ps(from, mask) }
            };
        }
        for (column, numbers) in square(rows).into_iter().enumerate().take(steps) {
            let place = &mut out[(step + column) * row..][..LANES];
            // SAFETY: the place has the size of the vector.
            unsafe { _mm256_storeu_si256(place.as_mut_ptr().cast(), words::<ROUNDED>(numbers)) };
        }
    }
}

/// The mask of the first `count` lanes, up to all.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn mask(count: usize) -> __m256i {
    _mm256_cmpgt_epi32(_mm256_set1_epi32(count.min(LANES) as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
}

/// Rows become columns.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn square([a, b, c, d, e, f, g, h]: [__m256; LANES]) -> [__m256; LANES] {
    let pairs = [
        (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)),
        (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d)),
        (_mm256_unpacklo_ps(e, f), _mm256_unpackhi_ps(e, f)),
        (_mm256_unpacklo_ps(g, h), _mm256_unpackhi_ps(g, h)),
    ];
    let [(ab, ab_high), (cd, cd_high), (ef, ef_high), (gh, gh_high)] = pairs;
    let upper = [
        _mm256_shuffle_ps::<0x44>(ab, cd),
        _mm256_shuffle_ps::<0xee>(ab, cd),
        _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
        _mm256_shuffle_ps::<0xee>(ab_high, cd_high),
    ];
    let lower = [
        _mm256_shuffle_ps::<0x44>(ef, gh),
        _mm256_shuffle_ps::<0xee>(ef, gh),
        _mm256_shuffle_ps::<0x44>(ef_high, gh_high),
        _mm256_shuffle_ps::<0xee>(ef_high, gh_high),
    ];
    [
        _mm256_permute2f128_ps::<0x20>(upper[0], lower[0]),
        _mm256_permute2f128_ps::<0x20>(upper[1], lower[1]),
        _mm256_permute2f128_ps::<0x20>(upper[2], lower[2]),
        _mm256_permute2f128_ps::<0x20>(upper[3], lower[3]),
        _mm256_permute2f128_ps::<0x31>(upper[0], lower[0]),
        _mm256_permute2f128_ps::<0x31>(upper[1], lower[1]),
        _mm256_permute2f128_ps::<0x31>(upper[2], lower[2]),
        _mm256_permute2f128_ps::<0x31>(upper[3], lower[3]),
    ]
}

/// # Safety
/// As [`left_tiles`].
#[target_feature(enable = "avx2,fma")]
unsafe fn tiles<const ROUNDED: bool>(source: &Source<'_>, range: Range, tile_words: usize, out: *mut u32) {
    let Range { first_item, items, first_k, k } = range;
    for first in (0..items).step_by(TILES * ROWS) {
        let count = (TILES * ROWS).min(items - first);
        let mut converted = [0; TILES * ROWS];
        for step in 0..k {
            let from = &source.data[(first_k + step) * source.stride + first_item + first..][..count];
            line::<ROUNDED>(from, &mut converted[..count]);
            let (whole, rest) = converted[..count].as_chunks::<ROWS>();
            // SAFETY: the caller lends the words of this step in each tile.
            unsafe {
                let mut place = out.add(first / ROWS * tile_words + step * ROWS);
                for words in whole {
                    place.cast::<[u32; ROWS]>().write_unaligned(*words);
                    place = place.add(tile_words);
                }
                std::ptr::copy_nonoverlapping(rest.as_ptr(), place, rest.len());
            }
        }
    }
}
